//! Rules that ask for an approval, set aside for a time: break-glass.

use safeconduct_engine::ApprovalFacts;
use safeconduct_model::{IdentityId, KillScope, RecordId, TaskId, Timestamp};

use super::Ledgered;
use crate::Service;

impl Ledgered {
    /// The rules that are set aside for that agent in that task, as policies see it.
    pub(super) fn glass_over(
        &self,
        agent: &IdentityId,
        task: Option<&TaskId>,
        at: Timestamp,
    ) -> Option<ApprovalFacts> {
        let over = |glass: &&super::Glass| {
            let broken = &glass.broken;
            broken.agent == *agent
                && broken.task.as_ref().is_none_or(|only| Some(only) == task)
                && at < broken.until
                && at >= glass.at
        };
        let (id, glass) = self.glasses.iter().find(|(_, glass)| over(glass))?;
        Some(ApprovalFacts {
            id: id.clone(),
            approvers: [glass.broken.by.clone()].into(),
            at: glass.at,
            scope: "break_glass",
        })
    }

    /// Those whose time is over.
    pub(super) fn glasses_over(&self, now: Timestamp) -> Vec<RecordId> {
        let over = self.glasses.iter().filter(|(_, glass)| now >= glass.broken.until);
        over.map(|(id, _)| id.clone()).collect()
    }
}

impl Service {
    /// Rules hold again for a task that has ended.
    pub(super) fn mend_of_task(&self, agent: &IdentityId, task: &TaskId) {
        let mut state = self.requests.lock();
        state.glasses.retain(|_, glass| {
            glass.broken.agent != *agent || glass.broken.task.as_ref() != Some(task)
        });
        self.requests.settle(&state);
    }

    /// Rules hold again for what the kill switch stopped.
    pub(super) fn mend_of(&self, scope: &KillScope) {
        let mut state = self.requests.lock();
        state.glasses.retain(|_, glass| match scope {
            KillScope::Identity(agent) => glass.broken.agent != *agent,
            KillScope::Task(task) => glass.broken.task.as_ref() != Some(task),
            KillScope::All => false,
            KillScope::Session(_) => true,
        });
        self.requests.settle(&state);
    }
}
