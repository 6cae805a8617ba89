//! Use-case: decide a request and make its record durable.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use safeconduct_engine::{Facts, Known, Outcome, TaskFacts, Understood, decide, touched};
use safeconduct_model::{
    ActionEntry, ActionName, Authority, Body, Budget, Confidentiality, Decision, Effect, Entity,
    IdentityId, Integrity, Label, Mandate, Mode, Network, NetworkDigest, Now, Reason, Record,
    RecordId, Request, Returns, SessionKey, SessionName, SessionRef, Subject, TaskRef, Tier,
    Timestamp, TraceId, Value,
};
use safeconduct_policy::History;
use safeconduct_session::flow::Flow;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::access::{BREAK_GLASS, BREAKING, Beside, Denied, Found, Queuing, Wish, WishOf};
use crate::line::Line;
use crate::past::{self, Happened, lock_past};
use crate::recall::{Recall, flow_key};
use crate::refold::ARGUMENTS;
use crate::service::Settings;
use crate::sessions::{SESSIONS_MAX, Slot, lock};
use crate::{
    AccessHappened, Entry, LEASE, Proposal, Recorded, Ruling, Service, SessionKeys, SubmitError,
    Ticket, UNDERTAKE, Unrecorded, Versioned, World,
};

/// What is known of the action of beginning a task, whatever a catalogue says.
static UNDERTAKING: LazyLock<Option<ActionEntry>> = LazyLock::new(|| {
    let name = ActionName::new(UNDERTAKE).ok()?;
    Some(ActionEntry {
        name,
        server: None,
        tier: Tier::Moderate,
        effect: Effect::Delegate,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Public,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Secret,
        arguments: Vec::new(),
        resources: Vec::new(),
        definition: None,
        raises: Vec::new(),
        additional_arguments: true,
        keep_arguments: false,
        keep_result: false,
    })
});

/// What is known of the action of leasing a credential, whatever a catalogue says.
static LEASING: LazyLock<Option<ActionEntry>> = LazyLock::new(|| {
    Some(ActionEntry { name: ActionName::new(LEASE).ok()?, ..UNDERTAKING.clone()? })
});

/// The mandate of a task that has ended.
static NOTHING: LazyLock<Arc<Mandate>> = LazyLock::new(|| {
    Arc::new(Mandate {
        parameters: BTreeMap::new(),
        authority: Authority {
            allowances: Vec::new(),
            budget: Budget {
                calls: 0,
                calls_of: BTreeMap::new(),
                spend: None,
                distinct_resources: None,
                bytes_out: None,
            },
            tier_max: Tier::Low,
            deadline: Timestamp::from_millis(0),
            depth_left: 0,
            credentials: BTreeMap::new(),
        },
    })
});

/// How often what a session has read is read back for one decision, where others need the room
/// at once.
const RECALLS: usize = 64;

/// How often a decision is made again when others change what it rests on.
const ATTEMPTS: u32 = 3;

/// One question to the decision point, before it has a session, digests and a time.
#[derive(Debug, Clone)]
pub struct Check {
    /// Who wants to act.
    pub subject: Subject,
    /// What they want to do.
    pub action: ActionName,
    /// What they want to do it to, where the enforcement point names it.
    pub resource: Option<Entity>,
    /// The arguments.
    pub input: Value,
    /// What else the enforcement point says.
    pub asserted: Option<Value>,
    /// What the enforcement point calls its part of the session.
    pub session_name: Option<SessionName>,
    /// The enforcement point.
    pub pep: IdentityId,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
    /// The record that caused this request.
    pub parent: Option<RecordId>,
    /// What obligations the enforcement point can carry out.
    pub understood: Understood,
    /// From where whoever wants to act has asked; `None` where nobody knows, or where it is
    /// another who asks for them.
    pub network: Option<Network>,
}

impl Service {
    /// Decides a request. The answer comes once its record is durable.
    ///
    /// # Errors
    /// [`Unrecorded`] where no record could be made durable: a Deny.
    pub async fn check(&self, check: Check) -> Result<Recorded<Ruling>, Unrecorded> {
        self.recorded(self.begin_check(check)?).await
    }

