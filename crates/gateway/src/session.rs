//! A client's session, in the revisions that have them (up to 2025-11-25). Its id alone is worth
//! nothing: it belongs to the credential that began it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use safeconduct_model::{
    Authentication, Digest, Network, RecordId, SessionKey, SessionName, Value,
};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::backend::{Backend, Ready};
use crate::gateway::Inner;
use crate::message::{
    Answer, Fault, INVALID_REQUEST, Id, METHOD_NOT_FOUND, Notification, notification_bytes,
};
use crate::methods::{Direction, Form, Rule, classify};
use crate::related::{NotTaken, Outlet, Related};
use crate::revision::Era;
use crate::upstream::{Connection, OpenError};
use crate::{Revision, edit, meta, task_tools, translate};

mod asked;
mod settled;

use asked::{ASKED_MAX, REFUSALS_MAX, SessionInbound};

/// Most messages that wait for a client to open its standing stream; older ones are dropped.
const BACKLOG_MAX: usize = 64;

/// Most conversations of one session: one for each task that its requests act in at a time.
const CONVERSATIONS_MAX: usize = 8;

/// A session.
pub(crate) struct ClientSession<A: Authority> {
    inner: Arc<Inner<A>>,
    pub(crate) backend: Arc<Backend>,
    /// Who began it. Its requests bring the same credential, each in a task of its own choice.
    pub(crate) authentication: Authentication,
    pub(crate) name: Option<SessionName>,
    /// What a task of its agent's is attached to.
    conversation: Digest,
    /// What both sides agreed on; set once the handshake is through.
    revision: OnceLock<Revision>,
    /// The client's own handshake, as it went upstream.
    handshake: Value,
    /// Whether the client has said `notifications/initialized`.
    initialized: AtomicBool,
    /// One conversation for each task that its requests act in, and one outside of tasks: what a
    /// server remembers of one task is not for another, and neither are its secrets.
    conversations: Mutex<HashMap<SessionKey, Spoken>>,
    opening: tokio::sync::Mutex<()>,
    in_flight: Mutex<HashMap<Id, Asking>>,
    asked: Mutex<HashMap<Id, Asked>>,
    /// Slots for what the upstream asks: taken before anything is done about it.
    asking: Arc<Semaphore>,
    refusing: Arc<Semaphore>,
    /// The streams of what belongs to no request, one for each task that was named to open it and
    /// one for whatever belongs to the credential itself.
    standing: Mutex<HashMap<SessionKey, StandingStream>>,
    used: Mutex<Instant>,
    /// The access requests that the client is told of once they are answered.
    watched: Mutex<BTreeSet<RecordId>>,
    pub(crate) closed: CancellationToken,
}

/// Who asks: one request's view of the caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who it is, in the task that the request names, where it names one.
    pub(crate) credential: Authentication,
    /// The same, in the task that the request belongs to: also one that is attached.
    pub(crate) authentication: Authentication,
    /// SHA-256 of the id of the conversation that the request belongs to, where there is one: what
    /// a task is attached to, so that two runs under one credential have one each.
    pub(crate) conversation: Option<Digest>,
    /// From where the request came, where that is known.
    pub(crate) network: Option<Network>,
}

impl Caller {
    /// The caller in the task that the request belongs to.
    pub(crate) fn of(
        authority: &impl Authority,
        credential: Authentication,
        conversation: Option<Digest>,
    ) -> Self {
        let authentication =
            authority.within_attached_task(credential.clone(), conversation.as_ref());
        Self { credential, authentication, conversation, network: None }
    }

    /// The caller at that place.
    pub(crate) fn at(self, network: Option<Network>) -> Self {
        Self { network, ..self }
    }

    /// What a request named: its messages go to streams that were opened under the same name.
    fn named(&self) -> SessionKey {
        SessionKey::of(&self.credential)
    }
}

/// A conversation with the upstream, and for whom it was begun.
struct Spoken {
    connection: Arc<Connection>,
    authentication: Authentication,
}

/// A request of the client that is under way, and the task that it named.
struct Asking {
    related: Arc<Related>,
    named: SessionKey,
}

/// Something that an upstream asked of the client.
struct Asked {
    /// In which conversation.
    by: SessionKey,
    /// Its token for progress.
    progress: Option<Value>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct StandingStream {
    outlet: Option<Outlet>,
    backlog: VecDeque<Vec<u8>>,
}

/// Why a request cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    Duplicate,
    TooMany,
}

