//! What stands above a task, up to the one that nobody delegated.

use std::sync::Arc;

use safeconduct_credential::mandate_of;
use safeconduct_model::{
    Authentication, Digest, IdentityId, Mandate, Origin, Prompt, RecordId, SessionKey,
    SessionScope, Task, TaskId, TaskRef, TaskState, Timestamp, Value,
};
use thiserror::Error;

use crate::begin::{MANDATE, PROMPT};
use crate::sessions::lock;
use crate::tasks::{TaskView, lock_task};
use crate::{Service, Versioned, World};

/// A task with all that stands above it, as it is at one moment.
pub(crate) struct Line {
    pub(crate) task: Arc<Task>,
    /// `None` where the task has ended, or its mandate cannot be read.
    pub(crate) mandate: Option<Arc<Mandate>>,
    /// The task itself, or the nearest one above it, that has ended.
    pub(crate) ended: Option<(TaskId, TaskState)>,
    /// Who delegated, the nearest first.
    pub(crate) delegated_by: Vec<IdentityId>,
    /// The version of each: what a decision must carry.
    pub(crate) versions: Vec<(Versioned, u64)>,
}

impl Line {
    /// Who acts, for whom, and who delegated.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = &IdentityId> {
        let of = std::iter::once(&self.task.agent).chain(&self.task.on_behalf_of);
        of.chain(&self.delegated_by)
    }

    /// The task's session.
    pub(crate) fn session(&self) -> SessionKey {
        SessionKey::task(self.task.agent.clone(), self.task.id.clone())
    }

    /// The line as it is where not everyone who delegated may still act.
    pub(crate) fn among(mut self, world: &World) -> Self {
        if self.delegated_by.iter().any(|who| !world.is_active(who)) {
            self.ended.get_or_insert((self.task.id.clone(), TaskState::Revoked));
        }
        self
    }
}

/// Why a caller does not act in the task that they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnterError {
    /// No task has that handle, or it is another agent's: which of the two is not told.
    #[error("no task of that handle is known")]
    Unknown,
}

impl Service {
    /// The task and what stands above it; `None` where it is not known. Reads nothing from the
    /// disk and takes no session's lock: [`Service::unseal`] comes first, where a mandate is wanted.
    pub(crate) fn line(&self, id: &TaskId) -> Option<Line> {
        let slot = self.tasks.known(id)?;
        let mut line = {
            let slot = lock_task(&slot);
            Line {
                task: Arc::clone(&slot.task),
                mandate: slot.mandate.clone(),
                ended: (slot.state != TaskState::Active).then(|| (id.clone(), slot.state)),
                delegated_by: Vec::new(),
                versions: vec![(Versioned::Task(id.clone()), slot.version)],
            }
        };
        let mut above = line.task.parent.clone();
        // A chain is at most as deep as delegation goes, and no task is above itself.
        for _ in 0..=safeconduct_model::DEPTH_MAX {
            let Some(id) = above else {
                return Some(line);
            };
            let Some(slot) = self.tasks.known(&id) else {
                // An ended task that is no longer remembered.
                line.ended.get_or_insert((id, TaskState::Completed));
                return Some(line);
            };
            let slot = lock_task(&slot);
            line.versions.push((Versioned::Task(id.clone()), slot.version));
            line.delegated_by.push(slot.task.agent.clone());
            if slot.state != TaskState::Active {
                line.ended.get_or_insert((id, slot.state));
            }
            above = slot.task.parent.clone();
        }
        Some(line)
    }

    /// Reads the mandate of a live task back that lies sealed beside its record, once: what could
    /// not be read then is not tried again. Takes the task's session's lock.
    pub(crate) fn unseal(&self, id: &TaskId) {
        let Some(slot) = self.tasks.known(id) else {
            return;
        };
        let (task, sealed_at, record) = {
            let slot = lock_task(&slot);
            if slot.mandate.is_some() || slot.unreadable || slot.state != TaskState::Active {
                return;
            }
            (Arc::clone(&slot.task), slot.sealed_at, slot.record.clone())
        };
        let opened = self.opened(&task, sealed_at, &record);
        let opened = opened.and_then(|value| mandate_of(&value).map_err(|error| error.to_string()));
        let mut slot = lock_task(&slot);
        match opened {
            Ok(mandate) => slot.mandate = Some(Arc::new(mandate)),
            Err(problem) => {
                slot.unreadable = true;
                tracing::error!(task = %id, problem, "a task's mandate cannot be read; nothing is permitted in it");
            }
        }
    }

    /// What lies sealed beside a task's record: its mandate, and its prompt where it has one.
    fn opened(&self, task: &Task, sealed_at: u64, record: &RecordId) -> Result<Value, String> {
        let key = SessionKey::task(task.agent.clone(), task.id.clone());
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let keys_at = self.sessions.known(&key).and_then(|slot| {
            // The session's own lock is not held here: this comes before it is taken.
            lock(&slot).keys_at
        });
        let wrapped = keys_at.ok_or("its key is gone")?;
        let wrapped = self.ledger.attachment(wrapped).map_err(|error| text(&error))?;
        let keys = self.vault.unwrap(&key, &wrapped.ok_or("its key was erased")?);
        let keys = keys.map_err(|error| text(&error))?;
        let sealed = self.ledger.attachment(sealed_at).map_err(|error| text(&error))?;
        let plain = keys.open(record, MANDATE, &sealed.ok_or("it was erased")?);
        let plain = plain.map_err(|error| text(&error))?;
        if keys.digest(&plain) != task.authority {
            return Err("it is not the one that was recorded".into());
        }
        safeconduct_wire::json::parse(&plain).map_err(|error| text(&error))
    }

