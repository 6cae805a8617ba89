//! One conversation with an upstream: greeted, supervised, opened again when it breaks, and
//! never called about a tool that it was not asked to describe first.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use safeconduct_model::Value;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::tools::{Listing, Shown};
use super::{Answered, Inbound, Link, LinkError, Outgoing};
use crate::config::{Limits, UpstreamConfig};
use crate::message::{self, Answer, Fault, INTERNAL_ERROR, METHOD_NOT_FOUND, Message};
use crate::passage::Passage;
use crate::related::Related;
use crate::revision::Era;
use crate::{Revision, edit, headers, translate};

/// First wait before an upstream that broke twice is started again.
const BACKOFF: Duration = Duration::from_millis(500);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A conversation that lasted so long was well: the next failure counts as the first.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// How long a cancelled call may still answer, so that its outcome is known.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// What all conversations of a gateway share.
#[derive(Clone)]
pub(crate) struct Wiring {
    pub(crate) tasks: TaskTracker,
    pub(crate) slots: Arc<Semaphore>,
    client: Arc<OnceLock<Result<reqwest::Client, String>>>,
    connect: Duration,
}

impl Wiring {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            tasks: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(limits.connections)),
            client: Arc::default(),
            connect: limits.connect,
        }
    }

    /// The HTTP client: made once, at first use.
    pub(crate) fn client(&self) -> Result<reqwest::Client, String> {
        let made = self.client.get_or_init(|| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .tcp_nodelay(true)
                .connect_timeout(self.connect)
                .build()
                .map_err(|error| format!("no HTTP client: {error}"))
        });
        made.clone()
    }
}

/// How a conversation begins.
#[derive(Debug, Clone)]
pub(crate) enum Greeting {
    /// With `server/discover`.
    Modern,
    /// With `initialize` and these parameters.
    Legacy(Value),
}

/// Why a conversation did not begin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OpenError {
    #[error("too many connections to servers are open; try again later")]
    TooMany,
    #[error("the server broke several times; it is started again in {0:?}")]
    BackingOff(Duration),
    #[error("{0}")]
    Link(LinkError),
    #[error("the server refused the handshake: {}", .0.message)]
    Refused(Fault),
    #[error("the server speaks revision `{0}`, which the gateway does not")]
    Revision(String),
    #[error("the server does not speak 2026-07-28")]
    NotModern,
    #[error("the server did not say whether it speaks 2026-07-28")]
    Undiscovered,
    #[error("the server speaks revision `{0}`, but is configured to speak `{1}`")]
    NotAsConfigured(Revision, Revision),
    #[error("the gateway is shutting down")]
    Closed,
}

impl OpenError {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Refused(fault) => fault.clone(),
            Self::Link(error) => error.fault(),
            other => Fault::new(INTERNAL_ERROR, other.to_string()),
        }
    }
}

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As the limits say.
    Bounded,
    /// Until either side ends it: a stream of notifications.
    Endless,
}

/// A conversation that is open.
pub(crate) struct Live {
    pub(crate) link: Arc<Link>,
    pub(crate) revision: Revision,
    /// The result of `initialize` or `server/discover`.
    pub(crate) greeted: Value,
    pub(super) listing: Mutex<Option<Arc<Listing>>>,
    pub(super) listing_turn: tokio::sync::Mutex<()>,
    pub(super) shown: Mutex<Shown>,
    since: Instant,
    _slot: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Supervision {
    failures: u32,
    not_before: Option<Instant>,
}

pub(crate) struct Connection {
    pub(crate) config: Arc<UpstreamConfig>,
    pub(super) limits: Arc<Limits>,
    wiring: Wiring,
    greeting: Greeting,
    inbound: Arc<dyn Inbound>,
    live: Mutex<Option<Arc<Live>>>,
    supervision: tokio::sync::Mutex<Supervision>,
    /// Whether the client has said `notifications/initialized`.
    ready: AtomicBool,
    pub(super) stale: Arc<AtomicBool>,
    closed: AtomicBool,
    next_id: AtomicI64,
}

impl Connection {
    pub(crate) fn new(
        config: Arc<UpstreamConfig>,
        limits: Arc<Limits>,
        wiring: Wiring,
        greeting: Greeting,
        inbound: Arc<dyn Inbound>,
    ) -> Self {
        let stale = Arc::new(AtomicBool::new(false));
        let inbound = Arc::new(Tap { inner: inbound, stale: Arc::clone(&stale) });
        Self {
            config,
            limits,
            wiring,
            greeting,
            inbound,
            live: Mutex::new(None),
            supervision: tokio::sync::Mutex::default(),
            ready: AtomicBool::new(false),
            stale,
            closed: AtomicBool::new(false),
            next_id: AtomicI64::new(1),
        }
    }

