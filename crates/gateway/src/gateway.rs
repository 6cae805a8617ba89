//! The gateway: its upstreams, its sessions, and how it begins and ends.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use safeconduct_model::{
    Authentication, Mode, NameError, ServerName, SessionKey, SessionName, Value,
};
use safeconduct_service::Report;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Revision;
use crate::authority::Authority;
use crate::backend::{Backend, own_initialize};
use crate::config::{GatewayConfig, Limits, UpstreamConfig};
use crate::front::guard::Allowed;
use crate::message::{Answer, Fault, INTERNAL_ERROR, METHOD_NOT_FOUND, Message, response_bytes};
use crate::related::Related;
use crate::revision::Era;
use crate::session::ClientSession;
use crate::upstream::{Connection, Greeting, Inbound, LinkError, ListError, OpenError, Wiring};

/// Most client sessions. One more ends the one that was quiet for longest, or is refused.
pub const SESSIONS_MAX: usize = 4096;

/// How often quiet sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// A session that was quiet for so long gives way to a new one where there is no room.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(30);
/// How long calls that are under way may take when the gateway ends.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long children and streams may take to end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The MCP gateway. Cheap to clone: all clones are one gateway.
pub struct Gateway<A: Authority> {
    pub(crate) inner: Arc<Inner<A>>,
}

impl<A: Authority> Clone for Gateway<A> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

/// Why an upstream was not taken in: the configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddError {
    /// There is one of that name.
    #[error("there is an upstream `{0}` already")]
    Taken(ServerName),
    /// Its name does not fit.
    #[error("the upstream's name does not fit: {0}")]
    Name(#[from] NameError),
}

/// How an upstream is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: ServerName,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// How many conversations with it are open.
    pub connections: usize,
    /// What stood in the way when it was last tried; `None` where nothing did.
    pub problem: Option<String>,
}

pub(crate) struct Inner<A: Authority> {
    pub(crate) authority: Arc<A>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) allowed: Allowed,
    pub(crate) wiring: Wiring,
    pub(crate) closed: CancellationToken,
    /// Requests that are being answered; they outlive their clients.
    pub(crate) calls: TaskTracker,
    backends: RwLock<BTreeMap<ServerName, Arc<Backend>>>,
    sessions: Mutex<HashMap<String, Arc<ClientSession<A>>>>,
    /// How many requests without a session are being answered, by credential.
    in_flight: Mutex<HashMap<SessionKey, usize>>,
}

/// A request without a session that counts against its credential's bound until it is dropped.
pub(crate) struct InFlight<A: Authority> {
    inner: Arc<Inner<A>>,
    key: SessionKey,
}

impl<A: Authority> Drop for InFlight<A> {
    fn drop(&mut self) {
        let mut in_flight = self.inner.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_flight.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}

impl<A: Authority> Gateway<A> {
    /// A gateway that asks that authority. To be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`AddError`] where two upstreams have one name.
    pub fn new(config: GatewayConfig, authority: Arc<A>) -> Result<Self, AddError> {
        let inner = Arc::new(Inner {
            authority,
            allowed: Allowed::new(&config),
            wiring: Wiring::new(&config.limits),
            limits: Arc::new(config.limits),
            closed: CancellationToken::new(),
            calls: TaskTracker::new(),
            backends: RwLock::default(),
            sessions: Mutex::default(),
            in_flight: Mutex::default(),
        });
        let gateway = Self { inner };
        for upstream in config.upstreams {
            gateway.add_upstream(upstream)?;
        }
        let (weak, closed) = (Arc::downgrade(&gateway.inner), gateway.inner.closed.clone());
        gateway.inner.wiring.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(SWEEP) => {}
                    () = closed.cancelled() => return,
                }
                let Some(inner) = weak.upgrade() else { return };
                inner.close_idle();
            }
        });
        Ok(gateway)
    }

    /// The routes: `/mcp/NAME` for each upstream, those added later included.
    pub fn router(&self) -> axum::Router {
        crate::front::router(self)
    }

    /// Takes an upstream in. It is connected to when the first client comes.
    ///
    /// # Errors
    /// [`AddError`] where there is one of that name.
    pub fn add_upstream(&self, config: UpstreamConfig) -> Result<(), AddError> {
        let name = config.name.clone();
        if config.mode == Mode::Observe {
            tracing::warn!(
                server = %name,
                "OBSERVE MODE: denials of this upstream are recorded and NOT carried out"
            );
        }
        let limits = Arc::clone(&self.inner.limits);
        let backend = Backend::new(config, limits, self.inner.wiring.clone())?;
        let mut backends = self.inner.backends.write().unwrap_or_else(PoisonError::into_inner);
        if backends.contains_key(&name) {
            return Err(AddError::Taken(name));
        }
        backends.insert(name, Arc::new(backend));
        Ok(())
    }

    /// Lets an upstream go, with everything that is open towards it. Returns whether there was
    /// one.
    pub fn remove_upstream(&self, name: &ServerName) -> bool {
        let mut backends = self.inner.backends.write().unwrap_or_else(PoisonError::into_inner);
        let Some(backend) = backends.remove(name) else {
            return false;
        };
        backend.close();
        self.inner.end_sessions(|session| session.backend.config.name == *name);
        true
    }

    /// How each upstream is doing, by name.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let backends = self.inner.backends.read().unwrap_or_else(PoisonError::into_inner);
        let sessions = self.inner.sessions();
        let status = backends.values().map(|backend| UpstreamStatus {
            name: backend.config.name.clone(),
            mode: backend.config.mode,
            connections: backend.open()
                + sessions
                    .values()
                    .filter(|s| s.backend.config.name == backend.config.name)
                    .count(),
            problem: backend.problem(),
        });
        status.collect()
    }

    /// How many client sessions there are.
    pub fn sessions(&self) -> usize {
        self.inner.sessions().len()
    }

    /// Ends every stream, waits up to 5 seconds for calls that are under way, then ends every
    /// session and child process and waits up to 10 seconds for them.
    pub async fn shutdown(&self) {
        self.inner.closed.cancel();
        self.inner.calls.close();
        if tokio::time::timeout(LAST_CALLS, self.inner.calls.wait()).await.is_err() {
            tracing::warn!(calls = self.inner.calls.len(), "calls are given up");
        }
        self.inner.end_sessions(|_| true);
        self.inner.close_backends();
        let tasks = &self.inner.wiring.tasks;
        tasks.close();
        if tokio::time::timeout(SHUTDOWN, tasks.wait()).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
    }
}

