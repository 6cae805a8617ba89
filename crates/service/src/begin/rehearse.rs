//! Tasks without a server: what tests of policies begin, for the pure engine. Nothing is recorded
//! and policy is not asked about the undertaking itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{BeginError, Narrowed, undertaken};
use crate::RehearsedSessions;
use safeconduct_engine::{Known, TaskFacts};
use safeconduct_model::{
    IdentityId, Intent, KeyedDigest, Mandate, Origin, SessionKey, Task, TaskId, TaskRef, TaskState,
    Timestamp, Value,
};

/// A task to begin in a rehearsal.
#[derive(Debug, Clone)]
pub struct Rehearsal<'a> {
    /// What the test calls it.
    pub name: &'a str,
    /// What is undertaken.
    pub intent: &'a Intent,
    /// What is said of it.
    pub parameters: &'a BTreeMap<Arc<str>, Value>,
    /// What the agent is told.
    pub prompt: Option<&'a str>,
    /// The session that it comes from, where its agent begins it in no other task.
    pub from: Option<SessionKey>,
    /// Who acts.
    pub agent: IdentityId,
    /// For whom; a child acts for whom its parent does.
    pub on_behalf_of: Option<IdentityId>,
    /// The task that it is delegated from, by its name.
    pub parent: Option<&'a str>,
    /// What of the intent is wanted.
    pub narrowed: Narrowed,
    /// When.
    pub at: Timestamp,
}

struct Begun {
    task: Task,
    mandate: Mandate,
    intent: Intent,
    ended: bool,
}

/// The tasks of one test, by the names that it uses.
#[derive(Default)]
pub struct RehearsedTasks(BTreeMap<String, Begun>);

impl RehearsedTasks {
    /// Begins a task, and its session among those of the test.
    ///
    /// # Errors
    /// [`BeginError`] where it does not fit, [`BeginError::ParentEnded`] where it names a parent
    /// that has not begun.
    pub fn begin(
        &mut self,
        rehearsal: Rehearsal<'_>,
        sessions: &mut RehearsedSessions,
    ) -> Result<(), BeginError> {
        let Rehearsal { intent, agent, at, .. } = rehearsal;
        let parent = rehearsal.parent.map(|name| self.0.get(name).ok_or(BeginError::ParentEnded));
        let parent = parent.transpose()?;
        let above = parent.map(|parent| key(&parent.task));
        let used = above.as_ref().and_then(|key| sessions.used(key));
        let bounds = parent.map(|parent| &parent.mandate.authority).zip(used);
        let mandate = undertaken(intent, rehearsal.parameters, &rehearsal.narrowed, bounds, at)?;
        let task = Task {
            id: TaskId::new(format!("task_{}", rehearsal.name))?,
            intent: intent.name.clone(),
            intent_version: intent.version,
            on_behalf_of: match parent {
                Some(parent) => parent.task.on_behalf_of.clone(),
                None => rehearsal.on_behalf_of,
            },
            begun_by: parent.map_or_else(|| agent.clone(), |parent| parent.task.agent.clone()),
            agent,
            origin: above.clone().or(rehearsal.from).map_or(Origin::Trusted, Origin::Agent),
            parent: parent.map(|parent| parent.task.id.clone()),
            depth: parent.map_or(0, |parent| parent.task.depth.saturating_add(1)),
            begun_at: at,
            deadline: mandate.authority.deadline,
            idle_s: intent.idle_s,
            budget: Arc::new(mandate.authority.budget.clone()),
            // Nothing is recorded, so nothing is digested.
            authority: KeyedDigest::from_bytes([0; 32]),
            handle: None,
            conversation: None,
            run_of: None,
        };
        if let Some(above) = &above {
            sessions.session_mut(above).give(&mandate.authority.budget);
        }
        match &task.origin {
            Origin::Trusted => {
                sessions.begin_named(key(&task), &mandate.parameters, rehearsal.prompt);
            }
            Origin::Agent(from) => sessions.begin_within(key(&task), from),
        }
        let begun = Begun { task, mandate, intent: intent.clone(), ended: false };
        self.0.insert(rehearsal.name.to_owned(), begun);
        Ok(())
    }

    /// Ends the tasks of those names.
    pub fn end(&mut self, names: &BTreeSet<String>) {
        for (_, begun) in self.0.iter_mut().filter(|(name, _)| names.contains(*name)) {
            begun.ended = true;
        }
    }

    /// What someone who acts in the task of that name says of it.
    pub fn named(&self, name: &str) -> Option<TaskRef> {
        let task = &self.0.get(name)?.task;
        Some(TaskRef { id: task.id.clone(), agent: task.agent.clone() })
    }

    /// What is known of the task of that name.
    pub fn facts<'a>(
        &'a self,
        name: &str,
        identities: &'a BTreeMap<IdentityId, Known>,
    ) -> Option<TaskFacts<'a>> {
        let Begun { task, mandate, intent, .. } = self.0.get(name)?;
        let mut line = vec![self.0.get(name)?];
        let by_id = |id: &TaskId| self.0.values().find(|begun| begun.task.id == *id);
        // A parent began before its child, so this ends.
        while let Some(above) = line.last().and_then(|begun| begun.task.parent.as_ref()) {
            match by_id(above) {
                Some(above) => line.push(above),
                None => break,
            }
        }
        let ended = line.iter().find(|begun| begun.ended);
        Some(TaskFacts {
            task,
            mandate,
            intent: Some(intent),
            ended: ended.map(|begun| (begun.task.id.clone(), TaskState::Completed)),
            delegated_by: line.iter().skip(1).map(|begun| begun.task.agent.clone()).collect(),
            user: task.on_behalf_of.as_ref().and_then(|user| identities.get(user)),
            set_aside: None,
        })
    }
}

fn key(task: &Task) -> SessionKey {
    SessionKey::task(task.agent.clone(), task.id.clone())
}
