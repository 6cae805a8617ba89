//! The tasks of a test, read.

use std::collections::BTreeSet;

use safeconduct_model::Value;

use super::form::{TaskForm, TestForm};
use super::plain::{BegunBy, TaskCase};
use super::read::{Reader, input};
use crate::document::{Diagnostic, Node};
use crate::intent::{literal_budget, literal_envelope};

/// The tasks of a test; that its steps name no others is held too.
pub(super) fn of(reader: &mut Reader<'_>, at: &str, test: &TestForm) -> Vec<TaskCase> {
    if !test.tasks.is_empty() && test.steps.is_empty() {
        reader.problem(at, "a test with `tasks` has `steps`".to_owned());
    }
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::with_capacity(test.tasks.len());
    for (index, form) in test.tasks.iter().enumerate() {
        let at = format!("{at}/tasks/{index}");
        if let Some(parent) = form.parent.as_deref().filter(|parent| !known.contains(parent)) {
            unknown(reader, &format!("{at}/parent"), parent);
        }
        found.extend(task(reader, &at, form));
        if known.contains(form.name.as_str()) {
            let message = format!("another task is called `{}`", form.name);
            reader.problem(&format!("{at}/name"), message);
        } else if form.refused.is_none() {
            known.insert(&form.name);
        }
    }
    for (index, step) in test.steps.iter().enumerate() {
        for name in step.in_task.iter().chain(&step.after_end_of) {
            if !known.contains(name.as_str()) {
                unknown(reader, &format!("{at}/steps/{index}"), name);
            }
        }
    }
    found
}

fn unknown(reader: &mut Reader<'_>, at: &str, name: &str) {
    reader.problem(at, format!("no task that begins before is called `{name}`"));
}

fn task(reader: &mut Reader<'_>, at: &str, form: &TaskForm) -> Option<TaskCase> {
    if form.parent.is_some() && form.trusted == Some(true) {
        let message = "a task with a `parent` is begun by that one's agent: it is not trusted";
        reader.problem(&format!("{at}/trusted"), message.to_owned());
    }
    let root: &Node = reader.document.root.nearest(at);
    let envelope = form.envelope.as_deref();
    let line = root.place.line;
    let budget =
        form.budget.as_ref().map(|budget| literal_budget(root, budget, envelope)).transpose();
    let envelope = envelope.map(|forms| literal_envelope(root, forms)).transpose();
    let mut kept = |problems: Vec<Diagnostic>| {
        let file = &reader.document.file;
        reader.problems.extend(problems.into_iter().map(|problem| Diagnostic {
            file: file.clone(),
            pointer: format!("{at}{}", problem.pointer),
            ..problem
        }));
    };
    let (envelope, budget) = match (envelope, budget) {
        (Ok(envelope), Ok(budget)) => (envelope, budget),
        (envelope, budget) => {
            kept(envelope.err().unwrap_or_default());
            kept(budget.err().unwrap_or_default());
            return None;
        }
    };
    let Value::Object(parameters) = input(&form.parameters) else {
        return None;
    };
    Some(TaskCase {
        name: form.name.clone(),
        line,
        intent: form.intent.0.clone(),
        version: form.version,
        parameters,
        prompt: form.prompt.clone(),
        begun_by: match form.parent.is_none() && form.trusted.unwrap_or(true) {
            true => BegunBy::Orchestrator,
            false => BegunBy::Agent,
        },
        agent: form.agent.0.clone(),
        on_behalf_of: form.on_behalf_of.clone().map(|user| user.0),
        parent: form.parent.clone(),
        envelope,
        budget,
        refused: form.refused,
    })
}
