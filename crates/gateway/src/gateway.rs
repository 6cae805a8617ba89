//! The gateway: its upstreams, its sessions, and how it begins and ends.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use safeconduct_model::{
    Authentication, Digest, Mode, NameError, ServerName, SessionKey, SessionName, TaskState, Value,
};
use safeconduct_pep::{Permit, Refusal};
use safeconduct_service::{Ending, Report, Watch, token_digest};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::backend::Backend;
use crate::config::{GatewayConfig, Limits, UpstreamConfig};
use crate::endings::Endings;
use crate::front::ProtectedResource;
use crate::front::guard::Allowed;
use crate::message::{Fault, INTERNAL_ERROR};
use crate::passage::Gated;
use crate::session::{Caller, ClientSession};
use crate::sessions::{Full, Sessions};
use crate::upstream::{OpenError, Wiring};

/// How often quiet sessions are looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// How long calls that are under way may take when the gateway ends.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long children and streams may take to end.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(10);

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
    pub(crate) endings: Arc<Endings>,
    /// Where people answer what is asked for.
    pub(crate) pages: Option<String>,
    /// How clients find out whose tokens are taken, once that is said.
    pub(crate) resource: OnceLock<ProtectedResource>,
    /// Requests that are being answered; they outlive their clients.
    pub(crate) calls: TaskTracker,
    backends: RwLock<BTreeMap<ServerName, Arc<Backend>>>,
    sessions: Arc<Sessions<A>>,
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
        let endings = Arc::new(Endings::new());
        authority.watch(&(Arc::clone(&endings) as Arc<dyn Watch>));
        let inner = Arc::new(Inner {
            authority,
            endings,
            pages: config.pages.clone(),
            resource: OnceLock::new(),
            sessions: Arc::new(Sessions::new(config.limits.sessions_per_identity)),
            allowed: Allowed::new(&config),
            wiring: Wiring::new(&config.limits, config.injections),
            limits: Arc::new(config.limits),
            closed: CancellationToken::new(),
            calls: TaskTracker::new(),
            backends: RwLock::default(),
            in_flight: Mutex::default(),
        });
        let gateway = Self { inner };
        for upstream in config.upstreams {
            gateway.add_upstream(upstream)?;
        }
        let (weak, closed) = (Arc::downgrade(&gateway.inner), gateway.inner.closed.clone());
        let mut bell = gateway.inner.endings.bell();
        gateway.inner.wiring.tasks.spawn(async move {
            let mut sweep = tokio::time::interval(SWEEP);
            loop {
                let rung = tokio::select! {
                    _ = sweep.tick() => false,
                    rung = bell.changed() => rung.is_ok(),
                    () = closed.cancelled() => return,
                };
                let Some(inner) = weak.upgrade() else { return };
                if rung { inner.close_ended() } else { inner.close_idle() }
            }
        });
        Ok(gateway)
    }

    /// The routes: `/mcp/NAME` for each upstream, those added later included.
    pub fn router(&self) -> axum::Router {
        crate::front::router(self)
    }

    /// Says how clients find out whose tokens are taken here (RFC 9728): from now on every 401
    /// leads there. The first word holds.
    pub fn describe(&self, resource: ProtectedResource) {
        // Whoever asks a second time meant to say the same.
        let _ = self.inner.resource.set(resource);
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
        self.inner.sessions.end_where(|session| session.backend.config.name == *name);
        true
    }

    /// How each upstream is doing, by name.
    pub fn upstreams(&self) -> Vec<UpstreamStatus> {
        let backends = self.inner.backends.read().unwrap_or_else(PoisonError::into_inner);
        let sessions = &self.inner.sessions;
        let status = backends.values().map(|backend| UpstreamStatus {
            name: backend.config.name.clone(),
            mode: backend.config.mode,
            connections: backend.open()
                + sessions.count(|session| session.backend.config.name == backend.config.name),
            problem: backend.problem(),
        });
        status.collect()
    }

    /// How many client sessions there are.
    pub fn sessions(&self) -> usize {
        self.inner.sessions.count(|_| true)
    }

    /// Ends every stream, waits up to 5 seconds for calls that are under way, then ends every
    /// session and child process and waits up to 10 seconds for them.
    pub async fn shutdown(&self) {
        self.inner.closed.cancel();
        self.inner.calls.close();
        if tokio::time::timeout(LAST_CALLS, self.inner.calls.wait()).await.is_err() {
            tracing::warn!(calls = self.inner.calls.len(), "calls are given up");
        }
        self.inner.sessions.end_where(|_| true);
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

    /// Begins a session; its id is 122 random bits.
    pub(crate) async fn begin_session(
        self: &Arc<Self>,
        backend: Arc<Backend>,
        caller: Caller,
        params: Option<Value>,
    ) -> Result<(String, Value), Fault> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = SessionName::new(id.as_str()).ok();
        let identity = caller.authentication.identity.clone();
        let opening = self.sessions.begin(&identity).map_err(Full::fault)?;
        let conversation = caller.conversation.unwrap_or_else(|| token_digest(&id));
        let begin = || {
            ClientSession::begin(
                Arc::clone(self),
                Arc::clone(&backend),
                &caller,
                name.clone(),
                conversation,
                params.clone(),
            )
        };
        let (session, result) = match begin().await {
            Err(fault)
                if fault == OpenError::TooMany.fault() && self.sessions.make_room(&identity) =>
            {
                begin().await?
            }
            begun => begun?,
        };
        opening.opened(id.clone(), session);
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
        self.sessions.find(id)
    }

    pub(crate) fn end_session(&self, id: &str) {
        self.sessions.end(id);
    }

    /// Ends the task that is attached to a conversation which is over: nobody could name it any
    /// more, and nothing of it is to wait for its time to be over.
    pub(crate) fn end_attached(&self, own: Authentication, conversation: Digest) {
        // The task that a request names by handle is not the conversation's to end.
        let own = Authentication { task: None, ..own };
        let within = self.authority.within_attached_task(own, Some(&conversation));
        let Some(task) = within.task else { return };
        let authority = Arc::clone(&self.authority);
        let (by, reason) = (Some(within.identity), "conversation_ended".into());
        let ending = Ending { state: TaskState::Completed, by, reason };
        self.wiring.tasks.spawn(async move {
            if let Err(error) = authority.end_task(&task.id, ending).await {
                tracing::error!(%error, task = %task.id, "the task of a conversation that is over could not be ended");
            }
        });
    }

    fn close_backends(&self) {
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.values().for_each(|backend| backend.close());
    }

    fn close_idle(&self) {
        let idle = self.limits.idle;
        self.sessions.end_where(|session| {
            session.forget_shown();
            session.quiet().is_some_and(|quiet| quiet > idle)
        });
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.values().for_each(|backend| backend.close_idle(idle));
    }

    /// Closes conversations that were begun under an authority that has ended.
    fn close_ended(&self) {
        let stands = |authentication: &Authentication| self.authority.stands(authentication);
        self.sessions.each(|session| session.close_ended(stands));
        let backends = self.backends.read().unwrap_or_else(PoisonError::into_inner);
        backends.values().for_each(|backend| backend.close_ended(stands));
    }

    /// Asks for a permit. What the session has read is read back first, where it must be, on a
    /// thread that may wait for the disk.
    pub(crate) async fn decide(&self, gated: Gated) -> Result<Permit<Gated>, (Refusal, Gated)> {
        if self.authority.recall_due(&gated.authentication) {
            let (authority, by) = (Arc::clone(&self.authority), gated.authentication.clone());
            // Where that fails, the decision itself reads it back.
            let _ = tokio::task::spawn_blocking(move || authority.recall(&by)).await;
        }
        self.authority.decide(gated).await
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
