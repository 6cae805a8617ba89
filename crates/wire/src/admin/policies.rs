//! How the policies stand.

use safeconduct_model::{Digest, PolicyEffect, PolicyId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::{Word, Written};

/// The policy set in force.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PoliciesView {
    /// Its digest.
    pub digest: Written<Digest>,
    /// How many policies it has.
    pub count: u64,
    /// Why what is in the folder now was refused, where it was: file, line, column, message. The
    /// set in force is then an older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What looks odd and holds all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The policies, by name.
    pub policies: Vec<PolicyView>,
}

/// A policy: where it stands, never its text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PolicyView {
    /// Its stable name.
    pub id: Written<PolicyId>,
    /// What it says.
    pub effect: Word<PolicyEffect>,
    /// Whether it is evaluated and recorded without effect.
    pub shadow: bool,
    /// Its file.
    pub file: String,
    /// Its first line.
    pub line: u32,
    /// What an agent is told where it applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
