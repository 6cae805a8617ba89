//! Where a decision says its arguments came from, comparable between the ways of asking.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_engine::Outcome;
use safeconduct_model::Body;
use serde_json::{Value as Json, json};

/// What is known of each argument, by JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traced(BTreeMap<String, Argument>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    role: String,
    origins: BTreeSet<String>,
    label: Json,
    /// The steps in whose results it was seen.
    sources: BTreeSet<String>,
}

impl Traced {
    /// What the pure engine would record.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let Body::Decided(decided) = &outcome.record.body else { return Self::default() };
        let arguments = decided.flow.iter().map(|flow| {
            let categories: Vec<&str> = flow.label.categories.iter().map(|c| c.as_str()).collect();
            let argument = Argument {
                role: flow.role.as_str().to_owned(),
                origins: flow.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
                label: json!({
                    "categories": categories,
                    "confidentiality": flow.label.confidentiality.as_str(),
                    "integrity": flow.label.integrity.as_str(),
                }),
                sources: flow.sources.iter().map(ToString::to_string).collect(),
            };
            (flow.pointer.to_string(), argument)
        });
        Self(arguments.collect())
    }

    /// What a record says; `steps` names the steps that other records are of.
    pub fn of_record(body: &Json, steps: &BTreeMap<String, String>) -> Self {
        let arguments = list(&body["flow"]).map(|flow| {
            let texts = |name: &str| list(&flow[name]).map(text);
            let step = |id: String| steps.get(&id).cloned().unwrap_or(id);
            let argument = Argument {
                role: text(&flow["role"]),
                origins: texts("origins").collect(),
                label: label(&flow["label"]),
                sources: texts("sources").map(step).collect(),
            };
            (text(&flow["pointer"]), argument)
        });
        Self(arguments.collect())
    }

    /// How many arguments something is known of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is known of any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A label as it is recorded: no category is said where there is none.
fn label(recorded: &Json) -> Json {
    let mut label = recorded.clone();
    if label["categories"].is_null() {
        label["categories"] = json!([]);
    }
    label
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
