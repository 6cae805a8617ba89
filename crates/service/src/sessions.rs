//! The sessions in memory, each behind its own lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use safeconduct_model::SessionKey;
use safeconduct_session::Session;

use crate::SessionKeys;

/// Most sessions in memory. A decision of one more session is a Deny.
pub const SESSIONS_MAX: usize = 1_000_000;

/// One session: its state, its version in the ledger, and its keys once they are needed.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) session: Session,
    /// Proposals that wrote this session since the process started.
    pub(crate) version: u64,
    pub(crate) keys: Option<Arc<dyn SessionKeys>>,
    /// The entry whose attachment holds the wrapped keys.
    pub(crate) keys_at: Option<u64>,
    /// The entries whose attachments hold sealed values.
    pub(crate) sealed_at: Vec<u64>,
}

/// All sessions, by key.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<SessionKey, Arc<Mutex<Slot>>, RandomState>>);

impl Sessions {
    /// The slot of that session, made where there is none; `None` at the limit.
    pub(crate) fn slot(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            return Some(Arc::clone(slot));
        }
        (slots.len() < SESSIONS_MAX).then(|| Arc::clone(slots.entry(key.clone()).or_default()))
    }

    /// The slot of that session, where there is one.
    pub(crate) fn known(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The state of a session, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Which session.
    pub key: SessionKey,
    /// Its state.
    pub session: Session,
}

/// Locks a slot. A panic elsewhere cannot have left it half changed: changes are single
/// assignments after the last fallible step.
pub(crate) fn lock(slot: &Mutex<Slot>) -> std::sync::MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
