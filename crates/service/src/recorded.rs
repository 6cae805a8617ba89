//! The proof that a decision is on the disk.

use safeconduct_engine::Outcome;
use safeconduct_model::{Decision, Mode, Reason, RecordId, Request, Timestamp};

/// A value whose record is durable. Only this crate makes one, after the append.
#[derive(Debug)]
pub struct Recorded<T> {
    /// A ruling is large, and handed on from one to the next.
    value: Box<T>,
    sequence: u64,
}

impl<T> Recorded<T> {
    // INVARIANT: called only once the entry at `sequence` is durable.
    pub(crate) fn durable(value: impl Into<Box<T>>, sequence: u64) -> Self {
        Self { value: value.into(), sequence }
    }

    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The place of its record in the ledger, from 0.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The value, no longer bound to its record.
    pub fn into_value(self) -> T {
        *self.value
    }
}

/// A decided request, with what its enforcement point needs to act on it.
#[derive(Debug)]
pub struct Ruling {
    /// The answer.
    pub outcome: Outcome,
    /// The request that was decided.
    pub request: Request,
    /// Until when a permit of it holds.
    pub expires_at: Timestamp,
}

impl Ruling {
    /// The decision's id.
    pub const fn decision(&self) -> &RecordId {
        &self.outcome.record.id
    }

    /// Whether the call goes ahead: it is permitted, or its Deny is only observed.
    pub fn goes_ahead(&self) -> bool {
        self.outcome.decision == Decision::Permit || self.outcome.mode == Mode::Observe
    }
}

/// A request that was refused without a durable record: a Deny all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    /// Why.
    pub reason: Reason,
}