impl<A: Authority> Inner<A> {
    pub(crate) fn backend(&self, name: &str) -> Option<Arc<Backend>> {
        let name = ServerName::new(name).ok()?;
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.get(&name).map(Arc::clone)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<ClientSession<A>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session; its id is 122 random bits.
    pub(crate) async fn begin_session(
        self: &Arc<Self>,
        backend: Arc<Backend>,
        authentication: Authentication,
        params: Option<Value>,
    ) -> Result<(String, Value), Fault> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = SessionName::new(id.as_str()).ok();
        let make_room = || self.sessions().len() >= SESSIONS_MAX;
        if make_room() && !self.end_quietest() {
            return Err(OpenError::TooMany.fault());
        }
        let begin = || {
            ClientSession::begin(
                Arc::clone(self),
                Arc::clone(&backend),
                authentication.clone(),
                name.clone(),
                params.clone(),
            )
        };
        let (session, result) = match begin().await {
            Err(fault) if fault == OpenError::TooMany.fault() && self.end_quietest() => {
                begin().await?
            }
            begun => begun?,
        };
        self.sessions().insert(id.clone(), session);
        Ok((id, result))
    }

    /// Whether one more request can be taken.
    pub(crate) fn admits(&self) -> Result<(), Fault> {
        match self.calls.len() < self.limits.calls && !self.calls.is_closed() {
            true => Ok(()),
            false => {
                Err(Fault::new(INTERNAL_ERROR, "too many calls are under way; try again later"))
            }
        }
    }

