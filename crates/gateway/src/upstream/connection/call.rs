//! One request over a conversation, and how long its answer is waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::HeaderMap;
use safeconduct_model::Value;

use super::{Connection, Live, OpenError};
use crate::passage::Passage;
use crate::related::Related;
use crate::revision::Era;
use crate::upstream::{Answered, Link, LinkError, Outgoing};
use crate::{edit, headers, message};

/// How long a cancelled call may still answer, so that its outcome is known.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As the limits say.
    Bounded,
    /// Until either side ends it: a stream of notifications.
    Endless,
}

impl Connection {
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
        if method == "tools/call"
            && let Some(secrets) = &live.secrets
        {
            let with = secrets.params(&self.config.name, params);
            params = with.map_err(LinkError::NotInjected)?;
        }
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
        if related.ended.is_cancelled() {
            return Err(LinkError::Ended { sent: false });
        }
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
                () = related.ended.cancelled() => {
                    if !live.link.drops_to_cancel() {
                        self.say_cancelled(live, id, "the authority for this call has ended");
                    }
                    return Err(LinkError::Ended { sent: true });
                }
                () = related.cancelled.cancelled(), if given_up.is_none() => {
                    if live.link.drops_to_cancel() {
                        return Err(LinkError::Cancelled);
                    }
                    tell_cancelled(&live.link, id, "the client cancelled").await;
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
                        tell_cancelled(&live.link, id, "no answer in time").await;
                    }
                    return Err(match related.saw_garbage() {
                        true => LinkError::Malformed,
                        false => LinkError::Timeout,
                    });
                }
            }
        }
    }

    /// The same for a client that is not to wait for it.
    fn say_cancelled(&self, live: &Live, id: i64, reason: &'static str) {
        let link = Arc::clone(&live.link);
        self.tasks().spawn(async move { tell_cancelled(&link, id, reason).await });
    }
}

async fn tell_cancelled(link: &Link, id: i64, reason: &str) {
    let params = Value::object([("requestId", Value::from(id)), ("reason", reason.into())]);
    let bytes = message::notification_bytes("notifications/cancelled", Some(&params));
    // An upstream that takes no more input must not hold up whoever gave up on it.
    let sent = tokio::time::timeout(Duration::from_secs(1), link.send(bytes)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(id, "a cancellation was not taken");
    }
}
