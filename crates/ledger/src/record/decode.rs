//! A record from its leaf. Strict: what this accepts, [`encode`](super::encode) writes back to
//! the byte.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model as model;
use safeconduct_model::{Body, Decision, Digest, KeyedDigest, Method, Mode, PolicyEffect, Record};
use serde::Deserialize;

use super::form::{self, Text};
use super::{
    DecodeError, LEAF_BYTES_MAX, RECORD_VERSION, access, authority, encode, passkey, review, signal,
};

/// The record of a leaf.
///
/// # Errors
/// [`DecodeError`] names what does not fit. Nothing is guessed: an unknown version, kind or
/// member is an error, and so is the same record in other than canonical bytes.
pub fn decode(leaf: &[u8]) -> Result<Record, DecodeError> {
    if leaf.len() > LEAF_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: leaf.len() });
    }
    let form: form::Leaf<'_> = parse(leaf)?;
    if form.v != RECORD_VERSION {
        return Err(DecodeError::UnknownVersion { version: form.v });
    }
    let record = Record {
        id: name("id", &form.id)?,
        at: time("at", &form.at)?,
        trace: form.trace.map(|trace| name("trace", &trace)).transpose()?,
        parent: form.parent.map(|parent| name("parent", &parent)).transpose()?,
        body: body(&form.kind.0, form.body.get().as_bytes())?,
    };
    match encode(&record) {
        Ok(canonical) if canonical == leaf => Ok(record),
        Ok(canonical) => {
            let offset = canonical.iter().zip(leaf).take_while(|(a, b)| a == b).count();
            Err(DecodeError::NotCanonical { offset })
        }
        Err(problem) => Err(DecodeError::Malformed { problem: problem.to_string() }),
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(json)
        .map_err(|error| DecodeError::Malformed { problem: error.to_string() })
}

