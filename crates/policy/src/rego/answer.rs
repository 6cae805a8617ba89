//! What a policy says: read strictly, since whatever is not understood must not permit.

use std::sync::Arc;

use regorus::Value as Rego;
use safeconduct_model::{Obligation, PolicyId, Requestable};

use crate::annotations::{self, LIST_MAX, MESSAGE_BYTES_MAX};

/// What a decision says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It permits, and asks this of the enforcement point.
    Permit(Vec<Obligation>),
    /// It forbids.
    Forbid {
        /// Why, in the author's words; there may be none.
        reasons: Vec<Stated>,
        /// How it may be asked for.
        requestable: Option<Requestable>,
    },
}

/// One reason that an author states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) id: Option<PolicyId>,
    pub(super) message: Option<Arc<str>>,
}

const MEMBERS: [&str; 4] = ["allow", "reasons", "obligations", "requestable"];

/// Reads what a rule came to.
///
/// # Errors
/// What is wrong with it; it never repeats a value.
pub(super) fn read(rule: &str, value: &Rego) -> Result<Said, String> {
    match value {
        Rego::Bool(true) => Ok(Said::Permit(Vec::new())),
        Rego::Bool(false) => Ok(Said::Forbid { reasons: Vec::new(), requestable: None }),
        Rego::Undefined => Err(format!("`{rule}` has no value: give it a `default`")),
        Rego::Object(_) => read_object(value).map_err(|problem| format!("`{rule}` {problem}")),
        other => Err(format!("`{rule}` is {}, not a boolean or an object", kind(other))),
    }
}

fn read_object(value: &Rego) -> Result<Said, String> {
    let members = value.as_object().map_err(|_| "is no object".to_owned())?;
    for name in members.keys() {
        let known = matches!(name, Rego::String(name) if MEMBERS.contains(&&**name));
        if !known {
            return Err(format!("has a member that is none of `{}`", MEMBERS.join("`, `")));
        }
    }
    let member = |name: &str| members.get(&Rego::from(name));
    let allow = match member("allow") {
        Some(Rego::Bool(allow)) => *allow,
        Some(other) => return Err(format!("has an `allow` that is {}", kind(other))),
        None => return Err("has no member `allow`".into()),
    };
    let items = |name: &'static str| list(name, member(name));
    let reasons = items("reasons")?.iter().map(reason).collect::<Result<Vec<_>, _>>()?;
    let obligations =
        items("obligations")?.iter().map(obligation).collect::<Result<Vec<_>, _>>()?;
    let requestable = member("requestable").filter(|value| **value != Rego::Null);
    let requestable = requestable.map(terms).transpose()?;
    Ok(if allow { Said::Permit(obligations) } else { Said::Forbid { reasons, requestable } })
}

/// The items of a list or a set, in their order.
fn list(name: &str, value: Option<&Rego>) -> Result<Vec<Rego>, String> {
    let items: Vec<Rego> = match value {
        None => Vec::new(),
        Some(Rego::Array(items)) => items.iter().cloned().collect(),
        Some(Rego::Set(items)) => items.iter().cloned().collect(),
        Some(other) => return Err(format!("has `{name}` that are {}, not a list", kind(other))),
    };
    if items.len() > LIST_MAX {
        return Err(format!("has more than the limit of {LIST_MAX} `{name}`"));
    }
    Ok(items)
}

fn reason(value: &Rego) -> Result<Stated, String> {
    let message = |value: &Rego| match value {
        Rego::String(text) => message(text).map(Some),
        other => Err(format!("has a reason whose message is {}", kind(other))),
    };
    if !matches!(value, Rego::Object(_)) {
        return Ok(Stated { id: None, message: message(value)? });
    }
    let members = value.as_object().map_err(|_| "has a reason that is no object".to_owned())?;
    let mut stated = Stated { id: None, message: None };
    for (name, value) in members.iter() {
        match (name, value) {
            (Rego::String(name), Rego::String(id)) if &**name == "id" => {
                let id = PolicyId::new(format!("rego:{id}"));
                stated.id = Some(id.map_err(|_| "has a reason whose `id` is no name".to_owned())?);
            }
            (Rego::String(name), value) if &**name == "message" => stated.message = message(value)?,
            _ => return Err("has a reason with a member that is neither `id` nor `message`".into()),
        }
    }
    Ok(stated)
}

/// A message that an agent may see.
pub(super) fn message(text: &str) -> Result<Arc<str>, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MESSAGE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "has a message that is not 1 to {MESSAGE_BYTES_MAX} bytes in one line"
        ));
    }
    Ok(text.into())
}

fn obligation(value: &Rego) -> Result<Obligation, String> {
    let Rego::String(text) = value else {
        return Err(format!("has an obligation that is {}, not a text", kind(value)));
    };
    annotations::obligation(text)
        .map_err(|_| "has an obligation that is not `kind` or `kind:parameter`".to_owned())
}

/// `{"approvers": "…", "quorum": 1, "ttl": "15m"}`, or the text of `@requestable`.
fn terms(value: &Rego) -> Result<Requestable, String> {
    let text = match value {
        Rego::String(text) => text.to_string(),
        Rego::Object(_) => {
            let members = value.as_object().map_err(|_| "has no terms".to_owned())?;
            let mut parts = Vec::new();
            for (name, value) in members.iter() {
                parts.push(match (name, value) {
                    (Rego::String(name), Rego::String(text)) if !text.contains(';') => {
                        format!("{name}={text}")
                    }
                    (Rego::String(name), Rego::Number(_)) => {
                        let number = value.as_u32().map_err(|_| "has terms with a wrong number")?;
                        format!("{name}={number}")
                    }
                    _ => return Err("has a `requestable` that cannot be read".into()),
                });
            }
            parts.join(";")
        }
        other => return Err(format!("has a `requestable` that is {}", kind(other))),
    };
    annotations::requestable(&text).map_err(|_| {
        "has a `requestable` that does not say `approvers`, `quorum` and `ttl` rightly".to_owned()
    })
}

/// What a value is, for messages.
const fn kind(value: &Rego) -> &'static str {
    match value {
        Rego::Null => "null",
        Rego::Bool(_) => "a boolean",
        Rego::Number(_) => "a number",
        Rego::String(_) => "a string",
        Rego::Array(_) => "an array",
        Rego::Set(_) => "a set",
        Rego::Object(_) => "an object",
        Rego::Undefined => "undefined",
    }
}
