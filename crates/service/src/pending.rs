//! Permits whose outcome has not come yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_model::{ActionName, IdentityId, RecordId, SessionKey, Timestamp};

use crate::SessionKeys;

/// Most permits that wait for their outcome. At the limit the oldest is recorded as `unknown`.
pub const PENDING_MAX: usize = 1_000_000;

/// A permit that waits for its outcome.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) session: SessionKey,
    pub(crate) action: ActionName,
    /// The enforcement point that asked, and alone may say what happened.
    pub(crate) asked_by: IdentityId,
    pub(crate) keys: Option<Arc<dyn SessionKeys>>,
    pub(crate) since: Timestamp,
    pub(crate) deadline: Timestamp,
}

/// All of them, with the order in which they were made.
#[derive(Default)]
pub(crate) struct PendingPermits {
    by_decision: HashMap<RecordId, Pending, RandomState>,
    order: VecDeque<(Timestamp, RecordId)>,
}

impl PendingPermits {
    /// Takes one in; gives back the oldest where there would be too many.
    pub(crate) fn insert(&mut self, id: RecordId, pending: Pending) -> Option<(RecordId, Pending)> {
        self.order.push_back((pending.deadline, id.clone()));
        self.by_decision.insert(id, pending);
        if self.by_decision.len() <= PENDING_MAX {
            return None;
        }
        while let Some((_, oldest)) = self.order.pop_front() {
            if let Some(pending) = self.by_decision.remove(&oldest) {
                return Some((oldest, pending));
            }
        }
        None
    }

    pub(crate) fn get(&self, id: &RecordId) -> Option<&Pending> {
        self.by_decision.get(id)
    }

    pub(crate) fn remove(&mut self, id: &RecordId) -> Option<Pending> {
        let removed = self.by_decision.remove(id);
        // Answered permits leave their place in the order behind; drop them once they are many.
        if self.order.len() > 1024 && self.order.len() > 2 * self.by_decision.len() {
            let by_decision = &self.by_decision;
            self.order.retain(|(_, id)| by_decision.contains_key(id));
        }
        removed
    }

    /// Takes out those whose deadline has passed, at most `limit` of them.
    pub(crate) fn overdue(&mut self, now: Timestamp, limit: usize) -> Vec<(RecordId, Pending)> {
        let mut overdue = Vec::new();
        while overdue.len() < limit {
            match self.order.front() {
                Some((deadline, _)) if *deadline <= now => {}
                _ => break,
            }
            if let Some((_, id)) = self.order.pop_front()
                && let Some(pending) = self.by_decision.remove(&id)
            {
                overdue.push((id, pending));
            }
        }
        overdue
    }

    pub(crate) fn len(&self) -> usize {
        self.by_decision.len()
    }
}