    /// Decides a request and queues its record, without waiting for the disk: for whoever asks
    /// much at once. What was decided comes out of [`Service::recorded`] alone.
    ///
    /// # Errors
    /// [`Unrecorded`] where no record could be queued: a Deny.
    pub fn begin_check(&self, check: Check) -> Result<Queued, Unrecorded> {
        self.begin_wishing(check, None)
    }

    /// The same, for whoever wants people to be asked where it is denied.
    pub(crate) fn begin_wishing(
        &self,
        check: Check,
        wish: Option<&mut Wish>,
    ) -> Result<Queued, Unrecorded> {
        let span = span(&check);
        span.in_scope(|| {
            let mut queued = self.decide_and_queue(check, wish)?;
            describe(&span, &queued.ruling);
            let Ruling { request, outcome, .. } = &*queued.ruling;
            let asserted = match &request.subject {
                Subject::Asserted { entity, .. } => Some(&entity.uid),
                _ => None,
            };
            self.saw(&request.session.key, asserted, outcome.record.at);
            if let Some(label) = queued.ruling.outcome.label_at_permit() {
                self.raise_above(&queued.ruling.request.session.key, label);
            }
            // Before the wait: a caller that goes away meanwhile leaves a permit that is durable
            // all the same, and whose outcome is to be recorded.
            if queued.ruling.goes_ahead() {
                self.expect_outcome(&queued.ruling, Arc::clone(&queued.keys), queued.read);
            }
            if let Some(Queuing { request, state: Some(state) }) = &queued.used
                && state.is_final()
            {
                self.tell_of_access(request, AccessHappened::Settled(*state));
            }
            queued.span = span.clone();
            Ok(queued)
        })
    }

    /// Waits until the record of a decision is durable, and gives the decision.
    ///
    /// # Errors
    /// [`Unrecorded`] where it could not be made durable: a Deny.
    pub async fn recorded(&self, queued: Queued) -> Result<Recorded<Ruling>, Unrecorded> {
        let Queued { ruling, ticket, place, span, .. } = queued;
        if let Err(error) = self.ledger.durable(ticket).instrument(span).await {
            if ruling.goes_ahead() {
                self.expect_nothing(ruling.decision());
            }
            return Err(Unrecorded { reason: Reason::NotRecorded(error.0) });
        }
        self.watch_denial(&ruling.outcome.record);
        Ok(Recorded::durable(ruling, place))
    }

