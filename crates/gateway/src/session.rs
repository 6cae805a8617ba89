//! A client's session, in the revisions that have them (up to 2025-11-25). Its id alone is worth
//! nothing: it belongs to the credential that began it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use safeconduct_model::{Authentication, Execution, SessionKey, SessionName, Value};
use safeconduct_service::Report;
use safeconduct_wire::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::backend::{Backend, Ready};
use crate::gateway::Inner;
use crate::message::{
    Answer, Fault, INTERNAL_ERROR, INVALID_REQUEST, Id, METHOD_NOT_FOUND, Message, Notification,
    Request, notification_bytes, request_bytes, response_bytes,
};
use crate::methods::{Direction, Form, Rule, classify};
use crate::obligation::Plan;
use crate::passage::Gated;
use crate::related::{NotTaken, Outlet, Related};
use crate::revision::Era;
use crate::upstream::{Connection, Inbound, OpenError};
use crate::{Revision, action, denial, edit, notify, translate};

/// Most messages that wait for a client to open its standing stream; older ones are dropped.
const BACKLOG_MAX: usize = 64;
/// Most requests of an upstream that are decided on or wait for one client's answer.
const ASKED_MAX: usize = 64;
/// Most refusals that wait for the upstream to take them; more of what it asks is dropped.
const REFUSALS_MAX: usize = 64;