    /// Takes in one more request without a session, within the bound of its credential.
    pub(crate) fn enter(self: &Arc<Self>, key: SessionKey) -> Result<InFlight<A>, Fault> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(key.clone()).or_default();
        if *count >= self.limits.in_flight {
            return Err(Fault::new(
                INTERNAL_ERROR,
                "too many requests of this credential are under way; try again when one is answered",
            ));
        }
        *count += 1;
        Ok(InFlight { inner: Arc::clone(self), key })
    }

    pub(crate) fn session(&self, id: &str) -> Option<Arc<ClientSession<A>>> {
        self.sessions().get(id).map(Arc::clone)
    }

    pub(crate) fn end_session(&self, id: &str) {
        let ended = self.sessions().remove(id);
        if let Some(session) = ended {
            session.close();
        }
    }

    fn end_sessions(&self, ends: impl Fn(&ClientSession<A>) -> bool) {
        let mut sessions = self.sessions();
        sessions.retain(|_, session| {
            let stays = !ends(session);
            if !stays {
                session.close();
            }
            stays
        });
    }

    /// Ends the session that was quiet for longest, where one was quiet for a while.
    fn end_quietest(&self) -> bool {
        let mut sessions = self.sessions();
        let quietest = sessions
            .iter()
            .filter_map(|(id, session)| Some((session.quiet()?, id.clone())))
            .filter(|(quiet, _)| *quiet > GIVES_WAY_AFTER)
            .max_by_key(|(quiet, _)| *quiet);
        let Some((_, id)) = quietest else {
            return false;
        };
        if let Some(session) = sessions.remove(&id) {
            tracing::info!("a quiet session gave way to a new one");
            session.close();
        }
        true
    }

    fn close_backends(&self) {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.values().for_each(|backend| backend.close());
    }

    fn close_idle(&self) {
        let idle = self.limits.idle;
        self.end_sessions(|session| session.quiet().is_some_and(|quiet| quiet > idle));
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.values().for_each(|backend| backend.close_idle(idle));
    }

    /// Reports an outcome. Its record is queued before this returns, so that the session knows of
    /// it before the agent can ask the next question; that it is durable is waited for apart.
    pub(crate) async fn observe(self: &Arc<Self>, report: Report) {
        let inner = Arc::clone(self);
        let mut observed = Box::pin(async move {
            let decision = report.decision.clone();
            if let Err(error) = inner.authority.observe(report).await {
                tracing::error!(%decision, %error, "an outcome was not recorded");
            }
        });
        let queued = std::future::poll_fn(|context| {
            std::task::Poll::Ready(observed.as_mut().poll(context).is_ready())
        });
        if !queued.await {
            self.wiring.tasks.spawn(observed);
        }
    }
}

/// Why the tools of an upstream could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListToolsError {
    /// The upstream is at fault, or how it is reached: it could not be talked to.
    #[error("no conversation with the server: {0}")]
    Open(String),
    /// The upstream is at fault: it gave no list.
    #[error("{0}")]
    List(String),
}

/// The tools of an upstream, as it describes them, in its order: one conversation, for an import
/// into the catalogue. Nothing is decided and nothing is recorded.
///
/// # Errors
/// [`ListToolsError`] where the upstream cannot be talked to or gives no list.
pub async fn list_tools(
    config: &UpstreamConfig,
    limits: &Limits,
) -> Result<Vec<Value>, ListToolsError> {
    let open = |error: OpenError| ListToolsError::Open(error.to_string());
    let limits = &config.limits(limits);
    let wiring = Wiring::new(limits);
    let connection = |greeting| {
        let (config, limits) = (Arc::new(config.clone()), Arc::new(limits.clone()));
        Arc::new_cyclic(|weak: &std::sync::Weak<Connection>| {
            let inbound = Arc::new(Unasked(weak.clone()));
            Connection::new(config, limits, wiring.clone(), greeting, inbound)
        })
    };
    let begun = Instant::now();
    let mut talking = connection(match config.revision.map(Revision::era) {
        Some(Era::Modern) => Greeting::Modern,
        Some(Era::Legacy) | None => Greeting::Legacy(own_initialize()),
    });
    let live = match talking.live().await {
        Ok(live) => live,
        Err(OpenError::Refused(_) | OpenError::Link(LinkError::Refused(_)))
            if config.revision.is_none() =>
        {
            talking = connection(Greeting::Modern);
            talking.live().await.map_err(open)?
        }
        Err(error) => return Err(open(error)),
    };
    talking.initialized().await;
    let pages = talking.list(&live).await;
    talking.close();
    drop(live);
    wiring.tasks.close();
    let _ = tokio::time::timeout(SHUTDOWN, wiring.tasks.wait()).await;
    tracing::debug!(server = %config.name, took = ?begun.elapsed(), "tools listed");
    let pages = pages.map_err(|error: ListError| ListToolsError::List(error.to_string()))?;
    let tools = pages.iter().filter_map(|page| page.member("tools")?.as_array()).flatten();
    Ok(tools.cloned().collect())
}

/// Answers whatever a server asks with a refusal.
struct Unasked(std::sync::Weak<Connection>);

impl Inbound for Unasked {
    fn receive(&self, message: Message, _: Option<&Arc<Related>>) {
        let (Message::Request(request), Some(connection)) = (message, self.0.upgrade()) else {
            return;
        };
        tokio::spawn(async move {
            let fault = Fault::new(METHOD_NOT_FOUND, "nobody is there to answer");
            if let Ok(live) = connection.live().await {
                let bytes = response_bytes(Some(&request.id), &Answer::Fault(fault));
                // A server that is gone needs no answer.
                let _ = live.link.send(bytes).await;
            }
        });
    }
}
