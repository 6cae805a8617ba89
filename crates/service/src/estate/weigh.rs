//! What would be decided, without deciding it: the pure engine over what is known now. It appends
//! nothing, changes no session, and nothing can be done on the strength of it.

use safeconduct_engine::{Facts, Outcome, Understood, decide};
use safeconduct_model::{
    ActionName, Entity, KeyedDigest, Mode, Now, Request, SessionKey, SessionRef, Subject, Value,
};

use crate::check::{acts_in, facts, task_facts};
use crate::past::{self, lock_past};
use crate::sessions::{Slot, lock};
use crate::{Check, Service, World};

/// A question to weigh.
#[derive(Debug, Clone)]
pub struct Weighing {
    /// Who would act.
    pub subject: Subject,
    /// What they would do.
    pub action: ActionName,
    /// What they would do it to.
    pub resource: Entity,
    /// The arguments.
    pub input: Value,
    /// What else is said.
    pub asserted: Option<Value>,
}

impl Weighing {
    /// The question as an enforcement point asks it that carries out whatever it is told to.
    pub(crate) fn into_check(self) -> Check {
        let Self { subject, action, resource, input, asserted } = self;
        Check {
            pep: subject.authentication().identity.clone(),
            subject,
            action,
            resource: Some(resource),
            input,
            asserted,
            session_name: None,
            mode: Mode::Enforce,
            trace: None,
            parent: None,
            understood: Understood::LeftToCaller,
            network: None,
        }
    }
}

impl Service {
    /// What would be decided now. Of what a session has read only what is in memory counts, and
    /// no approval is looked for. What happened in it is folded from the ledger where it has to
    /// be: no session's lock may be held.
    pub fn weigh(&self, weighing: Weighing) -> Outcome {
        self.weigh_check(weighing.into_check())
    }

    /// The same of the very question that an enforcement point asks.
    pub fn weigh_check(&self, check: Check) -> Outcome {
        self.weigh_in(check, &self.world())
    }

    /// The same in another world: where other policies are in force, or other rights set aside.
    pub(crate) fn weigh_in(&self, check: Check, world: &World) -> Outcome {
        let Check { subject, understood, .. } = check;
        let proof = subject.authentication();
        let key = SessionKey::of(proof);
        let in_task = acts_in(&subject).cloned();
        let mandate = in_task.as_ref().and_then(|task| self.unseal(&task.id));
        let history = in_task.as_ref().and_then(|task| self.history(&task.id));
        let past = self.past_of(past::name_of(&subject));
        // What rules of order and count ask for is folded where it is not: a question has the
        // answer that a decision would have.
        self.learn_session(history.as_ref().unwrap_or(&key));
        let now = self.clock.now();
        let line = in_task.as_ref().and_then(|task| self.line(&task.id));
        let line = line
            .map(|line| line.with(mandate.as_ref()).among(world))
            .map(|line| self.as_presented(proof, line));
        let input_bytes = safeconduct_ledger::canonical(&check.input).len() as u64;
        let request = Request {
            // It is recorded nowhere, so it is digested by nothing.
            input_digest: KeyedDigest::from_bytes([0; 32]),
            session: SessionRef { key: key.clone(), name: check.session_name },
            subject,
            action: check.action,
            resource: check.resource,
            input: check.input,
            asserted: check.asserted,
            pep: check.pep,
            mode: check.mode,
            trace: None,
            parent: None,
        };
        let nothing = Slot::default();
        // A task's session comes before the one that it came from: everyone locks that way.
        let (slot, home) =
            (self.sessions.known(&key), history.and_then(|key| self.sessions.known(&key)));
        let slot = slot.as_ref().map(|slot| lock(slot));
        let home = home.as_ref().map(|slot| lock(slot));
        let slot = slot.as_deref().unwrap_or(&nothing);
        let home = home.as_deref().unwrap_or(slot);
        let past = past.as_ref().map(|past| lock_past(past));
        let monitors = past::monitors(&home.order, past.as_deref(), world.policies.monitors());
        let risk = self.risk(&request, line.as_ref(), world, now);
        let facts = Facts {
            task: line.as_ref().and_then(|line| task_facts(line, world)),
            session: &home.session,
            monitors: Some(monitors),
            risk,
            last_word: self.last_word_for(&request, line.as_ref(), world),
            input_bytes,
            ..facts(&request, world, slot, &understood, &self.settings)
        };
        let now = Now { at: now, decision: self.ids.record("dec") };
        decide(&request, &facts, &world.policies, &now)
    }
}
