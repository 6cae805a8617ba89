//! What a session asks of whoever takes a result apart for it.

use super::Flow;
use super::key::FlowKey;

/// What a result is taken apart for: the key under which fingerprints are made, and what a session
/// whose index is full would not take in, so that it need not be made. It is small, and may be
/// carried out of a lock; of what has changed meanwhile more may be forgotten, and nothing is
/// missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub(super) key: FlowKey,
    /// Words and pieces below this class are not wanted.
    pub(super) floor: u8,
}

impl Demand {
    /// The key.
    pub const fn key(&self) -> &FlowKey {
        &self.key
    }
}

/// Everything.
impl From<&FlowKey> for Demand {
    fn from(key: &FlowKey) -> Self {
        Self { key: *key, floor: 0 }
    }
}

/// What that session has room for.
impl From<&Flow> for Demand {
    fn from(flow: &Flow) -> Self {
        Self { key: flow.key, floor: flow.index.as_ref().map_or(0, |index| index.floor()) }
    }
}
