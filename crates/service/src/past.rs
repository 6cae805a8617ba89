//! What identities remember for rules of order and count that are about all of their sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use safeconduct_engine::Outcome;
use safeconduct_model::{
    ActionName, Decision, EntityId, Execution, Request, Subject, Timestamp, Value,
};
use safeconduct_policy::{History, Monitoring, Policies};
use safeconduct_session::monitor::{ERROR, Monitors, Part, REQUEST, RESPONSE};

use crate::Service;
use crate::recall::{Places, Recall};
use crate::refold::{Call, Refold};
use crate::sessions::Slot;

/// Most identities that remember something. Of one more nothing is known, so that a policy with
/// a rule about all of its sessions fails: a Deny.
pub const IDENTITIES_REMEMBERED_MAX: usize = 1_000_000;

/// What one identity remembers.
#[derive(Default)]
pub(crate) struct Remembered {
    pub(crate) monitors: Monitors,
    /// Until when something may be missing in that.
    pub(crate) blind_until: Option<Timestamp>,
    /// The decisions and outcomes that it rests on.
    pub(crate) told: Places,
    pub(crate) recall: Recall,
}

/// What all identities remember, by name.
#[derive(Default)]
pub(crate) struct Pasts(Mutex<HashMap<Arc<str>, Arc<Mutex<Remembered>>, RandomState>>);

impl Pasts {
    /// What that identity remembers; `None` at the limit.
    pub(crate) fn of(&self, identity: &str) -> Option<Arc<Mutex<Remembered>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(identity) {
            return Some(Arc::clone(found));
        }
        let room = all.len() < IDENTITIES_REMEMBERED_MAX;
        room.then(|| Arc::clone(all.entry(identity.into()).or_default()))
    }
}

/// Locks it. Changes are single assignments after the last fallible step.
pub(crate) fn lock_past(past: &Mutex<Remembered>) -> MutexGuard<'_, Remembered> {
    past.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Under which name what someone does is remembered: the id of the principal.
pub(crate) fn name_of(subject: &Subject) -> &str {
    match subject {
        Subject::Caller(proof) => proof.identity.as_str(),
        Subject::Asserted { entity, .. } => EntityId::as_str(&entity.uid.id),
        Subject::Undertaker { agent, .. } => agent.as_str(),
        Subject::Lessee(proof) => proof.identity.as_str(),
    }
}

/// Whether rules look at requests or outcomes of an action: then its arguments are kept, sealed,
/// so that what happened can be folded again.
pub(crate) fn looks_at_arguments(rules: &Monitoring, action: &ActionName) -> bool {
    [History::Session, History::Identity].into_iter().any(|history| {
        let programs = rules.programs(history);
        !programs.is_empty()
            && [REQUEST, RESPONSE, ERROR].into_iter().any(|kind| programs.listens(kind, action))
    })
}

/// Whether rules look at the result of an action.
pub(crate) fn looks_at_result(rules: &Monitoring, kind: &str, action: &ActionName) -> bool {
    [History::Session, History::Identity].into_iter().any(|history| {
        rules.programs(history).reads(kind, action).any(|field| field.of == Part::Output)
    })
}

/// Something that rules of order and count may look at.
pub(crate) struct Happened {
    call: Call,
    what: What,
    at: Timestamp,
    sequence: Option<u64>,
}

enum What {
    Requested(Decision),
    Executed(Execution, Option<Value>),
}

impl Happened {
    /// A decision.
    pub(crate) fn requested(request: &Request, outcome: &Outcome, sequence: u64) -> Option<Self> {
        let call = Call::of(request, outcome)?;
        let (what, at) = (What::Requested(outcome.decision), outcome.record.at);
        Some(Self { call, what, at, sequence: Some(sequence) })
    }

    /// What came of a call; without a place in the ledger where it could not be recorded.
    pub(crate) fn executed(
        call: Call,
        execution: Execution,
        output: Option<Value>,
        at: Timestamp,
        sequence: Option<u64>,
    ) -> Self {
        Self { call, what: What::Executed(execution, output), at, sequence }
    }

    /// The session and the identity remember it.
    pub(crate) fn take_in(
        &self,
        policies: &Policies,
        home: &mut Slot,
        past: Option<&mut Remembered>,
    ) {
        self.observed(policies, History::Session, &mut home.monitors);
        self.sequence.into_iter().for_each(|sequence| home.told.push(sequence));
        if let Some(past) = past {
            self.observed(policies, History::Identity, &mut past.monitors);
            self.sequence.into_iter().for_each(|sequence| past.told.push(sequence));
        }
    }

    fn observed(&self, policies: &Policies, history: History, monitors: &mut Monitors) {
        match &self.what {
            What::Requested(decision) => {
                self.call.requested(policies, history, monitors, (self.at, *decision));
            }
            What::Executed(execution, output) => {
                let event = (self.at, *execution, output.as_ref());
                self.call.executed(policies, history, monitors, event);
            }
        }
    }
}

impl Service {
    /// What an identity remembers, where any rule is about all of its sessions. It is read back
    /// from the ledger where it has to be: no session's lock may be held.
    pub(crate) fn past_of(&self, identity: &str) -> Option<Arc<Mutex<Remembered>>> {
        if self.world().policies().monitors().programs(History::Identity).is_empty() {
            return None;
        }
        let past = self.pasts.of(identity)?;
        let told = {
            let past = lock_past(&past);
            match past.recall {
                Recall::Whole => None,
                Recall::Due => Some(past.told.clone()),
            }
        };
        if let Some(told) = told {
            let mut monitors = Monitors::default();
            let mut refold = Refold::new(self, History::Identity);
            told.iter().for_each(|at| refold.fold(at, &mut monitors, None));
            let mut past = lock_past(&past);
            if past.recall == Recall::Due {
                past.monitors = monitors;
                past.blind_until = refold.blind_until(&told);
                past.recall = Recall::Whole;
            }
        }
        Some(past)
    }
}
