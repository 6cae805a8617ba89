//! An intent in the one canonical form, which its form reads back.

use std::collections::BTreeMap;

use safeconduct_model::{
    Absent, Allowance, Budget, Constraint, Intent, IntentName, OtherArguments, Parameter,
    ParameterType, Term, Undertakers, Value,
};

use super::term::written;
use crate::document::{Span, Text as _};

/// What of all intents is digested: an object of objects, by name and version. The digest of a
/// set is SHA-256 over its canonical bytes (RFC 8785), so it changes with what is meant and not
/// with how files are laid out.
pub fn digest_input(versions: &BTreeMap<IntentName, BTreeMap<u32, Intent>>) -> Value {
    Value::object(versions.iter().map(|(name, versions)| {
        let each = versions.iter().map(|(version, intent)| (version.to_string(), document(intent)));
        (name.shared(), Value::object(each))
    }))
}

/// An intent as `intents/*.yaml` has it, with nothing left out that has a default.
pub fn document(intent: &Intent) -> Value {
    let parameters = intent.parameters.iter();
    let schedules = intent.schedules.iter();
    let schedules = schedules.map(|(name, one)| (name.shared(), super::schedule::written(one)));
    // Left out where there are none: what a set without schedules is digested to does not change.
    let schedules = (!intent.schedules.is_empty()).then(|| Value::object(schedules));
    members([
        ("intent", Some(Value::from(intent.name.as_str()))),
        ("version", Some(integer(intent.version.into()))),
        ("description", Some(Value::from(&*intent.description))),
        (
            "parameters",
            Some(Value::object(parameters.map(|(name, p)| (name.clone(), parameter(p))))),
        ),
        ("undertaken_by", Some(undertakers(&intent.undertakers))),
        ("on_behalf_of", Some(Value::from(intent.on_behalf_of.as_str()))),
        ("longest", Some(span(intent.longest_s))),
        ("idle", Some(span(intent.idle_s))),
        ("budget", Some(budget(&intent.budget))),
        ("tier_max", Some(Value::from(intent.tier_max.as_str()))),
        ("delegation_depth", Some(integer(intent.delegation_depth.into()))),
        (
            "credentials",
            Some(Value::object(intent.credentials.iter().map(|(target, grants)| {
                (target.shared(), texts(grants.iter().map(AsRef::as_ref)))
            }))),
        ),
        ("envelope", Some(intent.envelope.iter().map(allowance).collect::<Vec<_>>().into())),
        ("schedules", schedules),
    ])
}

fn span(seconds: u32) -> Value {
    Value::from(&*Span { seconds }.written())
}

/// Every number of an intent is below its limit, which fits.
fn integer(n: u64) -> Value {
    Value::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Value {
    texts.into_iter().map(Value::from).collect::<Vec<_>>().into()
}

/// An object of the members that are there.
fn members<'n>(members: impl IntoIterator<Item = (&'n str, Option<Value>)>) -> Value {
    Value::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// A parameter as its form has it.
pub fn parameter(parameter: &Parameter) -> Value {
    let (mut bytes_max, mut min, mut max, mut choices) = (None, None, None, None);
    match &parameter.ty {
        ParameterType::Text { bytes_max: bytes } => bytes_max = Some(integer(*bytes as u64)),
        ParameterType::Integer { min: least, max: most } => {
            (min, max) = (Some(Value::Integer(*least)), Some(Value::Integer(*most)));
        }
        ParameterType::OneOf(words) => choices = Some(texts(words.iter().map(|word| &**word))),
        ParameterType::Identifier | ParameterType::Number | ParameterType::Boolean => {}
    }
    members([
        ("type", Some(Value::from(parameter.ty.as_str()))),
        ("description", parameter.description.as_deref().map(Value::from)),
        ("default", parameter.default.clone()),
        ("bytes_max", bytes_max),
        ("min", min),
        ("max", max),
        ("choices", choices),
    ])
}

fn undertakers(undertakers: &Undertakers) -> Value {
    Value::object([
        ("groups", texts(undertakers.groups.iter().map(String::as_str))),
        ("identities", texts(undertakers.identities.iter().map(|id| id.as_str()))),
        ("kinds", texts(undertakers.kinds.iter().map(|kind| kind.as_str()))),
    ])
}

/// A budget as its form has it.
pub fn budget(budget: &Budget) -> Value {
    let calls_of = budget.calls_of.iter();
    let spend = budget.spend.as_ref().map(|spend| {
        let amounts = spend.amounts.iter();
        let amounts = amounts.map(|(action, at)| (action.shared(), Value::from(&**at)));
        Value::object([
            ("limit", Value::from(spend.limit.to_string().as_str())),
            ("amounts", Value::object(amounts)),
        ])
    });
    members([
        ("calls", Some(integer(budget.calls))),
        (
            "calls_of",
            Some(Value::object(calls_of.map(|(action, calls)| (action.shared(), integer(*calls))))),
        ),
        ("distinct_resources", budget.distinct_resources.map(integer)),
        ("bytes_out", budget.bytes_out.map(integer)),
        ("spend", spend),
    ])
}

pub(super) fn allowance(allowance: &Allowance<Term>) -> Value {
    let resources = allowance.resources.iter().map(|rule| {
        let id = rule.id.as_ref().map(|id| Value::object([constraint(id)]));
        members([("type", Some(Value::from(rule.ty.as_str()))), ("id", id)])
    });
    let mut arguments: BTreeMap<_, BTreeMap<_, Value>> = BTreeMap::new();
    for rule in &allowance.arguments {
        let argument = arguments.entry(rule.pointer.clone()).or_default();
        let (keyword, term) = constraint(&rule.constraint);
        argument.insert(keyword.into(), term);
        argument.insert("optional".into(), Value::Bool(rule.absent == Absent::Allowed));
    }
    let arguments = arguments.into_iter().map(|(pointer, said)| (pointer, Value::Object(said)));
    let others = match allowance.others {
        OtherArguments::Allowed => "allowed",
        OtherArguments::Refused => "refused",
    };
    Value::object([
        ("action", Value::from(allowance.action.as_str())),
        ("resources", resources.collect::<Vec<_>>().into()),
        ("arguments", Value::object(arguments)),
        ("other_arguments", Value::from(others)),
    ])
}

/// A constraint as its form has it: its word, and what it holds a value against.
pub fn constraint(constraint: &Constraint<Term>) -> (&'static str, Value) {
    let term = match constraint {
        Constraint::Equals(term)
        | Constraint::AtMost(term)
        | Constraint::AtLeast(term)
        | Constraint::Under(term)
        | Constraint::Domain(term) => written(term),
        Constraint::OneOf(terms) => terms.iter().map(written).collect::<Vec<_>>().into(),
        Constraint::LongestBytes(bytes) => integer(*bytes),
    };
    (constraint.as_str(), term)
}