impl NotAdmitted {
    pub(crate) fn fault(self) -> Fault {
        let text = match self {
            Self::Duplicate => "a request with this id is under way",
            Self::TooMany => "too many requests are under way in this session",
        };
        Fault::new(INVALID_REQUEST, text)
    }
}

impl<A: Authority> ClientSession<A> {
    /// Begins a session with the upstream's own handshake. Gives the session and the result of
    /// `initialize`.
    pub(crate) async fn begin(
        inner: Arc<Inner<A>>,
        backend: Arc<Backend>,
        caller: &Caller,
        name: Option<SessionName>,
        conversation: Digest,
        params: Option<Value>,
    ) -> Result<(Arc<Self>, Value), Fault> {
        let handshake = handshake(params)?;
        let asked = handshake.member("protocolVersion").and_then(Value::as_str);
        let asked = asked.and_then(Revision::parse).unwrap_or(Revision::LATEST_LEGACY);
        let session = Arc::new(Self {
            inner,
            backend,
            authentication: caller.authentication.clone(),
            name,
            conversation,
            revision: OnceLock::new(),
            handshake,
            initialized: AtomicBool::new(false),
            conversations: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            in_flight: Mutex::default(),
            asked: Mutex::default(),
            asking: Arc::new(Semaphore::new(ASKED_MAX)),
            refusing: Arc::new(Semaphore::new(REFUSALS_MAX)),
            standing: Mutex::default(),
            used: Mutex::new(Instant::now()),
            watched: Mutex::default(),
            closed: CancellationToken::new(),
        });
        let (by, backend) = (&caller.authentication, &session.backend);
        let ready = session.ready(caller).await;
        let ready = ready.map_err(|error| session.inner.open_fault(by, backend, &error))?;
        let (revision, mut result) = match ready.live.revision.era() {
            Era::Legacy => {
                let mut result = ready.live.greeted.clone();
                if let Some(capabilities) = edit::member_mut(&mut result, "capabilities") {
                    translate::scrub_capabilities(capabilities);
                }
                (ready.live.revision, result)
            }
            Era::Modern => {
                let server = session.backend.config.name.as_str();
                (asked, translate::initialize_result(&ready.live.greeted, asked, server))
            }
        };
        let greeted = &ready.live.greeted;
        session.inner.hear_greeting(by, backend, &ready, "initialize", greeted).await?;
        task_tools::offer(&*session.inner.authority, &mut result);
        // Nobody else sees the session before this returns, so it is set here and only here.
        let _ = session.revision.set(revision);
        Ok((session, result))
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision.get().copied().unwrap_or(Revision::LATEST_LEGACY)
    }

    /// The conversation of whoever asks, in the task that they act in; begun where there is none.
    pub(crate) async fn ready(self: &Arc<Self>, caller: &Caller) -> Result<Ready, OpenError> {
        let authentication = &caller.authentication;
        if !self.inner.authority.stands(authentication) {
            return Err(OpenError::Closed);
        }
        let key = SessionKey::of(authentication);
        if let Some(connection) = self.connection(&key) {
            let live = connection.live_for(authentication).await?;
            return Ok(Ready { connection, live });
        }
        let _turn = self.opening.lock().await;
        if let Some(connection) = self.connection(&key) {
            let live = connection.live_for(authentication).await?;
            return Ok(Ready { connection, live });
        }
        if self.closed.is_cancelled() {
            return Err(OpenError::Closed);
        }
        // Those of tasks that have just ended may not have been closed yet.
        self.close_ended(|authentication| self.inner.authority.stands(authentication));
        if lock(&self.conversations).len() >= CONVERSATIONS_MAX {
            return Err(OpenError::TooManyTasks);
        }
        let inbound = Arc::new(SessionInbound::of(self, caller));
        let ready =
            self.backend.for_legacy(authentication, self.handshake.clone(), inbound).await?;
        let spoken = Spoken {
            connection: Arc::clone(&ready.connection),
            authentication: authentication.clone(),
        };
        lock(&self.conversations).insert(key, spoken);
        if self.closed.is_cancelled() {
            self.close();
            return Err(OpenError::Closed);
        }
        // What ended while it was opened was not here to be closed.
        if !self.inner.authority.stands(authentication) {
            self.close_ended(|authentication| self.inner.authority.stands(authentication));
            return Err(OpenError::Closed);
        }
        if self.initialized.load(Ordering::Relaxed) {
            ready.connection.initialized().await;
        }
        Ok(ready)
    }

