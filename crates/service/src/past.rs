//! What sessions and identities remember for rules of order and count.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use foldhash::fast::RandomState;
use safeconduct_engine::{MonitorFacts, Outcome};
use safeconduct_model::{ActionName, Decision, EntityId, Execution, Request, Subject, Timestamp};
use safeconduct_policy::{History, Monitoring, Policies};
use safeconduct_session::monitor::{
    ERROR, Monitors, Part, ProgramNames, ProgramSet, REQUEST, RESPONSE,
};

use crate::Service;
use crate::reading::Output;
use crate::recall::Places;
use crate::refold::{Call, Refold, came_to};
use crate::warm::{Cooled, Mercy, Warm};

/// Most identities that remember something. Of one more nothing is known, so that a policy with
/// a rule about all of its sessions fails: a Deny.
pub const IDENTITIES_REMEMBERED_MAX: usize = 1_000_000;

/// What a session or an identity remembers.
#[derive(Default)]
pub(crate) struct Remembered {
    monitors: Monitors,
    /// All decisions and outcomes, whatever the rules are: rules that come later are given what
    /// the ledger holds of them.
    told: Places,
    /// The programs that have seen all of that; others are folded before they are asked.
    whole: Option<ProgramNames>,
    /// Bytes of the monitors when they were last weighed, and in how many events they are again.
    weighed: usize,
    weigh_in: usize,
    /// Bytes of an identity's that are counted as held.
    counted: usize,
    /// Whether an identity was asked about since somebody last looked whether it was.
    used: bool,
}

/// After how many events at least monitors are weighed again.
const WEIGH_AFTER: usize = 16;

impl Remembered {
    /// Whether it is what those rules want to be remembered.
    pub(crate) fn follows(&self, programs: &ProgramSet) -> bool {
        let whole = || self.whole.as_ref().is_some_and(|all| all.digest() == programs.digest());
        programs.is_empty() || self.told.is_empty() || whole()
    }

    /// Takes in what the record at that place tells of.
    pub(crate) fn take_in(
        &mut self,
        sequence: u64,
        programs: &ProgramSet,
        observe: impl FnOnce(&mut Monitors),
    ) {
        if self.told.is_empty() {
            self.monitors = Monitors::default();
            self.whole = Some(programs.names().clone());
        }
        // What comes out of order is folded in order, with all before it.
        let in_order = self.told.push(sequence);
        match self.whole.take_if(|_| in_order) {
            Some(whole) => {
                observe(&mut self.monitors);
                // Programs that have come meanwhile have not seen what was before.
                let same = whole.digest() == programs.digest();
                self.whole = Some(if same { whole } else { whole.among(programs) });
                self.weigh_in = self.weigh_in.saturating_sub(1);
                if self.weigh_in == 0 {
                    self.weigh();
                }
            }
            None => self.unlearn(),
        }
    }

    /// Takes note of a record that is folded later, with all before it.
    pub(crate) fn tell(&mut self, sequence: u64) {
        self.told.push(sequence);
        self.unlearn();
    }

    /// All of it is folded from the ledger again before it is asked.
    pub(crate) fn unlearn(&mut self) {
        (self.monitors, self.whole) = (Monitors::default(), None);
        (self.weighed, self.weigh_in) = (0, 0);
    }

    /// Lets go of what can be folded again. Of a history of which the ledger's newest records are
    /// only a part it cannot, and is kept: there is at most one for each [`RECALLED_MAX`] records.
    ///
    /// [`RECALLED_MAX`]: crate::RECALLED_MAX
    pub(crate) fn cool(&mut self) {
        if !self.told.more {
            self.unlearn();
        }
    }

    /// Bytes of memory that it takes and that can be let go of, about.
    pub(crate) const fn bytes(&self) -> usize {
        self.weighed
    }

    /// Not with every event, since it looks at each row.
    fn weigh(&mut self) {
        self.weighed = self.monitors.bytes().saturating_sub(size_of::<Monitors>());
        self.weigh_in = self.monitors.rows().max(WEIGH_AFTER);
    }

    /// Whether it is what rules want, and perhaps more.
    fn covers(&self, programs: &ProgramSet) -> bool {
        let whole = self.whole.as_ref();
        whole.is_some_and(|all| all.among(programs).digest() == programs.digest())
    }

