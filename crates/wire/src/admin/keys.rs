//! The keys that sign access tokens.

use safeconduct_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// A key that signs access tokens, signed them or will sign them. Its public half is in the
/// published set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyView {
    /// Its public id: the `kid` of what it signs.
    pub id: String,
    /// What it signs with: `ES256`, `EdDSA`.
    pub algorithm: String,
    /// What it does: `next`, `signing`, `former`.
    pub state: String,
    /// When it was made.
    pub made_at: Written<Timestamp>,
    /// From when on it signs, or signed.
    pub signs_from: Written<Timestamp>,
    /// Until when it stays published; absent while no other key is there to follow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_until: Option<Written<Timestamp>>,
}

/// A key to be used no more, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyDrop {
    /// Its public id, as the list of keys has it.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// The keys that sign access tokens.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct KeyList {
    /// In the order in which they were made.
    pub keys: Vec<KeyView>,
}
