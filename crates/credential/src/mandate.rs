//! A task's mandate as a value, there and back: what is sealed beside the record of the task.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    Absent, ActionName, Allowance, Amount, ArgumentRule, Authority, Budget, Constraint, EntityType,
    Mandate, OtherArguments, ResourceRule, Spend, TargetName, Tier, Timestamp, Value,
};
use thiserror::Error;

/// Bytes that were sealed as a mandate are none: another version of Safeconduct wrote them, or
/// someone changed them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the sealed mandate of a task cannot be read: `{0}` is missing or is not as it is written")]
pub struct MandateError(pub &'static str);

/// The value of a mandate. It has no two forms.
pub fn mandate_value(mandate: &Mandate) -> Value {
    let Mandate { parameters, authority } = mandate;
    let list = |values: Vec<Value>| Value::Array(values);
    Value::object([
        ("parameters", Value::Object(parameters.clone())),
        ("allowances", list(authority.allowances.iter().map(allowance_value).collect())),
        ("budget", budget(&authority.budget)),
        ("tier_max", Value::from(authority.tier_max.as_str())),
        ("deadline", Value::Integer(authority.deadline.as_millis())),
        ("depth_left", Value::Integer(i64::from(authority.depth_left))),
        (
            "credentials",
            Value::object(authority.credentials.iter().map(|(target, grants)| {
                let grants = grants.iter().map(|grant| Value::String(Arc::clone(grant)));
                (target.shared(), list(grants.collect()))
            })),
        ),
    ])
}

/// The value of an allowance. It has no two forms.
pub fn allowance_value(allowance: &Allowance<Value>) -> Value {
    let resources = allowance.resources.iter().map(|rule| {
        let id = rule.id.iter().map(|id| ("id", constraint(id)));
        Value::object(id.chain([("type", Value::String(rule.ty.shared()))]))
    });
    let arguments = allowance.arguments.iter().map(|rule| {
        Value::object([
            ("pointer", Value::String(Arc::clone(&rule.pointer))),
            ("optional", Value::Bool(rule.absent == Absent::Allowed)),
            ("must", constraint(&rule.constraint)),
        ])
    });
    Value::object([
        ("action", Value::String(allowance.action.shared())),
        ("resources", Value::Array(resources.collect())),
        ("arguments", Value::Array(arguments.collect())),
        ("others", Value::Bool(allowance.others == OtherArguments::Allowed)),
    ])
}

fn constraint(constraint: &Constraint<Value>) -> Value {
    let to = match constraint {
        Constraint::Equals(to)
        | Constraint::AtMost(to)
        | Constraint::AtLeast(to)
        | Constraint::Under(to)
        | Constraint::Domain(to) => to.clone(),
        Constraint::OneOf(choices) => Value::Array(choices.clone()),
        Constraint::LongestBytes(bytes) => count(*bytes),
    };
    Value::object([(constraint.as_str(), to)])
}

fn budget(budget: &Budget) -> Value {
    let mut members = vec![
        ("calls", count(budget.calls)),
        ("calls_of", Value::object(budget.calls_of.iter().map(|(a, n)| (a.shared(), count(*n))))),
    ];
    if let Some(spend) = &budget.spend {
        let amounts = spend.amounts.iter();
        let amounts = amounts.map(|(a, at)| (a.shared(), Value::String(Arc::clone(at))));
        members.push(("spend", count(spend.limit.0)));
        members.push(("amounts", Value::object(amounts)));
    }
    members.extend(budget.distinct_resources.map(|most| ("distinct_resources", count(most))));
    members.extend(budget.bytes_out.map(|most| ("bytes_out", count(most))));
    Value::object(members)
}

/// Counts beyond what a value holds stay at its end.
fn count(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The mandate of a value that [`mandate_value`] made.
///
/// # Errors
/// [`MandateError`] names the first member that does not fit.
pub fn mandate_of(value: &Value) -> Result<Mandate, MandateError> {
    let tier = text(value, "tier_max")?;
    Ok(Mandate {
        parameters: members(value, "parameters")?.clone(),
        authority: Authority {
            allowances: each(value, "allowances", allowance_of)?,
            budget: budget_of(member(value, "budget")?)?,
            tier_max: Tier::parse(tier).ok_or(MandateError("tier_max"))?,
            deadline: Timestamp::from_millis(integer(value, "deadline")?),
            depth_left: u8::try_from(integer(value, "depth_left")?)
                .map_err(|_| MandateError("depth_left"))?,
            credentials: members(value, "credentials")?
                .iter()
                .map(|(target, grants)| {
                    let fault = MandateError("credentials");
                    let target = TargetName::new(Arc::clone(target)).map_err(|_| fault.clone())?;
                    let grants = grants.as_array().ok_or_else(|| fault.clone())?.iter();
                    let grants = grants.map(|grant| grant.as_str().map(Arc::from));
                    Ok((target, grants.collect::<Option<_>>().ok_or(fault)?))
                })
                .collect::<Result<_, _>>()?,
        },
    })
}

/// The allowance of a value that [`allowance_value`] made.
///
/// # Errors
/// [`MandateError`] names the first member that does not fit.
pub fn allowance_of(value: &Value) -> Result<Allowance<Value>, MandateError> {
    let resource = |value: &Value| {
        let ty = text(value, "type")?;
        Ok(ResourceRule {
            ty: EntityType::new(ty).map_err(|_| MandateError("type"))?,
            id: value.member("id").map(constraint_of).transpose()?,
        })
    };
    let argument = |value: &Value| {
        Ok(ArgumentRule {
            pointer: text(value, "pointer")?.into(),
            constraint: constraint_of(member(value, "must")?)?,
            absent: match truth(value, "optional")? {
                true => Absent::Allowed,
                false => Absent::Refused,
            },
        })
    };
    Ok(Allowance {
        action: action(text(value, "action")?)?,
        resources: each(value, "resources", resource)?,
        arguments: each(value, "arguments", argument)?,
        others: match truth(value, "others")? {
            true => OtherArguments::Allowed,
            false => OtherArguments::Refused,
        },
    })
}

fn constraint_of(value: &Value) -> Result<Constraint<Value>, MandateError> {
    let fault = MandateError("must");
    let mut members = value.as_object().ok_or_else(|| fault.clone())?.iter();
    let (Some((word, to)), None) = (members.next(), members.next()) else {
        return Err(fault);
    };
    Ok(match &**word {
        "equals" => Constraint::Equals(to.clone()),
        "at_most" => Constraint::AtMost(to.clone()),
        "at_least" => Constraint::AtLeast(to.clone()),
        "under" => Constraint::Under(to.clone()),
        "domain" => Constraint::Domain(to.clone()),
        "one_of" => Constraint::OneOf(to.as_array().ok_or(fault)?.to_vec()),
        "longest_bytes" => Constraint::LongestBytes(unsigned(to).ok_or(fault)?),
        _ => return Err(fault),
    })
}

fn budget_of(value: &Value) -> Result<Budget, MandateError> {
    let most = |name| value.member(name).map(|n| unsigned(n).ok_or(MandateError(name))).transpose();
    let calls_of = members(value, "calls_of")?
        .iter()
        .map(|(name, n)| Ok((action(name)?, unsigned(n).ok_or(MandateError("calls_of"))?)));
    let spend = match most("spend")? {
        None => None,
        Some(limit) => Some(Spend {
            limit: Amount(limit),
            amounts: members(value, "amounts")?
                .iter()
                .map(|(name, at)| {
                    let at = at.as_str().ok_or(MandateError("amounts"))?;
                    Ok((action(name)?, at.into()))
                })
                .collect::<Result<_, _>>()?,
        }),
    };
    Ok(Budget {
        calls: most("calls")?.ok_or(MandateError("calls"))?,
        calls_of: calls_of.collect::<Result<_, _>>()?,
        spend,
        distinct_resources: most("distinct_resources")?,
        bytes_out: most("bytes_out")?,
    })
}

fn member<'a>(value: &'a Value, name: &'static str) -> Result<&'a Value, MandateError> {
    value.member(name).ok_or(MandateError(name))
}

fn members<'a>(
    value: &'a Value,
    name: &'static str,
) -> Result<&'a BTreeMap<Arc<str>, Value>, MandateError> {
    member(value, name)?.as_object().ok_or(MandateError(name))
}

fn text<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, MandateError> {
    member(value, name)?.as_str().ok_or(MandateError(name))
}

fn truth(value: &Value, name: &'static str) -> Result<bool, MandateError> {
    member(value, name)?.as_bool().ok_or(MandateError(name))
}

fn integer(value: &Value, name: &'static str) -> Result<i64, MandateError> {
    member(value, name)?.as_integer().ok_or(MandateError(name))
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|n| u64::try_from(n).ok())
}

fn action(name: &str) -> Result<ActionName, MandateError> {
    ActionName::new(name).map_err(|_| MandateError("action"))
}

fn each<T>(
    value: &Value,
    name: &'static str,
    read: impl Fn(&Value) -> Result<T, MandateError>,
) -> Result<Vec<T>, MandateError> {
    member(value, name)?.as_array().ok_or(MandateError(name))?.iter().map(read).collect()
}
