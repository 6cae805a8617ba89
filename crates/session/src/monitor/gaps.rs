//! Up to when something may have happened that was not taken in.

use super::program::{Listens, Program};
use super::{ERROR, RESPONSE};

/// The latest times, in milliseconds, of what may be missing: of anything, and of outcomes of
/// calls that nobody knows. One number for all programs, whose windows tell how long it matters
/// to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gaps {
    any: i64,
    responses: i64,
    errors: i64,
}

impl Gaps {
    pub(super) const NONE: Self = Self { any: i64::MIN, responses: i64::MIN, errors: i64::MIN };

    /// Something may be missing up to that time: events of that kind, or any.
    pub(super) fn widen(&mut self, kind: Option<&str>, at: i64) {
        let latest = match kind {
            Some(RESPONSE) => &mut self.responses,
            Some(ERROR) => &mut self.errors,
            _ => &mut self.any,
        };
        *latest = at.max(*latest);
    }

    /// Until when a program has no answer because of it.
    pub(super) fn blind_until(&self, program: &Program) -> i64 {
        if *self == Self::NONE {
            return i64::MIN;
        }
        let mut latest = self.any;
        for (kind, at) in [(RESPONSE, self.responses), (ERROR, self.errors)] {
            if at > latest && program.listens.hears_kind(kind) {
                latest = at;
            }
        }
        latest.saturating_add(program.lookback_ms)
    }

    /// Whether what is missing happened before that time.
    pub(super) fn are_before(&self, time: i64) -> bool {
        self.any.max(self.responses).max(self.errors) < time
    }
}

impl Listens {
    fn hears_kind(&self, kind: &str) -> bool {
        match self {
            Self::ToAll => true,
            Self::To(events) => events.iter().any(|event| *event.kind == *kind),
        }
    }
}