fn body(kind: &str, json: &[u8]) -> Result<Body, DecodeError> {
    Ok(match kind {
        "server_started" => {
            Body::ServerStarted { version: owned(parse::<form::ServerStarted<'_>>(json)?.version) }
        }
        "policies_loaded" => {
            let form: form::PoliciesLoaded<'_> = parse(json)?;
            Body::PoliciesLoaded {
                digest: digest("digest", &form.digest)?,
                policies: form.policies,
                cause: owned(form.cause),
            }
        }
        "policies_refused" => {
            let form: form::PoliciesRefused<'_> = parse(json)?;
            Body::PoliciesRefused {
                digest: form.digest.map(|text| digest("digest", &text)).transpose()?,
                problem: owned(form.problem),
            }
        }
        "catalogue_loaded" => {
            let form: form::CatalogueLoaded<'_> = parse(json)?;
            Body::CatalogueLoaded { digest: digest("digest", &form.digest)?, actions: form.actions }
        }
        "identity_changed" => {
            let form: form::IdentityChanged<'_> = parse(json)?;
            Body::IdentityChanged { identity: identity(form.identity)?, by: name("by", &form.by)? }
        }
        "token_issued" => {
            let form: form::TokenIssued<'_> = parse(json)?;
            Body::TokenIssued { token: token(&form.token)?, by: name("by", &form.by)? }
        }
        "token_revoked" => {
            let form: form::TokenRevoked<'_> = parse(json)?;
            Body::TokenRevoked { token: name("token", &form.token)?, by: name("by", &form.by)? }
        }
        "session_began" => Body::SessionBegan {
            session: session(&parse::<form::SessionBegan<'_>>(json)?.session)?,
        },
        "decision" => Body::Decided(Box::new(decided(parse(json)?)?)),
        "outcome" => Body::Executed(executed(parse(json)?)?),
        "session_read" => Body::SessionRead(Box::new(session_read(parse(json)?)?)),
        "values_erased" => {
            let form: form::ValuesErased<'_> = parse(json)?;
            Body::ValuesErased {
                session: session(&form.session)?,
                by: name("by", &form.by)?,
                attachments: form.attachments,
            }
        }
        "definition_seen" => {
            let form: form::DefinitionSeen<'_> = parse(json)?;
            Body::DefinitionSeen {
                action: name("action", &form.action)?,
                server: name("server", &form.server)?,
                pinned: digest("pinned", &form.pinned)?,
                seen: digest("seen", &form.seen)?,
            }
        }
        _ => {
            for known in [authority::body, access::body, passkey::body, signal::body, review::body]
            {
                if let Some(body) = known(kind, json)? {
                    return Ok(body);
                }
            }
            return Err(DecodeError::UnknownKind { kind: kind.to_owned() });
        }
    })
}

fn decided(form: form::Decided<'_>) -> Result<model::Decided, DecodeError> {
    Ok(model::Decided {
        session: session(&form.session)?,
        session_name: form.session_name.map(|text| name("session_name", &text)).transpose()?,
        sequence: form.sequence,
        pep: name("pep", &form.pep)?,
        method: word("method", &form.method, &Method::ALL, Method::as_str)?,
        principal: entity(&form.principal)?,
        action: name("action", &form.action)?,
        resources: form.resources.iter().map(entity).collect::<Result<_, _>>()?,
        input_digest: keyed("input_digest", &form.input_digest)?,
        decision: word("decision", &form.decision, DECISIONS, Decision::as_str)?,
        mode: word("mode", &form.mode, MODES, Mode::as_str)?,
        reasons: form.reasons.into_iter().map(reason).collect::<Result<_, _>>()?,
        shadow: form.shadow.into_iter().map(reason).collect::<Result<_, _>>()?,
        obligations: form.obligations.iter().map(obligation).collect(),
        requestable: form.requestable.map(|form| model::Requestable {
            approvers: shared(&form.approvers),
            quorum: form.quorum,
            ttl_s: form.ttl_s,
        }),
        policies: digest("policies", &form.policies)?,
        catalogue: digest("catalogue", &form.catalogue)?,
        task: form.task.map(|form| authority::decided_task(&form).map(Box::new)).transpose()?,
        flow: form.flow.iter().map(flow).collect::<Result<_, _>>()?,
        label: form.label.as_ref().map(label).transpose()?,
        risk: form.risk.unwrap_or_default(),
        network: form.network.map(|text| network(&text)).transpose()?,
        approval: access::approval(form.approval)?,
    })
}

fn network(text: &Text<'_>) -> Result<model::NetworkDigest, DecodeError> {
    let digest = model::NetworkDigest::parse(&text.0);
    digest.ok_or_else(|| unknown("network", text))
}

fn session_read(form: form::SessionRead<'_>) -> Result<model::SessionRead, DecodeError> {
    Ok(model::SessionRead {
        session: session(&form.session)?,
        pep: name("pep", &form.pep)?,
        server: name("server", &form.server)?,
        source: shared(&form.source),
        digest: form.digest.map(|text| keyed("digest", &text)).transpose()?,
        bytes: form.bytes,
        label: label(&form.label)?,
    })
}

fn flow(form: &form::Flow<'_>) -> Result<model::RecordedFlow, DecodeError> {
    let all = &model::ValueOrigin::ALL;
    let origins = form.origins.iter().map(|origin| word("origins", origin, all, |o| o.as_str()));
    Ok(model::RecordedFlow {
        pointer: shared(&form.pointer),
        role: word("role", &form.role, model::ArgumentRole::ALL, |role| role.as_str())?,
        origins: origins.collect::<Result<_, _>>()?,
        label: label(&form.label)?,
        sources: form.sources.iter().map(|text| name("sources", text)).collect::<Result<_, _>>()?,
    })
}

fn label(form: &form::Label<'_>) -> Result<model::Label, DecodeError> {
    let categories = form
        .categories
        .iter()
        .map(|text| model::Category::new(&text.0).ok_or_else(|| unknown("categories", text)));
    Ok(model::Label {
        integrity: word("integrity", &form.integrity, model::Integrity::ALL, |i| i.as_str())?,
        confidentiality: word(
            "confidentiality",
            &form.confidentiality,
            model::Confidentiality::ALL,
            |confidentiality| confidentiality.as_str(),
        )?,
        categories: categories.collect::<Result<_, _>>()?,
    })
}

fn executed(form: form::Executed<'_>) -> Result<model::Executed, DecodeError> {
    let edit = |form: &form::Edit<'_>| model::Edit {
        obligation: obligation(&form.obligation),
        values: form.values,
    };
    Ok(model::Executed {
        decision: name("decision", &form.decision)?,
        session: session(&form.session)?,
        execution: word("execution", &form.execution, &model::Execution::ALL, |value| {
            value.as_str()
        })?,
        duration_ms: form.duration_ms,
        result_digest: form.result_digest.map(|text| keyed("result_digest", &text)).transpose()?,
        result_bytes: form.result_bytes,
        detail: form.detail.as_ref().map(shared),
        edits: form.edits.iter().map(edit).collect(),
        label: form.label.as_ref().map(label).transpose()?,
        declassified: form.declassified.as_ref().map(shared),
    })
}

fn reason(form: form::Reason<'_>) -> Result<model::RecordedReason, DecodeError> {
    let policy = |form: form::Policy<'_>| {
        Ok(model::RecordedPolicy {
            id: name("policy", &form.id)?,
            effect: word("effect", &form.effect, EFFECTS, PolicyEffect::as_str)?,
            span: model::Span {
                file: shared(&form.span.file),
                line: form.span.line,
                column: form.span.column,
                end_line: form.span.end_line,
            },
        })
    };
    let of = |said: Text<'_>| word("of", &said, &model::AskedOf::ALL, model::AskedOf::as_str);
    Ok(model::RecordedReason {
        code: shared(&form.code),
        policy: form.policy.map(policy).transpose()?,
        message: shared(&form.message),
        detail: form.detail.as_ref().map(shared),
        of: form.of.map(of).transpose()?,
    })
}

fn identity(form: form::Identity<'_>) -> Result<model::Identity, DecodeError> {
    let roles =
        form.roles.iter().map(|role| word("roles", role, &model::Role::ALL, |role| role.as_str()));
    Ok(model::Identity {
        id: name("id", &form.id)?,
        kind: word("kind", &form.kind, &model::IdentityKind::ALL, |kind| kind.as_str())?,
        status: word("status", &form.status, &model::IdentityStatus::ALL, |s| s.as_str())?,
        owner: form.owner.map(|text| name("owner", &text)).transpose()?,
        fallback_owner: form.fallback_owner.map(|t| name("fallback_owner", &t)).transpose()?,
        environment: form.environment.map(owned),
        roles: roles.collect::<Result<_, _>>()?,
        groups: form.groups.into_iter().map(owned).collect(),
        pep: form.pep.map(pep).transpose()?,
        sponsor: form.sponsor.map(|text| name("sponsor", &text)).transpose()?,
        imported: form.imported.map(|form| imported(&form).map(Box::new)).transpose()?,
    })
}

fn imported(form: &form::Imported<'_>) -> Result<model::Imported, DecodeError> {
    let from = word("from", &form.from, &model::ImportSource::ALL, model::ImportSource::as_str)?;
    Ok(model::Imported {
        from,
        external_id: form.external_id.as_ref().map(shared),
        user_name: form.user_name.as_ref().map(shared),
        display_name: form.display_name.as_ref().map(shared),
        suspended: form.suspended,
    })
}

fn pep(form: form::Pep<'_>) -> Result<model::PepRegistration, DecodeError> {
    let types = |field, texts: &[Text<'_>]| {
        texts.iter().map(|text| name(field, text)).collect::<Result<BTreeSet<_>, _>>()
    };
    Ok(model::PepRegistration {
        subjects: types("subjects", &form.subjects)?,
        resources: types("resources", &form.resources)?,
        properties: form.properties,
        label_at: match &form.label_at {
            None => model::LabelAt::default(),
            Some(text) => word("label_at", text, &model::LabelAt::ALL, model::LabelAt::as_str)?,
        },
    })
}

fn token(form: &form::Token<'_>) -> Result<model::Token, DecodeError> {
    Ok(model::Token {
        id: name("id", &form.id)?,
        identity: name("identity", &form.identity)?,
        digest: digest("digest", &form.digest)?,
        issued_at: time("issued_at", &form.issued_at)?,
        expires_at: time("expires_at", &form.expires_at)?,
        revoked: form.revoked,
    })
}

pub(super) fn session(form: &form::Session<'_>) -> Result<model::SessionKey, DecodeError> {
    let scope = match (&form.token, &form.task) {
        (Some(token), None) => model::SessionScope::Credential(name("token", token)?),
        (None, Some(task)) => model::SessionScope::Task(name("task", task)?),
        _ => {
            let problem = "a session holds one of `token` and `task`".to_owned();
            return Err(DecodeError::Malformed { problem });
        }
    };
    Ok(model::SessionKey { identity: name("identity", &form.identity)?, scope })
}

pub(super) fn entity(form: &form::Entity<'_>) -> Result<model::EntityRef, DecodeError> {
    Ok(model::EntityRef { ty: name("type", &form.ty)?, id: name("id", &form.id)? })
}

fn obligation(form: &form::Obligation<'_>) -> model::Obligation {
    model::Obligation { kind: shared(&form.kind), parameter: shared(&form.parameter) }
}

pub(super) fn shared(text: &Text<'_>) -> Arc<str> {
    Arc::from(&*text.0)
}

fn owned(text: Text<'_>) -> String {
    text.0.into_owned()
}

/// A type that is made of a text, if the text fits.
pub(super) trait Name: Sized {
    fn parse(text: Arc<str>) -> Result<Self, model::NameError>;
}

macro_rules! names {
    ($($name:ident),*) => {$(
        impl Name for model::$name {
            fn parse(text: Arc<str>) -> Result<Self, model::NameError> {
                Self::new(text)
            }
        }
    )*};
}

names!(RecordId, TraceId, IdentityId, TokenId, SessionName, ActionName, PolicyId);
names!(EntityType, EntityId, ServerName, TaskId, IntentName, LeaseId, TargetName, ScheduleName);
names!(PasskeyId);

pub(super) fn name<N: Name>(field: &'static str, text: &Text<'_>) -> Result<N, DecodeError> {
    N::parse(shared(text)).map_err(|problem| DecodeError::Name { field, problem })
}

pub(super) fn unknown(field: &'static str, text: &Text<'_>) -> DecodeError {
    DecodeError::UnknownWord { field, found: text.0.chars().take(80).collect() }
}

pub(super) fn word<T: Copy>(
    field: &'static str,
    text: &Text<'_>,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<T, DecodeError> {
    let found = all.iter().copied().find(|value| as_str(*value) == text.0);
    found.ok_or_else(|| unknown(field, text))
}

pub(super) fn digest(field: &'static str, text: &Text<'_>) -> Result<Digest, DecodeError> {
    Digest::parse(&text.0).ok_or_else(|| unknown(field, text))
}

pub(super) fn keyed(field: &'static str, text: &Text<'_>) -> Result<KeyedDigest, DecodeError> {
    KeyedDigest::parse(&text.0).ok_or_else(|| unknown(field, text))
}

pub(super) fn time(field: &'static str, text: &Text<'_>) -> Result<model::Timestamp, DecodeError> {
    model::Timestamp::parse(&text.0).ok_or_else(|| unknown(field, text))
}

const DECISIONS: &[Decision] = &[Decision::Permit, Decision::Deny];
const MODES: &[Mode] = &[Mode::Enforce, Mode::Observe];
const EFFECTS: &[PolicyEffect] = &[PolicyEffect::Permit, PolicyEffect::Forbid];
