//! Rich authorization details (RFC 9396): what a token allows, action by action, and what a
//! request asks for. Every member is known or refused: one that we do not understand could be a
//! constraint.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Allowance, IntentName, Value};

use super::fault::{Fault, FaultCode};
use crate::mandate::{allowance_of, allowance_value};

/// The type of a detail that allows an action.
pub const ACTION_DETAIL: &str = "safeconduct_action";

/// The type of a detail that asks for a task to be begun.
pub const TASK_DETAIL: &str = "safeconduct_task";

/// Most details of one request.
pub const DETAILS_MAX: usize = 64;

/// Longest `authorization_details`, in bytes.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// A task that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDetail {
    /// What for.
    pub intent: IntentName,
    /// Which version; the highest where none is named.
    pub version: Option<u32>,
    /// What is said of it.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// For how many seconds, where not for as long as the intent allows.
    pub seconds: Option<u32>,
}

/// What the details of a request ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AskedDetails {
    /// A task, to be begun.
    pub task: Option<TaskDetail>,
    /// What of the task's authority; `None` is all of it.
    pub allowances: Option<Vec<Allowance<Value>>>,
}

/// The details of a token for `resource` that allows these.
pub fn details_value(resource: &str, allowances: &[Allowance<Value>]) -> Value {
    Value::Array(allowances.iter().map(|allowance| detail(resource, allowance)).collect())
}

fn detail(resource: &str, allowance: &Allowance<Value>) -> Value {
    let mut members = match allowance_value(allowance) {
        Value::Object(members) => members,
        _ => BTreeMap::new(),
    };
    members.remove("action");
    let action = Value::String(allowance.action.shared());
    members.insert("actions".into(), Value::Array(vec![action]));
    members.insert("locations".into(), Value::Array(vec![Value::from(resource)]));
    members.insert("type".into(), Value::from(ACTION_DETAIL));
    Value::Object(members)
}

/// Reads the details of a request for a token for `resource`.
///
/// # Errors
/// `invalid_authorization_details` names what is not understood.
pub fn read_asked(text: &str, resource: &str) -> Result<AskedDetails, Fault> {
    let limits = safeconduct_wire::json::Limits { bytes: DETAILS_BYTES_MAX, depth: 16 };
    let value = safeconduct_wire::json::parse_within(text.as_bytes(), limits);
    let value = value.map_err(|error| refused(format!("they are no JSON: {}", error.problem)))?;
    let all = value.as_array().ok_or_else(|| refused("they are no list"))?;
    if all.is_empty() || all.len() > DETAILS_MAX {
        return Err(refused(format!("1 to {DETAILS_MAX} of them are needed")));
    }
    let mut asked = AskedDetails::default();
    for detail in all {
        match detail.member("type").and_then(Value::as_str) {
            Some(ACTION_DETAIL) => {
                asked.allowances.get_or_insert_default().extend(actions(detail, resource)?);
            }
            Some(TASK_DETAIL) if asked.task.is_none() => asked.task = Some(task(detail)?),
            Some(TASK_DETAIL) => return Err(refused("only one task can be begun")),
            _ => return Err(refused("the type of one is not known")),
        }
    }
    Ok(asked)
}

/// The allowances of the details of a token that we signed ourselves.
///
/// # Errors
/// `invalid_authorization_details` where they are none that we write.
pub(super) fn read_granted(value: &Value, resource: &str) -> Result<Vec<Allowance<Value>>, Fault> {
    let all = value.as_array().ok_or_else(|| refused("they are no list"))?;
    let mut granted = Vec::with_capacity(all.len());
    for detail in all {
        if detail.member("type").and_then(Value::as_str) != Some(ACTION_DETAIL) {
            return Err(refused("the type of one is not known"));
        }
        granted.extend(actions(detail, resource)?);
    }
    Ok(granted)
}

fn actions(detail: &Value, resource: &str) -> Result<Vec<Allowance<Value>>, Fault> {
    known(detail, &["type", "locations", "actions", "resources", "arguments", "others"])?;
    for rule in detail.member("resources").and_then(Value::as_array).into_iter().flatten() {
        known(rule, &["type", "id"])?;
    }
    for rule in detail.member("arguments").and_then(Value::as_array).into_iter().flatten() {
        known(rule, &["pointer", "optional", "must"])?;
    }
    if let Some(locations) = detail.member("locations") {
        let ours = |location: &Value| location.as_str() == Some(resource);
        if !locations.as_array().is_some_and(|all| all.iter().all(ours)) {
            return Err(refused("the locations of one are not the resource alone"));
        }
    }
    let names = detail.member("actions").and_then(Value::as_array);
    let names = names.filter(|names| (1..=DETAILS_MAX).contains(&names.len()));
    let names = names.ok_or_else(|| refused("one names no actions"))?;
    let said = |name, default| detail.member(name).cloned().unwrap_or(default);
    names
        .iter()
        .map(|name| {
            // What is not said is not bounded, and must then not be bounded in what is given.
            let whole = Value::object([
                ("action", name.clone()),
                ("resources", said("resources", Value::Array(Vec::new()))),
                ("arguments", said("arguments", Value::Array(Vec::new()))),
                ("others", said("others", Value::Bool(true))),
            ]);
            allowance_of(&whole).map_err(|error| refused(format!("`{}` does not fit", error.0)))
        })
        .collect()
}

fn task(detail: &Value) -> Result<TaskDetail, Fault> {
    known(detail, &["type", "intent", "version", "parameters", "seconds"])?;
    let number = |name: &str| match detail.member(name) {
        None => Ok(None),
        Some(value) => {
            let number = value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            number.map(Some).ok_or_else(|| refused(format!("`{name}` is no positive number")))
        }
    };
    let intent = detail.member("intent").and_then(Value::as_str);
    let intent = intent.and_then(|name| IntentName::new(name).ok());
    let parameters = match detail.member("parameters") {
        None => BTreeMap::new(),
        Some(Value::Object(parameters)) => parameters.clone(),
        Some(_) => return Err(refused("`parameters` is no object")),
    };
    Ok(TaskDetail {
        intent: intent.ok_or_else(|| refused("`intent` is no name of an intent"))?,
        version: number("version")?,
        parameters,
        seconds: number("seconds")?,
    })
}

fn known(value: &Value, names: &[&str]) -> Result<(), Fault> {
    let members = value.as_object().ok_or_else(|| refused("one is no object"))?;
    match members.keys().find(|name| !names.contains(&&***name)) {
        None => Ok(()),
        Some(other) => Err(refused(format!("`{other}` is not known"))),
    }
}

fn refused(what: impl AsRef<str>) -> Fault {
    let says = format!("of the authorization details: {}", what.as_ref());
    Fault::new(FaultCode::InvalidAuthorizationDetails, says)
}
