//! Intents: what may be undertaken.

use safeconduct_model::{Intent, IntentName, OnBehalfOf, Value};
use schemars::JsonSchema;
use serde::Serialize;

use super::Shown;
use crate::document::{Word, Written};
use crate::intent::document;

/// Intents, by name and version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IntentList {
    /// The intents of this page.
    pub intents: Vec<IntentSummary>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What one needs to know to undertake an intent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IntentSummary {
    /// Its name.
    pub intent: Written<IntentName>,
    /// Its version.
    pub version: u32,
    /// What it is for.
    pub description: String,
    /// Whether it is undertaken for a person.
    pub on_behalf_of: Word<OnBehalfOf>,
    /// What is said when it is undertaken, by name.
    pub parameters: Shown,
    /// The longest time that a task may last, in seconds.
    pub longest_s: u32,
}

impl From<&Intent> for IntentSummary {
    fn from(intent: &Intent) -> Self {
        let none = Value::object::<&str>([]);
        let document = document(intent);
        Self {
            intent: Written(intent.name.clone()),
            version: intent.version,
            description: intent.description.to_string(),
            on_behalf_of: Word(intent.on_behalf_of),
            parameters: Shown::of(document.pointer("/parameters").unwrap_or(&none)),
            longest_s: intent.longest_s,
        }
    }
}

/// An intent in whole, as its file says it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct IntentView(Shown);

impl From<&Intent> for IntentView {
    fn from(intent: &Intent) -> Self {
        Self(Shown::of(&document(intent)))
    }
}
