//! Scheduled jobs: standing rights to undertake an intent, in the intent's own file.

use std::collections::BTreeMap;

use safeconduct_model::{
    Intent, OnBehalfOf, Overlap, PROMPT_BYTES_MAX, Schedule, ScheduleName, UndertakeError, Value,
};

use super::form::{IntentForm, ScheduleForm};
use crate::document::{Diagnostic, Document};

/// The schedules of a file, held against its intent: what would be refused at each run is refused
/// here.
pub(super) fn read(
    document: &Document<IntentForm>,
    intent: &Intent,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ScheduleName, Schedule> {
    let schedules = document.content.schedules.iter().map(|(name, form)| {
        let pointer = format!("/schedules/{}", name.0);
        let schedule = schedule(document, &pointer, form);
        check(document, &pointer, intent, &schedule, problems);
        (name.0.clone(), schedule)
    });
    schedules.collect()
}

fn schedule(document: &Document<IntentForm>, pointer: &str, form: &ScheduleForm) -> Schedule {
    let parameters = form.parameters.keys().map(|name| {
        let token = name.replace('~', "~0").replace('/', "~1");
        let value = document.root.nearest(&format!("{pointer}/parameters/{token}")).to_value();
        (name.as_str().into(), value)
    });
    Schedule {
        identity: form.identity.0.clone(),
        parameters: parameters.collect(),
        prompt: form.prompt.as_deref().map(Into::into),
        on_behalf_of: form.on_behalf_of.as_ref().map(|user| user.0.clone()),
        at_once: form.at_once.unwrap_or(1),
        overlap: form.overlap.map_or(Overlap::Refuse, |overlap| overlap.0),
    }
}

fn check(
    document: &Document<IntentForm>,
    pointer: &str,
    intent: &Intent,
    schedule: &Schedule,
    problems: &mut Vec<Diagnostic>,
) {
    if let Err(error) = intent.parameters(&schedule.parameters) {
        let at = match &error {
            UndertakeError::Unknown(name) | UndertakeError::Unfit { parameter: name, .. } => {
                format!("{pointer}/parameters/{name}")
            }
            UndertakeError::Missing(_) | UndertakeError::NoText(_) => pointer.to_owned(),
        };
        problems.push(document.problem(&at, error.to_string()));
    }
    if schedule.prompt.as_ref().is_some_and(|prompt| prompt.len() > PROMPT_BYTES_MAX) {
        let message = format!("a prompt has at most {PROMPT_BYTES_MAX} bytes");
        problems.push(document.problem(&format!("{pointer}/prompt"), message));
    }
    let fault = match (intent.on_behalf_of, &schedule.on_behalf_of) {
        (OnBehalfOf::Required, None) => "the intent is undertaken for a user: say for whom",
        (OnBehalfOf::Never, Some(_)) => "the intent is not undertaken on behalf of anyone",
        _ => return,
    };
    problems.push(document.problem(pointer, fault));
}

/// A schedule as its form has it.
pub(super) fn written(schedule: &Schedule) -> Value {
    let mut members = vec![
        ("identity", Value::from(schedule.identity.as_str())),
        ("parameters", Value::Object(schedule.parameters.clone())),
        ("at_once", Value::Integer(schedule.at_once.into())),
        ("overlap", Value::from(schedule.overlap.as_str())),
    ];
    members.extend(schedule.prompt.as_deref().map(|prompt| ("prompt", Value::from(prompt))));
    let user = schedule.on_behalf_of.as_ref();
    members.extend(user.map(|user| ("on_behalf_of", Value::from(user.as_str()))));
    Value::object(members)
}
