//! How tasks are found: by id, by handle, by the session that they are attached to, by whom they
//! concern and by when they are due. Each of these holds pointers alone.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use safeconduct_model::{
    Budget, Digest, IntentName, KillScope, Origin, ScheduleName, SessionKey, Task, TaskId,
    Timestamp,
};

use super::agenda::Agenda;
use super::lists::Lists;
use super::{
    ENDED_TASKS_MAX, Held, MANDATE_BYTES_MAX, TASKS_LOOKED_AT_MAX, TaskPage, TaskQuery, TaskSlot,
    task_of,
};
use crate::warm::Warm;

/// How many tasks are taken from a list at a time, while others wait.
const CHUNK: usize = 512;

/// Of how many versions of intents the budget is shared by those who have it whole.
const SHARED_MAX: usize = 4096;

/// All tasks.
pub(crate) struct Tasks {
    maps: Mutex<Maps>,
    warm: Warm<TaskSlot>,
}

#[derive(Default)]
struct Maps {
    hasher: RandomState,
    by_id: HashTable<Arc<TaskSlot>>,
    by_handle: HashTable<Arc<TaskSlot>>,
    attached: HashTable<Arc<TaskSlot>>,
    in_conversation: HashTable<Arc<TaskSlot>>,
    live: usize,
    ended: VecDeque<Arc<TaskSlot>>,
    agenda: Agenda,
    lists: Lists,
    budgets: HashMap<(IntentName, u32), Arc<Budget>, RandomState>,
    /// The live runs of each schedule, the oldest first.
    runs: HashMap<ScheduleName, Vec<Arc<TaskSlot>>, RandomState>,
}

/// The session that a task is attached to, whatever conversation it speaks in.
fn attached_to(task: &Task) -> Option<&SessionKey> {
    match &task.origin {
        Origin::Agent(session) if task.handle.is_none() && task.conversation.is_none() => {
            Some(session)
        }
        _ => None,
    }
}

/// Finds a task by what `key` says of it, where that is anything.
macro_rules! table {
    ($find:ident, $insert:ident, $remove:ident, $table:ident, $key:ty, $of:expr) => {
        fn $find(&self, key: &$key) -> Option<&Arc<TaskSlot>> {
            let of: fn(&Task) -> Option<&$key> = $of;
            self.$table.find(self.hasher.hash_one(key), |slot| of(&slot.task) == Some(key))
        }

        /// Puts it in, in the place of another of the same key.
        fn $insert(&mut self, slot: &Arc<TaskSlot>) {
            let of: fn(&Task) -> Option<&$key> = $of;
            let Some(key) = of(&slot.task) else { return };
            let Self { hasher, $table: table, .. } = self;
            let hash = |key: Option<&$key>| key.map_or(0, |key| hasher.hash_one(key));
            let same = |other: &Arc<TaskSlot>| of(&other.task) == Some(key);
            match table.find_mut(hash(Some(key)), same) {
                Some(place) => *place = Arc::clone(slot),
                None => {
                    let rehash = |slot: &Arc<TaskSlot>| hash(of(&slot.task));
                    table.insert_unique(hash(Some(key)), Arc::clone(slot), rehash);
                }
            }
        }

        /// Takes this one out, and no other of the same key.
        fn $remove(&mut self, slot: &Arc<TaskSlot>) {
            let of: fn(&Task) -> Option<&$key> = $of;
            let Some(key) = of(&slot.task) else { return };
            let found =
                self.$table.find_entry(self.hasher.hash_one(key), |other| Arc::ptr_eq(other, slot));
            if let Ok(place) = found {
                place.remove();
            }
        }
    };
}

impl Maps {
    table!(by_id, put_by_id, drop_by_id, by_id, TaskId, |task| Some(&task.id));
    table!(by_handle, put_by_handle, drop_by_handle, by_handle, Digest, |task| task
        .handle
        .as_ref());
    table!(attached, attach, detach, attached, SessionKey, attached_to);
    table!(in_conversation, put_in, take_out, in_conversation, Digest, |task| task
        .conversation
        .as_ref());

    fn share_budget(&mut self, task: &mut Task) {
        let version = (task.intent.clone(), task.intent_version);
        if let Some(shared) = self.budgets.get(&version) {
            if **shared == *task.budget {
                task.budget = Arc::clone(shared);
            }
        } else if self.budgets.len() < SHARED_MAX {
            self.budgets.insert(version, Arc::clone(&task.budget));
        }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        let warm = Warm::new(MANDATE_BYTES_MAX, |slot: &Arc<TaskSlot>, mercy| slot.cool(mercy));
        Self { maps: Mutex::default(), warm }
    }
}

