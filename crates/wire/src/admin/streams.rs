//! Streams of security events that we receive.

use std::collections::BTreeMap;

use safeconduct_model::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Written;

/// How a stream of security events stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StreamStateView {
    /// Its name in the configuration.
    pub name: String,
    /// Its transmitter.
    pub issuer: String,
    /// How its tokens come: `push`, `poll`.
    pub delivery: String,
    /// Whether it speaks: `new`, `speaking`, `silent`.
    pub state: String,
    /// When it was heard last; absent since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<Written<Timestamp>>,
    /// When it was verified last; absent since the server started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Written<Timestamp>>,
    /// Whether a verification is under way.
    pub verifying: bool,
    /// Tokens that were taken since the server started.
    pub taken: u64,
    /// Tokens that had been taken before, and changed nothing.
    pub repeated: u64,
    /// Tokens that came to nothing: they speak of nobody here, or of nothing risky.
    pub passed_over: u64,
    /// Tokens that were refused, by why.
    pub refused: BTreeMap<String, u64>,
}

/// The streams of security events that we receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StreamList {
    /// By name.
    pub streams: Vec<StreamStateView>,
}

/// A stream's status, as its transmitter has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StreamStatusView {
    /// Its name in the configuration.
    pub name: String,
    /// Its id at the transmitter.
    pub stream_id: String,
    /// `enabled`, `paused`, `disabled`.
    pub status: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
