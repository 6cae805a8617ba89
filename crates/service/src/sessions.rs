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

/// How many sessions of ended tasks are kept beyond that, without their state, so that their
/// values can still be erased. Beyond it the next one is not kept.
pub const ARCHIVED_SESSIONS_MAX: usize = 4_000_000;

/// All sessions, by key.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    live: HashMap<SessionKey, Arc<Mutex<Slot>>, RandomState>,
    archived: HashMap<SessionKey, Arc<Mutex<Slot>>, RandomState>,
}

impl Maps {
    fn known(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        self.live.get(key).or_else(|| self.archived.get(key)).cloned()
    }
}

impl Sessions {
    /// The slot of that session, made where there is none; `None` at the limit.
    pub(crate) fn slot(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = maps.known(key) {
            return Some(slot);
        }
        (maps.live.len() < SESSIONS_MAX)
            .then(|| Arc::clone(maps.live.entry(key.clone()).or_default()))
    }

    /// The slot of that session, where there is one.
    pub(crate) fn known(&self, key: &SessionKey) -> Option<Arc<Mutex<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).live.len()
    }

    /// Puts away the session of a task that has ended and is no longer remembered: what was done
    /// in it is in the ledger, and all that is kept is where its values lie. No session's lock may
    /// be held.
    pub(crate) fn archive(&self, key: &SessionKey) {
        let slot = {
            let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(slot) = maps.live.remove(key) else {
                return;
            };
            if maps.archived.len() < ARCHIVED_SESSIONS_MAX {
                maps.archived.insert(key.clone(), Arc::clone(&slot));
            }
            slot
        };
        let mut slot = lock(&slot);
        slot.session = Session::default();
        slot.keys = None;
        slot.sealed_at.shrink_to_fit();
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
