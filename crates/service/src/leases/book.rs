//! The leases in memory: by id, by task, and by when each is to be looked at next.

use std::collections::{BTreeSet, HashMap, HashSet};

use foldhash::fast::RandomState;
use safeconduct_model::{LeaseId, TaskId, Timestamp};

use super::{LeaseSlot, LeaseView};

/// All leases that are not final.
#[derive(Default)]
pub(super) struct Book {
    slots: HashMap<LeaseId, LeaseSlot, RandomState>,
    by_task: HashMap<TaskId, HashSet<LeaseId, RandomState>, RandomState>,
    /// Those that are to be looked at, and when. What is being worked on is looked at when that is
    /// done.
    agenda: BTreeSet<(Timestamp, LeaseId)>,
}

/// What comes of a look at a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// Somebody works on it, or is about to.
    Busy,
    /// There is nothing to do before then.
    Again(Timestamp),
}

/// A time that has come, whatever the clock says.
pub(super) const AT_ONCE: Timestamp = Timestamp::from_millis(i64::MIN);

impl Book {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many a task has.
    pub(super) fn len_of(&self, task: &TaskId) -> usize {
        self.by_task.get(task).map_or(0, HashSet::len)
    }

    pub(super) fn find(&self, id: &LeaseId) -> Option<&LeaseSlot> {
        self.slots.get(id)
    }

    pub(super) fn find_mut(&mut self, id: &LeaseId) -> Option<&mut LeaseSlot> {
        self.slots.get_mut(id)
    }

    /// Those of a task, in no order.
    pub(super) fn of_task(&self, task: &TaskId) -> impl Iterator<Item = &LeaseSlot> {
        self.by_task.get(task).into_iter().flatten().filter_map(|id| self.slots.get(id))
    }

    /// For showing: those of a task, or all.
    pub(super) fn views(&self, of: Option<&TaskId>) -> Vec<LeaseView> {
        let view = |slot: &LeaseSlot| LeaseView { lease: slot.lease.clone(), state: slot.state };
        match of {
            Some(task) => self.of_task(task).map(view).collect(),
            None => self.slots.values().map(view).collect(),
        }
    }

    /// Puts one in, in the place of what was known of it, to be looked at at once.
    pub(super) fn insert(&mut self, slot: LeaseSlot) {
        let (id, task) = (slot.lease.id.clone(), slot.lease.task.clone());
        self.by_task.entry(task).or_default().insert(id.clone());
        self.slots.insert(id.clone(), slot);
        self.look_at(&id, AT_ONCE);
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: &LeaseId) {
        let Some(slot) = self.slots.remove(id) else {
            return;
        };
        if let Some(next) = slot.look_at {
            self.agenda.remove(&(next, id.clone()));
        }
        if let Some(of_task) = self.by_task.get_mut(&slot.lease.task) {
            of_task.remove(id);
            if of_task.is_empty() {
                self.by_task.remove(&slot.lease.task);
            }
        }
    }

    /// It is looked at next at that time.
    pub(super) fn look_at(&mut self, id: &LeaseId, at: Timestamp) {
        let Some(slot) = self.slots.get_mut(id) else {
            return;
        };
        if let Some(before) = slot.look_at.replace(at) {
            self.agenda.remove(&(before, id.clone()));
        }
        self.agenda.insert((at, id.clone()));
    }

    /// The leases of a task are looked at at once: it has ended.
    pub(super) fn look_at_those_of(&mut self, task: &TaskId) {
        let ids: Vec<_> = self.by_task.get(task).into_iter().flatten().cloned().collect();
        ids.iter().for_each(|id| self.look_at(id, AT_ONCE));
    }

    /// All leases are looked at at once.
    pub(super) fn look_at_all(&mut self) {
        let ids: Vec<_> = self.slots.keys().cloned().collect();
        ids.iter().for_each(|id| self.look_at(id, AT_ONCE));
    }

    /// Looks at those whose time has come, each once.
    pub(super) fn look(&mut self, now: Timestamp, mut at: impl FnMut(&mut LeaseSlot) -> Looked) {
        let mut again = Vec::new();
        while self.agenda.first().is_some_and(|(next, _)| *next <= now)
            && let Some((_, id)) = self.agenda.pop_first()
        {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.look_at = None;
            match at(slot) {
                Looked::Busy => {}
                Looked::Again(next) => again.push((id, next)),
            }
        }
        again.iter().for_each(|(id, next)| self.look_at(id, *next));
    }

    /// When the next one is to be looked at.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(next, _)| *next)
    }
}
