//! How a Deny looks to the agent: what was refused, by which rule, what could be done instead,
//! whether it can be asked for, the decision's id. Never policy text.

use safeconduct_model::Value;
use safeconduct_pep::{Lapsed, Refusal, Ways};
use safeconduct_service::{AccessState, AskedAtOnce};

use crate::message::{Answer, Fault};
use crate::revision::Era;
use crate::{Revision, approvals, edit};

/// The code of a denial up to 2025-11-25, as the AuthZEN binding for MCP writes it.
pub const DENIED_LEGACY: i64 = -32001;
/// The code of a denial from 2026-07-28, which leaves −32768 to −32000 to the protocol.
pub const DENIED_MODERN: i64 = 403;
/// The `_meta` member of a denial that is a tool result.
pub const META_DECISION: &str = "safeconduct/decision";

/// The answer to a request that was denied.
pub fn denied(
    revision: Revision,
    method: &str,
    what: &str,
    refusal: &Refusal,
    ways: &Ways,
) -> Answer {
    let text = refusal.message_for_agent(what, ways);
    let told = machine_readable(refusal, ways);
    if method == "tools/call" {
        tool_error(revision, &text, told)
    } else {
        fault(revision, text, told)
    }
}

/// The answer to a request whose permit no longer held when it was to be performed.
pub fn lapsed(revision: Revision, method: &str, what: &str, lapsed: Lapsed, id: &str) -> Answer {
    let text = format!("Denied: {what}.\n- {lapsed}\nDecision {id}. Do not retry unchanged.");
    let told = Value::object([
        ("decision_id", Value::from(id)),
        ("decision", Value::from("deny")),
        ("reasons", Value::from(vec![Value::object([("code", Value::from("lapsed"))])])),
    ]);
    if method == "tools/call" {
        tool_error(revision, &text, told)
    } else {
        fault(revision, text, told)
    }
}

/// The answer to a call of one of the gateway's own tools that was refused before any decision.
pub(crate) fn refused(revision: Revision, code: &str, text: &str) -> Answer {
    let reason = Value::object([("code", Value::from(code)), ("message", Value::from(text))]);
    let told = Value::object([
        ("decision_id", Value::Null),
        ("decision", Value::from("deny")),
        ("reasons", Value::from(vec![reason])),
        ("requestable", Value::from(false)),
        ("retry", Value::from("not_unchanged")),
    ]);
    tool_error(revision, &format!("Refused: {text}. Do not retry unchanged."), told)
}

fn tool_error(revision: Revision, text: &str, told: Value) -> Answer {
    let block = Value::object([("type", Value::from("text")), ("text", Value::from(text))]);
    let mut result =
        Value::object([("content", Value::from(vec![block])), ("isError", Value::from(true))]);
    edit::set_meta(&mut result, META_DECISION, told);
    if revision.era() == Era::Modern {
        edit::set(&mut result, "resultType", "complete");
    }
    Answer::Result(result)
}

fn fault(revision: Revision, text: String, told: Value) -> Answer {
    let code = match revision.era() {
        Era::Legacy => DENIED_LEGACY,
        Era::Modern => DENIED_MODERN,
    };
    Answer::Fault(Fault::new(code, text).with_data(told))
}

/// The same for programs.
pub(crate) fn machine_readable(refusal: &Refusal, ways: &Ways) -> Value {
    let reasons = refusal.reasons.iter().map(|reason| {
        let mut told = Value::object([
            ("code", Value::from(reason.code())),
            ("message", Value::from(reason.message())),
        ]);
        if let Some(policy) = reason.policy() {
            edit::set(&mut told, "rule", policy.id.shared());
        }
        told
    });
    let id = refusal.decision.as_ref().map_or(Value::Null, |id| Value::from(id.as_str()));
    let mut told = Value::object([
        ("decision_id", id),
        ("decision", Value::from("deny")),
        ("reasons", Value::from(reasons.collect::<Vec<_>>())),
        ("requestable", Value::from(refusal.requestable.is_some())),
        ("retry", Value::from("not_unchanged")),
    ]);
    match &refusal.asked {
        None => {}
        Some(AskedAtOnce::Asked(request)) => {
            edit::set(&mut told, "request", approvals::told(request, ways.page.as_deref()));
            if request.state == AccessState::Pending {
                edit::set(&mut told, "retry", "once_approved");
            }
        }
        Some(AskedAtOnce::Not(error)) => edit::set(&mut told, "not_asked", error.to_string()),
    }
    told
}