    fn connection(&self, key: &SessionKey) -> Option<Arc<Connection>> {
        lock(&self.conversations).get(key).map(|spoken| Arc::clone(&spoken.connection))
    }

    fn connections(&self) -> Vec<Arc<Connection>> {
        lock(&self.conversations).values().map(|spoken| Arc::clone(&spoken.connection)).collect()
    }

    /// Lets go of what its conversations showed long ago.
    pub(crate) fn forget_shown(&self) {
        self.connections().iter().for_each(|connection| connection.forget_shown());
    }

    /// Closes conversations that were begun under an authority that has ended.
    pub(crate) fn close_ended(&self, stands: impl Fn(&Authentication) -> bool) {
        lock(&self.conversations).retain(|_, spoken| {
            let stays = stands(&spoken.authentication);
            // The conversation that several share is not this session's to end.
            if !stays && spoken.connection.is_own() {
                spoken.connection.close();
            }
            stays
        });
        // The credential's own stream stays with the session.
        let own = SessionKey::credential(
            self.authentication.identity.clone(),
            self.authentication.token.clone(),
        );
        let conversations = lock(&self.conversations);
        lock(&self.standing).retain(|key, standing| {
            let open = standing.outlet.as_ref().is_some_and(|outlet| !outlet.is_closed());
            open || *key == own || conversations.contains_key(key)
        });
    }

    /// Whether it belongs to that credential.
    pub(crate) fn belongs_to(&self, authentication: &Authentication) -> bool {
        self.authentication.identity == authentication.identity
            && self.authentication.token == authentication.token
    }

    pub(crate) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// How long nothing has happened; `None` while something is under way or listened for.
    pub(crate) fn quiet(&self) -> Option<Duration> {
        let open = |outlet: &Outlet| !outlet.is_closed();
        let listening = lock(&self.standing).values().any(|s| s.outlet.as_ref().is_some_and(open));
        let busy = listening || !lock(&self.in_flight).is_empty();
        (!busy).then(|| lock(&self.used).elapsed())
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
        // The conversation that several share is not this session's to end.
        let connections = self.connections();
        connections.iter().filter(|own| own.is_own()).for_each(|own| own.close());
        lock(&self.asked).clear();
        self.inner.end_attached(self.authentication.clone(), self.conversation);
    }

    /// Takes a request in, so that it can be cancelled; [`ClientSession::leave`] ends it.
    pub(crate) fn enter(
        &self,
        id: &Id,
        related: &Arc<Related>,
        caller: &Caller,
    ) -> Result<(), NotAdmitted> {
        self.touch();
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= self.inner.limits.in_flight {
            return Err(NotAdmitted::TooMany);
        }
        if in_flight.contains_key(id) {
            return Err(NotAdmitted::Duplicate);
        }
        let asking = Asking { related: Arc::clone(related), named: caller.named() };
        in_flight.insert(id.clone(), asking);
        Ok(())
    }

    pub(crate) fn leave(&self, id: &Id) {
        lock(&self.in_flight).remove(id);
        self.touch();
    }

    /// Opens the stream of what belongs to no request; an older one ends.
    pub(crate) fn listen(&self, outlet: Outlet, caller: &Caller) {
        let mut standing = lock(&self.standing);
        let standing = standing.entry(caller.named()).or_default();
        for message in standing.backlog.drain(..) {
            // What the stream has no room for is dropped, as it would be later on.
            let _ = outlet.send(message);
        }
        standing.outlet = Some(outlet);
    }

    /// Takes a notification of the client.
    pub(crate) async fn notified(
        self: &Arc<Self>,
        notification: Notification,
        caller: &Caller,
    ) -> Result<(), Fault> {
        self.touch();
        let Notification { method, mut params } = notification;
        if !self.inner.authority.stands(&caller.authentication) {
            tracing::info!(method = &*method, "a notification of one who has ended was dropped");
            return Ok(());
        }
        let rule = classify(Direction::ToServer, Form::Notification, self.revision(), &method);
        match (rule, &*method) {
            (Rule::Handled, "notifications/initialized") => {
                self.initialized.store(true, Ordering::Relaxed);
                for connection in self.connections() {
                    connection.initialized().await;
                }
                Ok(())
            }
            (Rule::Handled, _) => {
                let id = params.as_ref().and_then(|params| params.member("requestId"));
                if let Some(id) = id.and_then(Id::of)
                    && let Some(asking) = lock(&self.in_flight).get(&id)
                {
                    asking.related.cancelled.cancel();
                }
                Ok(())
            }
            (Rule::Passed, _) => {
                let Ok(ready) = self.ready(caller).await else {
                    return Ok(());
                };
                if ready.live.revision.era() == Era::Modern {
                    return Ok(());
                }
                if &*method == "notifications/progress"
                    && !self.awaits_progress(params.as_ref(), caller)
                {
                    tracing::info!("progress of something that nobody asked for was dropped");
                    return Ok(());
                }
                meta::keep_members(&method, &mut params);
                let sent = ready.live.link.send(notification_bytes(&method, params.as_ref())).await;
                if let Err(error) = sent {
                    tracing::debug!(%error, method = &*method, "a notification was not taken");
                }
                Ok(())
            }
            _ => {
                tracing::info!(method = &*method, "a notification that nobody knows was dropped");
                Err(Fault::new(METHOD_NOT_FOUND, format!("notification `{method}` is not known")))
            }
        }
    }