    /// Everything up to the queue, without waiting: the session's lock is held meanwhile, so
    /// that its decisions are one sequence. With a wish to ask, a Deny is recorded with the request
    /// that comes of it. A Permit of somebody who only asks is not recorded: nothing rests on it.
    pub(crate) fn decide_and_queue(
        &self,
        check: Check,
        mut wish: Option<&mut Wish>,
    ) -> Result<Queued, Unrecorded> {
        let proof = check.subject.authentication();
        let key = SessionKey::of(proof);
        // Before the session's lock: an end takes that too, and reading a mandate back does.
        let in_task = acts_in(&check.subject).cloned();
        let mandate = in_task.as_ref().and_then(|task| {
            self.end_if_overdue(&task.id);
            self.unseal(&task.id)
        });
        let history_key = in_task.as_ref().and_then(|task| self.history(&task.id));
        let past = self.past_of(past::name_of(&check.subject));
        let no_room = || Unrecorded {
            reason: Reason::OverLimit {
                what: "the number of sessions",
                limit: SESSIONS_MAX as u64,
            },
        };
        let place = self.session_slot(&key).ok_or_else(no_room)?;
        // Without the session that its task came from nobody knows what was read there.
        let history = history_key.as_ref().map(|key| self.session_slot(key).ok_or_else(no_room));
        let history = history.transpose()?;
        let home = history.as_ref().unwrap_or(&place);
        let home_key = history_key.as_ref().unwrap_or(&key);
        let (mut slot, mut history) = self.whole(&place, history.as_ref(), home_key)?;
        let (keys, began) = self.keys_of(&key, &slot)?;
        let canonical = safeconduct_ledger::canonical(&check.input);
        let understood = check.understood;
        if began.is_some() {
            slot.forget_place();
        }
        // Only of whoever acts in person: where an enforcement point stands says nothing of those
        // of whom it speaks.
        let came_by = match &check.subject {
            Subject::Caller(_) => check.network,
            Subject::Lessee(_) | Subject::Asserted { .. } | Subject::Undertaker { .. } => None,
        };
        let network = came_by.map(|network| slot.place(network, &*keys));
        let given_back = check.asserted.as_ref().map_or(0, given_back_bytes);
        let request = Request {
            input_digest: match &check.asserted {
                None => keys.digest(&canonical),
                Some(asserted) => keys.digest(&listed(&canonical, asserted)),
            },
            session: SessionRef { key, name: check.session_name },
            subject: check.subject,
            action: check.action,
            resource: check.resource,
            input: check.input,
            asserted: check.asserted,
            pep: check.pep,
            mode: check.mode,
            trace: check.trace,
            parent: check.parent,
        };
        for attempt in 1..=ATTEMPTS + 1 {
            // The last attempt keeps other changes of this process out, so that a stream of them
            // denies nobody; another process may still win the race.
            let _alone = (attempt >= ATTEMPTS).then(|| self.keep_changes_out());
            let world = self.world();
            let now = Now { at: self.clock.now(), decision: self.ids.record("dec") };
            let line = in_task.as_ref().and_then(|task| self.line(&task.id));
            let line = line
                .map(|line| line.with(mandate.as_ref()).among(&world))
                .map(|line| self.as_presented(request.subject.authentication(), line));
            // After the sessions' locks: everyone locks that way.
            let mut past = past.as_ref().map(|past| lock_past(past));
            let home_now = history.as_deref().unwrap_or(&slot);
            let risk = self.risk(&request, line.as_ref(), &world, now.at);
            let rules = world.policies.monitors();
            let facts = Facts {
                task: line.as_ref().and_then(|line| task_facts(line, &world)),
                session: &home_now.session,
                monitors: Some(past::monitors(&home_now.order, past.as_deref(), rules)),
                risk,
                last_word: self.last_word_for(&request, line.as_ref(), &world),
                input_bytes: (canonical.len() as u64).saturating_add(given_back),
                ..facts(&request, &world, &slot, &understood, &self.settings)
            };
            let refuse = |reason| {
                safeconduct_engine::refuse(&request, &facts, &world.policies, &now, vec![reason])
            };
            let proof = request.subject.authentication();
            let mut outcome = if attempt > ATTEMPTS {
                refuse(Reason::Contended)
            } else if world.ended(&proof.token, now.at)
                || proof.has_expired(now.at)
                || !self.proofs.vouch_for(proof)
                || !self.access_token_stands(proof, now.at)
            {
                refuse(Reason::CredentialEnded)
            } else {
                decide(&request, &facts, &world.policies, &now)
            };
            let tier = facts.entry.map_or(Tier::Critical, |entry| entry.tier_of(&request.input));
            // Whoever only asks uses nothing that was approved before.
            let asks = wish.as_deref().is_some_and(|wish| wish.of == WishOf::Asker);
            let beginning = wish.as_deref().and_then(|wish| wish.beginning.as_ref());
            let approved = match asks {
                false => self.approved(&request, &canonical, &outcome, tier, &world, beginning),
                true => None,
            };
            if let Some(approved) = &approved {
                let facts = Facts { approval: Some(&approved.facts), ..facts.clone() };
                outcome = decide(&request, &facts, &world.policies, &now);
            }
            if let Some(wish) = wish.as_deref_mut() {
                // What an earlier attempt found was not recorded.
                wish.found = None;
                if asks && outcome.decision == Decision::Permit {
                    wish.found = Some(Found::NotNeeded);
                    let reason = Reason::NotRecorded("it is permitted".into());
                    return Err(Unrecorded { reason });
                }
            }
            came_from(&mut outcome, network);
            // What is too long for a record is refused, and the refusal is recorded.
            let leaf = safeconduct_ledger::encode(&outcome.record).or_else(|error| {
                let limit = safeconduct_ledger::LEAF_BYTES_MAX as u64;
                outcome = refuse(Reason::OverLimit { what: "the decision's record", limit });
                came_from(&mut outcome, network);
                tracing::warn!(%error, "a decision is too long to be recorded and is refused");
                safeconduct_ledger::encode(&outcome.record)
            });
            let leaf = leaf.map_err(|error| Unrecorded {
                reason: Reason::NotRecorded(error.to_string().into()),
            })?;
            let kept = world.catalogue.entry(&request.action).is_some_and(|e| e.keep_arguments)
                || past::looks_at_arguments(rules, &request.action);
            let attachment = if kept { Some(sealed(&*keys, &outcome, &canonical)?) } else { None };
            let late = self.late_use(&request, line.as_ref(), &now)?;
            let (late, late_entry) = late.unzip();
            // What was approved and does not suffice is let go of before anybody is asked again.
            let approved = approved.filter(|_| outcome.decision == Decision::Permit);
            let glass = approved.as_ref().and_then(|approved| approved.read.clone());
            let denied = outcome.decision == Decision::Deny && request.mode == Mode::Enforce;
            let beside = match (approved, wish.as_deref_mut()) {
                (Some(approved), _) => self.using(approved, &request, &now.decision, now.at)?,
                (None, Some(wish)) if denied => {
                    let touched = touched(&request, &facts, &now).unwrap_or_default();
                    let denied = Denied {
                        request: &request,
                        canonical: &canonical,
                        outcome: &outcome,
                        touched: &touched,
                        tier,
                    };
                    self.asking(wish, &denied, line.as_ref(), &world)?
                }
                _ => None,
            };
            // The first that a session reads needs the key of what it reads: it begins with one.
            let reads_first = history_key.as_ref().zip(history.as_deref()).filter(|(_, slot)| {
                outcome.label_at_permit().is_some() && slot.session.flow().is_none()
            });
            let home_keys = reads_first.map(|(key, slot)| self.keys_of(key, slot)).transpose()?;
            let (home_keys, home_began) = home_keys.unzip();
            let home_began = home_began.flatten();
            let home_keys_at = home_began.is_some().then_some(u64::from(began.is_some()));
            let more = beside.as_ref().map(|beside| beside.entries.clone()).unwrap_or_default();
            let after = more.len() as u64;
            let entries = began.iter().cloned().chain(home_began).chain(late_entry);
            let entries = entries.chain([Entry { leaf, attachment }]).chain(more).collect();
            let mut reads = vec![(Versioned::Session(request.session.key.clone()), slot.version)];
            let mut writes = vec![Versioned::Session(request.session.key.clone())];
            if let (Some(key), Some(slot)) = (&history_key, &history) {
                reads.push((Versioned::Session(key.clone()), slot.version));
                writes.push(Versioned::Session(key.clone()));
            }
            reads.extend(glass);
            if let Some((requests, version)) = beside.as_ref().map(Beside::version) {
                reads.push((requests.clone(), version));
                writes.push(requests);
            }
            if attempt <= ATTEMPTS {
                reads.push((Versioned::World, world.version));
                reads.extend(line.into_iter().flat_map(|line| line.versions));
            }
            match self.ledger.submit(Proposal { entries, reads, writes }) {
                Ok(whole) => {
                    let used = beside.map(|beside| beside.queued(self, whole));
                    // The decision stands before what is appended beside it.
                    let ticket = Ticket { last: whole.last.saturating_sub(after), ..whole };
                    // Here and not where it is waited for: whoever goes away meanwhile is seen too.
                    late.iter().for_each(|record| self.risks.watching.show(record));
                    let from = came_by.map(|network| (&request.session.key.identity, network));
                    self.risks.watching.show_from(&outcome.record, from);
                    if slot.advance(&outcome, &keys, ticket, began.is_some(), kept) {
                        self.sessions.holds_keys(&place);
                    }
                    if let Some(history) = &mut history {
                        history.session.witness(&outcome.step);
                        history.version += 1;
                    }
                    let order = &mut history.as_deref_mut().unwrap_or(&mut slot).order;
                    let happened = match rules.is_empty() {
                        true => None,
                        false => Happened::requested(&request, &outcome, ticket.last),
                    };
                    match happened {
                        Some(happened) => {
                            happened.take_in(&world.policies, History::Session, order);
                            if let Some(past) = &mut past {
                                happened.take_in(&world.policies, History::Identity, past);
                            }
                        }
                        None => order.tell(ticket.last),
                    }
                    if past.is_none() {
                        self.note_past(past::name_of(&request.subject), ticket.last);
                    }
                    let read = history.as_deref().unwrap_or(&slot).session.label().integrity;
                    if let Some(label) = outcome.label_at_permit() {
                        let home = history.as_deref_mut().unwrap_or(&mut slot);
                        if let Some(behind) = home_keys_at {
                            home.keys_at = Some(whole.first + behind);
                        }
                        let keys = home_keys.as_ref().unwrap_or(&keys);
                        home.session.flow_mut(|| Flow::keyed(flow_key(&**keys))).raise(label);
                    }
                    if let Some(label) = &outcome.hands_on {
                        history.as_deref_mut().unwrap_or(&mut slot).session.hand_on(label);
                    }
                    let more = history.as_deref_mut().unwrap_or(&mut slot).flow_grown();
                    self.sessions.holds_flow(home, more);
                    if let Some(task) = in_task.filter(|_| !is_foreign(&outcome)) {
                        self.touch(&task.id, now.at);
                    }
                    let expires_at = now.at.plus_ms(self.settings.permit_ttl_ms);
                    let ruling = Box::new(Ruling { outcome, request, expires_at });
                    let place = ticket.last;
                    let span = Span::none();
                    return Ok(Queued { ruling, keys, ticket: whole, place, used, read, span });
                }
                // A change may be between its record and its swap: wait for it to be through.
                Err(SubmitError::Stale) if attempt < ATTEMPTS => {
                    // Those who keep changes out take the lock of requests after that.
                    drop(beside);
                    drop(self.keep_changes_out());
                }
                Err(SubmitError::Stale) => {}
                Err(error) => return Err(not_recorded(&error)),
            }
        }
        Err(Unrecorded { reason: Reason::Contended })
    }

