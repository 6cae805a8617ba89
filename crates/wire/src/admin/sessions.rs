//! Sessions.

use std::collections::BTreeMap;

use safeconduct_model::{IdentityId, TaskId, Timestamp, TokenId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Written;

/// The state of a session: what decisions look at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionView {
    /// Whose session.
    pub identity: Written<IdentityId>,
    /// Under which credential, where it is of no task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Written<TokenId>>,
    /// Of which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Written<TaskId>>,
    /// How many decisions it has had.
    pub sequence: u64,
    /// How many of them were permitted.
    pub steps: u64,
    /// How many were denied.
    pub denials: u64,
    /// How many different resources were touched; at most 4096 are counted.
    pub distinct_resources: u64,
    /// When the first decision was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Written<Timestamp>>,
    /// Permitted actions and how often; at most 1024 are listed.
    pub actions: BTreeMap<String, u64>,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErasedView {
    /// How many sealed values and keys were overwritten.
    pub attachments: u64,
}
