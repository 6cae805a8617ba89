//! The records of tasks and of what they may do, there and back.

use std::sync::Arc;

use safeconduct_model::{
    self as model, Amount, Body, Budget, Confirmation, DecidedTask, Delegation, KillScope, Lease,
    Minted, Origin, Spend, Task, TaskState,
};

use super::decode::{digest, keyed, name, parse, session, shared, time, unknown, word};
use super::encode::{Object, object};
use super::form;
use super::{DecodeError, EncodeError};

pub(super) fn write_task(task: &Task, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("agent", task.agent.as_str());
    o.digest("authority", "hmac-sha256:", task.authority.as_bytes());
    o.time("begun_at", task.begun_at)?;
    o.text("begun_by", task.begun_by.as_str());
    o.nested("budget", |o| write_budget(&task.budget, o))?;
    if let Some(conversation) = &task.conversation {
        o.digest("conversation", "sha256:", conversation.as_bytes());
    }
    o.time("deadline", task.deadline)?;
    o.number("depth", u64::from(task.depth));
    if let Some(handle) = &task.handle {
        o.digest("handle", "sha256:", handle.as_bytes());
    }
    o.text("id", task.id.as_str());
    o.number("idle_s", u64::from(task.idle_s));
    o.text("intent", task.intent.as_str());
    o.number("intent_version", u64::from(task.intent_version));
    o.optional("on_behalf_of", task.on_behalf_of.as_ref().map(AsRef::as_ref));
    o.optional("parent", task.parent.as_ref().map(AsRef::as_ref));
    o.optional("run_of", task.run_of.as_ref().map(AsRef::as_ref));
    match &task.origin {
        Origin::Trusted => Ok(()),
        Origin::Agent(session) => o.session(session),
    }
}

fn write_budget(budget: &Budget, o: &mut Object<'_>) -> Result<(), EncodeError> {
    if let Some(most) = budget.bytes_out {
        o.number("bytes_out", most);
    }
    o.number("calls", budget.calls);
    o.list("calls_of", &budget.calls_of, |(action, calls), out| {
        object(out, |o| {
            o.text("action", action.as_str());
            o.number("calls", *calls);
            Ok(())
        })
    })?;
    if let Some(most) = budget.distinct_resources {
        o.number("distinct_resources", most);
    }
    let Some(spend) = &budget.spend else {
        return Ok(());
    };
    o.nested("spend", |o| {
        o.list("amounts", &spend.amounts, |(action, pointer), out| {
            object(out, |o| {
                o.text("action", action.as_str());
                o.text("pointer", pointer);
                Ok(())
            })
        })?;
        o.number("limit", spend.limit.0);
        Ok(())
    })
}

pub(super) fn write_decided_task(
    task: &DecidedTask,
    o: &mut Object<'_>,
) -> Result<(), EncodeError> {
    o.texts("actors", task.actors.iter().map(AsRef::as_ref))?;
    o.number("bytes_out", task.bytes_out);
    o.text("id", task.id.as_str());
    o.text("intent", task.intent.as_str());
    o.optional("on_behalf_of", task.on_behalf_of.as_ref().map(AsRef::as_ref));
    o.number("spend", task.spend.0);
    Ok(())
}

pub(super) fn write_delegation(
    delegation: &Delegation,
    o: &mut Object<'_>,
) -> Result<(), EncodeError> {
    o.text("agent", delegation.agent.as_str());
    o.time("expires_at", delegation.expires_at)?;
    o.text("id", delegation.id.as_str());
    o.text("intent", delegation.intent.as_str());
    o.text("user", delegation.user.as_str());
    Ok(())
}

pub(super) fn write_minted(minted: &Minted, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("audience", &minted.audience);
    o.text("client", minted.client.as_str());
    if let Some(confirmation) = &minted.confirmation {
        o.nested("confirmation", |o| {
            match confirmation {
                Confirmation::Jkt(thumbprint) => o.text("jkt", thumbprint),
                Confirmation::X5t(thumbprint) => o.text("x5t", thumbprint),
            }
            Ok(())
        })?;
    }
    o.time("expires_at", minted.expires_at)?;
    o.text("id", minted.id.as_str());
    o.time("issued_at", minted.issued_at)?;
    o.text("task", minted.task.as_str());
    Ok(())
}

pub(super) fn write_lease(lease: &Lease, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.time("expires_at", lease.expires_at)?;
    o.text("id", lease.id.as_str());
    o.text("kind", lease.kind.as_str());
    o.time("last_at", lease.last_at)?;
    o.text("name", &lease.name);
    o.time("planned_at", lease.planned_at)?;
    o.text("target", lease.target.as_str());
    o.text("task", lease.task.as_str());
    Ok(())
}