    /// Locks a session, and the one that its task came from, once what was read there is in
    /// memory. A task's session comes before the one that it came from: everyone locks that way.
    fn whole<'s>(
        &self,
        place: &'s Mutex<Slot>,
        history: Option<&'s Arc<Mutex<Slot>>>,
        home: &SessionKey,
    ) -> Result<(MutexGuard<'s, Slot>, Option<MutexGuard<'s, Slot>>), Unrecorded> {
        for _ in 0..RECALLS {
            let mut slot = lock(place);
            let mut history = history.map(|slot| lock(slot));
            let kept = history.as_deref_mut().unwrap_or(&mut slot);
            let world = self.world();
            let programs = world.policies.monitors().programs(History::Session);
            if kept.recall == Recall::Whole && kept.order.follows(programs) {
                kept.flow_used = true;
                return Ok((slot, history));
            }
            drop(history);
            drop(slot);
            self.recall(home);
        }
        let what = "the memory for what sessions have read";
        let limit = self.settings.flow_bytes_held as u64;
        Err(Unrecorded { reason: Reason::OverLimit { what, limit } })
    }

    /// The record of a credential's use after the end of its task.
    fn late_use(
        &self,
        request: &Request,
        line: Option<&Line>,
        now: &Now,
    ) -> Result<Option<(Record, Entry)>, Unrecorded> {
        let Some((task, _)) = line.and_then(|line| line.ended.as_ref()) else {
            return Ok(None);
        };
        let proof = request.subject.authentication();
        let record = Record {
            id: self.ids.record("rec"),
            at: now.at,
            trace: request.trace.clone(),
            parent: Some(now.decision.clone()),
            body: Body::UsedAfterEnd {
                task: task.clone(),
                identity: proof.identity.clone(),
                token: proof.token.clone(),
                action: Some(request.action.clone()),
            },
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| Unrecorded {
            reason: Reason::NotRecorded(error.to_string().into()),
        })?;
        Ok(Some((record, Entry { leaf, attachment: None })))
    }

    /// The keys of a session: in memory, unwrapped from the ledger, or new; new ones come with
    /// the entry that keeps them.
    pub(crate) fn keys_of(
        &self,
        key: &SessionKey,
        slot: &Slot,
    ) -> Result<(Arc<dyn SessionKeys>, Option<Entry>), Unrecorded> {
        if let Some(keys) = &slot.keys {
            return Ok((Arc::clone(keys), None));
        }
        // Those of a task are held beside its mandate.
        if slot.keys_at.is_some()
            && let Some(task) = self.tasks.of_session(key)
            && let Some(held) = task.lock().held()
        {
            return Ok((Arc::clone(&held.keys), None));
        }
        let refuse = |error: &dyn std::fmt::Display| Unrecorded {
            reason: Reason::NotRecorded(error.to_string().into()),
        };
        if let Some(at) = slot.keys_at {
            let wrapped = self.ledger.attachment(at).map_err(|error| refuse(&error))?;
            if let Some(wrapped) = wrapped {
                let keys = self.vault.unwrap(key, &wrapped).map_err(|error| refuse(&error))?;
                return Ok((keys, None));
            }
        }
        let (keys, wrapped) = self.vault.begin(key).map_err(|error| refuse(&error))?;
        let record = Record {
            id: self.ids.record("ses"),
            at: self.clock.now(),
            trace: None,
            parent: None,
            body: Body::SessionBegan { session: key.clone() },
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| refuse(&error))?;
        Ok((keys, Some(Entry { leaf, attachment: Some(wrapped) })))
    }
}

