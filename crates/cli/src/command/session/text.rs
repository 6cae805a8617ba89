//! Sessions in words, and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::gather::Key;
use super::graph::{Flow, Graph, Label, Outcome, Source, Step};
use crate::output::{counted, table};
use crate::story::{self, Placed};

/// A session for people: each decision, where its arguments came from, what was then read.
pub(super) fn graph(graph: &Graph) -> String {
    let denied = graph.steps.iter().filter(|step| !step.permitted).count();
    let mut text = format!(
        "session of {}/{}: {}, {denied} denied; it has read what is {}\n",
        graph.session.identity,
        graph.session.scope,
        counted(graph.steps.len(), "decision", "decisions"),
        graph.label().words(),
    );
    if graph.more {
        text.push_str("(there are older ones)\n");
    }
    let mut label = Label::default();
    for (step, number) in graph.steps.iter().zip(1_usize..) {
        let word = if step.permitted { "PERMIT" } else { "DENY" };
        let observed = if step.observed { " (observed)" } else { "" };
        let _ = writeln!(
            text,
            "{number:>4}  {word:6}{observed}  {}  {}  [{}]  {}",
            step.action,
            step.resources.join(", "),
            step.rules.join(", "),
            step.id,
        );
        for flow in &step.flows {
            let _ = writeln!(text, "        {}", flow_line(flow));
        }
        if let Some(outcome) = &step.outcome {
            let _ = writeln!(text, "        {}", outcome_line(outcome, &mut label));
        }
    }
    text
}

/// `/to (address) <- untrusted: step 1`.
fn flow_line(flow: &Flow) -> String {
    let from: Vec<String> = flow
        .sources
        .iter()
        .map(|source| match source {
            Source::Step(number) => format!("step {number}"),
            Source::Elsewhere(id) => id.clone(),
        })
        .collect();
    let from = if from.is_empty() { String::new() } else { format!(": {}", from.join(", ")) };
    let origins = flow.origins.join(" and ");
    format!("{} ({}) <- {origins}{from}  ({})", flow.pointer, flow.role, flow.label.words())
}

fn outcome_line(outcome: &Outcome, session: &mut Label) -> String {
    let mut line = outcome.execution.clone();
    line.extend(outcome.detail.iter().map(|detail| format!(" ({detail})")));
    if let Some(read) = &outcome.read {
        let before = session.clone();
        session.raise(read);
        let _ = write!(line, ", read what is {}", read.words());
        line.extend(outcome.declassified.iter().map(|by| format!(", declassified by {by}")));
        if before != *session {
            let _ = write!(line, "; the session is now {}", session.words());
        }
    }
    line
}

/// A session for programs.
pub(super) fn document(graph: &Graph) -> Value {
    let steps: Vec<Value> = graph.steps.iter().zip(1_usize..).map(step_document).collect();
    json!({
        "identity": graph.session.identity,
        "scope": graph.session.scope,
        "label": label_document(&graph.label()),
        "older_left_out": graph.more,
        "steps": steps,
    })
}

fn step_document((step, number): (&Step, usize)) -> Value {
    let flows = step.flows.iter().map(|flow| {
        let sources = flow.sources.iter().map(|source| match source {
            Source::Step(number) => json!({ "step": number }),
            Source::Elsewhere(id) => json!({ "decision": id }),
        });
        json!({
            "pointer": flow.pointer,
            "role": flow.role,
            "origins": flow.origins,
            "label": label_document(&flow.label),
            "sources": sources.collect::<Vec<_>>(),
        })
    });
    json!({
        "number": number,
        "decision_id": step.id,
        "at": step.at,
        "decision": if step.permitted { "permit" } else { "deny" },
        "observed": step.observed,
        "action": step.action,
        "resources": step.resources,
        "rules": step.rules,
        "flow": flows.collect::<Vec<_>>(),
        "outcome": step.outcome.as_ref().map(|outcome| json!({
            "execution": outcome.execution,
            "detail": outcome.detail,
            "read": outcome.read.as_ref().map(label_document),
            "declassified": outcome.declassified,
        })),
    })
}

fn label_document(label: &Label) -> Value {
    json!({
        "integrity": label.integrity(),
        "confidentiality": label.confidentiality(),
        "categories": label.categories,
    })
}

/// Sessions for people, the newest first.
pub(super) fn list(sessions: &[(Key, Placed)]) -> String {
    let row = |(key, placed): &(Key, Placed)| {
        vec![began(placed), format!("{}/{}", key.identity, key.scope)]
    };
    table(&["BEGAN", "SESSION"], &sessions.iter().map(row).collect::<Vec<_>>())
}

/// Sessions for programs.
pub(super) fn list_document(sessions: &[(Key, Placed)]) -> Value {
    let one = |(key, placed): &(Key, Placed)| json!({ "identity": key.identity, "scope": key.scope, "began_at": began(placed) });
    sessions.iter().map(one).collect()
}

fn began(placed: &Placed) -> String {
    story::text(&placed.record, "/at").to_owned()
}
