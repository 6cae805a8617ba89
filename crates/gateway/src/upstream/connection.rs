//! One conversation with an upstream: greeted, supervised, opened again when it breaks, and
//! never called about a tool that it was not asked to describe first.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use safeconduct_model::{Authentication, Edit, ServerName, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::tools::{Listing, Shown};
use super::{Inbound, Link};
use crate::config::{Limits, UpstreamConfig};
use crate::message::{self, Message};
use crate::related::Related;
use crate::revision::Era;
use crate::{Injections, Revision, Secrets};

mod call;
mod greet;

pub(crate) use call::Patience;
pub(crate) use greet::{Greeting, OpenError};

/// First wait before an upstream that broke twice is started again.
const BACKOFF: Duration = Duration::from_millis(500);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A conversation that lasted so long was well: the next failure counts as the first.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// What all conversations of a gateway share.
#[derive(Clone)]
pub(crate) struct Wiring {
    pub(crate) tasks: TaskTracker,
    pub(crate) slots: Arc<Semaphore>,
    client: Arc<OnceLock<Result<reqwest::Client, String>>>,
    connect: Duration,
    injections: Option<Arc<dyn Injections>>,
}

impl Wiring {
    pub(crate) fn new(limits: &Limits, injections: Option<Arc<dyn Injections>>) -> Self {
        Self {
            injections,
            tasks: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(limits.connections)),
            client: Arc::default(),
            connect: limits.connect,
        }
    }

    /// Whether calls to that upstream can have secrets put into them.
    pub(crate) fn injects(&self, upstream: &ServerName) -> bool {
        self.injections.as_ref().is_some_and(|injections| injections.concerns(upstream))
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

/// A conversation that is open.
pub(crate) struct Live {
    pub(crate) link: Arc<Link>,
    pub(crate) revision: Revision,
    /// The result of `initialize` or `server/discover`.
    pub(crate) greeted: Value,
    pub(super) listing: Mutex<Option<Arc<Listing>>>,
    pub(super) listing_turn: tokio::sync::Mutex<()>,
    pub(super) shown: Mutex<Shown>,
    pub(super) secrets: Option<Arc<Secrets>>,
    since: Instant,
    _slot: OwnedSemaphorePermit,
}

impl Live {
    /// What is recorded of a request of that method beside what its obligations changed.
    pub(crate) fn injected(&self, method: &str) -> Vec<Edit> {
        self.secrets.as_ref().map(|secrets| secrets.edits(method)).unwrap_or_default()
    }
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
    /// Whoever asked last in it, or whom it was begun for: by whose proof secrets are leased.
    asks: Mutex<Option<Authentication>>,
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
        of: Option<Authentication>,
        inbound: Arc<dyn Inbound>,
    ) -> Self {
        let stale = Arc::new(AtomicBool::new(false));
        let inbound = Arc::new(Tap { inner: inbound, stale: Arc::clone(&stale) });
        Self {
            config,
            limits,
            wiring,
            greeting,
            asks: Mutex::new(of),
            inbound,
            live: Mutex::new(None),
            supervision: tokio::sync::Mutex::default(),
            ready: AtomicBool::new(false),
            stale,
            closed: AtomicBool::new(false),
            next_id: AtomicI64::new(1),
        }
    }

    /// The open conversation for a request of theirs; begun, or begun again, where there is none.
    pub(crate) async fn live_for(&self, of: &Authentication) -> Result<Arc<Live>, OpenError> {
        // What has no secrets may be shared, and is then nobody's.
        if self.wiring.injects(&self.config.name) {
            *self.asks.lock().unwrap_or_else(PoisonError::into_inner) = Some(of.clone());
        }
        self.live().await
    }

    /// The same, for whoever asked last.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, OpenError> {
        let secrets = self.secrets().await?;
        if let Some(live) = self.current_with(secrets.as_ref()) {
            return Ok(live);
        }
        let mut supervision = self.supervision.lock().await;
        if let Some(live) = self.current_with(secrets.as_ref()) {
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
        // One that is left for the sake of other secrets has not broken.
        let well = |live: Arc<Live>| live.since.elapsed() > WELL_AFTER || !live.link.is_closed();
        if before.is_some_and(well) {
            supervision.failures = 0;
        }
        let opened = self.open(secrets).await;
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

    /// The same, where it has these secrets. One that has others is left to the calls that are
    /// under way in it.
    fn current_with(&self, secrets: Option<&Arc<Secrets>>) -> Option<Arc<Live>> {
        self.current().filter(|live| match (&live.secrets, secrets) {
            (Some(had), Some(now)) => Arc::ptr_eq(had, now),
            (None, None) => true,
            _ => false,
        })
    }

    /// What goes upstream beside what callers say.
    async fn secrets(&self) -> Result<Option<Arc<Secrets>>, OpenError> {
        match &self.wiring.injections {
            Some(injections) if injections.concerns(&self.config.name) => {
                let of = self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let secrets = injections.secrets(&self.config.name, of.as_ref()).await;
                secrets.map(Some).map_err(OpenError::NoSecrets)
            }
            _ => Ok(None),
        }
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

    async fn open(&self, secrets: Option<Arc<Secrets>>) -> Result<Live, OpenError> {
        let slots = Arc::clone(&self.wiring.slots);
        let slot = slots.try_acquire_owned().map_err(|_| OpenError::TooMany)?;
        let inbound = Arc::clone(&self.inbound);
        let with = secrets.as_deref();
        let link = Link::open(&self.config, &self.limits, &self.wiring, with, inbound);
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
            secrets,
            since: Instant::now(),
            _slot: slot,
        })
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
