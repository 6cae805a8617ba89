//! Sessions without a server: what happens in tests of policies, folded by the same functions as a
//! server's sessions, and recorded nowhere.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use safeconduct_engine::{MonitorFacts, Outcome};
use safeconduct_model::{
    Catalogue, Edit, Execution, Label, Obligation, Request, SessionKey, Timestamp, Value,
};
use safeconduct_policy::{History, Policies};
use safeconduct_session::flow::{Flow, Source, glean_task};
use safeconduct_session::monitor::Monitors;
use safeconduct_session::{Session, Used};

use crate::echoed::Spoken;
use crate::past::name_of;
use crate::reading::{self, Output, Reading};
use crate::refold::{Call, came_to};
use crate::saying::{self, spoken};
use crate::{Content, Read};

/// The key of fingerprints that nobody has to be kept from.
const REHEARSAL_KEY: [u8; 16] = *b"safe rehearsal 1";

/// The sessions of one test.
#[derive(Debug, Clone, Default)]
pub struct RehearsedSessions {
    kept: BTreeMap<SessionKey, Kept>,
    /// What identities remember over all their sessions.
    identities: BTreeMap<Arc<str>, Monitors>,
    /// Results that were read, so that later ones are newer.
    results: u64,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    session: Session,
    monitors: Monitors,
    /// The session in which is kept what this one reads, where that is another.
    home: Option<SessionKey>,
}

/// A session in which nothing has happened.
static NOTHING: LazyLock<Kept> = LazyLock::new(Kept::default);

/// What a decision reads of sessions.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What the session has done and read.
    pub session: &'a Session,
    /// How many decisions its own session has had.
    pub sequence: u64,
    /// What its task has used.
    pub used: Option<&'a Used>,
    /// What is remembered for rules of order and count.
    pub monitors: MonitorFacts<'a>,
}

/// What came of a permitted call.
#[derive(Debug, Clone)]
pub struct RehearsedOutcome {
    /// What happened.
    pub execution: Execution,
    /// What the agent read of it.
    pub read: Read,
    /// When.
    pub at: Timestamp,
}

impl RehearsedOutcome {
    /// An outcome as an enforcement point reports it: of a call that was made and of which nothing
    /// more is said, the agent may have read anything.
    pub fn reported(execution: Execution, result: Option<&Value>, at: Timestamp) -> Self {
        let read = match (result, execution) {
            (Some(result), _) => Read::This(vec![Content::Value(result.clone())]),
            (None, Execution::NotExecuted) => Read::Nothing,
            (None, _) => Read::Unseen,
        };
        Self { execution, read, at }
    }
}

