//! Towards an upstream: one wire, its conversation, and what may be said over it.

pub(crate) mod connection;
mod http;
mod stdio;
mod tools;
mod unasked;

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use safeconduct_credential::inject::InjectError;
use safeconduct_model::{Execution, Value};
use thiserror::Error;

use crate::config::{Limits, Transport, UpstreamConfig};
use crate::message::{Answer, Fault, INTERNAL_ERROR, Message};
use crate::related::Related;
use crate::{Revision, Secrets};
pub(crate) use connection::{Connection, Greeting, Live, OpenError, Patience, Wiring};
pub(crate) use tools::{ListError, Listing};
pub(crate) use unasked::Unasked;

/// How long an upstream may take to take a message that wants no answer.
const SEND: Duration = Duration::from_secs(30);

/// Why a call has no answer. Each has one outcome, and one sentence for the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum LinkError {
    #[error("the call could not be sent to the server: {0}")]
    NotSent(String),
    #[error("the server went away before it answered; whether the call was done is unknown")]
    Gone,
    #[error("the server did not answer in time; whether the call was done is unknown")]
    Timeout,
    #[error("the call was cancelled")]
    Cancelled,
    #[error("the server's answer exceeds the limit of {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the server answered with something that is no message of the protocol")]
    Malformed,
    #[error("the server refused the gateway's request with HTTP status {0}")]
    Refused(u16),
    #[error(
        "the server forgot the session; the call may or may not have been performed; ask again"
    )]
    SessionLost,
    #[error("{}", ended(*.sent))]
    Ended { sent: bool },
    #[error("the call could not be given the credentials that the server needs: {0}")]
    NotInjected(InjectError),
}

/// What a client is told whose authority ended while its call was under way.
const fn ended(sent: bool) -> &'static str {
    match sent {
        true => {
            "the authority for this call has ended, so it was cut off; whether it was done is \
             unknown"
        }
        false => "the authority for this call has ended; it was not made",
    }
}

impl LinkError {
    /// What is recorded of a permitted call that ended so.
    pub(crate) const fn outcome(&self) -> (Execution, &'static str) {
        match self {
            Self::NotSent(_) => (Execution::NotExecuted, "upstream_gone"),
            Self::Gone | Self::SessionLost => (Execution::Unknown, "upstream_gone"),
            Self::Timeout => (Execution::Unknown, "timeout"),
            Self::Cancelled => (Execution::Unknown, "client_gone"),
            Self::TooLarge { .. } => (Execution::Failed, "too_large"),
            Self::Malformed => (Execution::Failed, "malformed"),
            Self::Refused(_) => (Execution::Failed, "upstream_error"),
            Self::Ended { sent: true } => (Execution::Unknown, "ended"),
            Self::Ended { sent: false } => (Execution::NotExecuted, "ended"),
            Self::NotInjected(_) => (Execution::NotExecuted, "secret"),
        }
    }

    /// What the client is told.
    pub(crate) fn fault(&self) -> Fault {
        let (execution, detail) = self.outcome();
        Fault::new(INTERNAL_ERROR, self.to_string()).with_data(Value::object([
            ("outcome", Value::from(execution.as_str())),
            ("detail", Value::from(detail)),
        ]))
    }
}

/// An upstream's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    /// The HTTP status that an error came with.
    pub(crate) status: Option<u16>,
    /// Whether it came at the end of a stream.
    pub(crate) form: Form,
}

/// In which form an answer comes over HTTP. What the upstream chose is chosen for its client
/// too, where that client takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON text.
    Text,
    /// The last event of a stream.
    Stream,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { answer, status: None, form: Form::Text }
    }
}

impl From<Fault> for Answered {
    fn from(fault: Fault) -> Self {
        Answer::Fault(fault).into()
    }
}

/// One request on its way to an upstream.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) id: i64,
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a Value>,
    /// Headers that mirror the body; used over HTTP only.
    pub(crate) mirror: HeaderMap,
}

/// Takes what an upstream sends by itself. Must not wait.
pub(crate) trait Inbound: Send + Sync {
    /// A request or notification, and the call that it belongs to where that is known.
    fn receive(&self, message: Message, related: Option<&Arc<Related>>);
}

/// A wire to an upstream.
pub(crate) enum Link {
    Stdio(stdio::StdioLink),
    Http(Box<http::HttpLink>),
}

impl Link {
    /// Opens a wire; a child process is started here.
    pub(crate) fn open(
        config: &UpstreamConfig,
        limits: &Limits,
        wiring: &Wiring,
        secrets: Option<&Secrets>,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Self, LinkError> {
        match &config.transport {
            Transport::Stdio { .. } => {
                stdio::StdioLink::start(config, limits, wiring, secrets, inbound).map(Self::Stdio)
            }
            Transport::Http { url, headers } => {
                let to = http::Destination::of(&config.name, url, headers, secrets)?;
                let link = http::HttpLink::new(config, to, limits, wiring, inbound)?;
                Ok(Self::Http(Box::new(link)))
            }
        }
    }

    /// Sends a request and waits for its answer, as long as it takes.
    pub(crate) async fn call(
        &self,
        outgoing: Outgoing<'_>,
        related: &Arc<Related>,
    ) -> Result<Answered, LinkError> {
        match self {
            Self::Stdio(link) => link.call(outgoing, related).await,
            Self::Http(link) => link.call(outgoing, related).await,
        }
    }

    /// Sends a message that wants no answer: a notification, or an answer to what was asked.
    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        let sending = async {
            match self {
                Self::Stdio(link) => link.send(bytes).await,
                Self::Http(link) => link.send(bytes).await,
            }
        };
        let sent = tokio::time::timeout(SEND, sending).await;
        sent.unwrap_or(Err(LinkError::Timeout))
    }

    /// From here on, messages are of that revision.
    pub(crate) fn speak(&self, revision: Revision) {
        if let Self::Http(link) = self {
            link.speak(revision);
        }
    }

    /// Opens the stream of what the upstream sends by itself, where the wire has one apart.
    pub(crate) fn listen(self: &Arc<Self>) {
        if let Self::Http(link) = &**self {
            link.listen();
        }
    }

    /// Whether dropping a call is what cancels it: true where each call has a stream of its own
    /// and the revision says so.
    pub(crate) fn drops_to_cancel(&self) -> bool {
        match self {
            Self::Stdio(_) => false,
            Self::Http(link) => link.revision() == Some(Revision::V2026_07_28),
        }
    }

    /// Whether nothing goes through any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Stdio(link) => link.is_closed(),
            Self::Http(link) => link.is_closed(),
        }
    }

    /// Ends it, so that a child process can finish.
    pub(crate) fn close(&self) {
        match self {
            Self::Stdio(link) => link.close(),
            Self::Http(link) => link.close(),
        }
    }
}
