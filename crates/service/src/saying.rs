//! What sessions say on their own account that have read what nobody vouches for.
//!
//! It is taken in with the permit, against what the session has read until then: whoever reads it
//! back before the outcome comes finds it no better than it was. Until a record of the outcome
//! holds it, it is kept beside the session.

use std::sync::Arc;

use safeconduct_engine::given_back;
use safeconduct_model::{
    ActionEntry, Effect, Execution, Integrity, Label, RecordId, Request, SessionKey, Subject, Value,
};
use safeconduct_session::flow::{Flow, FlowKey, Gleaned, Source};

use crate::pending::Pending;
use crate::reading::Reading;
use crate::sessions::{Slot, lock};
use crate::{Report, Ruling, Service};

/// What a permitted call says on its session's own account.
#[derive(Clone)]
pub(crate) enum Word {
    /// Nothing: the session had read nothing untrusted, or the call changes nothing.
    Nothing,
    /// This.
    Said(Arc<Said>),
    /// Perhaps something, and nobody knows what any more.
    Lost,
}

/// What was said, as fingerprints under one key.
pub(crate) struct Said {
    pub(crate) gleaned: Gleaned,
    pub(crate) key: FlowKey,
}

impl Word {
    /// Bytes that it takes in memory, as they are estimated.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Nothing | Self::Lost => 0,
            Self::Said(said) => size_of::<Said>() + said.gleaned.prints() * size_of::<u64>(),
        }
    }
}

/// What nobody but the session itself vouches for.
pub(crate) fn own_word() -> Label {
    Label { integrity: Integrity::Untrusted, ..Label::LEAST }
}

/// Whether a call of that action says anything that may come back. What nobody knows may.
fn speaks(entry: Option<&ActionEntry>) -> bool {
    entry.is_none_or(|entry| entry.effect != Effect::Read)
}

/// What a call says to the world on its session's own account.
pub(crate) fn said(
    flow: &Flow,
    entry: Option<&ActionEntry>,
    request: &Request,
    source: Source,
) -> Option<Gleaned> {
    // What becomes a task or a lease is no call.
    let calls = matches!(request.subject, Subject::Caller(_) | Subject::Asserted { .. });
    if !calls || !speaks(entry) {
        return None;
    }
    let uses = entry.map(|entry| entry.arguments.as_slice()).unwrap_or_default();
    let beside: Vec<&Value> = given_back_in(request).collect();
    flow.said((&request.input, &beside), uses, source)
}

/// What a request says to whoever carries it out.
pub(crate) fn spoken(request: &Request) -> Vec<&Value> {
    std::iter::once(&request.input).chain(given_back_in(request)).collect()
}

/// What a request gives back to a server beside the arguments.
pub(crate) fn given_back_in(request: &Request) -> impl Iterator<Item = &Value> {
    request.asserted.iter().flat_map(given_back)
}

impl Slot {
    /// Takes in again what was said and is in no record yet. What was said under another key
    /// would not be found by it.
    pub(crate) fn say_again(&self, flow: &mut Flow) {
        for word in self.saying.values() {
            match word {
                Word::Nothing => {}
                Word::Said(said) if said.key == flow.key() => flow.fold(&said.gleaned),
                Word::Said(_) | Word::Lost => flow.forget(&own_word()),
            }
        }
    }

    fn unsay(&mut self, decision: &RecordId) {
        self.saying.remove(decision);
    }
}

impl Service {
    /// What a permitted call says, of a session that had read what is of that integrity. The
    /// session has taken it in once this returns.
    pub(crate) fn says(&self, ruling: &Ruling, read: Integrity) -> Word {
        let (request, decision) = (&ruling.request, ruling.decision());
        let world = self.world();
        let entry = world.catalogue.entry(&request.action);
        if read != Integrity::Untrusted || !speaks(entry) {
            return Word::Nothing;
        }
        let home = self.home(&request.session.key);
        self.recall(&home);
        let Some(place) = self.sessions.known(&home) else {
            return Word::Lost;
        };
        let mut slot = lock(&place);
        let Some(flow) = slot.session.flow() else {
            return Word::Lost;
        };
        let sequence = u64::try_from(ruling.outcome.record.at.as_millis()).unwrap_or(0);
        let source = Source { sequence, record: decision.clone() };
        let Some(gleaned) = said(flow, entry, request, source) else {
            return Word::Nothing;
        };
        let said = Arc::new(Said { gleaned, key: flow.key() });
        slot.flow_used = true;
        slot.session.flow_mut(Flow::default).fold(&said.gleaned);
        slot.saying.insert(decision.clone(), Word::Said(Arc::clone(&said)));
        let more = slot.flow_grown();
        self.sessions.holds_flow(&place, more);
        Word::Said(said)
    }

    /// What a call said found no room: if what its session has read is read back before the
    /// outcome comes, it was perhaps anything.
    pub(crate) fn loses_word(&self, session: &SessionKey, decision: &RecordId) {
        if let Some(slot) = self.sessions.known(&self.home(session)) {
            let mut slot = lock(&slot);
            if let Some(word) = slot.saying.get_mut(decision) {
                *word = Word::Lost;
            }
        }
    }

    /// And what the call said on the session's own account, where it may have been carried out.
    pub(crate) fn with_said(
        &self,
        read: Reading,
        (report, pending): (&Report, &Pending),
        entry: Option<&ActionEntry>,
        home: &SessionKey,
    ) -> Reading {
        if report.execution == Execution::NotExecuted {
            return read;
        }
        match &pending.word {
            Word::Said(said) if self.flow_key_of(home) == Some(said.key) => {
                read.and_said(Some((said.gleaned.clone(), said.key)))
            }
            // The session's values were erased meanwhile.
            Word::Said(_) => read.and_lost(),
            Word::Lost if speaks(entry) && self.is_untrusted(home) => read.and_lost(),
            Word::Nothing | Word::Lost => read,
        }
    }

    /// What a call said is in the record of its outcome, or was never said.
    pub(crate) fn has_said(&self, pending: &Pending, home: &SessionKey, decision: &RecordId) {
        if !matches!(pending.word, Word::Nothing)
            && let Some(slot) = self.sessions.known(home)
        {
            lock(&slot).unsay(decision);
        }
    }

    fn flow_key_of(&self, home: &SessionKey) -> Option<FlowKey> {
        self.sessions.known(home).and_then(|slot| lock(&slot).session.flow().map(Flow::key))
    }

    /// Whether a session has read what nobody vouches for.
    fn is_untrusted(&self, home: &SessionKey) -> bool {
        self.sessions
            .known(home)
            .is_some_and(|slot| lock(&slot).session.label().integrity == Integrity::Untrusted)
    }
}
