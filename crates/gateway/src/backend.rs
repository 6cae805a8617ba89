//! One upstream with everything that is open towards it, and which eras it speaks: found out by
//! trying, once, when the first client of each era comes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use safeconduct_model::{Authentication, IdentityId, NameError, SessionKey, Value};

use crate::config::{Limits, Transport, UpstreamConfig};
use crate::given::Given;
use crate::inputs::Inputs;
use crate::message::{Answer, Fault, METHOD_NOT_FOUND, Message};
use crate::related::Related;
use crate::revision::Era;
use crate::upstream::{Connection, Greeting, Inbound, LinkError, Live, OpenError, Unasked, Wiring};
use crate::{Revision, edit, notify, translate};

/// An upstream.
pub(crate) struct Backend {
    pub(crate) config: Arc<UpstreamConfig>,
    /// How the gateway names itself in questions about it: `gateway:files`.
    pub(crate) pep: IdentityId,
    limits: Arc<Limits>,
    wiring: Wiring,
    not_modern: AtomicBool,
    not_legacy: AtomicBool,
    /// The one conversation of all clients with an upstream that has no sessions, where each call
    /// has a stream of its own.
    shared: Arc<Connection>,
    /// Conversations that outlive a client's session: with an upstream that has sessions on
    /// behalf of 2026-07-28 clients, with a child process that has none, and with an upstream
    /// that is given secrets. One for each task, or each credential outside of tasks, so that
    /// nobody meets another's state, uses another's secrets or reads another's notifications.
    standing: Mutex<HashMap<(SessionKey, Era), Standing>>,
    problem: Mutex<Option<String>>,
    /// What it has asked for inside its results.
    pub(crate) inputs: Inputs,
    /// What it has given to be given back.
    pub(crate) given: Given,
}

struct Standing {
    connection: Arc<Connection>,
    /// For whom it was begun.
    authentication: Authentication,
    used: Instant,
}

/// A conversation that is ready for calls.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) connection: Arc<Connection>,
    pub(crate) live: Arc<Live>,
}

impl Backend {
    pub(crate) fn new(
        config: UpstreamConfig,
        limits: Arc<Limits>,
        wiring: Wiring,
    ) -> Result<Self, NameError> {
        let limits = Arc::new(config.limits(&limits));
        let era = config.revision.map(Revision::era);
        let config = Arc::new(config);
        let shared = Connection::new(
            Arc::clone(&config),
            Arc::clone(&limits),
            wiring.clone(),
            Greeting::Modern,
            None,
            Arc::new(SharedInbound),
        );
        Ok(Self {
            pep: IdentityId::new(format!("gateway:{}", config.name))?,
            config,
            limits,
            wiring,
            not_modern: AtomicBool::new(era == Some(Era::Legacy)),
            not_legacy: AtomicBool::new(era == Some(Era::Modern)),
            shared: Arc::new(shared),
            standing: Mutex::default(),
            problem: Mutex::new(None),
            inputs: Inputs::default(),
            given: Given::default(),
        })
    }

    /// A conversation for a client that speaks 2026-07-28.
    pub(crate) async fn for_modern(&self, of: &Authentication) -> Result<Ready, OpenError> {
        let opened = match self.modern(of).await {
            Err(OpenError::NotModern | OpenError::Undiscovered) if self.may_be(Era::Legacy) => {
                let connection = self.standing(of, Era::Legacy);
                let live = connection.live_for(of).await;
                if live.is_ok() {
                    self.not_modern.store(true, Ordering::Relaxed);
                    connection.initialized().await;
                }
                live.map(|live| Ready { connection, live })
            }
            modern => modern,
        };
        self.note(opened)
    }

    /// Whether the configuration leaves it open that the upstream speaks a revision of that era.
    fn may_be(&self, era: Era) -> bool {
        self.config.revision.is_none_or(|revision| revision.era() == era)
    }

    /// The conversation without sessions, where the upstream has one. That there is none is
    /// remembered only where the upstream said so, or its handshake has worked.
    async fn modern(&self, of: &Authentication) -> Result<Ready, OpenError> {
        if self.not_modern.load(Ordering::Relaxed) {
            return Err(OpenError::NotModern);
        }
        let connection = match &self.config.transport {
            Transport::Http { .. } if !self.wiring.injects(&self.config.name) => {
                Arc::clone(&self.shared)
            }
            Transport::Http { .. } | Transport::Stdio { .. } => self.standing(of, Era::Modern),
        };
        match connection.live_for(of).await {
            Ok(live) => Ok(Ready { connection, live }),
            Err(OpenError::NotModern) => {
                self.not_modern.store(true, Ordering::Relaxed);
                Err(OpenError::NotModern)
            }
            Err(error) => Err(error),
        }
    }

