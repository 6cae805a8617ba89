//! What stands above a task, up to the one that nobody delegated.

use std::sync::Arc;

use safeconduct_credential::mandate_of;
use safeconduct_engine::AsideRight;
use safeconduct_model::{
    Authentication, Digest, IdentityId, Mandate, Origin, Prompt, RecordId, SessionKey,
    SessionScope, Task, TaskId, TaskRef, TaskState, Timestamp, Value,
};
use thiserror::Error;

use crate::begin::{MANDATE, PROMPT};
use crate::tasks::{Held, TaskPage, TaskQuery, TaskSlot, TaskView};
use crate::{Service, SessionKeys, Versioned, World};

/// A task with all that stands above it, as it is at one moment.
pub(crate) struct Line {
    pub(crate) task: Arc<Task>,
    /// `None` where the task has ended, or its mandate cannot be read.
    pub(crate) mandate: Option<Arc<Mandate>>,
    /// The task itself, or the nearest one above it, that has ended.
    pub(crate) ended: Option<(TaskId, TaskState)>,
    /// Who delegated, the nearest first.
    pub(crate) delegated_by: Vec<IdentityId>,
    /// The tasks above, the nearest first.
    pub(crate) above: Vec<Arc<Task>>,
    /// The version of each: what a decision must carry.
    pub(crate) versions: Vec<(Versioned, u64)>,
}

impl Line {
    /// Who acts, for whom, and who delegated.
    pub(crate) fn everyone(&self) -> impl Iterator<Item = &IdentityId> {
        let of = std::iter::once(&self.task.agent).chain(&self.task.on_behalf_of);
        of.chain(&self.delegated_by)
    }

    /// Who began the task, and those above it.
    pub(crate) fn begun_by(&self) -> impl Iterator<Item = &IdentityId> {
        std::iter::once(&self.task).chain(&self.above).map(|task| &task.begun_by)
    }

    /// The task's session.
    pub(crate) fn session(&self) -> SessionKey {
        SessionKey::task(self.task.agent.clone(), self.task.id.clone())
    }

    /// The line with the mandate that was just read back, where it goes on and others have
    /// crowded that out already.
    pub(crate) fn with(mut self, mandate: Option<&Arc<Mandate>>) -> Self {
        if self.ended.is_none() && self.mandate.is_none() {
            self.mandate = mandate.cloned();
        }
        self
    }

    /// The remediation that set the right aside by which the task, or one above it, was begun.
    pub(crate) fn set_aside<'a>(&self, world: &'a World) -> Option<&'a RecordId> {
        let aside = world.set_aside()?;
        let tasks = std::iter::once(&self.task).chain(&self.above);
        let by = |task: &Arc<Task>| {
            let right = AsideRight::Intent(task.intent.clone(), task.run_of.clone());
            aside.by(&task.agent, &right)
        };
        tasks.filter_map(by).next()
    }

    fn goes_on(&self, world: &World, now: Timestamp) -> bool {
        self.ended.is_none()
            && now < self.task.deadline
            && self.everyone().all(|who| world.is_active(who))
            && world.killed(&self.session()).is_none()
    }

    /// The line as it is where not everyone who delegated may still act.
    pub(crate) fn among(mut self, world: &World) -> Self {
        if self.delegated_by.iter().any(|who| !world.is_active(who)) {
            self.ended.get_or_insert((self.task.id.clone(), TaskState::Revoked));
        }
        self
    }
}

/// What lay sealed beside a task's record.
struct Opened {
    value: Value,
    keys: Arc<dyn SessionKeys>,
    /// How long it is in canonical form.
    bytes: usize,
}

