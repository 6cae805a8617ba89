//! The records of access requests, of rules that were set aside, and of what must be looked at
//! for either, there and back.

use std::collections::BTreeSet;

use safeconduct_model::{
    self as model, AccessAnswer, AccessAnswered, AccessChange, AccessEvent, AccessRequested,
    Assurance, Binding, Body, BrokenGlass, Deputies, DueVerdict, Method, Standing,
};

use super::decode::{entity, keyed, name, parse, shared, time, unknown, word};
use super::encode::{Object, object, write_entity};
use super::form::{self, Text};
use super::{DecodeError, EncodeError};

const ASSURANCES: &[Assurance] = &[Assurance::Low, Assurance::Substantial, Assurance::High];

pub(super) fn write_change(change: &AccessChange, o: &mut Object<'_>) -> Result<(), EncodeError> {
    if let AccessEvent::Answered(answered) = &change.event {
        o.nested("answered", |o| write_answered(answered, o))?;
    }
    if let AccessEvent::Asked { people } = &change.event {
        o.texts("asked", people.iter().map(AsRef::as_ref))?;
    }
    if let AccessEvent::Revoked { by, .. } = &change.event {
        o.optional("by", by.as_ref().map(AsRef::as_ref));
    }
    if let AccessEvent::Spent { decision } = &change.event {
        o.text("decision", decision.as_str());
    }
    o.text("event", change.event.as_str());
    if let AccessEvent::Revoked { reason, .. } = &change.event {
        o.text("reason", reason);
    }
    o.text("request", change.request.as_str());
    if let AccessEvent::Requested(requested) = &change.event {
        o.nested("requested", |o| write_requested(requested, o))?;
    }
    o.number("sequence", u64::from(change.sequence));
    Ok(())
}

fn write_requested(requested: &AccessRequested, o: &mut Object<'_>) -> Result<(), EncodeError> {
    let Binding { principal, actors, on_behalf_of, task, intent, action, resources, arguments } =
        &requested.binding;
    o.text("action", action.as_str());
    o.texts("actors", actors.iter().map(AsRef::as_ref))?;
    o.time("answer_by", requested.answer_by)?;
    o.text("approvers", &requested.approvers);
    o.digest("arguments", "hmac-sha256:", arguments.as_bytes());
    o.texts("asked", requested.asked.iter().map(AsRef::as_ref))?;
    o.text("asked_by", requested.asked_by.as_str());
    o.text("assurance", requested.assurance.as_str());
    o.text("deputies", requested.deputies.as_str());
    if let Some(ends_at) = requested.ends_at {
        o.time("ends_at", ends_at)?;
    }
    o.optional("intent", intent.as_ref().map(AsRef::as_ref));
    o.texts("interested", requested.interested.iter().map(AsRef::as_ref))?;
    o.digest("likeness", "hmac-sha256:", requested.likeness.as_bytes());
    o.optional("on_behalf_of", on_behalf_of.as_ref().map(AsRef::as_ref));
    o.nested("principal", |o| write_entity(principal, o))?;
    o.number("quorum", u64::from(requested.quorum));
    o.list("resources", resources, |resource, out| object(out, |o| write_entity(resource, o)))?;
    o.text("standing", requested.standing.as_str());
    o.optional("task", task.as_ref().map(AsRef::as_ref));
    o.number("ttl_s", u64::from(requested.ttl_s));
    Ok(())
}

fn write_answered(answered: &AccessAnswered, o: &mut Object<'_>) -> Result<(), EncodeError> {
    let (answer, reason) = match &answered.answer {
        AccessAnswer::Approve { .. } => ("approve", None),
        AccessAnswer::Refuse { reason } => ("refuse", Some(&**reason)),
    };
    o.text("answer", answer);
    o.text("by", answered.by.as_str());
    o.text("method", answered.method.as_str());
    o.optional("reason", reason);
    if let AccessAnswer::Approve { scope, .. } = &answered.answer {
        o.text("scope", scope);
    }
    o.number("stage", u64::from(answered.stage));
    o.optional("standing_in_for", answered.standing_in_for.as_ref().map(AsRef::as_ref));
    o.text("term", &answered.term);
    if let AccessAnswer::Approve { uses, until, .. } = &answered.answer {
        if let Some(until) = until {
            o.time("until", *until)?;
        }
        o.number("uses", u64::from(*uses));
    }
    Ok(())
}

pub(super) fn write_glass(glass: &BrokenGlass, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("agent", glass.agent.as_str());
    o.text("by", glass.by.as_str());
    o.text("method", glass.method.as_str());
    o.text("reason", &glass.reason);
    o.optional("task", glass.task.as_ref().map(AsRef::as_ref));
    o.time("until", glass.until)
}

