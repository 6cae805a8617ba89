//! How a conversation begins, and why one does not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use safeconduct_model::Value;
use thiserror::Error;

use super::Connection;
use crate::message::{Answer, Fault, INTERNAL_ERROR, METHOD_NOT_FOUND};
use crate::related::Related;
use crate::revision::Era;
use crate::upstream::{Link, LinkError, Outgoing};
use crate::{NoSecrets, Revision, edit, headers, translate};

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
    #[error("the gateway is shutting down, or what this conversation rested on has ended")]
    Closed,
    #[error("the credentials that the server needs are not there: {0}")]
    NoSecrets(NoSecrets),
    #[error("this session acts in too many tasks at once; end one of them first")]
    TooManyTasks,
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

impl Connection {
    pub(super) async fn discover(&self, link: &Link) -> Result<Value, OpenError> {
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

    pub(super) async fn initialize(
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
}
