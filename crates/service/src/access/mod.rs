//! Access requests: what becomes of a Deny that people may answer.
//!
//! A denied call is asked for with [`Service::request_access`], answered with
//! [`Service::answer_access`], and used by the next decision on the very same call: that decision
//! is made again, policy, task, budget and risk with it, with the approval as new evidence
//! (`context.approval`), and a permit of it is recorded together with the use, in one append.
//! Whatever changes a request reads and writes the version of its agent's requests, so that of
//! two steps that race, on whatever connection or node, only one is recorded.
//!
//! Arguments are held against what was approved by a digest under a key of the agent's own, which
//! outlives sessions and credentials. That key, the arguments and the bounds of what was approved
//! lie sealed in the ledger, and [`Service::erase`] of [`requests_session`] erases them: nothing
//! that rests on them can be shown, approved or used after that.
//!
//! Locks: those of sessions come before the one of requests; those of tasks are taken with it or
//! after it, never before.

mod answer;
mod asking;
mod at_once;
mod due;
mod end;
mod glass;
mod people;
mod request;
mod restore;
pub(crate) mod sealed;
mod spend;
mod view;
mod wait;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use foldhash::fast::RandomState;
use safeconduct_approval::{AccessRequest, Change, Docket, Event, FoldError, Scope};
use safeconduct_model::{
    ActionName, Body, BrokenGlass, IdentityId, Method, Reason, Record, RecordId, SessionKey,
    SessionScope, Tier, Timestamp, TokenId, TraceId,
};

use crate::{Entry, Service, SessionKeys, Unrecorded, Versioned};

pub(crate) use answer::assurance;
pub(crate) use glass::BREAKING;
pub(crate) use request::{Beginning, Beside, Denied, Found, Queuing, Wish, WishOf, parties};

pub use answer::*;
pub use at_once::*;
pub use due::*;
pub use end::*;
pub use glass::*;
pub use request::*;
pub use safeconduct_approval::{
    AnswerError, AskError, Bound as AccessBound, EditError, GroupError, Lowering, Mark, Pace,
    Reach as AccessReach, RevokeError as TakeBackError, Scope as AccessScope, ScopeError, Shown,
    ShownValue, State as AccessState,
};
pub use view::*;
pub use wait::*;

/// The name under which the key of an agent's requests stands where others have the name of a
/// credential: no credential is called so.
const REQUESTS: &str = "access-requests";

/// Most agents whose keys of requests are in memory. Of others they are unwrapped again.
const KEYS_HELD: usize = 4096;

/// Most agents that ever asked for anything. One more cannot ask.
pub const ASKING_AGENTS_MAX: usize = 1_000_000;

/// How often a change of a request is tried where others change what it rests on.
const ATTEMPTS: u32 = 3;

/// The session by whose name [`Service::erase`] erases the arguments of an agent's requests.
pub fn requests_session(agent: &IdentityId) -> Option<SessionKey> {
    let token = TokenId::new(REQUESTS).ok()?;
    Some(SessionKey::credential(agent.clone(), token))
}

/// Whether a session is no session, but the place of the key of an agent's requests.
pub(crate) fn is_of_requests(key: &SessionKey) -> bool {
    matches!(&key.scope, SessionScope::Credential(token) if token.as_str() == REQUESTS)
}

/// What happened to a request, for whoever tells people of it. Holds no argument's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessNews {
    /// Which request.
    pub request: RecordId,
    /// What happened.
    pub what: AccessHappened,
    /// Whom to tell: who is asked now, or, of what is settled, who asked.
    pub to: BTreeSet<IdentityId>,
    /// Who asked.
    pub asked_by: IdentityId,
    /// What for.
    pub action: ActionName,
    /// The action's tier.
    pub tier: Tier,
    /// Until when somebody may answer.
    pub answer_by: Timestamp,
}

/// What happened to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessHappened {
    /// People are told that it waits for them: it was made, or others may answer than before.
    Asked,
    /// Somebody approved, and others must. Those are told by [`AccessHappened::Asked`].
    Answered,
    /// Nobody answered for a while, and others may too. Those are told by
    /// [`AccessHappened::Asked`].
    Escalated,
    /// It stands so now, and nobody need answer any more.
    Settled(AccessState),
    /// Rules that ask for an approval were set aside; then [`AccessNews::request`] is the record
    /// of that.
    GlassBroken,
}

/// All requests, as they stand.
pub(crate) struct Requests {
    /// Whether anything waits or may be used: decisions look at nothing else where not.
    busy: AtomicBool,
    state: Mutex<Ledgered>,
}