/// The body of a kind that this module knows.
pub(super) fn body(kind: &str, json: &[u8]) -> Result<Option<Body>, DecodeError> {
    Ok(Some(match kind {
        "access_request" => Body::AccessRequestChanged(Box::new(change(parse(json)?)?)),
        "glass_broken" => {
            let form: form::GlassBroken<'_> = parse(json)?;
            Body::GlassBroken(Box::new(BrokenGlass {
                agent: name("agent", &form.agent)?,
                task: form.task.map(|task| name("task", &task)).transpose()?,
                by: name("by", &form.by)?,
                method: word("method", &form.method, &Method::ALL, Method::as_str)?,
                reason: shared(&form.reason),
                until: time("until", &form.until)?,
            }))
        }
        "glass_mended" => {
            let form: form::GlassMended<'_> = parse(json)?;
            Body::GlassMended {
                glass: name("glass", &form.glass)?,
                by: form.by.map(|by| name("by", &by)).transpose()?,
            }
        }
        "review_due" => {
            let form: form::ReviewDue<'_> = parse(json)?;
            Body::ReviewDue {
                of: name("of", &form.of)?,
                about: name("about", &form.about)?,
                cause: shared(&form.cause),
            }
        }
        "review_done" => {
            let form: form::ReviewDone<'_> = parse(json)?;
            Body::ReviewDone {
                of: name("of", &form.of)?,
                by: name("by", &form.by)?,
                verdict: word("verdict", &form.verdict, &DueVerdict::ALL, DueVerdict::as_str)?,
                note: shared(&form.note),
            }
        }
        _ => return Ok(None),
    }))
}

fn change(form: form::AccessRequest<'_>) -> Result<AccessChange, DecodeError> {
    let form::AccessRequest { answered, asked, by, decision, event, reason, requested, .. } = form;
    let of = unknown("event", &event);
    // Members of another event are no part of what is written again: not canonical.
    let event = match &*event.0 {
        "requested" => AccessEvent::Requested(Box::new(self::requested(requested.ok_or(of)?)?)),
        "answered" => AccessEvent::Answered(Box::new(self::answered(answered.ok_or(of)?)?)),
        "escalated" => AccessEvent::Escalated,
        "asked" => AccessEvent::Asked {
            people: asked.iter().map(|who| name("asked", who)).collect::<Result<_, _>>()?,
        },
        "expired" => AccessEvent::Expired,
        "spent" => AccessEvent::Spent { decision: name("decision", &decision.ok_or(of)?)? },
        "revoked" => AccessEvent::Revoked {
            by: by.map(|by| name("by", &by)).transpose()?,
            reason: shared(&reason.ok_or(of)?),
        },
        _ => return Err(of),
    };
    Ok(AccessChange { request: name("request", &form.request)?, sequence: form.sequence, event })
}

fn requested(form: form::AccessRequested<'_>) -> Result<AccessRequested, DecodeError> {
    let people = |field, texts: &[Text<'_>]| {
        texts.iter().map(|text| name(field, text)).collect::<Result<BTreeSet<_>, _>>()
    };
    let on_behalf_of = form.on_behalf_of.as_ref();
    Ok(AccessRequested {
        binding: Binding {
            principal: entity(&form.principal)?,
            actors: form
                .actors
                .iter()
                .map(|text| name("actors", text))
                .collect::<Result<_, _>>()?,
            on_behalf_of: on_behalf_of.map(|user| name("on_behalf_of", user)).transpose()?,
            task: form.task.as_ref().map(|task| name("task", task)).transpose()?,
            intent: form.intent.as_ref().map(|intent| name("intent", intent)).transpose()?,
            action: name("action", &form.action)?,
            resources: form.resources.iter().map(entity).collect::<Result<_, _>>()?,
            arguments: keyed("arguments", &form.arguments)?,
        },
        asked_by: name("asked_by", &form.asked_by)?,
        interested: people("interested", &form.interested)?,
        approvers: shared(&form.approvers),
        quorum: form.quorum,
        ttl_s: form.ttl_s,
        assurance: word("assurance", &form.assurance, ASSURANCES, Assurance::as_str)?,
        deputies: word("deputies", &form.deputies, &Deputies::ALL, Deputies::as_str)?,
        standing: word("standing", &form.standing, &Standing::ALL, Standing::as_str)?,
        likeness: keyed("likeness", &form.likeness)?,
        answer_by: time("answer_by", &form.answer_by)?,
        ends_at: form.ends_at.as_ref().map(|at| time("ends_at", at)).transpose()?,
        asked: people("asked", &form.asked)?,
    })
}

fn answered(form: form::AccessAnswered<'_>) -> Result<AccessAnswered, DecodeError> {
    let answer = match (&*form.answer.0, form.reason, form.scope, form.uses) {
        ("approve", None, Some(scope), Some(uses)) => AccessAnswer::Approve {
            scope: shared(&scope),
            uses,
            until: form.until.as_ref().map(|until| time("until", until)).transpose()?,
        },
        ("refuse", Some(reason), None, None) => AccessAnswer::Refuse { reason: shared(&reason) },
        _ => return Err(unknown("answer", &form.answer)),
    };
    let stood_in = form.standing_in_for.as_ref();
    Ok(AccessAnswered {
        by: name("by", &form.by)?,
        method: word("method", &form.method, &Method::ALL, Method::as_str)?,
        standing_in_for: stood_in.map(|who| name("standing_in_for", who)).transpose()?,
        term: shared(&form.term),
        stage: form.stage,
        answer,
    })
}

pub(super) fn approval(text: Option<Text<'_>>) -> Result<Option<model::RecordId>, DecodeError> {
    text.map(|text| name("approval", &text)).transpose()
}