    /// Remembers what was folded again; programs that have seen more than that go on.
    fn learn(&mut self, folded: Monitors, programs: &ProgramSet, now: Timestamp) {
        let known = std::mem::replace(&mut self.monitors, folded);
        if let Some(whole) = self.whole.replace(programs.names().clone()) {
            self.monitors.carry(programs, (known, &whole), now);
        }
        self.weigh();
    }

    /// What is remembered for those programs; nothing is known of it where it is not what they
    /// want.
    fn known_to(&self, programs: &ProgramSet) -> &Monitors {
        match self.follows(programs) || self.covers(programs) {
            true => &self.monitors,
            false => Monitors::unknown(),
        }
    }
}

/// What policies are answered from: of a history that is not folded nothing is known, and a policy
/// that asks for it fails.
pub(crate) fn monitors<'r>(
    session: &'r Remembered,
    identity: Option<&'r Remembered>,
    rules: &Monitoring,
) -> MonitorFacts<'r> {
    let identity = identity.map(|past| past.known_to(rules.programs(History::Identity)));
    MonitorFacts {
        session: session.known_to(rules.programs(History::Session)),
        // Rules about an identity may have come in force since it was looked for.
        identity: identity.unwrap_or_else(|| Monitors::unknown()),
    }
}

/// What all identities remember, by name.
pub(crate) struct Pasts {
    all: Mutex<HashMap<Arc<str>, Arc<Mutex<Remembered>>, RandomState>>,
    warm: Warm<Mutex<Remembered>>,
}

/// Who holds what an identity remembers while nobody asks: the map, and whoever looks.
const AT_REST: usize = 2;