    /// Whether something that the upstream asked is open whose progress it wants to know so.
    fn awaits_progress(&self, params: Option<&Value>, caller: &Caller) -> bool {
        let token = params.and_then(|params| params.member("progressToken"));
        let by = SessionKey::of(&caller.authentication);
        let asked = lock(&self.asked);
        token.is_some() && asked.values().any(|a| a.by == by && a.progress.as_ref() == token)
    }

    /// Takes the client's answer to something that the upstream asked.
    pub(crate) fn answered(&self, id: Option<Id>, answer: Answer) {
        self.touch();
        let waiting = id.as_ref().and_then(|id| lock(&self.asked).remove(id));
        match waiting {
            // Whoever waited may have given up at this very moment.
            Some(waiting) => drop(waiting.answer.send(answer)),
            None => tracing::info!(
                id = id.as_ref().map_or("none", Id::kind),
                "an answer that nobody waits for was dropped"
            ),
        }
    }

    /// Puts a message on a stream that its client reads: the request's own, the standing one, or
    /// any other that is open under the same name.
    fn put(
        &self,
        message: Vec<u8>,
        related: Option<&Arc<Related>>,
        by: &Caller,
    ) -> Result<(), NotTaken> {
        let own = related.and_then(|related| related.outlet.as_ref()).filter(|o| !o.is_closed());
        if let Some(outlet) = own {
            return outlet.send(message);
        }
        let named = by.named();
        let mut standing = lock(&self.standing);
        let standing = standing.entry(named.clone()).or_default();
        if let Some(outlet) = standing.outlet.as_ref().filter(|outlet| !outlet.is_closed()) {
            return outlet.send(message);
        }
        let in_flight = lock(&self.in_flight);
        let mut same = in_flight.values().filter(|asking| asking.named == named);
        let open =
            same.find_map(|asking| asking.related.outlet.as_ref().filter(|o| !o.is_closed()));
        if let Some(outlet) = open {
            return outlet.send(message);
        }
        if standing.backlog.len() >= BACKLOG_MAX {
            standing.backlog.pop_front();
        }
        standing.backlog.push_back(message);
        Ok(())
    }

    /// Whether the client reads a stream of what belongs to no request of `by`.
    fn is_heard(&self, by: &Caller) -> bool {
        let standing = lock(&self.standing);
        let outlet = standing.get(&by.named()).and_then(|standing| standing.outlet.as_ref());
        outlet.is_some_and(|outlet| !outlet.is_closed())
    }
}

/// What a handshake holds.
const HANDSHAKE: [&str; 3] = ["protocolVersion", "capabilities", "clientInfo"];

/// The client's own handshake, without what the gateway does not let through: nothing in it could
/// be written freely, for nobody decides on it.
fn handshake(params: Option<Value>) -> Result<Value, Fault> {
    let mut params = params.ok_or_else(|| {
        Fault::new(crate::message::INVALID_PARAMS, "`initialize` needs parameters")
    })?;
    let asked = params.member("protocolVersion").and_then(Value::as_str);
    let spoken = asked.and_then(Revision::parse).filter(|r| r.era() == Era::Legacy);
    let spoken = spoken.unwrap_or(Revision::LATEST_LEGACY);
    edit::set(&mut params, "protocolVersion", spoken.as_str());
    if let Some(capabilities) = edit::member_mut(&mut params, "capabilities") {
        *capabilities = meta::known_capabilities(capabilities);
    }
    edit::set(&mut params, "clientInfo", translate::gateway_info());
    if let Value::Object(members) = &mut params {
        members.retain(|name, _| HANDSHAKE.contains(&&**name));
    }
    Ok(params)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
