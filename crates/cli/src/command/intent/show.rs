//! One intent, for people.

use std::fmt::Write as _;

use safeconduct_model::{
    Absent, Allowance, Budget, Constraint, Intent, OtherArguments, Parameter, ParameterType, Term,
};
use safeconduct_wire::intent::constraint;
use safeconduct_wire::json;

use super::{span, undertakers};
use crate::output::counted;

/// What it is for, who may undertake it, and what may be done under it.
pub(super) fn text(intent: &Intent) -> String {
    let mut text =
        format!("{} (version {})\n{}\n\n", intent.name, intent.version, intent.description);
    let mut line = |what: &str, value: String| {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{what:<15}{value}");
    };
    line("undertaken by", undertakers(&intent.undertakers));
    line("on behalf of", format!("a person: {}", intent.on_behalf_of.as_str()));
    line("lasts", format!("{}, or {} without a call", span(intent.longest_s), span(intent.idle_s)));
    line("tier", format!("{} without an approval", intent.tier_max.as_str()));
    line("delegation", counted(intent.delegation_depth.into(), "level", "levels"));
    line("budget", budget(&intent.budget));
    for (target, grants) in &intent.credentials {
        let grants: Vec<&str> = grants.iter().map(AsRef::as_ref).collect();
        line("credentials", format!("{} of {target}", grants.join(", ")));
    }
    for (name, one) in &intent.schedules {
        let runs = counted_u64(one.at_once.into(), "run", "runs");
        line("schedule", format!("{name} of {}: {runs} at once", one.identity));
    }
    for (name, one) in &intent.parameters {
        line("parameter", said(name, one));
    }
    intent.envelope.iter().for_each(|allowance| may(allowance, &mut text));
    text
}

/// A parameter, with what its type leaves open.
fn said(name: &str, parameter: &Parameter) -> String {
    let ty = parameter.ty.as_str();
    let more = match &parameter.ty {
        ParameterType::Text { bytes_max } => format!(" of at most {bytes_max} bytes"),
        ParameterType::Integer { min, max } => match (*min, *max) {
            (i64::MIN, i64::MAX) => String::new(),
            (i64::MIN, max) => format!(" of at most {max}"),
            (min, i64::MAX) => format!(" of at least {min}"),
            (min, max) => format!(" from {min} to {max}"),
        },
        ParameterType::OneOf(choices) => format!(" {}", choices.join(", ")),
        ParameterType::Identifier | ParameterType::Number | ParameterType::Boolean => String::new(),
    };
    let default = parameter.default.as_ref();
    let default = default.map_or_else(String::new, |value| {
        format!("; {} where nobody says it", json::to_text(value))
    });
    let description = parameter.description.as_deref();
    let description = description.map_or_else(String::new, |text| format!(": {text}"));
    format!("{name} ({ty}{more}{default}){description}")
}

fn budget(budget: &Budget) -> String {
    let mut parts = vec![counted_u64(budget.calls, "call", "calls")];
    parts.extend(budget.calls_of.iter().map(|(action, calls)| format!("{calls} of {action}")));
    parts.extend(budget.distinct_resources.map(|n| counted_u64(n, "resource", "resources")));
    parts.extend(budget.bytes_out.map(|n| counted_u64(n, "byte out", "bytes out")));
    parts.extend(budget.spend.as_ref().map(|spend| format!("{} spent", spend.limit)));
    parts.join(", ")
}

fn counted_u64(count: u64, one: &str, many: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), one, many)
}

fn may(allowance: &Allowance<Term>, text: &mut String) {
    let _ = writeln!(text, "\nmay {}", allowance.action);
    for rule in &allowance.resources {
        let id = rule.id.as_ref().map_or_else(|| "any".to_owned(), held);
        let _ = writeln!(text, "  on {} {id}", rule.ty);
    }
    for rule in &allowance.arguments {
        let absent = if rule.absent == Absent::Allowed { ", or absent" } else { "" };
        let _ = writeln!(text, "  {} {}{absent}", rule.pointer, held(&rule.constraint));
    }
    let others = match allowance.others {
        OtherArguments::Allowed => "other arguments are allowed",
        OtherArguments::Refused => "no other argument",
    };
    let _ = writeln!(text, "  {others}");
}

fn held(rule: &Constraint<Term>) -> String {
    let (word, term) = constraint(rule);
    format!("{word} {}", json::to_text(&term))
}
