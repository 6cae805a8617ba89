//! The tasks in memory: the fold of their records. A task that nobody acts in takes no more than
//! its leaf does: what it may do and its session's keys lie sealed in the ledger, and its session
//! begins with its first decision.

mod agenda;
mod lists;
mod maps;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use safeconduct_model::{IdentityId, IntentName, Timestamp};
use safeconduct_model::{Mandate, RecordId, SessionKey, SessionScope, Task, TaskId, TaskState};

pub(crate) use maps::Tasks;

use crate::SessionKeys;
use crate::warm::{Cooled, Mercy};

/// Most live tasks. One more is refused.
pub const TASKS_MAX: usize = 1_000_000;

/// How many ended tasks are remembered, the newest: a later use of one of them is recorded as
/// such, a use of an older one is a use of an unknown task.
pub const ENDED_TASKS_MAX: usize = 100_000;

/// Most bytes of mandates in memory, in canonical form. What a task may do is kept while decisions
/// fall in it; of the others it is read from the ledger when they go on.
pub const MANDATE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most tasks that one question looks at. Where more would have to be, the page ends early and
/// says where the next one starts.
pub const TASKS_LOOKED_AT_MAX: usize = 10_000;

/// One task.
pub(crate) struct TaskSlot {
    pub(crate) task: Arc<Task>,
    pub(crate) sealed: Sealed,
    now: Mutex<TaskNow>,
    ended: AtomicBool,
    forgotten: AtomicBool,
}

/// Where what belongs to a task lies in the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// The entry beside which the wrapped keys of its session lie.
    pub(crate) keys_at: Option<u64>,
    /// The entry beside which its mandate lies.
    pub(crate) mandate_at: u64,
    /// The record of that entry.
    pub(crate) record: RecordId,
}

/// What changes of a task.
pub(crate) struct TaskNow {
    pub(crate) state: TaskState,
    /// Proposals that wrote this task since the process started.
    pub(crate) version: u64,
    pub(crate) children: Vec<TaskId>,
    /// When a decision last fell in it or under it.
    pub(crate) touched: Timestamp,
    /// Until when people may yet answer what its agent asked: it is not idle before.
    waits_until: Option<Timestamp>,
    /// What is held while decisions fall in it.
    held: Option<Held>,
    /// Whether that was wanted since somebody last looked whether it was.
    used: bool,
    /// Whether its mandate was looked for and is not there any more.
    pub(crate) unreadable: bool,
}

/// What a task may do, and the keys of its session.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) mandate: Arc<Mandate>,
    pub(crate) keys: Arc<dyn SessionKeys>,
}

impl TaskSlot {
    /// A task that has begun.
    pub(crate) fn new(task: Task, sealed: Sealed, touched: Timestamp) -> Self {
        let now = TaskNow {
            state: TaskState::Active,
            version: 0,
            children: Vec::new(),
            touched,
            waits_until: None,
            held: None,
            used: false,
            unreadable: false,
        };
        Self {
            task: Arc::new(task),
            sealed,
            now: Mutex::new(now),
            ended: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
        }
    }

    /// Locks it. Changes are single assignments after the last fallible step.
    pub(crate) fn lock(&self) -> MutexGuard<'_, TaskNow> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its session.
    pub(crate) fn session(&self) -> SessionKey {
        SessionKey::task(self.task.agent.clone(), self.task.id.clone())
    }

    /// The earliest moment at which its time can be over.
    pub(crate) fn next_look(&self) -> Timestamp {
        let idle_ms = i64::from(self.task.idle_s).saturating_mul(1000);
        self.lock().idle_from().plus_ms(idle_ms).min(self.task.deadline)
    }

