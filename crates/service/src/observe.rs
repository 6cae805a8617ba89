//! Use-case: record what then happened.

use std::sync::{Arc, PoisonError};

use safeconduct_model::{
    Body, Edit, Executed, Execution, IdentityId, Integrity, Obligation, Record, RecordId, Returns,
    SessionKey, Timestamp, Value,
};
use safeconduct_policy::History;
use safeconduct_session::flow::{Demand, Flow, GLEANED_BYTES_MAX};
use thiserror::Error;

use crate::answered::Begun;
use crate::bundle::{Bundle, Kind};
use crate::echoed::{Kept, Spoken};
use crate::past::{self, Happened, lock_past};
use crate::pending::{Held, Pending};
use crate::reading::{self, Output, Reading};
use crate::recall::{OUTCOME, Recall};
use crate::refold::{Call, kind_of};
use crate::saying::{Word, given_back_in};
use crate::sessions::{Slot, lock};
use crate::{
    AppendError, Entry, Proposal, Ruling, Service, SessionKeys, SubmitError, Ticket, World,
};

/// What an enforcement point says of a permit that it acted on.
#[derive(Debug, Clone)]
pub struct Report {
    /// The decision that permitted it.
    pub decision: RecordId,
    /// Which enforcement point says so: the one that asked for the decision.
    pub reported_by: IdentityId,
    /// What happened.
    pub execution: Execution,
    /// How long it took, in milliseconds; `None` lets the decision point take the time since.
    pub duration_ms: Option<u64>,
    /// The result's bytes, where there is one: digested, and kept sealed where the catalogue
    /// says so.
    pub result: Option<Vec<u8>>,
    /// Why it failed or is unknown: a short fixed word.
    pub detail: Option<Arc<str>>,
    /// Obligations that were carried out.
    pub edits: Vec<Edit>,
    /// What the agent reads of it.
    pub read: Read,
    /// What the agent reads beside it: progress, log messages, what was asked meanwhile, and what
    /// no obligation looked at. No declassifier lowers that.
    pub beside: Read,
}

/// What an agent reads of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Read {
    /// Nothing of it reached the agent.
    #[default]
    Nothing,
    /// Something did or may have, and nobody says what: the session is as if it had read the worst
    /// that such a result can hold.
    Unseen,
    /// This, in the order in which it is read.
    This(Vec<Content>),
}

/// A piece of what an agent reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A structured value: fields are labelled by their place in it.
    Value(Value),
    /// A text, which may hold JSON or YAML: then fields are labelled by their place in that.
    Text(Arc<str>),
    /// Bytes in Base64 that are no text.
    Opaque(Arc<str>),
    /// A value beside the result: what surrounds a text, a link, `_meta`. What the catalogue says
    /// of fields raises its label where the place fits, and never lowers it.
    Around(Value),
}

/// Why an outcome was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObserveError {
    /// The caller's fault: no permit of that id waits for an outcome from this caller.
    #[error("no permit `{0}` waits for an outcome")]
    NotPending(RecordId),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the outcome's record could not be made: {0}")]
    Record(Arc<str>),
}

/// Longest result that is kept, in bytes; a longer one is digested and not kept.
pub const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What lies beside an outcome together, with room for the seal and the form around it, is never
/// more than the ledger takes: no outcome is lost for what was read.
const _: () = {
    let together = KEPT_BYTES_MAX + 3 * GLEANED_BYTES_MAX + reading::STRUCTURED_BYTES_MAX;
    assert!(together + 1024 <= crate::ATTACHED_BYTES_MAX, "too much lies beside an outcome");
};

/// How many overdue permits one sweep records at most.
const SWEEP_MAX: usize = 4096;

/// Into which state of its session something was taken in: how often that had been read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakenIn(u64);

impl TakenIn {
    /// Takes it in again, where what the session has read was read back since from records of
    /// which this is not one yet. `slot` comes to know of its record under the same lock.
    pub(crate) fn again(self, slot: &mut Slot, read: &Reading) {
        if slot.recalls != self.0 && slot.recall == Recall::Whole && read.label().is_some() {
            read.fold_into(slot.session.flow_mut(Flow::default));
        }
    }
}