    /// What the agent of a live task was told when it began; `None` where it was told nothing, or
    /// that cannot be read any more. Read from the disk each time, and takes the lock of the task's
    /// session: no session's lock is held where this is called.
    pub fn prompt(&self, id: &TaskId) -> Option<Prompt> {
        let slot = self.tasks.known(id)?;
        let (task, sealed_at, record) = {
            let slot = lock_task(&slot);
            if slot.state != TaskState::Active {
                return None;
            }
            (Arc::clone(&slot.task), slot.sealed_at, slot.record.clone())
        };
        let opened = self.opened(&task, sealed_at, &record);
        let problem =
            |problem| tracing::error!(task = %id, problem, "a task's prompt cannot be read");
        match opened.map_err(problem).ok()?.member(PROMPT)? {
            Value::String(text) => {
                Some(Prompt { text: Arc::clone(text), integrity: task.integrity() })
            }
            _ => None,
        }
    }

    /// The session whose history a task goes on with, where its agent began it: the first of those
    /// that it came from, one out of another.
    pub(crate) fn history(&self, id: &TaskId) -> Option<SessionKey> {
        let mut found = None;
        let mut id = id.clone();
        for _ in 0..=usize::from(safeconduct_model::DEPTH_MAX) + 1 {
            let Some(slot) = self.tasks.known(&id) else {
                return found;
            };
            let task = Arc::clone(&lock_task(&slot).task);
            let Origin::Agent(session) = &task.origin else {
                return found;
            };
            found = Some(session.clone());
            match &session.scope {
                SessionScope::Task(next) => id = next.clone(),
                SessionScope::Credential(_) => return found,
            }
        }
        found
    }

    /// Takes note that a decision fell in a task: neither it nor what stands above it is idle.
    pub(crate) fn touch(&self, id: &TaskId, at: Timestamp) {
        let mut next = Some(id.clone());
        for _ in 0..=usize::from(safeconduct_model::DEPTH_MAX) + 1 {
            let Some(slot) = next.and_then(|id| self.tasks.known(&id)) else {
                return;
            };
            let mut slot = lock_task(&slot);
            slot.touched = slot.touched.max(at);
            next = slot.task.parent.clone();
        }
    }

    /// A proof of the same caller who acts in the task of that handle. A task that has ended is
    /// entered all the same: its decisions are denials, and are recorded as such.
    ///
    /// # Errors
    /// [`EnterError`] where there is no such task, or it is another's.
    pub fn enter_task(
        &self,
        proof: Authentication,
        handle: &Digest,
    ) -> Result<Authentication, EnterError> {
        let id = self.tasks.by_handle(handle).ok_or(EnterError::Unknown)?;
        let slot = self.tasks.known(&id).ok_or(EnterError::Unknown)?;
        let agent = lock_task(&slot).task.agent.clone();
        // An enforcement point names the tasks of those for whom it speaks; the engine holds the
        // subject to it.
        let speaks = self.world().identity(&proof.identity).is_some_and(|by| by.pep.is_some());
        if agent != proof.identity && !speaks {
            return Err(EnterError::Unknown);
        }
        Ok(Authentication { task: Some(TaskRef { id, agent }), ..proof })
    }

    /// A proof of the same caller, in the task that its session is attached to where it is.
    #[must_use]
    pub fn within_attached_task(&self, proof: Authentication) -> Authentication {
        if proof.task.is_some() {
            return proof;
        }
        let task = self.tasks.attached(&SessionKey::of(&proof));
        let task = task.map(|id| TaskRef { id, agent: proof.identity.clone() });
        Authentication { task, ..proof }
    }

    /// A task, where it is known.
    pub fn task(&self, id: &TaskId) -> Option<TaskView> {
        let slot = self.tasks.known(id)?;
        let slot = lock_task(&slot);
        Some(TaskView { task: Arc::clone(&slot.task), state: slot.state })
    }

    /// The mandate of a live task.
    pub fn mandate(&self, id: &TaskId) -> Option<Arc<Mandate>> {
        self.unseal(id);
        self.line(id)?.mandate
    }

    /// The tasks that fit, in no order; the ended ones that are remembered included.
    pub fn tasks(&self, fits: impl Fn(&Task, TaskState) -> bool) -> Vec<TaskView> {
        self.tasks.select(|slot| fits(&slot.task, slot.state))
    }

    /// How many live tasks there are.
    pub fn live_tasks(&self) -> usize {
        self.tasks.live()
    }

    /// Whether a task and all above it go on at that time, and everyone in it may act.
    pub(crate) fn task_goes_on(&self, id: &TaskId, now: Timestamp) -> bool {
        let world = self.world();
        self.line(id).is_some_and(|line| {
            line.ended.is_none()
                && now < line.task.deadline
                && line.everyone().all(|who| world.is_active(who))
                && world.killed(&line.session()).is_none()
        })
    }
}
