//! A session as a graph: its decisions, what was read of each, and which arguments of later ones
//! that stands in. No values: the ledger has none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::gather::{Gathered, Key};
use crate::story::{self, plain};

/// A session's decisions and what flowed between them.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) session: Key,
    /// In their order; the number of a step is its place, from 1.
    pub(super) steps: Vec<Step>,
    /// Whether there were others before.
    pub(super) more: bool,
}

/// One decision.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) at: String,
    pub(super) permitted: bool,
    /// Whether it was only observed: a Deny that stopped nothing.
    pub(super) observed: bool,
    pub(super) action: String,
    pub(super) resources: Vec<String>,
    /// What determined it.
    pub(super) rules: Vec<String>,
    pub(super) flows: Vec<Flow>,
    /// By what the label rose with the permit itself.
    pub(super) raised: Option<Label>,
    pub(super) outcome: Option<Outcome>,
}

/// Where an argument came from.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) pointer: String,
    pub(super) role: String,
    /// `task`, `trusted`, `untrusted`.
    pub(super) origins: Vec<String>,
    pub(super) label: Label,
    /// The numbers of the steps in whose results it was seen, and the ids of other decisions.
    pub(super) sources: Vec<Source>,
}

/// A decision in whose result a value was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// One of these, by its number.
    Step(usize),
    /// One of another session, or one that is left out.
    Elsewhere(String),
}

/// What came of a decision.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) execution: String,
    pub(super) detail: Option<String>,
    /// What was read, where anything was.
    pub(super) read: Option<Label>,
    /// What lowered its label.
    pub(super) declassified: Option<String>,
}

/// A label, as it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) untrusted: bool,
    /// 0 is public.
    level: usize,
    pub(super) categories: Vec<String>,
}

const LEVELS: [&str; 4] = ["public", "internal", "confidential", "secret"];

impl Label {
    fn of(label: &Value) -> Self {
        let level = story::text(label, "/confidentiality");
        Self {
            untrusted: story::text(label, "/integrity") == "untrusted",
            // What is not known is the highest.
            level: LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len() - 1),
            categories: texts(label, "categories"),
        }
    }

    /// The worst of both.
    pub(super) fn raise(&mut self, other: &Self) {
        self.untrusted |= other.untrusted;
        self.level = self.level.max(other.level);
        self.categories.extend(other.categories.iter().cloned());
        self.categories.sort_unstable();
        self.categories.dedup();
    }

    pub(super) fn integrity(&self) -> &'static str {
        if self.untrusted { "untrusted" } else { "trusted" }
    }

    pub(super) fn confidentiality(&self) -> &'static str {
        LEVELS.get(self.level).copied().unwrap_or("secret")
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        let categories: String = self.categories.iter().map(|one| format!(" {one}")).collect();
        format!("{} {}{categories}", self.integrity(), self.confidentiality())
    }
}

impl Graph {
    pub(super) fn of(gathered: &Gathered) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for placed in &gathered.records {
            let body = placed.record.get("body").unwrap_or(&Value::Null);
            match placed.kind() {
                "decision" => {
                    steps.push(step(&placed.record, body, &numbers));
                    numbers.insert(placed.id(), steps.len());
                }
                "session_read" => {
                    steps.push(heard(&placed.record, body));
                    numbers.insert(placed.id(), steps.len());
                }
                "outcome" => {
                    let of = numbers.get(story::text(body, "/decision"));
                    let step = of.and_then(|number| steps.get_mut(number.checked_sub(1)?));
                    if let Some(step) = step {
                        step.outcome = Some(outcome(body));
                    }
                }
                _ => {}
            }
        }
        Self { session: gathered.key.clone(), steps, more: gathered.more }
    }

    /// The worst of everything that was read.
    pub(super) fn label(&self) -> Label {
        let mut label = Label::default();
        let read = self.steps.iter().filter_map(|step| step.outcome.as_ref()?.read.as_ref());
        let raised = self.steps.iter().filter_map(|step| step.raised.as_ref());
        read.chain(raised).for_each(|read| label.raise(read));
        label
    }
}

fn step(record: &Value, body: &Value, numbers: &BTreeMap<&str, usize>) -> Step {
    let resources = body.get("resources").and_then(Value::as_array);
    let resources = resources.into_iter().flatten().map(|one| {
        let ty = story::text(one, "/type");
        let ty = ty.rsplit("::").next().unwrap_or(ty);
        format!("{ty} {}", plain(story::text(one, "/id")))
    });
    let flows = body.get("flow").and_then(Value::as_array);
    Step {
        id: story::text(record, "/id").to_owned(),
        at: story::text(record, "/at").to_owned(),
        permitted: story::text(body, "/decision") == "permit",
        observed: story::text(body, "/mode") == "observe",
        action: plain(story::text(body, "/action")),
        resources: resources.collect(),
        rules: story::rules(record),
        flows: flows.into_iter().flatten().map(|one| flow(one, numbers)).collect(),
        raised: body.get("label").map(Label::of),
        outcome: None,
    }
}

/// What a server said by itself, as the step by which it was read.
fn heard(record: &Value, body: &Value) -> Step {
    let said = format!("{}/{}", story::text(body, "/server"), story::text(body, "/source"));
    Step {
        id: story::text(record, "/id").to_owned(),
        at: story::text(record, "/at").to_owned(),
        permitted: true,
        observed: false,
        action: plain(&said),
        resources: Vec::new(),
        rules: Vec::new(),
        flows: Vec::new(),
        raised: None,
        outcome: Some(Outcome {
            execution: "succeeded".to_owned(),
            detail: None,
            read: body.get("label").map(Label::of),
            declassified: None,
        }),
    }
}

fn flow(flow: &Value, numbers: &BTreeMap<&str, usize>) -> Flow {
    let sources = texts(flow, "sources").into_iter();
    Flow {
        pointer: plain(story::text(flow, "/pointer")),
        role: story::text(flow, "/role").to_owned(),
        origins: texts(flow, "origins"),
        label: Label::of(flow.get("label").unwrap_or(&Value::Null)),
        sources: sources
            .map(|id| match numbers.get(id.as_str()) {
                Some(number) => Source::Step(*number),
                None => Source::Elsewhere(id),
            })
            .collect(),
    }
}

fn outcome(body: &Value) -> Outcome {
    let optional = |name: &str| body.get(name).and_then(Value::as_str).map(plain);
    Outcome {
        execution: story::text(body, "/execution").to_owned(),
        detail: optional("detail"),
        read: body.get("label").map(Label::of),
        declassified: optional("declassified"),
    }
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    let all = value.get(name).and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
}