    /// Why the task is over at that time, though nobody has ended it yet.
    pub(crate) fn overdue(&self, at: Timestamp) -> Option<&'static str> {
        let now = self.lock();
        if now.state != TaskState::Active {
            return None;
        }
        if at >= self.task.deadline {
            return Some("deadline");
        }
        let idle_ms = i64::from(self.task.idle_s).saturating_mul(1000);
        (at.ms_since(now.idle_from()) >= idle_ms).then_some("idle")
    }

    /// Whether it waits for people.
    pub(crate) fn is_waiting(&self) -> bool {
        self.lock().waits_until.is_some()
    }

    /// Takes note of until when it waits for people, or that it no longer does.
    pub(crate) fn waits(&self, until: Option<Timestamp>, at: Timestamp) {
        let mut now = self.lock();
        if now.waits_until.is_some() && until.is_none() {
            now.touched = now.touched.max(at);
        }
        now.waits_until = until;
    }

    pub(crate) fn view(&self) -> TaskView {
        TaskView { task: Arc::clone(&self.task), state: self.lock().state }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Relaxed)
    }

    fn concerns(&self) -> impl Iterator<Item = &IdentityId> {
        let Task { agent, begun_by, on_behalf_of, .. } = &*self.task;
        let beginner = (begun_by != agent).then_some(begun_by);
        let user = on_behalf_of.as_ref().filter(|user| *user != agent && *user != begun_by);
        std::iter::once(agent).chain(beginner).chain(user)
    }
}

impl TaskNow {
    /// From when on it counts as idle.
    fn idle_from(&self) -> Timestamp {
        self.waits_until.map_or(self.touched, |until| until.max(self.touched))
    }

    /// What is held of it now, which has been wanted.
    pub(crate) fn held(&mut self) -> Option<&Held> {
        self.used = true;
        self.held.as_ref()
    }

    /// Ends it.
    pub(crate) fn end(&mut self, state: TaskState) -> Vec<TaskId> {
        self.state = state;
        self.held = None;
        std::mem::take(&mut self.children)
    }
}

impl TaskSlot {
    /// Lets go of its mandate and keys, which lie in the ledger.
    pub(crate) fn cool(&self, mercy: Mercy) -> Cooled {
        let mut now = match self.now.try_lock() {
            Ok(now) => now,
            Err(TryLockError::Poisoned(now)) => now.into_inner(),
            Err(TryLockError::WouldBlock) => return Cooled::InUse,
        };
        if now.held.is_some() && std::mem::take(&mut now.used) && mercy == Mercy::Once {
            return Cooled::InUse;
        }
        now.held = None;
        Cooled::Gone
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

/// Which tasks are wanted: those that fit everything that is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskQuery<'a> {
    /// In that state.
    pub state: Option<TaskState>,
    /// Of that agent.
    pub agent: Option<&'a IdentityId>,
    /// Of that intent.
    pub intent: Option<&'a IntentName>,
    /// Those that this identity acts in, began, or is acted for in.
    pub concerns: Option<&'a IdentityId>,
    /// Those whose ids come after this one.
    pub after: Option<&'a str>,
}

impl TaskQuery<'_> {
    fn fits(&self, task: &Task, state: TaskState) -> bool {
        let concerns = |who: &IdentityId| {
            task.agent == *who || task.begun_by == *who || task.on_behalf_of.as_ref() == Some(who)
        };
        self.state.is_none_or(|wanted| wanted == state)
            && self.agent.is_none_or(|agent| task.agent == *agent)
            && self.intent.is_none_or(|intent| task.intent == *intent)
            && self.concerns.is_none_or(concerns)
    }
}

/// Tasks by id, the ended ones that are remembered included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    /// The tasks of this page; fewer than were wanted where too many had to be looked at
    /// ([`TASKS_LOOKED_AT_MAX`]).
    pub tasks: Vec<TaskView>,
    /// After which id the next page starts; `None` at the end.
    pub next: Option<TaskId>,
}

/// The task whose session that is.
fn task_of(key: &SessionKey) -> Option<&TaskId> {
    match &key.scope {
        SessionScope::Task(task) => Some(task),
        SessionScope::Credential(_) => None,
    }
}

#[cfg(test)]
mod tests;