/// The requests with where they lie in the ledger.
pub(crate) struct Ledgered {
    docket: Docket,
    places: BTreeMap<RecordId, Place>,
    /// When something is due of which request.
    agenda: BTreeSet<(Timestamp, RecordId)>,
    /// By agent: what belongs to all its requests.
    agents: HashMap<IdentityId, OfAgent, RandomState>,
    /// How many keys are at hand, at most.
    keys_held: usize,
    /// Who waits for which request.
    waiting: BTreeMap<RecordId, Vec<Waker>>,
    waiters: usize,
    /// Rules that are set aside, by the record of it.
    glasses: BTreeMap<RecordId, Glass>,
    /// Reviews that are due, by the record of what happened.
    due: BTreeMap<RecordId, DueReview>,
}

/// Where a request lies.
#[derive(Debug, Clone)]
struct Place {
    /// The entry by which it was made, beside which its arguments are.
    at: u64,
    /// The decision that denied.
    denied_by: Option<RecordId>,
    /// What stands in the agenda.
    due: Option<Timestamp>,
    /// When people are looked for who were not told yet that it waits for them.
    ask_at: Option<Timestamp>,
    /// How each answer was proved, in their order.
    methods: Vec<Method>,
}

/// What belongs to all requests of one agent.
#[derive(Default)]
struct OfAgent {
    /// Proposals that wrote its requests since the process started.
    version: u64,
    keys: Option<Arc<dyn SessionKeys>>,
    /// The entry beside which the wrapped key lies.
    keys_at: Option<u64>,
    /// The entries beside which something lies sealed.
    sealed_at: Vec<u64>,
}

/// Rules that are set aside for somebody.
#[derive(Debug, Clone)]
struct Glass {
    broken: BrokenGlass,
    at: Timestamp,
}

/// The keys of an agent's requests; new ones come with the entry that keeps them.
struct Keyed {
    keys: Arc<dyn SessionKeys>,
    began: Option<Entry>,
}

impl Requests {
    /// None yet.
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            busy: AtomicBool::new(false),
            state: Mutex::new(Ledgered {
                docket: Docket::new(pace),
                places: BTreeMap::new(),
                agenda: BTreeSet::new(),
                agents: HashMap::default(),
                keys_held: 0,
                waiting: BTreeMap::new(),
                waiters: 0,
                glasses: BTreeMap::new(),
                due: BTreeMap::new(),
            }),
        }
    }
}

impl Requests {
    /// Locks them. Changes are made after the last fallible step.
    fn lock(&self) -> MutexGuard<'_, Ledgered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything waits or may be used, of anybody.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Takes note of whether anything waits or may be used.
    fn settle(&self, state: &Ledgered) {
        let busy = !state.docket.is_idle() || !state.glasses.is_empty();
        self.busy.store(busy, Ordering::Relaxed);
    }
}

impl Ledgered {
    fn agent(&mut self, agent: &IdentityId) -> &mut OfAgent {
        if !self.agents.contains_key(agent) {
            self.agents.insert(agent.clone(), OfAgent::default());
        }
        // INVARIANT: it was just made.
        self.agents.entry(agent.clone()).or_default()
    }

    /// Keeps the keys of an agent's requests at hand; where too many are, others are let go of
    /// that lie in the ledger.
    fn hold(&mut self, agent: &IdentityId, keys: &Arc<dyn SessionKeys>) {
        if self.keys_held >= KEYS_HELD {
            let cool = |of: &mut OfAgent| {
                of.keys = of.keys.take().filter(|_| of.keys_at.is_none());
                usize::from(of.keys.is_some())
            };
            self.keys_held = self.agents.values_mut().map(cool).sum();
        }
        if self.agent(agent).keys.replace(Arc::clone(keys)).is_none() {
            self.keys_held += 1;
        }
    }

    /// The version of an agent's requests, as a proposal reads it.
    fn read(&self, agent: &IdentityId) -> (Versioned, u64) {
        let version = self.agents.get(agent).map_or(0, |of| of.version);
        (Versioned::Access(agent.clone()), version)
    }