pub(super) fn write_scope(scope: &KillScope, o: &mut Object<'_>) -> Result<(), EncodeError> {
    if let KillScope::Identity(identity) = scope {
        o.text("identity", identity.as_str());
    }
    o.text("kind", scope.as_str());
    match scope {
        KillScope::Session(session) => o.session(session)?,
        KillScope::Task(task) => o.text("task", task.as_str()),
        KillScope::Identity(_) | KillScope::All => {}
    }
    Ok(())
}

/// The body of a kind that this module knows.
pub(super) fn body(kind: &str, json: &[u8]) -> Result<Option<Body>, DecodeError> {
    Ok(Some(match kind {
        "intents_loaded" => {
            let form: form::IntentsLoaded<'_> = parse(json)?;
            let changed = form.changed.iter().map(|intent| name("changed", intent));
            Body::IntentsLoaded {
                digest: digest("digest", &form.digest)?,
                intents: form.intents,
                by: form.by.map(|by| name("by", &by)).transpose()?,
                changed: changed.collect::<Result<_, _>>()?,
            }
        }
        "task_began" => Body::TaskBegan(Box::new(task(&parse(json)?)?)),
        "task_ended" => {
            let form: form::TaskEnded<'_> = parse(json)?;
            let state = word("state", &form.state, &TaskState::ALL, TaskState::as_str)?;
            Body::TaskEnded {
                task: name("task", &form.task)?,
                state,
                by: form.by.map(|by| name("by", &by)).transpose()?,
                reason: shared(&form.reason),
            }
        }
        "delegation_made" => Body::DelegationMade(delegation(&parse(json)?)?),
        "delegation_ended" => {
            let form: form::DelegationEnded<'_> = parse(json)?;
            Body::DelegationEnded {
                delegation: name("delegation", &form.delegation)?,
                by: name("by", &form.by)?,
            }
        }
        "token_minted" => Body::TokenMinted(Box::new(minted(&parse(json)?)?)),
        "token_withdrawn" => {
            let form: form::TokenRevoked<'_> = parse(json)?;
            Body::TokenWithdrawn { token: name("token", &form.token)?, by: name("by", &form.by)? }
        }
        "token_keys_rotated" => {
            let form: form::TokenKeysRotated<'_> = parse(json)?;
            let keys = form.keys.iter().map(shared).collect();
            Body::TokenKeysRotated { keys, by: name("by", &form.by)? }
        }
        "token_key_dropped" => {
            let form: form::TokenKeyDropped<'_> = parse(json)?;
            let (key, reason) = (shared(&form.key), shared(&form.reason));
            Body::TokenKeyDropped { key, reason, by: name("by", &form.by)? }
        }
        "trust_loaded" => {
            let form: form::TrustLoaded<'_> = parse(json)?;
            let (digest, records) = (digest("digest", &form.digest)?, form.records);
            Body::TrustLoaded { digest, records, cause: form.cause.0.into_owned() }
        }
        "lease_changed" => {
            let form: form::LeaseChanged<'_> = parse(json)?;
            let state = word("state", &form.state, &model::LeaseState::ALL, |s| s.as_str())?;
            Body::LeaseChanged {
                lease: Box::new(lease(&form.lease)?),
                state,
                detail: form.detail.as_ref().map(shared),
            }
        }
        "killed" => {
            let form: form::Killed<'_> = parse(json)?;
            let (scope, by) = (scope(&form.scope)?, name("by", &form.by)?);
            Body::Killed { scope, by, reason: shared(&form.reason) }
        }
        "kill_lifted" => {
            let form: form::Killed<'_> = parse(json)?;
            let (scope, by) = (scope(&form.scope)?, name("by", &form.by)?);
            Body::KillLifted { scope, by, reason: shared(&form.reason) }
        }
        "used_after_end" => {
            let form: form::UsedAfterEnd<'_> = parse(json)?;
            Body::UsedAfterEnd {
                task: name("task", &form.task)?,
                identity: name("identity", &form.identity)?,
                token: name("token", &form.token)?,
                action: form.action.map(|action| name("action", &action)).transpose()?,
            }
        }
        _ => return Ok(None),
    }))
}

pub(super) fn decided_task(form: &form::DecidedTask<'_>) -> Result<DecidedTask, DecodeError> {
    let on_behalf_of = form.on_behalf_of.as_ref();
    let actors = form.actors.iter().map(|actor| name("actors", actor));
    Ok(DecidedTask {
        id: name("id", &form.id)?,
        intent: name("intent", &form.intent)?,
        on_behalf_of: on_behalf_of.map(|user| name("on_behalf_of", user)).transpose()?,
        actors: actors.collect::<Result<_, _>>()?,
        spend: model::Amount(form.spend),
        bytes_out: form.bytes_out,
    })
}