/// The span of a decision. Its target is its own, so that it costs nothing where nobody wants
/// spans; it names no argument and no result.
fn span(check: &Check) -> Span {
    tracing::trace_span!(
        target: "safeconduct::span",
        "decide",
        safeconduct.action = check.action.as_str(),
        safeconduct.pep = check.pep.as_str(),
        safeconduct.trace = check.trace.as_ref().map(TraceId::as_str),
        safeconduct.decision.id = Empty,
        safeconduct.decision = Empty,
        safeconduct.rule.ids = Empty,
    )
}

fn describe(span: &Span, ruling: &Ruling) {
    if span.is_disabled() {
        return;
    }
    let policies = ruling.outcome.reasons.iter().filter_map(Reason::policy);
    let rules: Vec<&str> = policies.map(|policy| policy.id.as_str()).collect();
    span.record("safeconduct.decision.id", ruling.decision().as_str());
    span.record("safeconduct.decision", ruling.outcome.decision.as_str());
    span.record("safeconduct.rule.ids", rules.join(","));
}

/// A decision whose record is queued and not yet durable: nobody may act on it, and nobody can
/// see it.
pub struct Queued {
    ruling: Box<Ruling>,
    keys: Arc<dyn SessionKeys>,
    ticket: Ticket,
    /// The place of the decision's record.
    place: u64,
    /// The approval that it used, or the request that it makes.
    used: Option<Queuing>,
    /// The worst that its session had read when it was decided.
    read: Integrity,
    span: Span,
}