impl RehearsedSessions {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What a decision on that request reads.
    pub fn standing(&self, request: &Request) -> Standing<'_> {
        let own = self.known(&request.session.key);
        let home = self.known(self.home(&request.session.key));
        let identity = self.identities.get(name_of(&request.subject)).unwrap_or(&NOTHING.monitors);
        Standing {
            session: &home.session,
            sequence: own.session.sequence(),
            used: own.session.used(),
            monitors: MonitorFacts { session: &home.monitors, identity },
        }
    }

    /// The worst of everything that a session has read.
    pub fn label(&self, session: &SessionKey) -> &Label {
        self.known(self.home(session)).session.label()
    }

    /// Takes a decision in.
    pub fn decided(&mut self, policies: &Policies, request: &Request, outcome: &Outcome) {
        let key = &request.session.key;
        self.kept.entry(key.clone()).or_default().session.apply(&outcome.step);
        let home = self.home(key).clone();
        let kept = self.kept.entry(home.clone()).or_default();
        if home != *key {
            kept.session.witness(&outcome.step);
        }
        let Some(call) = Call::of(request, outcome) else {
            return;
        };
        let event = (outcome.record.at, came_to(outcome.decision, request.mode));
        let rules = policies.monitors();
        call.requested(rules.programs(History::Session), &mut kept.monitors, event);
        let past = self.identities.entry(name_of(&request.subject).into()).or_default();
        call.requested(rules.programs(History::Identity), past, event);
    }

    /// Takes in what came of a permitted call. All that the permit obliges to was done.
    pub fn happened(
        &mut self,
        (policies, catalogue): (&Policies, &Catalogue),
        (request, outcome): (&Request, &Outcome),
        happened: &RehearsedOutcome,
    ) {
        let read = self.reading(catalogue, (request, outcome), happened);
        let home = self.home(&request.session.key).clone();
        let kept = self.kept.entry(home).or_default();
        read.fold_into(kept.session.flow_mut(|| Flow::keyed(REHEARSAL_KEY)));
        let Some(call) = Call::of(request, outcome) else {
            return;
        };
        let output = Output::of(&happened.read);
        let event = (happened.at, happened.execution, &output);
        let rules = policies.monitors();
        call.executed(rules.programs(History::Session), &mut kept.monitors, event);
        let past = self.identities.entry(name_of(&request.subject).into()).or_default();
        call.executed(rules.programs(History::Identity), past, event);
    }

    fn reading(
        &mut self,
        catalogue: &Catalogue,
        (request, outcome): (&Request, &Outcome),
        happened: &RehearsedOutcome,
    ) -> Reading {
        let done = |obligation: &Obligation| Edit { obligation: obligation.clone(), values: 1 };
        let edits: Vec<Edit> = outcome.obligations.iter().map(done).collect();
        let asked: Vec<Arc<str>> =
            outcome.obligations.iter().filter_map(Obligation::declassifier).cloned().collect();
        let entry = catalogue.entry(&request.action);
        let worth = reading::worth(entry.map(|entry| &entry.returns), &asked, &edits, catalogue);
        self.results += 1;
        let at = u64::try_from(happened.at.as_millis()).unwrap_or(0);
        let (sequence, key) = (at + self.results, Flow::keyed(REHEARSAL_KEY).key());
        let spoken = Spoken::by(spoken(request));
        let told = (&happened.read, Some(&spoken));
        let read = reading::read(told, &worth.returns, &key, sequence, &outcome.record.id);
        let flow = self.known(self.home(&request.session.key)).session.flow();
        if happened.execution == Execution::NotExecuted {
            return read;
        }
        let source = Source { sequence, record: outcome.record.id.clone() };
        let said = flow.and_then(|flow| saying::said(flow, entry, request, source));
        read.and_said(said.map(|said| (said, key)))
    }

    /// What the task of a session has used.
    pub(crate) fn used(&self, session: &SessionKey) -> Option<&Used> {
        self.known(session).session.used()
    }

    /// The session, to be changed.
    pub(crate) fn session_mut(&mut self, session: &SessionKey) -> &mut Session {
        &mut self.kept.entry(session.clone()).or_default().session
    }

    /// Begins the session of a task that its agent began: what it reads is kept in the session
    /// that it came from.
    pub(crate) fn begin_within(&mut self, session: SessionKey, from: &SessionKey) {
        let home = Some(self.home(from).clone());
        let kept = Kept { session: Session::of_task(), home, ..Kept::default() };
        self.kept.insert(session, kept);
    }

    /// Begins the session of a task that somebody else began, who names all that.
    pub(crate) fn begin_named(
        &mut self,
        session: SessionKey,
        parameters: &BTreeMap<Arc<str>, Value>,
        prompt: Option<&str>,
    ) {
        let mut flow = Flow::keyed(REHEARSAL_KEY);
        let trusted = safeconduct_model::Integrity::Trusted;
        flow.name(&glean_task(&flow.key(), parameters, prompt, trusted));
        let mut kept = Kept { session: Session::of_task(), ..Kept::default() };
        kept.session.recall(flow);
        self.kept.insert(session, kept);
    }

    fn known(&self, session: &SessionKey) -> &Kept {
        self.kept.get(session).unwrap_or(&NOTHING)
    }

    fn home<'a>(&'a self, session: &'a SessionKey) -> &'a SessionKey {
        self.known(session).home.as_ref().unwrap_or(session)
    }
}
