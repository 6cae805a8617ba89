//! What a session has read and what has happened in it: kept in memory, folded from decisions and
//! outcomes, and read back from the ledger after a restart.
//!
//! A session's reading has one home: the session itself, or, for a task that its agent began, the
//! session that it came from. The task that an agent was delegated begins with what the one above
//! it had read, and what it reads raises the labels of all above it.

use std::sync::Arc;

use safeconduct_model::{
    Authentication, DEPTH_MAX, Integrity, Label, SessionKey, SessionScope, TaskId,
};
use safeconduct_policy::History;
use safeconduct_session::flow::{Flow, glean_task};

use crate::past::Remembered;
use crate::refold::Refold;
use crate::sessions::lock;
use crate::{Service, SessionKeys};

/// What lies sealed beside an outcome: a [`crate::bundle::Bundle`].
pub(crate) const OUTCOME: &str = "outcome";

/// What the key of fingerprints is derived from, by the session's own key.
const FLOW_KEY: &[u8] = b"safeconduct flow v1";

/// Most records of one session, or of one identity, that are read back after a restart: the newest.
/// What was read before them is forgotten, its label is not.
pub const RECALLED_MAX: usize = 65_536;

/// Whether what was read and what happened is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Recall {
    /// It is.
    #[default]
    Whole,
    /// It lies in the ledger, but for the label.
    Due,
}

/// Places in the ledger, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    all: Vec<u64>,
    /// Whether there were more before those.
    pub(crate) more: bool,
}