impl Queued {
    /// The session that it was decided in.
    pub(crate) const fn session(&self) -> &SessionKey {
        &self.ruling.request.session.key
    }
}

/// Nothing of what was decided.
impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queued").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

impl Slot {
    /// Takes a decision in. Says whether the session's keys were not held before.
    pub(crate) fn advance(
        &mut self,
        outcome: &Outcome,
        keys: &Arc<dyn SessionKeys>,
        ticket: Ticket,
        began: bool,
        kept: bool,
    ) -> bool {
        self.session.apply(&outcome.step);
        self.version += 1;
        if let Some(heard) = &mut self.heard {
            heard.decided();
        }
        if began {
            self.keys_at = Some(ticket.first);
        }
        if kept {
            self.sealed_at.push(ticket.last);
        }
        self.hold(keys)
    }
}

pub(crate) fn facts<'a>(
    request: &Request,
    world: &'a World,
    slot: &'a Slot,
    understood: &'a Understood,
    settings: &'a Settings,
) -> Facts<'a> {
    let registered = |id: &str| world.identities.get(id).map(AsRef::<Known>::as_ref);
    let subject = match &request.subject {
        Subject::Caller(_) | Subject::Lessee(_) => None,
        Subject::Asserted { entity, .. } => registered(entity.uid.id.as_str()),
        Subject::Undertaker { agent, .. } => registered(agent.as_str()),
    };
    let entry = match &request.subject {
        Subject::Undertaker { .. } => UNDERTAKING.as_ref(),
        Subject::Lessee(_) => LEASING.as_ref(),
        // Nobody else asks about leases: a decision of that name is one on a lease.
        Subject::Caller(_) | Subject::Asserted { .. } => {
            let known = world.catalogue.entry(&request.action);
            let known = known.filter(|entry| entry.name.as_str() != LEASE);
            let breaks = request.action.as_str() == BREAK_GLASS;
            known.or_else(|| if breaks { BREAKING.as_ref() } else { None })
        }
    };
    Facts {
        caller: registered(request.subject.authentication().identity.as_str()),
        subject,
        entry,
        quarantined: world.quarantined(&request.action),
        session: &slot.session,
        sequence: slot.session.sequence(),
        used: slot.session.used(),
        task: None,
        killed: world.killed(&request.session.key),
        input_bytes: 0,
        calls_max: settings.calls_max,
        understood,
        tiers: &settings.tiers,
        risk: None,
        last_word: None,
        approval: None,
        set_aside: world.set_aside(),
        vocabulary: &world.vocabulary,
        catalogue: world.catalogue_digest,
        monitors: None,
    }
}

