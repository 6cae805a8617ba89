//! The tasks in memory: the fold of their records.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safeconduct_model::{
    Digest, Mandate, Origin, RecordId, SessionKey, Task, TaskId, TaskState, Timestamp,
};

/// Most live tasks. One more is refused.
pub const TASKS_MAX: usize = 1_000_000;

/// How many ended tasks are remembered, the newest: a later use of one of them is recorded as
/// such, a use of an older one is a use of an unknown task.
pub const ENDED_TASKS_MAX: usize = 100_000;

/// One task.
pub(crate) struct TaskSlot {
    pub(crate) task: Arc<Task>,
    /// What it may do; `None` until it is read back after a restart, and once the task has ended.
    pub(crate) mandate: Option<Arc<Mandate>>,
    pub(crate) state: TaskState,
    /// Proposals that wrote this task since the process started.
    pub(crate) version: u64,
    /// The entry beside which the mandate lies.
    pub(crate) sealed_at: u64,
    /// The record of that entry.
    pub(crate) record: RecordId,
    pub(crate) children: Vec<TaskId>,
    /// Whether its mandate was looked for and could not be read.
    pub(crate) unreadable: bool,
    /// When a decision last fell in it or under it.
    pub(crate) touched: Timestamp,
}

/// All tasks, by id, by handle, and by the session that they are attached to.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    by_id: HashMap<TaskId, Arc<Mutex<TaskSlot>>>,
    by_handle: HashMap<Digest, TaskId>,
    attached: HashMap<SessionKey, TaskId>,
    live: usize,
    ended: VecDeque<(SessionKey, TaskId, Option<Digest>)>,
    /// When each live task is to be looked at next: its time may be over then.
    due: BinaryHeap<Reverse<(Timestamp, TaskId)>>,
}

impl Tasks {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self, id: &TaskId) -> Option<Arc<Mutex<TaskSlot>>> {
        self.maps().by_id.get(id).cloned()
    }

    /// The task of a handle, by the handle's digest: no comparison takes a time that tells
    /// anything of the handle.
    pub(crate) fn by_handle(&self, handle: &Digest) -> Option<TaskId> {
        self.maps().by_handle.get(handle).cloned()
    }

    /// The live task that a session's calls belong to.
    pub(crate) fn attached(&self, session: &SessionKey) -> Option<TaskId> {
        self.maps().attached.get(session).cloned()
    }

    pub(crate) fn live(&self) -> usize {
        self.maps().live
    }

    pub(crate) fn insert(&self, slot: TaskSlot) {
        let mut maps = self.maps();
        let id = slot.task.id.clone();
        if let Some(handle) = slot.task.handle {
            maps.by_handle.insert(handle, id.clone());
        } else if let Origin::Agent(session) = &slot.task.origin {
            maps.attached.insert(session.clone(), id.clone());
        }
        maps.live += 1;
        let next = slot.next_look();
        maps.due.push(Reverse((next, id.clone())));
        maps.by_id.insert(id, Arc::new(Mutex::new(slot)));
    }

    /// Takes note that a task has ended; the oldest of the ended ones give way. Gives the session
    /// of the one that did.
    pub(crate) fn ended(&self, task: &Task) -> Option<SessionKey> {
        let mut maps = self.maps();
        maps.live = maps.live.saturating_sub(1);
        if let Origin::Agent(session) = &task.origin
            && maps.attached.get(session) == Some(&task.id)
        {
            maps.attached.remove(session);
        }
        let session = SessionKey::task(task.agent.clone(), task.id.clone());
        maps.ended.push_back((session, task.id.clone(), task.handle));
        if maps.ended.len() <= ENDED_TASKS_MAX {
            return None;
        }
        let (session, oldest, handle) = maps.ended.pop_front()?;
        maps.by_id.remove(&oldest);
        handle.and_then(|handle| maps.by_handle.remove(&handle));
        Some(session)
    }

    /// The tasks that are to be looked at by now, at most so many; none of them is looked at again
    /// unless [`Tasks::look_again`] says when.
    pub(crate) fn due(&self, now: Timestamp, most: usize) -> Vec<TaskId> {
        let mut maps = self.maps();
        let mut due = Vec::new();
        while due.len() < most
            && maps.due.peek().is_some_and(|Reverse((next, _))| *next <= now)
            && let Some(Reverse((_, id))) = maps.due.pop()
        {
            due.push(id);
        }
        due
    }

    pub(crate) fn look_again(&self, next: Timestamp, id: TaskId) {
        self.maps().due.push(Reverse((next, id)));
    }

    /// Every task that fits, the ended ones that are remembered included.
    pub(crate) fn select(&self, fits: impl Fn(&TaskSlot) -> bool) -> Vec<TaskView> {
        // The slots' own locks come after this one is given back: no order between the two.
        let slots: Vec<_> = self.maps().by_id.values().cloned().collect();
        let views = slots.iter().filter_map(|slot| {
            let slot = lock_task(slot);
            fits(&slot).then(|| TaskView { task: Arc::clone(&slot.task), state: slot.state })
        });
        views.collect()
    }
}

/// A task, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// The task.
    pub task: Arc<Task>,
    /// Where it stands.
    pub state: TaskState,
}

impl TaskSlot {
    /// The earliest moment at which its time can be over.
    pub(crate) fn next_look(&self) -> Timestamp {
        let idle = self.touched.plus_ms(i64::from(self.task.idle_s).saturating_mul(1000));
        idle.min(self.task.deadline)
    }

    /// Why the task is over at that time, though nobody has ended it yet.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<&'static str> {
        if self.state != TaskState::Active {
            return None;
        }
        if now >= self.task.deadline {
            return Some("deadline");
        }
        let idle_ms = i64::from(self.task.idle_s).saturating_mul(1000);
        (now.ms_since(self.touched) >= idle_ms).then_some("idle")
    }
}

/// Locks a task. Changes are single assignments after the last fallible step.
pub(crate) fn lock_task(slot: &Mutex<TaskSlot>) -> MutexGuard<'_, TaskSlot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