/// A session.
pub(crate) struct ClientSession<A: Authority> {
    inner: Arc<Inner<A>>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) authentication: Authentication,
    pub(crate) name: Option<SessionName>,
    /// What both sides agreed on; set once the handshake is through.
    revision: OnceLock<Revision>,
    connection: OnceLock<Arc<Connection>>,
    in_flight: Mutex<HashMap<Id, Arc<Related>>>,
    asked: Mutex<HashMap<Id, oneshot::Sender<Answer>>>,
    /// Slots for what the upstream asks: taken before anything is done about it.
    asking: Arc<Semaphore>,
    refusing: Arc<Semaphore>,
    standing: Mutex<StandingStream>,
    used: Mutex<Instant>,
    pub(crate) closed: CancellationToken,
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
        authentication: Authentication,
        name: Option<SessionName>,
        params: Option<Value>,
    ) -> Result<(Arc<Self>, Value), Fault> {
        let session = Arc::new(Self {
            inner,
            backend,
            authentication,
            name,
            revision: OnceLock::new(),
            connection: OnceLock::new(),
            in_flight: Mutex::default(),
            asked: Mutex::default(),
            asking: Arc::new(Semaphore::new(ASKED_MAX)),
            refusing: Arc::new(Semaphore::new(REFUSALS_MAX)),
            standing: Mutex::default(),
            used: Mutex::new(Instant::now()),
            closed: CancellationToken::new(),
        });
        let params = handshake(params)?;
        let asked = params.member("protocolVersion").and_then(Value::as_str);
        let asked = asked.and_then(Revision::parse).unwrap_or(Revision::LATEST_LEGACY);
        let inbound = Arc::new(SessionInbound(Arc::downgrade(&session)));
        let key = session.key();
        let ready = session.backend.for_legacy(&key, params, inbound).await;
        let ready = ready.map_err(|error| error.fault())?;
        let (revision, result) = match ready.live.revision.era() {
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
        // Nobody else sees the session before this returns, so both are set here and only here.
        let _ = session.revision.set(revision);
        let _ = session.connection.set(ready.connection);
        Ok((session, result))
    }

    fn key(&self) -> SessionKey {
        SessionKey {
            identity: self.authentication.identity.clone(),
            token: self.authentication.token.clone(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision.get().copied().unwrap_or(Revision::LATEST_LEGACY)
    }

    pub(crate) async fn ready(&self) -> Result<Ready, OpenError> {
        let connection = self.connection.get().ok_or(OpenError::Closed)?;
        let live = connection.live().await?;
        Ok(Ready { connection: Arc::clone(connection), live })
    }

    /// Lets go of what its conversation showed long ago.
    pub(crate) fn forget_shown(&self) {
        if let Some(connection) = self.connection.get() {
            connection.forget_shown();
        }
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
        let listening = lock(&self.standing).outlet.as_ref().is_some_and(|o| !o.is_closed());
        let busy = listening || !lock(&self.in_flight).is_empty();
        (!busy).then(|| lock(&self.used).elapsed())
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
        // The conversation that several share is not this session's to end.
        if let Some(connection) = self.connection.get()
            && connection.is_own()
        {
            connection.close();
        }
        lock(&self.asked).clear();
    }

    /// Takes a request in, so that it can be cancelled; [`ClientSession::leave`] ends it.
    pub(crate) fn enter(&self, id: &Id, related: &Arc<Related>) -> Result<(), NotAdmitted> {
        self.touch();
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= self.inner.limits.in_flight {
            return Err(NotAdmitted::TooMany);
        }
        if in_flight.contains_key(id) {
            return Err(NotAdmitted::Duplicate);
        }
        in_flight.insert(id.clone(), Arc::clone(related));
        Ok(())
    }

    pub(crate) fn leave(&self, id: &Id) {
        lock(&self.in_flight).remove(id);
        self.touch();
    }

    /// Opens the stream of what belongs to no request; an older one ends.
    pub(crate) fn listen(&self, outlet: Outlet) {
        let mut standing = lock(&self.standing);
        for message in standing.backlog.drain(..) {
            // What the stream has no room for is dropped, as it would be later on.
            let _ = outlet.send(message);
        }
        standing.outlet = Some(outlet);
    }

    /// Takes a notification of the client.
    pub(crate) async fn notified(&self, notification: Notification) -> Result<(), Fault> {
        self.touch();
        let Notification { method, mut params } = notification;
        let rule = classify(Direction::ToServer, Form::Notification, self.revision(), &method);
        match (rule, &*method) {
            (Rule::Handled, "notifications/initialized") => {
                if let Some(connection) = self.connection.get() {
                    connection.initialized().await;
                }
                Ok(())
            }
            (Rule::Handled, _) => {
                let id = params.as_ref().and_then(|params| params.member("requestId"));
                let related =
                    id.and_then(Id::of).and_then(|id| lock(&self.in_flight).get(&id).cloned());
                if let Some(related) = related {
                    related.cancelled.cancel();
                }
                Ok(())
            }
            (Rule::Passed, _) => {
                let Ok(ready) = self.ready().await else {
                    return Ok(());
                };
                if ready.live.revision.era() == Era::Modern {
                    return Ok(());
                }
                if let Some(params) = params.as_mut() {
                    edit::take(params, "task");
                }
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

    /// Takes the client's answer to something that the upstream asked.
    pub(crate) fn answered(&self, id: Option<Id>, answer: Answer) {
        self.touch();
        let waiting = id.as_ref().and_then(|id| lock(&self.asked).remove(id));
        match waiting {
            // Whoever waited may have given up at this very moment.
            Some(waiting) => drop(waiting.send(answer)),
            None => tracing::info!(
                id = id.as_ref().map_or("none", Id::kind),
                "an answer that nobody waits for was dropped"
            ),
        }
    }

    /// Puts a message on a stream that its client reads: the request's own, the standing one, or
    /// any other that is open.
    fn put(&self, message: Vec<u8>, related: Option<&Arc<Related>>) -> Result<(), NotTaken> {
        let own = related.and_then(|related| related.outlet.as_ref()).filter(|o| !o.is_closed());
        if let Some(outlet) = own {
            return outlet.send(message);
        }
        let mut standing = lock(&self.standing);
        if let Some(outlet) = standing.outlet.as_ref().filter(|outlet| !outlet.is_closed()) {
            return outlet.send(message);
        }
        let in_flight = lock(&self.in_flight);
        let open =
            |related: &&Arc<Related>| related.outlet.as_ref().is_some_and(|o| !o.is_closed());
        if let Some(outlet) = in_flight.values().find(open).and_then(|r| r.outlet.as_ref()) {
            return outlet.send(message);
        }
        if standing.backlog.len() >= BACKLOG_MAX {
            standing.backlog.pop_front();
        }
        standing.backlog.push_back(message);
        Ok(())
    }

    /// Takes a request of the upstream, within the bound on those that are open. Must not wait.
    fn take(self: Arc<Self>, request: Request, related: Option<Arc<Related>>) {
        if let Ok(slot) = Arc::clone(&self.asking).try_acquire_owned() {
            tokio::spawn(async move { self.asked_by_server(request, related, slot).await });
        } else if let Ok(slot) = Arc::clone(&self.refusing).try_acquire_owned() {
            tokio::spawn(async move {
                let text = "too many requests to the client are open";
                let answer = Answer::Fault(Fault::new(INTERNAL_ERROR, text));
                self.answer_server(&request.id, &answer).await;
                drop(slot);
            });
        } else {
            let server = &self.backend.config.name;
            tracing::warn!(%server, "a request of a server that reads no refusals was dropped");
        }
    }

    /// A request of the upstream, up to its answer.
    async fn asked_by_server(
        &self,
        request: Request,
        related: Option<Arc<Related>>,
        slot: OwnedSemaphorePermit,
    ) {
        let rule = classify(Direction::ToClient, Form::Request, self.revision(), &request.method);
        let answer = match rule {
            Rule::Passed => self.ask_client(&request, related.as_ref()).await,
            Rule::Gated => self.gated(&request, related.as_ref()).await,
            _ => Answer::Fault(Fault::new(
                METHOD_NOT_FOUND,
                format!("method `{}` is not known, so it is denied", request.method),
            )),
        };
        self.answer_server(&request.id, &answer).await;
        drop(slot);
    }

    async fn answer_server(&self, id: &Id, answer: &Answer) {
        let Some(connection) = self.connection.get() else {
            return;
        };
        let Ok(live) = connection.live().await else {
            return;
        };
        if let Err(error) = live.link.send(response_bytes(Some(id), answer)).await {
            tracing::debug!(%error, "the upstream does not take an answer");
        }
    }

    async fn gated(&self, request: &Request, related: Option<&Arc<Related>>) -> Answer {
        let server = &self.backend.config.name;
        let question = match action::question(server, &request.method, request.params.as_ref()) {
            Ok(question) => question,
            Err(fault) => return Answer::Fault(fault),
        };
        let gated = Gated {
            question,
            method: Arc::clone(&request.method),
            params: request.params.clone(),
            authentication: self.authentication.clone(),
            pep: self.backend.pep.clone(),
            mode: self.backend.config.mode,
            session_name: self.name.clone(),
            trace: None,
            parent: None,
        };
        let authority = &self.inner.authority;
        let permit = match authority.decide(gated).await {
            Ok(permit) => permit,
            Err((refusal, gated)) => {
                let what = &gated.question.what;
                return denial::denied(self.revision(), &gated.method, what, &refusal);
            }
        };
        let begun = Instant::now();
        let report = |decision, execution, detail: Option<&str>| Report {
            decision,
            reported_by: self.backend.pep.clone(),
            execution,
            duration_ms: Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
            result: None,
            detail: detail.map(Arc::from),
            edits: Vec::new(),
        };
        let redeemed = match authority.redeem(permit) {
            Ok(redeemed) => redeemed,
            Err((lapsed, decision)) => {
                self.inner.observe(report(decision, Execution::NotExecuted, Some("lapsed"))).await;
                return Answer::Fault(Fault::new(INTERNAL_ERROR, lapsed.to_string()));
            }
        };
        let (gated, decision, obligations) = redeemed.into_parts();
        let Ok(plan) = Plan::of(&obligations) else {
            self.inner.observe(report(decision, Execution::NotExecuted, Some("obligation"))).await;
            return Answer::Fault(Fault::new(
                INTERNAL_ERROR,
                "an obligation cannot be carried out",
            ));
        };
        let mut params = gated.params;
        let edits = params.as_mut().map(|params| plan.edit_input(&gated.method, params));
        let mut edits = edits.unwrap_or_default();
        let asked = Request { id: request.id.clone(), method: gated.method, params };
        let mut answer = self.ask_client(&asked, related).await;
        let mut outcome = match &mut answer {
            Answer::Result(result) => {
                edits.extend(plan.edit_result(result));
                let outcome = report(decision, Execution::Succeeded, None);
                Report { result: Some(json::to_bytes(result)), ..outcome }
            }
            Answer::Fault(fault) if fault.code == NO_ANSWER => {
                report(decision, Execution::Unknown, Some("client_gone"))
            }
            Answer::Fault(_) => report(decision, Execution::Failed, Some("client_error")),
        };
        outcome.edits = edits;
        self.inner.observe(outcome).await;
        if let Answer::Fault(fault) = &mut answer
            && fault.code == NO_ANSWER
        {
            fault.code = INTERNAL_ERROR;
        }
        answer
    }

    /// Asks the client and waits for its answer, within the limit. Ids are the upstream's own:
    /// nobody else asks this client anything.
    async fn ask_client(&self, request: &Request, related: Option<&Arc<Related>>) -> Answer {
        let no_answer = |text: &str| Answer::Fault(Fault::new(NO_ANSWER, text));
        let (sender, receiver) = oneshot::channel();
        {
            let mut asked = lock(&self.asked);
            if asked.contains_key(&request.id) {
                return no_answer("a request to the client with this id is open");
            }
            asked.insert(request.id.clone(), sender);
        }
        let bytes = request_bytes(&request.id, &request.method, request.params.as_ref());
        let mut answer = no_answer("the client cannot be reached");
        if self.put(bytes, related).is_ok() {
            if let Some(related) = related {
                related.asking();
            }
            let waited = tokio::select! {
                answer = tokio::time::timeout(self.inner.limits.asked, receiver) => answer.ok(),
                () = self.closed.cancelled() => None,
            };
            if let Some(related) = related {
                related.asked();
            }
            answer = match waited {
                Some(Ok(answer)) => answer,
                _ => no_answer("the client did not answer"),
            };
        }
        lock(&self.asked).remove(&request.id);
        answer
    }

    fn notified_by_server(&self, notification: Notification, related: Option<&Arc<Related>>) {
        let method = Arc::clone(&notification.method);
        let rule = classify(Direction::ToClient, Form::Notification, self.revision(), &method);
        if matches!(rule, Rule::Refused(_)) {
            tracing::debug!(method = &*method, "a notification of the server was dropped");
            return;
        }
        if let Some(related) = related {
            related.touch();
        }
        let bytes = match &*method {
            // It cancels what the server itself asked: those ids are its own.
            "notifications/cancelled" => {
                let id = notification.params.as_ref().and_then(|p| p.member("requestId"));
                if let Some(id) = id.and_then(Id::of) {
                    lock(&self.asked).remove(&id);
                }
                Some(notification_bytes(&method, notification.params.as_ref()))
            }
            _ => notify::for_client(notification, related.map(Arc::as_ref)),
        };
        // What changed for the whole session goes to the standing stream where there is one.
        let own =
            !method.ends_with("/list_changed") && &*method != "notifications/resources/updated";
        let standing = lock(&self.standing).outlet.as_ref().is_some_and(|o| !o.is_closed());
        let related = related.filter(|_| own || !standing);
        if let Some(bytes) = bytes
            && self.put(bytes, related).is_err()
        {
            tracing::debug!(method = &*method, "a notification was dropped: nobody reads it");
        }
    }
}

/// Marks, inside, that a client gave no answer; never sent.
const NO_ANSWER: i64 = i64::MIN;

/// The client's own handshake, without what the gateway does not let through.
fn handshake(params: Option<Value>) -> Result<Value, Fault> {
    let mut params = params.ok_or_else(|| {
        Fault::new(crate::message::INVALID_PARAMS, "`initialize` needs parameters")
    })?;
    let asked = params.member("protocolVersion").and_then(Value::as_str);
    let spoken = asked.and_then(Revision::parse).filter(|r| r.era() == Era::Legacy);
    let spoken = spoken.unwrap_or(Revision::LATEST_LEGACY);
    edit::set(&mut params, "protocolVersion", spoken.as_str());
    if let Some(capabilities) = edit::member_mut(&mut params, "capabilities") {
        translate::scrub_capabilities(capabilities);
    }
    Ok(params)
}

struct SessionInbound<A: Authority>(Weak<ClientSession<A>>);

impl<A: Authority> Inbound for SessionInbound<A> {
    fn receive(&self, message: Message, related: Option<&Arc<Related>>) {
        let Some(session) = self.0.upgrade() else {
            return;
        };
        match message {
            Message::Notification(notification) => {
                session.notified_by_server(notification, related);
            }
            Message::Request(request) => {
                let related = related.cloned();
                if let Some(related) = &related {
                    related.touch();
                }
                session.take(request, related);
            }
            Message::Response(..) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
