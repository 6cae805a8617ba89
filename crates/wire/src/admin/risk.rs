//! Signals, and the risk that is made of them.

use safeconduct_model::signal::{About, Kind, Severity};
use safeconduct_model::{RecordId, Signal, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::{Word, Written};

/// What became of reported signals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TakenView {
    /// The records of those that count from now on.
    pub recorded: Vec<Written<RecordId>>,
    /// How many were known already.
    pub known: u64,
    /// How many were over already.
    pub expired: u64,
    /// How many found no room among worse ones.
    pub dropped: u64,
    /// What revoking ones have stopped, in words.
    pub stopped: Vec<String>,
    /// How many tasks ended with it.
    pub tasks: u64,
}

/// Signals, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignalList {
    /// Those that count now.
    pub signals: Vec<SignalView>,
    /// How many subjects there are of whom something is known.
    pub subjects: u64,
    /// How many signals found no room since the server started.
    pub dropped: u64,
}

/// A signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignalView {
    /// About whom.
    pub about: AboutView,
    /// What was seen.
    pub kind: Word<Kind>,
    /// How bad it is.
    pub severity: Word<Severity>,
    /// How sure its source is, in percent.
    pub confidence: u8,
    /// Who says so: `detector`, `stream ISSUER`, `webhook NAME`, `person IDENTITY`.
    pub source: String,
    /// What it is about more exactly.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topic: String,
    /// When it was seen.
    pub observed_at: Written<Timestamp>,
    /// From when on it counts for nothing.
    pub expires_at: Written<Timestamp>,
    /// Its name at its source.
    pub id: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// About whom something is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AboutView {
    /// `identity`, `session`, `task`, `user`, `issuer`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// How risky something is now, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RiskView {
    /// 0 to 100.
    pub score: u8,
    /// `low`, `moderate`, `high`, `critical`.
    pub level: String,
    /// The signals that made it, those that count most first.
    pub parts: Vec<RiskPartView>,
    /// How many more count for something.
    pub others: u64,
    /// What they add to the score.
    pub others_points: u8,
    /// Whose signals were counted.
    pub concerned: Vec<AboutView>,
}

/// What one signal adds to a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RiskPartView {
    /// Its share of the score.
    pub points: u8,
    /// About whom.
    pub about: AboutView,
    /// What was seen.
    pub kind: Word<Kind>,
    /// How bad it was.
    pub severity: Word<Severity>,
    /// Who says so.
    pub source: String,
    /// When it was seen.
    pub observed_at: Written<Timestamp>,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl From<&About> for AboutView {
    fn from(about: &About) -> Self {
        Self { kind: about.word().to_owned(), name: about.name() }
    }
}

impl From<&Signal> for SignalView {
    fn from(signal: &Signal) -> Self {
        Self {
            about: (&signal.about).into(),
            kind: Word(signal.kind),
            severity: Word(signal.severity),
            confidence: signal.confidence.as_percent(),
            source: signal.source.to_string(),
            topic: signal.topic.to_string(),
            observed_at: Written(signal.observed_at),
            expires_at: Written(signal.expires_at),
            id: signal.id.to_string(),
            detail: signal.detail.to_string(),
        }
    }
}