    /// A conversation of its own for a client's session; falls back to the one without sessions
    /// where the upstream has no handshake.
    pub(crate) async fn for_legacy(
        &self,
        of: &Authentication,
        params: Value,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Ready, OpenError> {
        let opened = self.legacy(of, params, inbound).await;
        self.note(opened)
    }

    async fn legacy(
        &self,
        of: &Authentication,
        params: Value,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Ready, OpenError> {
        if self.not_legacy.load(Ordering::Relaxed) {
            return self.modern(of).await;
        }
        let connection = Arc::new(self.connection(Greeting::Legacy(params), of, inbound));
        let refused = match connection.live_for(of).await {
            Ok(live) => return Ok(Ready { connection, live }),
            Err(error @ (OpenError::Refused(_) | OpenError::Link(LinkError::Refused(_)))) => error,
            Err(error) => return Err(error),
        };
        if !self.may_be(Era::Modern) {
            return Err(refused);
        }
        match self.modern(of).await {
            Ok(ready) => {
                self.not_legacy.store(true, Ordering::Relaxed);
                Ok(ready)
            }
            Err(_) => Err(refused),
        }
    }

    fn standing(&self, of: &Authentication, era: Era) -> Arc<Connection> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = standing.entry((SessionKey::of(of), era)).or_insert_with(|| Standing {
            connection: match era {
                Era::Modern => {
                    Arc::new(self.connection(Greeting::Modern, of, Arc::new(SharedInbound)))
                }
                Era::Legacy => Arc::new_cyclic(|weak| {
                    let inbound = Arc::new(StandingInbound(Unasked::new(weak.clone())));
                    self.connection(Greeting::Legacy(own_initialize()), of, inbound)
                }),
            },
            authentication: of.clone(),
            used: Instant::now(),
        });
        entry.used = Instant::now();
        Arc::clone(&entry.connection)
    }

    fn connection(
        &self,
        greeting: Greeting,
        of: &Authentication,
        inbound: Arc<dyn Inbound>,
    ) -> Connection {
        Connection::new(
            Arc::clone(&self.config),
            Arc::clone(&self.limits),
            self.wiring.clone(),
            greeting,
            Some(of.clone()),
            inbound,
        )
    }

    fn note(&self, opened: Result<Ready, OpenError>) -> Result<Ready, OpenError> {
        let problem = opened.as_ref().err().map(ToString::to_string);
        if let Some(problem) = &problem {
            tracing::warn!(server = %self.config.name, problem, "upstream is not reachable");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        opened
    }

    /// What stood in the way when it was last tried.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many conversations are open that no client session holds.
    pub(crate) fn open(&self) -> usize {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let open = standing.values().filter(|standing| standing.connection.is_open()).count();
        open + usize::from(self.shared.is_open())
    }

    /// Closes conversations that were quiet for so long, and lets go of what others showed long
    /// ago.
    pub(crate) fn close_idle(&self, idle: Duration) {
        self.shared.forget_shown();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.retain(|_, standing| {
            standing.connection.forget_shown();
            // One that a call holds on to is not quiet.
            Arc::strong_count(&standing.connection) > 1 || standing.used.elapsed() < idle
        });
    }

    /// Closes conversations of those whose authority has ended.
    pub(crate) fn close_ended(&self, stands: impl Fn(&Authentication) -> bool) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.retain(|_, standing| {
            let stays = stands(&standing.authentication);
            if !stays {
                standing.connection.close();
            }
            stays
        });
    }

    /// Closes everything.
    pub(crate) fn close(&self) {
        self.shared.close();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.drain().for_each(|(_, standing)| standing.connection.close());
    }
}

/// The handshake that the gateway makes for itself: no capabilities, so that the upstream asks
/// nothing.
pub(crate) fn own_initialize() -> Value {
    Value::object([
        ("protocolVersion", Value::from(Revision::LATEST_LEGACY.as_str())),
        ("capabilities", edit::empty()),
        ("clientInfo", translate::gateway_info()),
    ])
}

/// What comes over the conversation without sessions: only what belongs to a call goes on.
struct SharedInbound;

impl Inbound for SharedInbound {
    fn receive(&self, message: Message, related: Option<&Arc<Related>>) {
        let Message::Notification(notification) = message else {
            tracing::warn!("a request from a server that may not send one was dropped");
            return;
        };
        forward(notification, related, Revision::V2026_07_28);
    }
}

/// What comes over a conversation that stands in for a session: requests are refused, for
/// nobody is there to answer them.
struct StandingInbound(Unasked);

impl Inbound for StandingInbound {
    fn receive(&self, message: Message, related: Option<&Arc<Related>>) {
        match message {
            Message::Notification(notification)
                if &*notification.method == "notifications/progress" =>
            {
                forward(notification, related, Revision::LATEST_LEGACY);
            }
            Message::Request(request) => {
                let answer = match &*request.method {
                    "ping" => Answer::Result(edit::empty()),
                    _ => Answer::Fault(Fault::new(
                        METHOD_NOT_FOUND,
                        "the client speaks 2026-07-28, in which a server sends no requests",
                    )),
                };
                self.0.answer(request, answer);
            }
            Message::Notification(_) | Message::Response(..) => {}
        }
    }
}

fn forward(
    notification: crate::message::Notification,
    related: Option<&Arc<Related>>,
    revision: Revision,
) {
    use crate::methods::{Direction, Form, Rule, classify};
    let rule = classify(Direction::ToClient, Form::Notification, revision, &notification.method);
    let (Some(related), false) = (related, matches!(rule, Rule::Refused(_))) else {
        return;
    };
    related.touch();
    let outlet = related.outlet.as_ref();
    // Of what nobody takes in nothing goes on.
    let bytes = notify::for_client(notification, Some(related), |_, _| false);
    if let Some((outlet, bytes)) = outlet.zip(bytes)
        && outlet.send(bytes).is_err()
    {
        tracing::debug!("a notification was dropped: its client does not read");
    }
}
