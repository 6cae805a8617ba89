//! What sessions and identities remember for rules of order and count.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use safeconduct_engine::Outcome;
use safeconduct_model::{ActionName, Decision, EntityId, Execution, Request, Subject, Timestamp};
use safeconduct_policy::{History, Monitoring, Policies};
use safeconduct_session::monitor::{ERROR, Monitors, Part, ProgramSet, REQUEST, RESPONSE};

use crate::Service;
use crate::reading::Output;
use crate::recall::Places;
use crate::refold::{Call, Refold};

/// Most identities that remember something. Of one more nothing is known, so that a policy with
/// a rule about all of its sessions fails: a Deny.
pub const IDENTITIES_REMEMBERED_MAX: usize = 1_000_000;

/// What a session or an identity remembers.
#[derive(Default)]
pub(crate) struct Remembered {
    pub(crate) monitors: Monitors,
    /// Until when something may be missing in that.
    pub(crate) blind_until: Option<Timestamp>,
    /// All decisions and outcomes, whatever the rules are: rules that come later are given what
    /// the ledger holds of them.
    told: Places,
    /// The rules for which that was folded; of others it is folded again before they are asked.
    rules: Option<[u8; 16]>,
}

impl Remembered {
    /// Whether it is what those rules want to be remembered.
    pub(crate) fn follows(&self, programs: &ProgramSet) -> bool {
        programs.is_empty() || self.told.is_empty() || self.rules == Some(programs.digest())
    }

    /// Takes in what the record at that place tells of.
    pub(crate) fn take_in(
        &mut self,
        sequence: u64,
        programs: &ProgramSet,
        observe: impl FnOnce(&mut Monitors),
    ) {
        if self.told.is_empty() {
            (self.monitors, self.blind_until) = (Monitors::default(), None);
            self.rules = Some(programs.digest());
        }
        // What comes out of order is folded in order, with all before it.
        let in_order = self.told.push(sequence);
        match in_order && self.rules == Some(programs.digest()) {
            true => observe(&mut self.monitors),
            false => self.unlearn(),
        }
    }

    /// Takes note of a record that is folded later, with all before it.
    pub(crate) fn tell(&mut self, sequence: u64) {
        self.told.push(sequence);
        self.unlearn();
    }

    /// All of it is folded from the ledger again before it is asked.
    pub(crate) fn unlearn(&mut self) {
        (self.monitors, self.rules) = (Monitors::default(), None);
    }
}

/// Whether nothing is known at that time of what happened in a session, or to an identity: then a
/// policy that asks for it fails.
pub(crate) fn is_blind(
    (session, identity): (&Remembered, Option<&Remembered>),
    rules: &Monitoring,
    now: Timestamp,
) -> bool {
    let blind = |kept: &Remembered, history| {
        kept.blind_until.is_some_and(|until| now <= until) || !kept.follows(rules.programs(history))
    };
    blind(session, History::Session)
        || identity.is_some_and(|identity| blind(identity, History::Identity))
}

/// What all identities remember, by name.
#[derive(Default)]
pub(crate) struct Pasts(Mutex<HashMap<Arc<str>, Arc<Mutex<Remembered>>, RandomState>>);

impl Pasts {
    /// Whoever remembers any of those records folds all of it again before they are asked: what
    /// lay beside them is gone. An identity of whom an enforcement point spoke remembers what
    /// happened in that one's session. No past may be locked.
    pub(crate) fn unlearn(&self, records: &BTreeSet<u64>) {
        let all: Vec<_> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().cloned().collect()
        };
        for past in all {
            let mut past = lock_past(&past);
            if past.told.iter().any(|at| records.contains(&at)) {
                past.unlearn();
            }
        }
    }

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
    sequence: u64,
}

enum What {
    Requested(Decision),
    Executed(Execution, Output),
}

impl Happened {
    /// A decision.
    pub(crate) fn requested(request: &Request, outcome: &Outcome, sequence: u64) -> Option<Self> {
        let call = Call::of(request, outcome)?;
        let (what, at) = (What::Requested(outcome.decision), outcome.record.at);
        Some(Self { call, what, at, sequence })
    }

    /// What came of a call.
    pub(crate) fn executed(
        call: Call,
        (execution, output): (Execution, Output),
        at: Timestamp,
        sequence: u64,
    ) -> Self {
        Self { call, what: What::Executed(execution, output), at, sequence }
    }

    /// The session or the identity remembers it.
    pub(crate) fn take_in(&self, policies: &Policies, history: History, kept: &mut Remembered) {
        let programs = policies.monitors().programs(history);
        kept.take_in(self.sequence, programs, |monitors| match &self.what {
            What::Requested(decision) => {
                self.call.requested(programs, monitors, (self.at, *decision));
            }
            What::Executed(execution, output) => {
                self.call.executed(programs, monitors, (self.at, *execution, output));
            }
        });
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
        let at = |look: &mut dyn FnMut(&mut Remembered)| look(&mut lock_past(&past));
        self.learn(History::Identity, at);
        Some(past)
    }

    /// An identity takes note of a record that no rule looks at now.
    pub(crate) fn note_past(&self, identity: &str, sequence: u64) {
        if let Some(past) = self.pasts.of(identity) {
            lock_past(&past).tell(sequence);
        }
    }

    /// Sees to it that what is remembered is what the rules want, folded from the ledger where it
    /// is not. No session's lock may be held; `at` locks what is remembered for each look.
    pub(crate) fn learn(&self, history: History, at: impl Fn(&mut dyn FnMut(&mut Remembered))) {
        let policies = Arc::clone(self.world().policies());
        let programs = policies.monitors().programs(history);
        let mut refold = Refold::new(self, Some((Arc::clone(&policies), history)));
        let (mut folded, mut monitors) = (Places::default(), Monitors::default());
        // What is added while it is folded is folded then.
        for _ in 0..LEARNING_MAX {
            let mut left = Vec::new();
            at(&mut |kept| {
                if kept.follows(programs) {
                    return;
                }
                match kept.told.beyond(&folded) {
                    Some(more) if more.is_empty() => {
                        kept.monitors = std::mem::take(&mut monitors);
                        kept.blind_until = refold.blind_until(&folded);
                        kept.rules = Some(programs.digest());
                    }
                    Some(more) => {
                        left = more;
                        folded = kept.told.clone();
                    }
                    None => {
                        refold = Refold::new(self, Some((Arc::clone(&policies), history)));
                        monitors = Monitors::default();
                        left = kept.told.iter().collect();
                        folded = kept.told.clone();
                    }
                }
            });
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(|at| refold.fold(at, Some(&mut monitors), None));
        }
    }
}

/// How often one waits for what is remembered to be whole before it counts as unknown.
const LEARNING_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_out_of_order_is_folded_again_in_order() {
        let (mut kept, programs) = (Remembered::default(), ProgramSet::default());
        let mut observed = Vec::new();
        for sequence in [3, 7, 5, 8] {
            kept.take_in(sequence, &programs, |_| observed.push(sequence));
        }
        assert_eq!((observed, kept.rules), (vec![3, 7], None));
        assert_eq!(kept.told.iter().collect::<Vec<_>>(), [3, 5, 7, 8]);
    }
}