fn task(form: &form::Task<'_>) -> Result<Task, DecodeError> {
    let on_behalf_of = form.on_behalf_of.as_ref();
    let parent = form.parent.as_ref();
    let conversation = form.conversation.as_ref();
    Ok(Task {
        id: name("id", &form.id)?,
        intent: name("intent", &form.intent)?,
        intent_version: form.intent_version,
        agent: name("agent", &form.agent)?,
        on_behalf_of: on_behalf_of.map(|user| name("on_behalf_of", user)).transpose()?,
        begun_by: name("begun_by", &form.begun_by)?,
        origin: match &form.session {
            None => Origin::Trusted,
            Some(form) => Origin::Agent(session(form)?),
        },
        parent: parent.map(|parent| name("parent", parent)).transpose()?,
        depth: form.depth,
        begun_at: time("begun_at", &form.begun_at)?,
        deadline: time("deadline", &form.deadline)?,
        idle_s: form.idle_s,
        budget: Arc::new(budget(&form.budget)?),
        authority: keyed("authority", &form.authority)?,
        handle: form.handle.as_ref().map(|handle| digest("handle", handle)).transpose()?,
        conversation: conversation.map(|of| digest("conversation", of)).transpose()?,
        run_of: form.run_of.as_ref().map(|of| name("run_of", of)).transpose()?,
    })
}

fn budget(form: &form::Budget<'_>) -> Result<Budget, DecodeError> {
    let calls_of = form.calls_of.iter().map(|of| Ok((name("action", &of.action)?, of.calls)));
    let spend = form.spend.as_ref().map(|spend| {
        let amounts = spend.amounts.iter();
        let amounts = amounts.map(|at| Ok((name("action", &at.action)?, shared(&at.pointer))));
        let amounts = amounts.collect::<Result<_, DecodeError>>()?;
        Ok(Spend { limit: Amount(spend.limit), amounts })
    });
    Ok(Budget {
        calls: form.calls,
        calls_of: calls_of.collect::<Result<_, DecodeError>>()?,
        spend: spend.transpose()?,
        distinct_resources: form.distinct_resources,
        bytes_out: form.bytes_out,
    })
}

fn delegation(form: &form::Delegation<'_>) -> Result<Delegation, DecodeError> {
    Ok(Delegation {
        id: name("id", &form.id)?,
        user: name("user", &form.user)?,
        agent: name("agent", &form.agent)?,
        intent: name("intent", &form.intent)?,
        expires_at: time("expires_at", &form.expires_at)?,
    })
}

fn minted(form: &form::Minted<'_>) -> Result<Minted, DecodeError> {
    let confirmation = match &form.confirmation {
        None => None,
        Some(form::Confirmation { jkt: Some(jkt), x5t: None }) => {
            Some(Confirmation::Jkt(shared(jkt)))
        }
        Some(form::Confirmation { jkt: None, x5t: Some(x5t) }) => {
            Some(Confirmation::X5t(shared(x5t)))
        }
        Some(_) => {
            let problem = "`confirmation` holds one of `jkt` and `x5t`".to_owned();
            return Err(DecodeError::Malformed { problem });
        }
    };
    Ok(Minted {
        id: name("id", &form.id)?,
        task: name("task", &form.task)?,
        client: name("client", &form.client)?,
        audience: shared(&form.audience),
        confirmation,
        issued_at: time("issued_at", &form.issued_at)?,
        expires_at: time("expires_at", &form.expires_at)?,
    })
}

fn lease(form: &form::Lease<'_>) -> Result<Lease, DecodeError> {
    Ok(Lease {
        id: name("id", &form.id)?,
        task: name("task", &form.task)?,
        target: name("target", &form.target)?,
        kind: word("kind", &form.kind, &model::LeaseKind::ALL, |kind| kind.as_str())?,
        name: shared(&form.name),
        planned_at: time("planned_at", &form.planned_at)?,
        expires_at: time("expires_at", &form.expires_at)?,
        last_at: time("last_at", &form.last_at)?,
    })
}

fn scope(form: &form::KillScope<'_>) -> Result<KillScope, DecodeError> {
    match (&*form.kind.0, &form.identity, &form.session, &form.task) {
        ("identity", Some(identity), None, None) => {
            Ok(KillScope::Identity(name("identity", identity)?))
        }
        ("session", None, Some(key), None) => Ok(KillScope::Session(session(key)?)),
        ("task", None, None, Some(task)) => Ok(KillScope::Task(name("task", task)?)),
        ("all", None, None, None) => Ok(KillScope::All),
        _ => Err(unknown("scope", &form.kind)),
    }
}
