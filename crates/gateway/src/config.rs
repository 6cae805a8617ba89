//! What a gateway is made of. Nothing here is read from files or the environment.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use safeconduct_model::{Mode, ServerName};

use crate::{Injections, Revision};

/// An upstream: one MCP server behind the gateway.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its name: `/mcp/NAME`.
    pub name: ServerName,
    /// How it is reached.
    pub transport: Transport,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// The revision that it speaks; where nothing is said, it is asked.
    pub revision: Option<Revision>,
    /// How long a call may take without a sign of life; [`Limits::call`] where nothing is said.
    pub call: Option<Duration>,
    /// Longest message from it, in bytes; [`Limits::answer_bytes`] where nothing is said.
    pub answer_bytes: Option<usize>,
    /// When people are asked.
    pub approvals: Approvals,
}

/// When people are asked for a call that is denied for what they may set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approvals {
    /// At once: the denial names the request.
    #[default]
    OnDenial,
    /// Where the agent asks for it.
    OnRequest,
}

impl UpstreamConfig {
    /// The limits of a gateway as they are for this upstream.
    pub(crate) fn limits(&self, general: &Limits) -> Limits {
        let call = self.call.unwrap_or(general.call);
        Limits {
            call,
            // Who allows one silent wait allows it to take as long in all.
            call_max: general.call_max.max(call),
            answer_bytes: self.answer_bytes.unwrap_or(general.answer_bytes),
            ..general.clone()
        }
    }
}

/// How an upstream is reached.
#[derive(Clone)]
pub enum Transport {
    /// A child process that speaks over its standard streams.
    Stdio {
        /// The program, looked up in the `PATH` of `env`.
        command: OsString,
        /// Its arguments.
        args: Vec<OsString>,
        /// All of its environment: nothing else is handed down.
        env: Vec<(OsString, OsString)>,
        /// The folder that it runs in; `None` is the gateway's own.
        cwd: Option<PathBuf>,
    },
    /// Streamable HTTP.
    Http {
        /// The endpoint; redirects are not followed.
        url: String,
        /// The gateway's own headers, such as its credential. A client's never go there.
        headers: HeaderMap<HeaderValue>,
    },
}

/// Values of environment and headers may be secrets: only names are shown.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio { command, args, env, cwd } => f
                .debug_struct("Stdio")
                .field("command", command)
                .field("args", &args.len())
                .field("env", &env.iter().map(|(name, _)| name).collect::<Vec<_>>())
                .field("cwd", cwd)
                .finish(),
            Self::Http { url, headers } => f
                .debug_struct("Http")
                .field("url", url)
                .field("headers", &headers.keys().collect::<Vec<_>>())
                .finish(),
        }
    }
}

/// Limits of one gateway. Each has a default that suits one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest message from a client, in bytes. Default 4 MiB.
    pub request_bytes: usize,
    /// Deepest message from a client. Default 64.
    pub request_depth: usize,
    /// Longest message from an upstream, in bytes. Default 10 MiB.
    pub answer_bytes: usize,
    /// Deepest message from an upstream. Default 128: schemas nest further than calls do.
    pub answer_depth: usize,
    /// How long a call may take without a sign of life. Default 60 seconds.
    pub call: Duration,
    /// How long a call may take in all, however much progress it makes. Default 10 minutes.
    pub call_max: Duration,
    /// How long an upstream may take to start and greet. Default 30 seconds.
    pub connect: Duration,
    /// How long an upstream may take to say which revisions it speaks. Default 10 seconds.
    pub probe: Duration,
    /// How long a person may take to answer what a server asks. Default 10 minutes.
    pub asked: Duration,
    /// Most connections to upstreams, each of which may be a process. Default 256.
    pub connections: usize,
    /// Most client sessions of one identity, whatever its credentials. Each may be a connection,
    /// and at the default four identities would have to work together to take them all. One more
    /// ends its own quietest, or is refused where all are in use. Default 64.
    pub sessions_per_identity: usize,
    /// How long a session may be quiet before it is closed. Default 30 minutes.
    pub idle: Duration,
    /// Most requests of one client session at a time. Default 256.
    pub in_flight: usize,
    /// Most requests of all clients at a time. Default 4096.
    pub calls: usize,
    /// How old a tool listing may be when a call rests on it. Default 60 seconds.
    pub listing_age: Duration,
    /// How often a long stream is checked against revocation, and kept alive. Default 15 seconds.
    pub stream_check: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 4 * 1024 * 1024,
            request_depth: 64,
            answer_bytes: 10 * 1024 * 1024,
            answer_depth: 128,
            call: Duration::from_secs(60),
            call_max: Duration::from_secs(600),
            connect: Duration::from_secs(30),
            probe: Duration::from_secs(10),
            asked: Duration::from_secs(600),
            connections: 256,
            sessions_per_identity: 64,
            idle: Duration::from_secs(1800),
            in_flight: 256,
            calls: 4096,
            listing_age: Duration::from_secs(60),
            stream_check: Duration::from_secs(15),
        }
    }
}

/// A gateway.
#[derive(Clone, Default)]
pub struct GatewayConfig {
    /// The upstreams that it begins with.
    pub upstreams: Vec<UpstreamConfig>,
    /// Hosts that the `Host` header may name, without port, beside the loopback names
    /// (`localhost`, `127.0.0.1`, `[::1]`), which are always allowed.
    pub allowed_hosts: Vec<String>,
    /// Origins that the `Origin` header may name (`https://app.example.org`), beside those on
    /// loopback names. A request without the header is no browser's.
    pub allowed_origins: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// Where browsers reach the pages on which people answer (`PAGES/approve/ID`), without slash
    /// at the end; `None` where there are no pages.
    pub pages: Option<String>,
    /// Where the secrets come from that are put into what goes upstream; `None` is nowhere.
    pub injections: Option<Arc<dyn Injections>>,
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("upstreams", &self.upstreams)
            .field("allowed_hosts", &self.allowed_hosts)
            .field("allowed_origins", &self.allowed_origins)
            .field("limits", &self.limits)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
