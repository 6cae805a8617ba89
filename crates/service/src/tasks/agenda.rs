//! When each live task is to be looked at next: its time may be over then.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use safeconduct_model::Timestamp;

use super::TaskSlot;

/// How many ended tasks may stand in it before they are counted against the live ones.
const SLACK: usize = 1024;

/// The tasks by when they are due. Those that have ended before stay until there are as many of
/// them as there are others.
#[derive(Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<Due>>);

struct Due {
    at: Timestamp,
    task: Arc<TaskSlot>,
}

impl Agenda {
    pub(super) fn note(&mut self, at: Timestamp, task: Arc<TaskSlot>) {
        self.0.push(Reverse(Due { at, task }));
    }

    /// Takes out those that are due, at most so many.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Arc<TaskSlot>> {
        let mut due = Vec::new();
        while due.len() < most
            && self.0.peek().is_some_and(|Reverse(next)| next.at <= now)
            && let Some(Reverse(next)) = self.0.pop()
        {
            due.push(next.task);
        }
        due
    }

    /// Lets go of ended tasks where they are many, beside that many live ones.
    pub(super) fn tidy(&mut self, live: usize) {
        if self.0.len() > SLACK + live + live / 4 {
            self.0.retain(|Reverse(due)| !due.task.has_ended());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Due {
    fn key(&self) -> (Timestamp, &str) {
        (self.at, self.task.task.id.as_str())
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
