//! Where sessions and tasks stood, folded from records as a server folds them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_model::{
    Body, DEPTH_MAX, Decided, Label, Origin, Record, RecordId, SessionKey, SessionScope, Task,
    TaskId,
};
use safeconduct_session::{Charge, Session, Step, fingerprint};

use crate::{LEASE, UNDERTAKE};

/// Most sessions, and most tasks, that are folded; of one more nothing is known.
pub(super) const FOLDED_MAX: usize = 1_000_000;

/// What is known of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Stood {
    pub(super) session: Session,
    pub(super) label: Label,
}

/// A task as it began.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) task: Arc<Task>,
    /// The record of its beginning.
    pub(super) record: RecordId,
}

/// Sessions and tasks, as far as the records have been read.
#[derive(Debug, Default)]
pub(super) struct Standing {
    sessions: HashMap<SessionKey, Stood, RandomState>,
    tasks: HashMap<TaskId, Begun, RandomState>,
}

impl Standing {
    /// Takes the next record in.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.body {
            Body::TaskBegan(task) => self.began(record, task),
            Body::Decided(decided) => self.decided(record, decided),
            Body::Executed(executed) => {
                if let Some(label) = &executed.label {
                    self.raise(&executed.session, label);
                }
            }
            Body::SessionRead(read) => self.raise(&read.session, &read.label),
            _ => {}
        }
    }

    /// A task that began.
    pub(super) fn task(&self, id: &TaskId) -> Option<&Begun> {
        self.tasks.get(id)
    }

    /// The session of a decision, where all before it is known, and the one that it looked at:
    /// for a task that its agent began, the one that it came from.
    pub(super) fn of(&self, decided: &Decided) -> Option<(&Stood, &Stood)> {
        static NOTHING: std::sync::LazyLock<Stood> = std::sync::LazyLock::new(Stood::default);
        let known = |key: &SessionKey| match self.sessions.get(key) {
            Some(stood) => Some(stood),
            None => (self.sessions.len() < FOLDED_MAX).then_some(&*NOTHING),
        };
        let own = known(&decided.session)?;
        if own.session.sequence() + 1 != decided.sequence {
            return None;
        }
        let home = match &decided.task {
            Some(task) => self.history(&task.id),
            // What is undertaken from within a task looks at that task's own session, and the
            // other is where its label is.
            None if decided.action.as_str() == UNDERTAKE => {
                let is_own = self.home(&decided.session) == decided.session;
                return is_own.then_some((own, own));
            }
            None => None,
        };
        match home {
            Some(home) => Some((own, known(&home)?)),
            None => Some((own, own)),
        }
    }

    /// Whether the label of that decision's session follows from the records: a delegated task
    /// begins with what the one above it had read.
    pub(super) fn knows_label(&self, decided: &Decided) -> bool {
        match self.home(&decided.session).scope {
            SessionScope::Credential(_) => true,
            SessionScope::Task(id) => {
                self.tasks.get(&id).is_some_and(|begun| begun.task.parent.is_none())
            }
        }
    }

    fn began(&mut self, record: &Record, task: &Task) {
        if let Origin::Agent(session) = &task.origin {
            self.change(&session.clone(), |stood| stood.session.give(&task.budget));
        }
        let own = SessionKey::task(task.agent.clone(), task.id.clone());
        if self.sessions.len() < FOLDED_MAX {
            let stood = Stood { session: Session::of_task(), ..Stood::default() };
            self.sessions.entry(own).or_insert(stood);
        }
        if self.tasks.len() < FOLDED_MAX {
            let begun = Begun { task: Arc::new(task.clone()), record: record.id.clone() };
            self.tasks.insert(task.id.clone(), begun);
        }
    }

    fn decided(&mut self, record: &Record, decided: &Decided) {
        let charge = |task: &safeconduct_model::DecidedTask| Charge {
            spend: task.spend,
            bytes_out: task.bytes_out,
        };
        let step = Step {
            decision: decided.decision,
            action: decided.action.clone(),
            resources: decided.resources.iter().map(fingerprint).collect(),
            // A lease is no call.
            charge: decided
                .task
                .as_deref()
                .filter(|_| decided.action.as_str() != LEASE)
                .map(charge),
            at: record.at,
        };
        if let Some(label) = &decided.label {
            self.raise(&decided.session, label);
        }
        let history = decided.task.as_ref().and_then(|task| self.history(&task.id));
        if let Some(history) = history {
            self.change(&history, |stood| stood.session.witness(&step));
        }
        self.change(&decided.session, |stood| stood.session.apply(&step));
    }

    /// The label of a session rises, and of all above its task.
    fn raise(&mut self, session: &SessionKey, label: &Label) {
        let home = self.home(session);
        self.change(&home, |stood| {
            stood.label.raise(label);
        });
        let SessionScope::Task(id) = &session.scope else { return };
        let mut next = self.tasks.get(id).and_then(|begun| begun.task.parent.clone());
        for _ in 0..=DEPTH_MAX {
            let Some(begun) = next.and_then(|id| self.tasks.get(&id)) else { return };
            let task = Arc::clone(&begun.task);
            let home = self.home(&SessionKey::task(task.agent.clone(), task.id.clone()));
            self.change(&home, |stood| {
                stood.label.raise(label);
            });
            next = task.parent.clone();
        }
    }

    /// The session in which is kept what this one reads.
    fn home(&self, session: &SessionKey) -> SessionKey {
        let history = match &session.scope {
            SessionScope::Task(task) => self.history(task),
            SessionScope::Credential(_) => None,
        };
        history.unwrap_or_else(|| session.clone())
    }

    /// The session whose history a task goes on with, where its agent began it.
    fn history(&self, id: &TaskId) -> Option<SessionKey> {
        let (mut found, mut id) = (None, id.clone());
        for _ in 0..=usize::from(DEPTH_MAX) + 1 {
            let Some(begun) = self.tasks.get(&id) else { return found };
            let Origin::Agent(session) = &begun.task.origin else { return found };
            found = Some(session.clone());
            match &session.scope {
                SessionScope::Task(next) => id = next.clone(),
                SessionScope::Credential(_) => return found,
            }
        }
        found
    }

    fn change(&mut self, key: &SessionKey, change: impl FnOnce(&mut Stood)) {
        if let Some(stood) = self.sessions.get_mut(key) {
            change(stood);
        } else if self.sessions.len() < FOLDED_MAX {
            change(self.sessions.entry(key.clone()).or_default());
        }
    }
}