impl Places {
    /// With another one, behind them all.
    pub(crate) fn push(&mut self, sequence: u64) {
        self.all.push(sequence);
        if self.all.len() > RECALLED_MAX {
            self.all.drain(..RECALLED_MAX / 2);
            self.more = true;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.all.iter().copied()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those behind all of these, where these are the first of them.
    pub(crate) fn beyond(&self, first: &Self) -> Option<&[u64]> {
        let same = first.is_empty() || self.more == first.more;
        self.all.strip_prefix(first.all.as_slice()).filter(|_| same)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Service {
    /// The session in which is kept what this one reads.
    pub(crate) fn home(&self, session: &SessionKey) -> SessionKey {
        let history = match &session.scope {
            SessionScope::Task(task) => self.history(task),
            SessionScope::Credential(_) => None,
        };
        history.unwrap_or_else(|| session.clone())
    }

    /// Sees to it that what a session has read is in memory. No session's lock may be held: this
    /// takes several, one after the other.
    pub(crate) fn recall(&self, home: &SessionKey) {
        self.recall_below(home, usize::from(DEPTH_MAX) + 1);
        if let Some(place) = self.sessions.known(home) {
            let at = |look: &mut dyn FnMut(&mut Remembered)| look(&mut lock(&place).order);
            self.learn(History::Session, at);
        }
    }

    fn recall_below(&self, home: &SessionKey, levels: usize) {
        let Some(place) = self.session_slot(home) else {
            return;
        };
        loop {
            let told = {
                let slot = lock(&place);
                if slot.recall == Recall::Whole {
                    return;
                }
                slot.told.clone()
            };
            let mut flow = self.beginning(home, levels);
            let mut refold = Refold::new(self, None);
            told.iter().for_each(|at| refold.fold(at, None, Some(&mut flow)));
            let mut slot = lock(&place);
            // Others may have been faster, or may have added to it.
            if slot.recall == Recall::Whole || slot.told != told {
                continue;
            }
            if told.more {
                flow.forget(slot.session.label());
            }
            slot.say_again(&mut flow);
            slot.session.recall(flow);
            slot.recall = Recall::Whole;
            slot.recalls += 1;
            let more = slot.flow_grown();
            self.sessions.holds_flow(&place, more);
            return;
        }
    }

    /// What a session has read before its first outcome: of a task, what it names, and what the
    /// one above it had read.
    fn beginning(&self, home: &SessionKey, levels: usize) -> Flow {
        let SessionScope::Task(id) = &home.scope else {
            return self.new_flow(home);
        };
        let Some(slot) = self.tasks.known(id) else {
            return self.new_flow(home);
        };
        let task = Arc::clone(&slot.task);
        let above = task.parent.as_ref().filter(|_| levels > 0);
        let mut flow = match above.and_then(|parent| self.session_of(parent)) {
            Some(parent) => {
                let parent = self.home(&parent);
                self.recall_below(&parent, levels.saturating_sub(1));
                let above = self.sessions.known(&parent);
                let above = above.and_then(|slot| lock(&slot).session.flow().map(Flow::for_child));
                above.unwrap_or_else(|| self.new_flow(&parent))
            }
            None => self.new_flow(home),
        };
        if task.integrity() == Integrity::Trusted
            && let Some(mandate) = self.mandate(id)
        {
            let prompt = self.prompt(id);
            let prompt = prompt.as_ref().map(|prompt| &*prompt.text);
            let named = glean_task(&flow.key(), &mandate.parameters, prompt, Integrity::Trusted);
            flow.name(&named);
        }
        flow
    }

    fn session_of(&self, task: &TaskId) -> Option<SessionKey> {
        self.tasks.known(task).map(|slot| slot.session())
    }

    /// A flow that has read nothing, with the key of its session, which begins with one where it
    /// has none: also after an erasure, so that what is read from then on is found again. No
    /// session's lock may be held.
    pub(crate) fn new_flow(&self, home: &SessionKey) -> Flow {
        match self.begun(home) {
            Ok(keys) => Flow::keyed(flow_key(&*keys)),
            Err(error) => {
                tracing::error!(%error, session = %home, "a session has no keys");
                Flow::default()
            }
        }
    }

    /// Whether what the session of that proof has read lies in the ledger alone, so that its next
    /// decision reads it back: whoever must not wait for the disk calls
    /// [`Service::recall_for`] first, where that may block.
    pub fn recall_due(&self, by: &Authentication) -> bool {
        let world = self.world();
        let programs = world.policies().monitors().programs(History::Session);
        let slot = self.sessions.known(&self.home(&SessionKey::of(by)));
        slot.is_some_and(|slot| {
            let slot = lock(&slot);
            slot.recall == Recall::Due || !slot.order.follows(programs)
        })
    }

    /// Reads back what the session of that proof has read. Waits for the disk.
    pub fn recall_for(&self, by: &Authentication) {
        self.recall(&self.home(&SessionKey::of(by)));
    }

    /// A flow that has read nothing, with the key of its session; without keys it finds nothing
    /// again, and what it reads is forgotten but for its label.
    pub(crate) fn empty_flow(&self, home: &SessionKey) -> Flow {
        let keys = self.sessions.known(home).and_then(|slot| {
            let slot = lock(&slot);
            self.keys_of(home, &slot).ok().filter(|(_, began)| began.is_none())
        });
        let key = keys.map_or([0; 16], |(keys, _)| flow_key(&*keys));
        Flow::keyed(key)
    }

    /// The keys of a session that has them already.
    pub(crate) fn keys_again(&self, session: &SessionKey) -> Option<Arc<dyn SessionKeys>> {
        let place = self.session_slot(session)?;
        let slot = lock(&place);
        let (keys, began) = self.keys_of(session, &slot).ok()?;
        began.is_none().then_some(keys)
    }

    /// Raises the labels of all that stands above a task, by what it has read. No session's lock
    /// may be held.
    pub(crate) fn raise_above(&self, session: &SessionKey, label: &Label) {
        let SessionScope::Task(id) = &session.scope else {
            return;
        };
        let mut next = self.tasks.known(id).and_then(|slot| slot.task.parent.clone());
        for _ in 0..=DEPTH_MAX {
            let Some(slot) = next.and_then(|id| self.tasks.known(&id)) else {
                return;
            };
            let home = self.home(&slot.session());
            self.raise(&home, label);
            next = slot.task.parent.clone();
        }
    }

    /// Raises the label of a session.
    pub(crate) fn raise(&self, home: &SessionKey, label: &Label) {
        let empty = self.empty_flow(home);
        if let Some(slot) = self.session_slot(home) {
            lock(&slot).session.flow_mut(|| empty).raise(label);
        }
    }
}

/// The key of a session's fingerprints.
pub(crate) fn flow_key(keys: &dyn SessionKeys) -> [u8; 16] {
    let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        *keys.digest(FLOW_KEY).as_bytes();
    key
}