/// Notes from where it was asked.
fn came_from(outcome: &mut Outcome, network: Option<NetworkDigest>) {
    if let Body::Decided(decided) = &mut outcome.record.body {
        decided.network = network;
    }
}

/// The task that a request acts in; what is about to begin acts in none yet.
pub(crate) const fn acts_in(subject: &Subject) -> Option<&TaskRef> {
    match subject {
        Subject::Caller(proof) | Subject::Lessee(proof) | Subject::Asserted { by: proof, .. } => {
            proof.task.as_ref()
        }
        Subject::Undertaker { .. } => None,
    }
}

/// What is known of the task. Without its mandate nothing can be held to it, so that a task whose
/// mandate cannot be read is as good as unknown; of an ended one nothing more is asked.
pub(crate) fn task_facts<'a>(line: &'a Line, world: &'a World) -> Option<TaskFacts<'a>> {
    let mandate = match (&line.mandate, &line.ended) {
        (Some(mandate), _) => mandate,
        (None, Some(_)) => &NOTHING,
        (None, None) => return None,
    };
    let user = line.task.on_behalf_of.as_ref().and_then(|user| world.identities.get(user));
    Some(TaskFacts {
        task: &line.task,
        mandate,
        intent: world.intents.version(&line.task.intent, Some(line.task.intent_version)),
        ended: line.ended.clone(),
        delegated_by: line.delegated_by.clone(),
        user: user.map(AsRef::as_ref),
        set_aside: line.set_aside(world).cloned(),
    })
}

/// Whether someone named a task that is not theirs: that keeps nothing from being idle.
fn is_foreign(outcome: &Outcome) -> bool {
    outcome.reasons.iter().any(|reason| matches!(reason, Reason::ForeignTask | Reason::UnknownTask))
}

/// The canonical bytes of a list of two values, of which the first has its bytes already.
pub(crate) fn listed(first: &[u8], second: &Value) -> Vec<u8> {
    let mut list = Vec::with_capacity(first.len() + 128);
    list.push(b'[');
    list.extend_from_slice(first);
    list.push(b',');
    safeconduct_ledger::write_canonical(second, &mut list);
    list.push(b']');
    list
}

/// The canonical bytes of what goes to a server beside the arguments: what it is given back of
/// its own state, and answers to what it asked (MCP 2026-07-28).
fn given_back_bytes(asserted: &Value) -> u64 {
    let given = ["inputResponses", "requestState"].into_iter();
    let given = given.filter_map(|name| asserted.member(name));
    given.map(|value| safeconduct_ledger::canonical(value).len() as u64).sum()
}

/// The arguments, to be kept beside the record.
fn sealed(
    keys: &dyn SessionKeys,
    outcome: &Outcome,
    canonical: &[u8],
) -> Result<Vec<u8>, Unrecorded> {
    let sealed = keys.seal(&outcome.record.id, ARGUMENTS, canonical);
    sealed.map_err(|error| Unrecorded { reason: Reason::NotRecorded(error.to_string().into()) })
}

pub(crate) fn not_recorded(error: &SubmitError) -> Unrecorded {
    Unrecorded { reason: Reason::NotRecorded(error.to_string().into()) }
}
