//! A test on its way: its tasks and sessions, step by step, as a server would keep them.

use safeconduct_engine::{Explained, Outcome, Understood};
use safeconduct_model::{Decision, NameError, Reason, SessionKey, Tier, Timestamp, TokenId};
use safeconduct_service::{
    RehearsedApprovals, RehearsedNo, RehearsedOutcome, RehearsedRisk, RehearsedSessions,
    RehearsedTasks, RehearsedYes,
};
use safeconduct_session::flow::Origins;
use safeconduct_wire::suite::{Approved, BegunBy, DEFAULT_NOW, Sessions, Step, TaskCase, Test};

use super::ground::{Asked, Ground, Posed};
use super::tasks;
use super::test::Failure;

/// A test with what has happened in it so far.
pub(super) struct Course<'a> {
    ground: &'a Ground,
    together: Sessions,
    pub(super) sessions: RehearsedSessions,
    pub(super) tasks: RehearsedTasks,
    pub(super) approvals: RehearsedApprovals,
    risk: RehearsedRisk,
}

impl<'a> Course<'a> {
    /// Begins the tasks of a test; what is against what it says is a failure.
    pub(super) fn begin(ground: &'a Ground, test: &Test, failures: &mut Vec<Failure>) -> Self {
        let mut sessions = RehearsedSessions::default();
        let tasks = tasks::begun(ground, test, &mut sessions, failures);
        let approvals = RehearsedApprovals::default();
        let risk = RehearsedRisk::default();
        Self { ground, together: test.sessions, sessions, tasks, approvals, risk }
    }

    /// Puts the question of a step, the tasks that end before it ended. `number` counts from 1.
    ///
    /// # Errors
    /// A name is too long for the engine.
    pub(super) fn pose(&mut self, step: &Step, number: usize) -> Result<Posed, NameError> {
        self.tasks.end(&step.after_end_of);
        if self.together == Sessions::Apart {
            self.sessions.clear();
        }
        for told in &step.signals {
            let weight = (told.severity, told.confidence);
            // INVARIANT: nothing of it is near a limit of signals.
            let _ = self.risk.tell(&told.about, told.kind, weight, when(step));
        }
        let posed = self.ground.pose(&Asked {
            principal: &step.principal,
            credential: credential(step),
            session_name: step.session.clone(),
            task: step.in_task.as_deref().and_then(|name| self.tasks.named(name)),
            action: &step.action,
            resource: step.resource.as_ref(),
            input: &step.input,
            context: step.context.as_ref(),
            definition: step.definition,
            understood: match &step.understands {
                None => Understood::LeftToCaller,
                Some(kinds) => {
                    Understood::Only(kinds.iter().map(|kind| kind.as_str().into()).collect())
                }
            },
            at: when(step),
            named: format!("step_{number}"),
        })?;
        let task = step.in_task.as_deref();
        let task = task.and_then(|name| self.tasks.facts(name, &self.ground.identities));
        let others =
            task.iter().flat_map(|known| known.task.on_behalf_of.iter().chain(&known.delegated_by));
        Ok(posed.told(&self.risk, others))
    }

    /// Decides a step.
    pub(super) fn decide(&self, step: &Step, posed: &Posed) -> Outcome {
        let task = step.in_task.as_deref();
        let task = task.and_then(|name| self.tasks.facts(name, &self.ground.identities));
        self.ground.decide(posed, &self.sessions, task, &self.approvals)
    }

    /// What each policy says to a step.
    ///
    /// # Errors
    /// What stands in the way before any policy is asked.
    pub(super) fn explain(
        &self,
        step: &Step,
        posed: &Posed,
    ) -> Result<Vec<Explained>, Vec<Reason>> {
        let task = step.in_task.as_deref();
        let task = task.and_then(|name| self.tasks.facts(name, &self.ground.identities));
        self.ground.explain(posed, &self.sessions, task, posed.at())
    }

    /// Where the arguments of a step came from.
    pub(super) fn origins(&self, step: &Step, posed: &Posed) -> Option<Origins> {
        let task = step.in_task.as_deref();
        let task = task.and_then(|name| self.tasks.facts(name, &self.ground.identities));
        self.ground.origins(posed, &self.sessions, task)
    }

    /// Takes a decision in.
    pub(super) fn decided(&mut self, posed: &Posed, outcome: &Outcome) {
        self.sessions.decided(&self.ground.policies, posed.request(), outcome);
        self.approvals.used(posed.request(), outcome);
    }

    /// Asks people for a step that was denied, where it says that they approve it. It is decided
    /// once more for that.
    ///
    /// # Errors
    /// Why nothing was approved.
    pub(super) fn answered(&mut self, step: &Step, posed: &Posed) -> Result<(), RehearsedNo> {
        let Some(approved) = &step.approved else { return Ok(()) };
        let outcome = self.decide(step, posed);
        let identities = &self.ground.identities;
        let identities = identities.iter().map(|(id, known)| (id.clone(), &known.identity));
        let entry = self.ground.catalogue.entry(&posed.request().action);
        let tier = entry.map_or(Tier::Critical, |entry| entry.tier_of(&posed.request().input));
        let Approved { by, at_most, uses, for_s } = approved;
        let yes = RehearsedYes { by, at_most, uses: *uses, for_s: *for_s };
        let asked = (posed.request(), &outcome);
        let made = self.approvals.approved(asked, tier, &identities.collect(), yes);
        self.sessions.decided(&self.ground.policies, posed.request(), &outcome);
        made
    }

    /// Takes in what then happened, where it was permitted. Says whether it was.
    pub(super) fn happened(&mut self, step: &Step, posed: &Posed, outcome: &Outcome) -> bool {
        if outcome.decision == Decision::Deny {
            return false;
        }
        let Ground { policies, catalogue, .. } = self.ground;
        let happened = RehearsedOutcome::reported(step.outcome, step.result.as_ref(), posed.at());
        self.sessions.happened((policies, catalogue), (posed.request(), outcome), &happened);
        true
    }
}

/// When a step is decided.
fn when(step: &Step) -> Timestamp {
    step.now.unwrap_or(DEFAULT_NOW)
}

/// Which credential of its principal a step acts with.
fn credential(step: &Step) -> String {
    let credential = step.credential.as_deref().unwrap_or("default");
    format!("{}:{credential}", step.principal_name)
}

/// The session that a task comes from, where its agent begins it and no other task is above it:
/// that of the credential of the first step in it.
pub(super) fn from(test: &Test, case: &TaskCase) -> Option<SessionKey> {
    if case.begun_by == BegunBy::Orchestrator || case.parent.is_some() {
        return None;
    }
    let first = test.steps.iter().find(|step| step.in_task.as_deref() == Some(&case.name));
    let token = first.map_or_else(|| format!("{}:default", case.agent), credential);
    Some(SessionKey::credential(case.agent.clone(), TokenId::new(token).ok()?))
}