impl Tasks {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self, id: &TaskId) -> Option<Arc<TaskSlot>> {
        self.maps().by_id(id).cloned()
    }

    /// The task whose session that is.
    pub(crate) fn of_session(&self, key: &SessionKey) -> Option<Arc<TaskSlot>> {
        let slot = self.known(task_of(key)?)?;
        (slot.task.agent == key.identity).then_some(slot)
    }

    /// The task of a handle, by the handle's digest: no comparison takes a time that tells
    /// anything of the handle.
    pub(crate) fn by_handle(&self, handle: &Digest) -> Option<Arc<TaskSlot>> {
        self.maps().by_handle(handle).cloned()
    }

    /// The live task that a session's calls belong to: of a conversation its own, and outside of
    /// conversations the session's.
    pub(crate) fn attached(
        &self,
        session: &SessionKey,
        conversation: Option<&Digest>,
    ) -> Option<TaskId> {
        let maps = self.maps();
        let slot = match conversation {
            None => maps.attached(session),
            // Whose it is counts as well as that they know its name.
            Some(conversation) => maps
                .in_conversation(conversation)
                .filter(|slot| matches!(&slot.task.origin, Origin::Agent(from) if from == session)),
        };
        slot.map(|slot| slot.task.id.clone())
    }

    /// The live runs of a schedule, the oldest first.
    pub(crate) fn runs(&self, of: &ScheduleName) -> Vec<TaskId> {
        let maps = self.maps();
        let runs = maps.runs.get(of).into_iter().flatten();
        runs.map(|slot| slot.task.id.clone()).collect()
    }

    pub(crate) fn live(&self) -> usize {
        self.maps().live
    }

    /// Lets a task share its budget with the others of its intent that have it whole.
    pub(crate) fn share_budget(&self, task: &mut Task) {
        self.maps().share_budget(task);
    }

    pub(crate) fn insert(&self, slot: &Arc<TaskSlot>) {
        let next = slot.next_look();
        let mut maps = self.maps();
        maps.put_by_id(slot);
        maps.put_by_handle(slot);
        maps.attach(slot);
        maps.put_in(slot);
        if let Some(schedule) = &slot.task.run_of {
            maps.runs.entry(schedule.clone()).or_default().push(Arc::clone(slot));
        }
        maps.lists.insert(slot);
        maps.live += 1;
        maps.agenda.note(next, Arc::clone(slot));
    }

    /// Takes note of what a task may do and under which keys, while decisions fall in it.
    pub(crate) fn hold(&self, slot: &Arc<TaskSlot>, held: Held, canonical_bytes: usize) {
        {
            let mut now = slot.lock();
            if now.state != safeconduct_model::TaskState::Active || now.held.is_some() {
                return;
            }
            now.held = Some(held);
            now.used = true;
        }
        self.warm.took_up(slot, canonical_bytes);
    }

    /// Takes note that a task has ended; the oldest of the ended ones give way. Gives the one that
    /// did.
    pub(crate) fn ended(&self, slot: &Arc<TaskSlot>) -> Option<Arc<TaskSlot>> {
        let mut maps = self.maps();
        if slot.ended.swap(true, Ordering::Relaxed) {
            return None;
        }
        maps.live = maps.live.saturating_sub(1);
        maps.detach(slot);
        maps.take_out(slot);
        if let Some(schedule) = &slot.task.run_of
            && let Some(runs) = maps.runs.get_mut(schedule)
        {
            runs.retain(|run| !Arc::ptr_eq(run, slot));
            if runs.is_empty() {
                maps.runs.remove(schedule);
            }
        }
        let live = maps.live;
        maps.agenda.tidy(live);
        maps.ended.push_back(Arc::clone(slot));
        if maps.ended.len() <= ENDED_TASKS_MAX {
            return None;
        }
        let oldest = maps.ended.pop_front()?;
        oldest.forgotten.store(true, Ordering::Relaxed);
        maps.drop_by_id(&oldest);
        maps.drop_by_handle(&oldest);
        maps.lists.forget(&oldest);
        Some(oldest)
    }

    /// The tasks that are to be looked at by now, at most so many; none of them is looked at again
    /// unless [`Tasks::look_again`] says when.
    pub(crate) fn due(&self, now: Timestamp, most: usize) -> Vec<Arc<TaskSlot>> {
        self.maps().agenda.due(now, most)
    }

    pub(crate) fn look_again(&self, next: Timestamp, slot: Arc<TaskSlot>) {
        self.maps().agenda.note(next, slot);
    }

    /// Those that fit, by id, at most `limit`.
    pub(crate) fn page(
        &self,
        query: &TaskQuery<'_>,
        limit: usize,
        fits: impl Fn(&Task) -> bool,
    ) -> TaskPage {
        let mut tasks = Vec::new();
        let mut after = query.after.map(str::to_owned);
        let mut looked_at = 0;
        loop {
            // The slots' own locks come after this one is given back: no order between the two.
            let chunk = self.maps().lists.after(query, after.as_deref(), CHUNK);
            for slot in &chunk {
                let view = slot.view();
                if query.fits(&view.task, view.state) && fits(&view.task) {
                    if tasks.len() == limit {
                        let next = tasks.last().map(|last: &super::TaskView| last.task.id.clone());
                        return TaskPage { tasks, next };
                    }
                    tasks.push(view);
                }
            }
            looked_at += chunk.len();
            match chunk.last() {
                Some(last) if looked_at >= TASKS_LOOKED_AT_MAX => {
                    return TaskPage { tasks, next: Some(last.task.id.clone()) };
                }
                Some(last) if chunk.len() == CHUNK => after = Some(last.task.id.to_string()),
                _ => return TaskPage { tasks, next: None },
            }
        }
    }

    /// The live tasks that the kill switch stops.
    pub(crate) fn hit_by(&self, scope: &KillScope) -> Vec<Arc<TaskSlot>> {
        let mut hit = match scope {
            KillScope::All => self.maps().lists.all(),
            KillScope::Identity(who) => self.maps().lists.concerning(who),
            KillScope::Task(id) => self.known(id).into_iter().collect(),
            // What came from a session was begun by whose session it is.
            KillScope::Session(session) => self.maps().lists.concerning(&session.identity),
        };
        hit.retain(|slot| !slot.has_ended() && scope.hits(&slot.task));
        hit
    }

    #[cfg(test)]
    pub(super) fn agenda_len(&self) -> usize {
        self.maps().agenda.len()
    }
}
