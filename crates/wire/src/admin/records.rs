//! Records of the ledger, decisions among them.

use safeconduct_model::{
    ActionName, Decision, IdentityId, PolicyId, RecordId, SessionScope, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{Word, Written};

/// Which records are wanted: a query string. All that fit every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordQueryForm {
    /// Of that kind: `decision`, `outcome`, `identity_changed` and so on.
    pub kind: Option<String>,
    /// Decisions of that answer.
    pub decision: Option<Word<Decision>>,
    /// In sessions of that identity.
    pub identity: Option<Written<IdentityId>>,
    /// In the session of that token or task; with `identity`.
    pub token: Option<Written<SessionScope>>,
    /// Decisions about that action.
    pub action: Option<Written<ActionName>>,
    /// Decisions in which that policy was a reason.
    pub policy: Option<Written<PolicyId>>,
    /// Caused by that record.
    pub parent: Option<Written<RecordId>>,
    /// Made at that moment or later.
    pub since: Option<Written<Timestamp>>,
    /// Made before that moment.
    pub until: Option<Written<Timestamp>>,
    /// Of lower sequence numbers than that one: `next_before` of the page before.
    pub before: Option<u64>,
    /// At most so many: 1 to 1000; 100 where nothing is said.
    pub limit: Option<usize>,
}

/// Records, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<RecordView>,
    /// How many records of the ledger had been read: all of sequence numbers below.
    pub read_up_to: u64,
    /// What `before` of the next page is. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
}

/// A record with its place.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordView {
    /// Its place in the ledger, from 0: the index of its leaf in the Merkle tree.
    pub sequence: u64,
    /// The record, byte for byte as its leaf was hashed.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub record: Box<RawValue>,
}

/// One record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneRecord {
    /// The record.
    #[serde(flatten)]
    pub record: RecordView,
    /// How many records of the ledger had been read: all of sequence numbers below.
    pub read_up_to: u64,
}

impl RecordView {
    /// A record of a leaf's text.
    ///
    /// # Errors
    /// Where the leaf is not JSON: it was damaged on its way.
    pub fn new(sequence: u64, leaf: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { sequence, record: RawValue::from_string(leaf.to_owned())? })
    }
}
