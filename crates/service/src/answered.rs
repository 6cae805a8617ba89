//! What an agent has answered to servers that asked, while calls of its were under way: a result
//! that repeats it vouches for it no more than for the arguments of its own call.

use std::collections::VecDeque;

use safeconduct_engine::gives_own_state_back;
use safeconduct_model::{Request, Timestamp, Value};

use crate::Service;
use crate::pending::{Pending, weight};
use crate::saying::given_back_in;
use crate::sessions::{Origin, Slot, lock};

/// Most bytes of answers that one session remembers, as they are estimated. Of what was before
/// them nothing is known: a result of a call that waits since then vouches for nothing.
pub(crate) const ANSWERED_BYTES_MAX: usize = 64 * 1024;

/// The newest answers of one session.
#[derive(Default)]
pub(crate) struct Answered {
    kept: VecDeque<(Timestamp, Value)>,
    bytes: usize,
    /// When the newest of those was given that found no room.
    lost: Option<Timestamp>,
}

impl Answered {
    fn push(&mut self, at: Timestamp, answer: Value) {
        self.bytes += weight(&answer);
        self.kept.push_back((at, answer));
        while self.bytes > ANSWERED_BYTES_MAX {
            let Some((at, answer)) = self.kept.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(weight(&answer));
            self.lost = self.lost.max(Some(at));
        }
    }

    /// Lets go of all answers: of what was given until now nothing is known any more.
    pub(crate) fn forget(&mut self) {
        let newest = self.kept.back().map(|(at, _)| *at);
        (self.kept, self.bytes) = (VecDeque::new(), 0);
        self.lost = self.lost.max(newest);
    }

    /// Bytes of them in memory, as they are estimated.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was answered from then on; `None` where some of it is not known any more.
    fn since(&self, then: Timestamp) -> Option<Vec<Value>> {
        let given = self.kept.iter().filter(|(at, _)| *at >= then);
        self.lost
            .is_none_or(|lost| lost < then)
            .then(|| given.map(|(_, one)| one.clone()).collect())
    }
}

impl Service {
    /// A session takes note of what a permitted request answers.
    pub(crate) fn answers(&self, request: &Request, at: Timestamp) {
        let mut given = given_back_in(request).peekable();
        if given.peek().is_none() {
            return;
        }
        if let Some(slot) = self.sessions.known(&request.session.key) {
            let mut slot = lock(&slot);
            let answered = slot.answered.get_or_insert_default();
            given.for_each(|answer| answered.push(at, answer.clone()));
        }
    }

    /// What its session has answered since a call began; `None` where some of it is not known any
    /// more.
    pub(crate) fn answered_since(&self, pending: &Pending) -> Option<Vec<Value>> {
        if !pending.is_whole() {
            return None;
        }
        let slot = self.sessions.known(&pending.session)?;
        let slot = lock(&slot);
        // What was answered before the process started is not in memory.
        if pending.begun == Begun::Earlier && slot.origin == Origin::Ledger {
            return None;
        }
        let nothing = || Some(Vec::new());
        let then = match pending.begun {
            Begun::WithPermit => pending.since,
            Begun::Earlier => Timestamp::from_millis(i64::MIN),
        };
        slot.answered.as_ref().map_or_else(nothing, |answered| answered.since(then))
    }
}

impl Slot {
    /// Lets go of what its agent has answered.
    pub(crate) fn forget_answers(&mut self) {
        if let Some(answered) = &mut self.answered {
            answered.forget();
        }
    }
}

/// When a call began whose result is held against what its session answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// When it was permitted.
    WithPermit,
    /// It goes on with one that the server had asked about (MCP 2026-07-28): the server's own state,
    /// which it gives back, may hold every answer of the rounds before.
    Earlier,
}

impl Begun {
    /// When that request's call began.
    pub(crate) fn of(request: &Request) -> Self {
        match request.asserted.as_ref().is_some_and(gives_own_state_back) {
            true => Self::Earlier,
            false => Self::WithPermit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_found_no_room_is_known_to_be_missing() {
        let at = Timestamp::from_millis;
        let mut answered = Answered::default();
        let long = || Value::from("x".repeat(ANSWERED_BYTES_MAX / 2));
        answered.push(at(1), Value::from("a"));
        assert_eq!(answered.since(at(1)), Some(vec![Value::from("a")]));
        assert_eq!(answered.since(at(2)), Some(Vec::new()));
        answered.push(at(2), long());
        answered.push(at(3), long());
        assert_eq!(answered.since(at(2)), None);
        assert_eq!(answered.since(at(3)), Some(vec![long()]));
        answered.push(at(4), Value::from("x".repeat(ANSWERED_BYTES_MAX)));
        assert_eq!(answered.since(at(4)), None);
        assert_eq!((answered.since(at(5)), answered.bytes), (Some(Vec::new()), 0));
        answered.push(at(6), Value::from("b"));
        answered.forget();
        assert_eq!((answered.since(at(6)), answered.bytes), (None, 0));
        assert_eq!(answered.since(at(7)), Some(Vec::new()));
    }
}