/// Lets go of what an identity remembers and the ledger holds, unless somebody is about to ask.
fn cool(past: &Arc<Mutex<Remembered>>, mercy: Mercy) -> Cooled {
    let held = match past.try_lock() {
        Ok(held) => Some(held),
        Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    let Some(mut held) = held.filter(|_| Arc::strong_count(past) <= AT_REST) else {
        return Cooled::InUse;
    };
    if std::mem::take(&mut held.used) && mercy == Mercy::Once {
        return Cooled::InUse;
    }
    held.cool();
    held.counted = 0;
    Cooled::Gone
}

impl Pasts {
    /// None yet. So many bytes of what they remember may be in memory, beside the places in the
    /// ledger.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { all: Mutex::default(), warm: Warm::new(bytes, cool) }
    }

    /// Whoever remembers any of those records folds all of it again before they are asked: what
    /// lay beside them is gone. An identity of whom an enforcement point spoke remembers what
    /// happened in that one's session. No past may be locked.
    pub(crate) fn unlearn(&self, records: &BTreeSet<u64>) {
        let all: Vec<_> = {
            let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all.get(identity) {
            return Some(Arc::clone(found));
        }
        let room = all.len() < IDENTITIES_REMEMBERED_MAX;
        room.then(|| Arc::clone(all.entry(identity.into()).or_default()))
    }

    /// Takes note of what an identity that is asked about holds; others let go of theirs where it
    /// is too much.
    fn holds(&self, past: &Arc<Mutex<Remembered>>) {
        let more = {
            let mut past = lock_past(past);
            past.used = true;
            let more = past.bytes().saturating_sub(past.counted);
            past.counted += more;
            more
        };
        if more > 0 {
            self.warm.took_up(past, more);
        }
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
        let came_to = came_to(outcome.decision, request.mode);
        let (what, at) = (What::Requested(came_to), outcome.record.at);
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
        self.pasts.holds(&past);
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
                if kept.covers(programs) {
                    kept.whole = Some(programs.names().clone());
                    return;
                }
                match kept.told.beyond(&folded) {
                    Some(more) if more.is_empty() => {
                        let mut monitors = std::mem::take(&mut monitors);
                        refold.miss(&folded, &mut monitors);
                        kept.learn(monitors, programs, self.clock.now());
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
    use std::collections::BTreeMap;

    use safeconduct_model::Value;
    use safeconduct_session::monitor::{Event, Formula, Matches, Program, ProgramName, Source};

    use super::*;

    #[test]
    fn what_is_told_out_of_order_is_folded_again_in_order() {
        let (mut kept, programs) = (Remembered::default(), ProgramSet::default());
        let mut observed = Vec::new();
        for sequence in [3, 7, 5, 8] {
            kept.take_in(sequence, &programs, |_| observed.push(sequence));
        }
        assert!(observed == [3, 7] && kept.whole.is_none());
        assert_eq!(kept.told.iter().collect::<Vec<_>>(), [3, 5, 7, 8]);
    }

    /// Whether such a request was within an hour.
    fn after(action: &str) -> Arc<Program> {
        let fields = Vec::new();
        let body = Matches { kind: REQUEST.into(), action: action.into(), fields };
        let body = Box::new(Formula::Matches(body));
        let formula = Formula::Formerly { window_ms: 3_600_000, body };
        let source = Source { parameters: Vec::new(), symbols: 0, formula };
        let name = ProgramName([action.as_bytes()[0]; 16]);
        Arc::new(Program::compile(name, &source).unwrap())
    }

    fn set(programs: &[&Arc<Program>]) -> ProgramSet {
        ProgramSet::new(programs.iter().map(|one| Arc::clone(one)), BTreeMap::new())
    }

    fn event<T>(action: &str, at: i64, then: impl FnOnce(&Event<'_>) -> T) -> T {
        let action = ActionName::new(action).unwrap();
        then(&Event {
            kind: REQUEST,
            action: &action,
            principal: None,
            resources: &[],
            input: &Value::Null,
            output: None,
            beside: None,
            at: Timestamp::from_millis(at),
            decision: None,
        })
    }

    fn told(kept: &mut Remembered, at: u64, programs: &ProgramSet, action: &str) {
        kept.take_in(at, programs, |monitors| {
            event(action, at.cast_signed(), |event| monitors.observe(programs, event));
        });
    }

    /// A rule comes beside another that has seen more than what is told: that one goes on, also
    /// where something happens before the new one is folded.
    #[test]
    fn rules_that_stay_go_on_while_others_come_and_go() {
        let (stays, comes) = (after("a"), after("b"));
        let (before, both) = (set(&[&stays]), set(&[&stays, &comes]));
        let mut kept = Remembered::default();
        told(&mut kept, 1, &before, "a");
        assert!(kept.follows(&before) && !kept.follows(&both));
        told(&mut kept, 2, &both, "c");
        assert!(!kept.follows(&both));
        let answers = |kept: &Remembered, programs: &ProgramSet, at| {
            let known = kept.known_to(programs);
            let answer = |one| event("c", at, |event| known.answer(programs, one, event, &[]));
            [answer(&stays), answer(&comes)]
        };
        assert_eq!(answers(&kept, &both, 3), [None, None]);
        // The ledger's first records of it are not folded any more.
        let mut folded = Monitors::default();
        event("c", 2, |event| folded.observe(&both, event));
        folded.miss(&both, None, Timestamp::from_millis(2));
        kept.learn(folded, &both, Timestamp::from_millis(3));
        assert!(kept.follows(&both));
        assert_eq!(answers(&kept, &both, 3), [Some(true), None]);
        assert_eq!(answers(&kept, &both, 3_600_003), [Some(false), Some(false)]);
        // What asks for less needs no folding.
        let left = set(&[&comes]);
        assert!(!kept.follows(&left) && kept.covers(&left));
        told(&mut kept, 3, &left, "b");
        assert!(kept.follows(&left));
        assert_eq!(answers(&kept, &left, 4)[1], None, "it is not known from when on");
        assert_eq!(answers(&kept, &left, 3_600_003)[1], Some(true));
    }

    #[test]
    fn what_identities_remember_gives_way_unless_somebody_asks() {
        let (rule, pasts) = (after("a"), Pasts::new(1));
        let programs = set(&[&rule]);
        let asked = |name: &str| {
            let past = pasts.of(name).unwrap();
            told(&mut lock_past(&past), 1, &programs, "a");
            pasts.holds(&past);
            past
        };
        let bytes = |name: &str| lock_past(&pasts.of(name).unwrap()).bytes();
        let first = asked("first");
        drop(asked("second"));
        assert!(bytes("first") > 0, "it is asked about");
        drop(first);
        for _ in 0..2 {
            drop(asked("third"));
            pasts.warm.took_up(&pasts.of("third").unwrap(), 1);
        }
        assert_eq!((bytes("first"), bytes("second")), (0, 0));
        assert!(!lock_past(&pasts.of("first").unwrap()).follows(&programs), "it is folded again");
    }
}