impl Service {
    /// Records what happened, and waits until the record is durable.
    ///
    /// # Errors
    /// [`ObserveError`] says whose fault it is.
    pub async fn observe(&self, report: Report) -> Result<(), ObserveError> {
        let pending = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let asked_here = pending
                .get(&report.decision)
                .is_some_and(|pending| pending.asked_by == report.reported_by);
            if asked_here { pending.remove(&report.decision) } else { None }
        };
        let pending = pending.ok_or_else(|| ObserveError::NotPending(report.decision.clone()))?;
        let ticket = match self.queue_outcome(&report, &pending) {
            Ok(ticket) => ticket,
            Err(error) => {
                // It goes on waiting: the report can be made again, or its time runs out.
                self.put_back(report.decision, pending);
                return Err(error);
            }
        };
        Ok(self.ledger.durable(ticket).await?)
    }

    /// Takes in what an agent is about to read of a permitted call before its outcome is known:
    /// what the server says meanwhile, or what it asks. It is in memory once this returns, and the
    /// report of the outcome, which must hold it again, is what records it; where none comes, the
    /// worst counts as read.
    pub fn reads(&self, decision: &RecordId, by: &IdentityId, read: &Read) {
        let pending = {
            let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.get(decision).filter(|pending| pending.asked_by == *by).cloned()
        };
        let Some(pending) = pending else {
            return;
        };
        let world = self.world();
        let entry = world.catalogue.entry(&pending.action);
        let returns = entry.map(|entry| &entry.returns);
        let worth = reading::worth(returns, &[], &[], &world.catalogue);
        let home = self.home(&pending.session);
        let answered = self.answered_since(&pending);
        let said = pending.said(answered.as_deref());
        let read = (decision, read, said.as_ref());
        let read = self.read(read, &worth.returns, &home, self.clock.now());
        let _ = self.take_in(&pending.session, &home, &read);
    }

    fn put_back(&self, decision: RecordId, pending: Pending) {
        // It has just made room for itself, so nothing is crowded out.
        let _ =
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(decision, pending);
    }

    fn queue_outcome(&self, report: &Report, pending: &Pending) -> Result<Ticket, ObserveError> {
        let now = self.clock.now();
        let world = self.world();
        let entry = world.catalogue.entry(&pending.action);
        let home = self.home(&pending.session);
        let worth = reading::worth(
            entry.map(|entry| &entry.returns),
            &pending.declassifiers,
            &report.edits,
            &world.catalogue,
        );
        let answered = self.answered_since(pending);
        let said = pending.said(answered.as_deref());
        let told = (&report.decision, &report.read, said.as_ref());
        let declassified = worth.declassified.filter(|_| report.read != Read::Nothing);
        let whole = reading::worth(entry.map(|entry| &entry.returns), &[], &[], &world.catalogue);
        let beside = (&report.decision, &report.beside, said.as_ref());
        let beside = self.read(beside, &whole.returns, &home, now);
        let read = self.read(told, &worth.returns, &home, now).and_beside(beside);
        let read = self.with_said(read, (report, pending), entry, &home);
        let rules = world.policies.monitors();
        let looked = past::looks_at_result(rules, kind_of(report.execution), &pending.action);
        let output = if looked { Output::of(&report.read) } else { Output::Unknown };
        let keys = pending.keys.as_deref();
        let digest = keys.zip(report.result.as_deref()).map(|(keys, bytes)| keys.digest(bytes));
        let record = Record {
            id: self.ids.record("out"),
            at: now,
            trace: None,
            parent: Some(report.decision.clone()),
            body: Body::Executed(Executed {
                decision: report.decision.clone(),
                session: pending.session.clone(),
                execution: report.execution,
                duration_ms: report
                    .duration_ms
                    .unwrap_or_else(|| now.ms_since(pending.since).unsigned_abs()),
                result_digest: digest,
                result_bytes: report.result.as_ref().map_or(0, |bytes| bytes.len() as u64),
                detail: report.detail.clone(),
                edits: report.edits.clone(),
                label: read.label().cloned(),
                declassified,
            }),
        };
        // What was read was read, whether or not it can be recorded.
        let taken_in = self.take_in(&pending.session, &home, &read);
        let refuse = |error: &dyn std::fmt::Display| ObserveError::Record(error.to_string().into());
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| refuse(&error))?;
        let short = |result: &&Vec<u8>| result.len() <= KEPT_BYTES_MAX;
        let kept = report.result.as_ref().filter(short);
        let kept = kept.filter(|_| entry.is_some_and(|entry| entry.keep_result));
        let bundle = Bundle::default()
            .with(Kind::Values, kept.cloned())
            .with(Kind::Flow, read.fingerprints(Kind::Flow))
            .with(Kind::Event, output.to_seal())
            .with(Kind::Beside, read.fingerprints(Kind::Beside))
            .with(Kind::Said, read.fingerprints(Kind::Said));
        let attachment = match (keys, bundle.encode()) {
            (Some(keys), Some(bytes)) => {
                Some(keys.seal(&record.id, OUTCOME, &bytes).map_err(|error| refuse(&error))?)
            }
            _ => None,
        };
        let sealed = attachment.is_some();
        let entry = Entry { leaf, attachment };
        let happened = (report.execution, output, now);
        let ticket = self.in_order(&world, pending, &home, entry, (taken_in, &read), happened)?;
        if sealed && let Some(slot) = self.sessions.known(&pending.session) {
            lock(&slot).sealed_at.push(ticket.last);
        }
        self.has_said(pending, &home, &report.decision);
        self.is_reported(pending, &home);
        Ok(ticket)
    }

    /// What may have been handed on of a result is known now, or nobody will ever say: its session
    /// has taken it in.
    fn is_reported(&self, pending: &Pending, home: &SessionKey) {
        if let Some(label) = &pending.hands_on
            && let Some(slot) = self.sessions.known(home)
        {
            lock(&slot).session.reported(label);
        }
    }

    /// Queues the record of an outcome, and lets rules of order and count come to know of it: under
    /// the locks under which decisions are queued, so that memory has the order of the records.
    fn in_order(
        &self,
        world: &World,
        pending: &Pending,
        home: &SessionKey,
        entry: Entry,
        (taken_in, read): (TakenIn, &Reading),
        (execution, output, at): (Execution, Output, Timestamp),
    ) -> Result<Ticket, SubmitError> {
        let rules = world.policies.monitors();
        let whole = pending.keys.is_some()
            && (pending.held == Held::Whole || !past::looks_at_arguments(rules, &pending.action));
        let slot = self.sessions.known(home);
        let call = pending.call.as_ref();
        let past = call.and_then(|call| self.pasts.of(call.principal.id.as_str()));
        let mut slot = slot.as_ref().map(|slot| lock(slot));
        let mut past = past.as_ref().map(|past| lock_past(past));
        let (entries, reads, writes) = (vec![entry], Vec::new(), Vec::new());
        let ticket = self.ledger.submit(Proposal { entries, reads, writes })?;
        let sequence = ticket.last;
        if let Some(slot) = slot.as_mut().filter(|_| read.label().is_some()) {
            taken_in.again(slot, read);
            slot.told.push(sequence);
        }
        let order = slot.as_mut().map(|slot| &mut slot.order);
        match call.filter(|_| whole && !rules.is_empty()) {
            Some(call) => {
                let call = Call::clone(call);
                let happened = Happened::executed(call, (execution, output), at, sequence);
                order.into_iter().for_each(|order| {
                    happened.take_in(&world.policies, History::Session, order);
                });
                past.iter_mut().for_each(|past| {
                    happened.take_in(&world.policies, History::Identity, past);
                });
            }
            // No rule looks at it now; or it was decided by another process, or is too large to be
            // held: its call lies in the ledger, and is folded from there.
            None => {
                order.into_iter().for_each(|order| order.tell(sequence));
                past.iter_mut().for_each(|past| past.tell(sequence));
            }
        }
        Ok(ticket)
    }

    /// What was read, as fingerprints under the key of the session where that is kept.
    pub(crate) fn read(
        &self,
        (decision, read, said): (&RecordId, &Read, Option<&Spoken<'_>>),
        returns: &Returns,
        home: &SessionKey,
        now: Timestamp,
    ) -> Reading {
        match read {
            Read::Nothing => return Reading::Nothing,
            // Nothing is looked for by it: what was read before need not be in memory.
            Read::Unseen => return Reading::Unseen(returns.highest()),
            Read::This(_) => {}
        }
        self.recall(home);
        let known = self.sessions.known(home);
        let demand = known.and_then(|slot| lock(&slot).session.flow().map(Demand::from));
        let demand = demand.unwrap_or_else(|| Demand::from(&self.new_flow(home)));
        let sequence = u64::try_from(now.as_millis()).unwrap_or(0);
        reading::read((read, said), returns, demand, sequence, decision)
    }

    /// A session has read something, and so have all above its task.
    pub(crate) fn take_in(
        &self,
        session: &SessionKey,
        home: &SessionKey,
        read: &Reading,
    ) -> TakenIn {
        let mut taken_in = TakenIn(0);
        let Some(label) = read.label() else {
            return taken_in;
        };
        // Fingerprints are made under a key; a label alone needs none.
        let empty = match read {
            Reading::Seen(..) => self.new_flow(home),
            Reading::Nothing | Reading::Unseen(_) => self.empty_flow(home),
        };
        if let Some(place) = self.session_slot(home) {
            let mut slot = lock(&place);
            slot.flow_used = true;
            read.fold_into(slot.session.flow_mut(|| empty));
            taken_in = TakenIn(slot.recalls);
            let more = slot.flow_grown();
            self.sessions.holds_flow(&place, more);
        }
        self.raise_above(session, label);
        taken_in
    }

    /// Forgets a permit that did not become durable.
    pub(crate) fn expect_nothing(&self, decision: &RecordId) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(decision);
        if let Some(pending) = pending {
            let home = self.home(&pending.session);
            self.has_said(&pending, &home, decision);
            self.is_reported(&pending, &home);
        }
    }

    /// The call; with its arguments where what comes of it is read with them in view: by rules of
    /// order and count, or because its result may vouch for something.
    fn remembers_call(&self, ruling: &Ruling) -> (Option<Arc<Call>>, Held) {
        let world = self.world();
        let (action, outcome) = (&ruling.request.action, &ruling.outcome);
        let wanted = past::looks_at_arguments(world.policies.monitors(), action)
            || world.catalogue.entry(action).is_some_and(|entry| entry.returns.vouches())
            || outcome.obligations.iter().any(|one| one.declassifier().is_some());
        let (call, held) = match wanted {
            true => (Call::of(&ruling.request, outcome), Held::Whole),
            false => (Call::bare(outcome), Held::Bare),
        };
        (call.map(Arc::new), held)
    }

    /// Remembers that an outcome is to come. `read` is the worst that the session had read when it
    /// was decided.
    pub(crate) fn expect_outcome(
        &self,
        ruling: &Ruling,
        keys: Arc<dyn SessionKeys>,
        read: Integrity,
    ) {
        let at = ruling.outcome.record.at;
        let word = self.says(ruling, read);
        let says = matches!(word, Word::Said(_));
        let (call, held) = self.remembers_call(ruling);
        let given = || given_back_in(&ruling.request).cloned().collect::<Vec<_>>();
        let beside = if held == Held::Whole { given().into() } else { Arc::default() };
        self.answers(&ruling.request, at);
        let pending = Pending {
            session: ruling.request.session.key.clone(),
            action: ruling.request.action.clone(),
            asked_by: ruling.request.pep.clone(),
            keys: Some(keys),
            declassifiers: ruling
                .outcome
                .obligations
                .iter()
                .filter_map(Obligation::declassifier)
                .cloned()
                .collect(),
            call,
            held,
            beside,
            echoed: Kept::default(),
            word,
            hands_on: ruling.outcome.hands_on.clone(),
            begun: Begun::of(&ruling.request),
            since: at,
            deadline: at.plus_ms(self.settings.outcome_deadline_ms),
        };
        let (crowded_out, lost) = {
            let mut permits = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let crowded_out = permits.insert(ruling.decision().clone(), pending);
            let word = says.then(|| permits.get(ruling.decision())).flatten();
            (crowded_out, word.is_some_and(|pending| matches!(pending.word, Word::Lost)))
        };
        if lost {
            self.loses_word(&ruling.request.session.key, ruling.decision());
        }
        if let Some((id, pending)) = crowded_out {
            self.record_unknown(id, &pending, "crowded_out");
        }
    }

    /// Records as `unknown` every permit whose outcome is overdue; called from time to time.
    /// Returns how many there were.
    pub fn sweep(&self) -> usize {
        let mut swept = 0;
        loop {
            let overdue = self
                .pending
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .overdue(self.clock.now(), SWEEP_MAX);
            if overdue.is_empty() {
                return swept;
            }
            swept += overdue.len();
            for (id, pending) in overdue {
                self.record_unknown(id, &pending, "never_reported");
            }
        }
    }

    pub(crate) fn record_unknown(&self, decision: RecordId, pending: &Pending, why: &'static str) {
        let report = Report {
            decision,
            reported_by: pending.asked_by.clone(),
            execution: Execution::Unknown,
            duration_ms: None,
            result: None,
            detail: Some(why.into()),
            edits: Vec::new(),
            read: Read::Unseen,
            // What was said meanwhile is in no record.
            beside: Read::Unseen,
        };
        // A ledger that takes no record has turned readiness red already; after a restart the
        // permit is found without outcome and recorded then.
        if let Err(error) = self.queue_outcome(&report, pending) {
            tracing::debug!(%error, "an overdue outcome could not be recorded");
        }
    }

    /// How many permits wait for their outcome.
    pub fn pending_outcomes(&self) -> usize {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a credential still stands at that moment: what a permit is checked against again
    /// when it is performed.
    pub fn stands(
        &self,
        authentication: &safeconduct_model::Authentication,
        at: Timestamp,
    ) -> bool {
        let world = self.world();
        world.stands(&authentication.identity, &authentication.token, at)
            && !authentication.has_expired(at)
            && self.proofs.vouch_for(authentication)
            && self.access_token_stands(authentication, at)
            && world.killed(&SessionKey::of(authentication)).is_none()
            && authentication.task.as_ref().is_none_or(|task| self.task_goes_on(&task.id, at))
    }
}