    /// Takes a change in that was queued: those who wait for it hear of it.
    fn take_in(&mut self, change: &Change) -> Result<(), FoldError> {
        self.docket.apply(change)?;
        let id = &change.request;
        match self.asks_after(change) {
            Some(ask_at) => self.ask_at(id, ask_at),
            None => self.plan(id),
        }
        // Where the one is answered that asked for a whole group, nobody knows of the others.
        for other in self.docket.left_behind(id, change.at) {
            self.ask_at(&other, Some(change.at));
        }
        if let Some(waiting) = self.waiting.remove(id) {
            self.waiters = self.waiters.saturating_sub(waiting.len());
            waiting.into_iter().for_each(Waker::wake);
        }
        // The docket forgets what ended long ago.
        if self.places.len() > 2 * (self.docket.len() + 1024) {
            let docket = &self.docket;
            self.places.retain(|id, _| docket.request(id).is_some());
        }
        Ok(())
    }
}

/// Who acts in a request.
fn agent_of(request: &AccessRequest) -> Option<&IdentityId> {
    request.opened().binding.actors.first()
}

impl Service {
    /// The keys of an agent's requests: in memory, unwrapped from the ledger, or new.
    fn request_keys(&self, state: &mut Ledgered, agent: &IdentityId) -> Result<Keyed, Unrecorded> {
        if let Some(keys) = self.known_request_keys(state, agent)? {
            return Ok(Keyed { keys, began: None });
        }
        let key = requests_session(agent).ok_or_else(|| broken(&"no name for a key"))?;
        let (keys, wrapped) = self.vault.begin(&key).map_err(|error| broken(&error))?;
        let record = Record {
            id: self.ids.record("ses"),
            at: self.clock.now(),
            trace: None,
            parent: None,
            body: Body::SessionBegan { session: key },
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| broken(&error))?;
        Ok(Keyed { keys, began: Some(Entry { leaf, attachment: Some(wrapped) }) })
    }

    /// The same where there are any: what is asked where nothing new may be made.
    fn known_request_keys(
        &self,
        state: &mut Ledgered,
        agent: &IdentityId,
    ) -> Result<Option<Arc<dyn SessionKeys>>, Unrecorded> {
        let Some(of) = state.agents.get(agent) else { return Ok(None) };
        if let Some(keys) = &of.keys {
            return Ok(Some(Arc::clone(keys)));
        }
        let Some(at) = of.keys_at else { return Ok(None) };
        let wrapped = self.ledger.attachment(at).map_err(|error| broken(&error))?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        let key = requests_session(agent).ok_or_else(|| broken(&"no name for a key"))?;
        let keys = self.vault.unwrap(&key, &wrapped).map_err(|error| broken(&error))?;
        state.hold(agent, &keys);
        Ok(Some(keys))
    }

    /// The entry of a change. The bounds of an approval go beside it, sealed.
    fn change_entry(
        &self,
        change: &Change,
        of: Recording<'_>,
        keys: &dyn SessionKeys,
    ) -> Result<Entry, Unrecorded> {
        let id = match &change.event {
            Event::Requested(opened) => opened.id.clone(),
            _ => self.ids.record("rec"),
        };
        let sealed = match (of.sealed, bounds_of(change)) {
            (Some(plain), _) => Some(keys.seal(&id, sealed::ARGUMENTS, plain)),
            (None, Some(scope)) => {
                let plain = safeconduct_ledger::canonical(&sealed::scope_value(scope));
                Some(keys.seal(&id, sealed::SCOPE, &plain))
            }
            (None, None) => None,
        };
        let record = Record {
            id,
            at: change.at,
            trace: of.trace.cloned(),
            parent: of.parent.cloned(),
            body: Body::AccessRequestChanged(Box::new(change.recorded(of.method))),
        };
        let leaf = safeconduct_ledger::encode(&record).map_err(|error| broken(&error))?;
        let attachment = sealed.transpose().map_err(|error| broken(&error))?;
        Ok(Entry { leaf, attachment })
    }
}

/// What goes with a change into its record.
struct Recording<'a> {
    /// What is sealed beside it: the arguments of a new request.
    sealed: Option<&'a [u8]>,
    /// How whoever answers proved it.
    method: Method,
    trace: Option<&'a TraceId>,
    parent: Option<&'a RecordId>,
}

/// The bounds that a change approves, where it approves any.
fn bounds_of(change: &Change) -> Option<&Scope> {
    let Event::Answered(answered) = &change.event else { return None };
    match &answered.answer {
        safeconduct_approval::Answer::Approve(scope) if *scope != Scope::Once => Some(scope),
        _ => None,
    }
}

fn broken(error: &dyn std::fmt::Display) -> Unrecorded {
    Unrecorded { reason: Reason::NotRecorded(error.to_string().into()) }
}