/// Why it could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum NotOpened {
    /// It is not there any more, or is not what was put there.
    #[error("{0}")]
    Gone(String),
    /// The ledger could not be read.
    #[error("{0}")]
    NotNow(String),
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
            let mut now = slot.lock();
            Line {
                task: Arc::clone(&slot.task),
                mandate: now.held().map(|held| Arc::clone(&held.mandate)),
                ended: (now.state != TaskState::Active).then(|| (id.clone(), now.state)),
                delegated_by: Vec::new(),
                above: Vec::new(),
                versions: vec![(Versioned::Task(id.clone()), now.version)],
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
            let (version, state) = {
                let now = slot.lock();
                (now.version, now.state)
            };
            line.versions.push((Versioned::Task(id.clone()), version));
            line.delegated_by.push(slot.task.agent.clone());
            line.above.push(Arc::clone(&slot.task));
            if state != TaskState::Active {
                line.ended.get_or_insert((id, state));
            }
            above = slot.task.parent.clone();
        }
        Some(line)
    }

    /// The same with the mandate of a live task, read back where it is not held. Reads from the
    /// disk.
    pub(crate) fn unsealed_line(&self, id: &TaskId) -> Option<Line> {
        let mandate = self.unseal(id);
        Some(self.line(id)?.with(mandate.as_ref()))
    }

    /// The mandate of a live task: what is held, or what lies sealed beside its record, which is
    /// held from then on. What is not there any more is not looked for again.
    pub(crate) fn unseal(&self, id: &TaskId) -> Option<Arc<Mandate>> {
        let slot = self.tasks.known(id)?;
        {
            let mut now = slot.lock();
            if now.state != TaskState::Active || now.unreadable {
                return None;
            }
            if let Some(held) = now.held() {
                return Some(Arc::clone(&held.mandate));
            }
        }
        let opened = self.opened(&slot).and_then(|opened| {
            let mandate = mandate_of(&opened.value);
            Ok((mandate.map_err(|error| NotOpened::Gone(error.to_string()))?, opened))
        });
        match opened {
            Ok((mandate, Opened { keys, bytes, .. })) => {
                let mandate = Arc::new(mandate);
                self.tasks.hold(&slot, Held { mandate: Arc::clone(&mandate), keys }, bytes);
                Some(mandate)
            }
            Err(problem) => {
                slot.lock().unreadable = matches!(problem, NotOpened::Gone(_));
                tracing::error!(task = %id, %problem, "a task's mandate cannot be read; nothing is permitted in it");
                None
            }
        }
    }

    /// What lies sealed beside a live task's record: its mandate, and its prompt where it has one.
    fn opened(&self, slot: &TaskSlot) -> Result<Opened, NotOpened> {
        let gone = |error: &dyn std::fmt::Display| NotOpened::Gone(error.to_string());
        let attachment = |at| {
            let read = self.ledger.attachment(at);
            read.map_err(|error| NotOpened::NotNow(error.to_string()))
        };
        // INVARIANT: nothing of a live task is erased, so its session's first keys are its keys.
        let wrapped = slot.sealed.keys_at.ok_or_else(|| gone(&"its key is gone"))?;
        let wrapped = attachment(wrapped)?.ok_or_else(|| gone(&"its key was erased"))?;
        let keys = self.vault.unwrap(&slot.session(), &wrapped).map_err(|error| gone(&error))?;
        let sealed = attachment(slot.sealed.mandate_at)?;
        let sealed = sealed.ok_or_else(|| gone(&"it was erased"))?;
        let plain = keys.open(&slot.sealed.record, MANDATE, &sealed);
        let plain = plain.map_err(|error| gone(&error))?;
        if keys.digest(&plain) != slot.task.authority {
            return Err(gone(&"it is not the one that was recorded"));
        }
        let value = safeconduct_wire::json::parse(&plain).map_err(|error| gone(&error))?;
        Ok(Opened { value, keys, bytes: plain.len() })
    }

    /// What the agent of a live task was told when it began; `None` where it was told nothing, or
    /// that cannot be read any more. Read from the disk each time.
    pub fn prompt(&self, id: &TaskId) -> Option<Prompt> {
        let slot = self.tasks.known(id)?;
        if slot.lock().state != TaskState::Active {
            return None;
        }
        let problem =
            |problem| tracing::error!(task = %id, %problem, "a task's prompt cannot be read");
        let opened = self.opened(&slot).map_err(problem).ok()?;
        match opened.value.member(PROMPT)? {
            Value::String(text) => {
                Some(Prompt { text: Arc::clone(text), integrity: slot.task.integrity() })
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
            let Origin::Agent(session) = &slot.task.origin else {
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
            {
                let mut now = slot.lock();
                now.touched = now.touched.max(at);
            }
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
        let slot = self.tasks.by_handle(handle).ok_or(EnterError::Unknown)?;
        let (id, agent) = (slot.task.id.clone(), slot.task.agent.clone());
        // An enforcement point names the tasks of those for whom it speaks; the engine holds the
        // subject to it.
        let speaks = self.world().identity(&proof.identity).is_some_and(|by| by.pep.is_some());
        if agent != proof.identity && !speaks {
            return Err(EnterError::Unknown);
        }
        Ok(Authentication { task: Some(TaskRef { id, agent }), ..proof })
    }

    /// A proof of the same caller, in the task that its session is attached to where it is: within
    /// a conversation in that conversation's own, and in no other.
    #[must_use]
    pub fn within_attached_task(
        &self,
        proof: Authentication,
        conversation: Option<&Digest>,
    ) -> Authentication {
        if proof.task.is_some() {
            return proof;
        }
        let task = self.tasks.attached(&SessionKey::of(&proof), conversation);
        let task = task.map(|id| TaskRef { id, agent: proof.identity.clone() });
        Authentication { task, ..proof }
    }

    /// A task, where it is known.
    pub fn task(&self, id: &TaskId) -> Option<TaskView> {
        Some(self.tasks.known(id)?.view())
    }

    /// The mandate of a live task.
    pub fn mandate(&self, id: &TaskId) -> Option<Arc<Mandate>> {
        self.unsealed_line(id)?.mandate
    }

    /// The tasks that are asked for and fit, by id, at most `limit`; the ended ones that are
    /// remembered included. However many tasks there are, it looks at a bounded number of them.
    pub fn tasks(
        &self,
        query: &TaskQuery<'_>,
        limit: usize,
        fits: impl Fn(&Task) -> bool,
    ) -> TaskPage {
        self.tasks.page(query, limit, fits)
    }

    /// How many live tasks there are.
    pub fn live_tasks(&self) -> usize {
        self.tasks.live()
    }

    /// Whether a task and all above it go on at that time, everyone in it may act, and no review
    /// has set the right aside by which one of them was begun.
    pub(crate) fn task_goes_on(&self, id: &TaskId, now: Timestamp) -> bool {
        let world = self.world();
        let line = self.line(id);
        line.is_some_and(|line| line.goes_on(&world, now) && line.set_aside(&world).is_none())
    }

    /// The same whatever reviews have set aside: for what is put to a decision next, which says by
    /// which review it is denied.
    pub(crate) fn task_may_ask(&self, id: &TaskId, now: Timestamp) -> bool {
        let world = self.world();
        self.line(id).is_some_and(|line| line.goes_on(&world, now))
    }
}