    /// The open conversation; begun, or begun again, where there is none.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, OpenError> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut supervision = self.supervision.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(OpenError::Closed);
        }
        let now = Instant::now();
        if let Some(wait) = supervision.not_before.and_then(|at| at.checked_duration_since(now)) {
            return Err(OpenError::BackingOff(wait));
        }
        let before = self.slot().take();
        if before.is_some_and(|live| live.since.elapsed() > WELL_AFTER) {
            supervision.failures = 0;
        }
        let opened = self.open().await;
        // The first time is free; each further one within a while waits twice as long.
        supervision.failures = supervision.failures.saturating_add(1);
        let wait = BACKOFF * 2_u32.saturating_pow(supervision.failures.saturating_sub(2).min(8));
        supervision.not_before =
            (supervision.failures > 1).then(|| Instant::now() + wait.min(BACKOFF_MAX));
        let live = Arc::new(opened?);
        *self.slot() = Some(Arc::clone(&live));
        if self.ready.load(Ordering::Relaxed) {
            self.say_initialized(&live).await;
        }
        Ok(live)
    }

    /// The client is ready: from here on the upstream may ask things.
    pub(crate) async fn initialized(&self) {
        if self.ready.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(live) = self.current() {
            self.say_initialized(&live).await;
        }
    }

    async fn say_initialized(&self, live: &Live) {
        if live.revision.era() == Era::Modern {
            return;
        }
        let bytes = message::notification_bytes("notifications/initialized", None);
        if let Err(error) = live.link.send(bytes).await {
            tracing::warn!(server = %self.config.name, %error, "handshake");
        }
        live.link.listen();
    }

    /// Ends the conversation for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(live) = self.slot().take() {
            live.link.close();
        }
    }

    /// Whether it was begun for one client's session alone.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self.greeting, Greeting::Legacy(_))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.current().is_some()
    }

    pub(super) fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where what belongs to no caller is tracked, so that it ends with the gateway.
    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.wiring.tasks
    }

    /// The conversation that is open, where one is.
    fn current(&self) -> Option<Arc<Live>> {
        self.slot().as_ref().filter(|live| !live.link.is_closed()).map(Arc::clone)
    }

    /// The conversation that is open, or that is being opened; none is begun.
    pub(super) async fn once_open(&self) -> Option<Arc<Live>> {
        match self.current() {
            None => {
                let _opening = self.supervision.lock().await;
                self.current()
            }
            live => live,
        }
    }

    async fn open(&self) -> Result<Live, OpenError> {
        let slots = Arc::clone(&self.wiring.slots);
        let slot = slots.try_acquire_owned().map_err(|_| OpenError::TooMany)?;
        let inbound = Arc::clone(&self.inbound);
        let link = Link::open(&self.config, &self.limits, &self.wiring, inbound);
        let link = Arc::new(link.map_err(OpenError::Link)?);
        let (revision, greeted) = match &self.greeting {
            Greeting::Modern => (Revision::V2026_07_28, self.discover(&link).await?),
            Greeting::Legacy(params) => self.initialize(&link, params).await?,
        };
        link.speak(revision);
        Ok(Live {
            link,
            revision,
            greeted,
            listing: Mutex::new(None),
            listing_turn: tokio::sync::Mutex::new(()),
            shown: Mutex::default(),
            since: Instant::now(),
            _slot: slot,
        })
    }

    async fn discover(&self, link: &Link) -> Result<Value, OpenError> {
        link.speak(Revision::V2026_07_28);
        let mut params = None;
        translate::to_modern_params(&mut params, edit::empty());
        let answered =
            self.greet(link, "server/discover", params.as_ref(), self.limits.probe).await;
        match answered {
            Ok(Answer::Result(result)) => {
                let versions = result.member("supportedVersions").and_then(Value::as_array);
                let wanted = Value::from(Revision::V2026_07_28.as_str());
                match versions.is_some_and(|versions| versions.contains(&wanted)) {
                    true => Ok(result),
                    false => Err(OpenError::NotModern),
                }
            }
            Ok(Answer::Fault(fault)) if fault.code == METHOD_NOT_FOUND => Err(OpenError::NotModern),
            Err(error @ (LinkError::NotSent(_) | LinkError::TooLarge { .. })) => {
                Err(OpenError::Link(error))
            }
            // An older server may do anything at a request before its handshake, and a newer one
            // may be out of order for the moment.
            Ok(Answer::Fault(_)) | Err(_) => Err(OpenError::Undiscovered),
        }
    }

    async fn initialize(
        &self,
        link: &Link,
        params: &Value,
    ) -> Result<(Revision, Value), OpenError> {
        let mut params = params.clone();
        if let Some(configured) = self.config.revision {
            edit::set(&mut params, "protocolVersion", configured.as_str());
        }
        let answered = self.greet(link, "initialize", Some(&params), self.limits.connect).await;
        match answered.map_err(OpenError::Link)? {
            Answer::Fault(fault) => Err(OpenError::Refused(fault)),
            Answer::Result(result) => {
                let spoken = result.member("protocolVersion").and_then(Value::as_str);
                let spoken = spoken.unwrap_or_default();
                let known = Revision::parse(spoken).filter(|known| known.era() == Era::Legacy);
                match (known, self.config.revision) {
                    (Some(revision), Some(configured)) if revision != configured => {
                        Err(OpenError::NotAsConfigured(revision, configured))
                    }
                    (Some(revision), _) => Ok((revision, result)),
                    (None, _) => Err(OpenError::Revision(spoken.to_owned())),
                }
            }
        }
    }

    async fn greet(
        &self,
        link: &Link,
        method: &str,
        params: Option<&Value>,
        wait: Duration,
    ) -> Result<Answer, LinkError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mirror = headers::mirror(method, params, None);
        let outgoing = Outgoing { id, method, params, mirror };
        let related = Arc::new(Related::new(None, None));
        match tokio::time::timeout(wait, link.call(outgoing, &related)).await {
            Ok(answered) => answered.map(|answered| answered.answer),
            Err(_) => Err(LinkError::Timeout),
        }
    }

    /// Sends a request and waits for its answer. The id and the token for progress are this
    /// hop's own; all else is what was let through.
    pub(crate) async fn call(
        &self,
        live: &Live,
        passage: Passage,
        related: &Arc<Related>,
        patience: Patience,
    ) -> Result<Answered, LinkError> {
        if passage.is_gated() {
            // What was decided rests on this conversation's tools, so it goes nowhere else, and
            // whether a server that forgot the session did anything is not known.
            if live.link.is_closed() {
                return Err(LinkError::NotSent("the conversation ended; ask again".into()));
            }
            let (method, params) = passage.into_parts();
            let answered = self.call_once(live, &method, params, related, patience).await;
            if matches!(answered, Err(LinkError::SessionLost)) {
                live.link.close();
            }
            return answered;
        }
        let (method, params) = passage.into_parts();
        match self.call_once(live, &method, params.clone(), related, patience).await {
            // The upstream has forgotten the session: greet it again, once.
            Err(LinkError::SessionLost) => {
                live.link.close();
                let again = self.live().await.map_err(|error| match error {
                    OpenError::Link(error) => error,
                    other => LinkError::NotSent(other.to_string()),
                })?;
                self.call_once(&again, &method, params, related, patience).await
            }
            answered => answered,
        }
    }

    async fn call_once(
        &self,
        live: &Live,
        method: &str,
        mut params: Option<Value>,
        related: &Arc<Related>,
        patience: Patience,
    ) -> Result<Answered, LinkError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        if let Some(params) = params.as_mut()
            && let Some(token) = edit::meta(params, "progressToken").cloned()
        {
            related.set_progress(Some(token));
            edit::set_meta(params, "progressToken", id);
        }
        let mirror = match live.revision.era() {
            Era::Legacy => HeaderMap::new(),
            Era::Modern => {
                let listing = live.listing();
                let tool = params.as_ref().and_then(|p| p.member("name")).and_then(Value::as_str);
                let schema = listing.as_ref().zip(tool).and_then(|(l, tool)| l.schemas.get(tool));
                headers::mirror(method, params.as_ref(), schema)
            }
        };
        let outgoing = Outgoing { id, method, params: params.as_ref(), mirror };
        self.wait(live, outgoing, related, patience).await
    }

    async fn wait(
        &self,
        live: &Live,
        outgoing: Outgoing<'_>,
        related: &Arc<Related>,
        patience: Patience,
    ) -> Result<Answered, LinkError> {
        let id = outgoing.id;
        let begun = Instant::now();
        related.touch();
        let mut call = std::pin::pin!(live.link.call(outgoing, related));
        let mut given_up: Option<Instant> = None;
        loop {
            let until = match (given_up, patience) {
                (Some(since), _) => Some(since + CANCEL_GRACE),
                (None, Patience::Endless) => None,
                (None, Patience::Bounded) => {
                    Some((related.alive() + self.limits.call).min(begun + self.limits.call_max))
                }
            };
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answered = &mut call => return answered,
                () = related.cancelled.cancelled(), if given_up.is_none() => {
                    if live.link.drops_to_cancel() {
                        return Err(LinkError::Cancelled);
                    }
                    self.tell_cancelled(live, id, "the client cancelled").await;
                    given_up = Some(Instant::now());
                }
                () = timer => {
                    if given_up.is_some() {
                        return Err(LinkError::Cancelled);
                    }
                    let now = Instant::now();
                    let lively = related.alive() + self.limits.call > now;
                    if lively && begun + self.limits.call_max > now {
                        continue;
                    }
                    if !live.link.drops_to_cancel() {
                        self.tell_cancelled(live, id, "no answer in time").await;
                    }
                    return Err(match related.saw_garbage() {
                        true => LinkError::Malformed,
                        false => LinkError::Timeout,
                    });
                }
            }
        }
    }

    async fn tell_cancelled(&self, live: &Live, id: i64, reason: &str) {
        let params = Value::object([("requestId", Value::from(id)), ("reason", reason.into())]);
        let bytes = message::notification_bytes("notifications/cancelled", Some(&params));
        // An upstream that takes no more input must not hold up whoever gave up on it.
        let sent = tokio::time::timeout(Duration::from_secs(1), live.link.send(bytes)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::debug!(server = %self.config.name, id, "a cancellation was not taken");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// Notices that the tools have changed, on the way to whoever else wants to know.
struct Tap {
    inner: Arc<dyn Inbound>,
    stale: Arc<AtomicBool>,
}

impl Inbound for Tap {
    fn receive(&self, message: Message, related: Option<&Arc<Related>>) {
        if let Message::Notification(notification) = &message
            && &*notification.method == "notifications/tools/list_changed"
        {
            self.stale.store(true, Ordering::Relaxed);
        }
        self.inner.receive(message, related);
    }
}
