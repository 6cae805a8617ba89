//! Answers over HTTP while they come: as one JSON text, or as a stream of events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use http::StatusCode;
use safeconduct_model::Authentication;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::headers::Accepts;
use super::response::{json_response, stream_response};
use crate::authority::Authority;
use crate::gateway::Inner;
use crate::message::{Fault, INTERNAL_ERROR, Id};
use crate::reply::Reply;
use crate::revision::Era;
use crate::session::ClientSession;
use crate::{Revision, sse};

/// A request that is being answered. Small answers go out as one JSON text; a message that comes
/// first, or a long wait, turns the answer into a stream.
pub(super) struct Waiting<A: Authority> {
    pub(super) inner: Arc<Inner<A>>,
    pub(super) authentication: Authentication,
    pub(super) receiver: mpsc::Receiver<Vec<u8>>,
    pub(super) task: JoinHandle<Reply>,
    pub(super) id: Id,
    pub(super) revision: Revision,
    /// The client said that it no longer wants the answer.
    pub(super) cancelled: CancellationToken,
    /// Cancels the request once the client has left, in revisions where leaving means that.
    pub(super) gone: Option<DropGuard>,
}

/// How long the last word of a request is waited for whose authority has ended: the call is cut
/// at the same moment, and its client is told how it ended.
const LAST_WORD: Duration = Duration::from_secs(2);

enum First {
    Reply(Reply),
    Message(Vec<u8>),
    Wait,
    Cancelled,
}

impl<A: Authority> Waiting<A> {
    /// Answers in the form that fits what comes first.
    pub(super) async fn respond(mut self, accepts: Accepts) -> Response {
        let first = loop {
            let first = self.first(accepts).await;
            if !matches!(first, First::Wait) || (accepts.stream && self.still_stands()) {
                break first;
            }
        };
        match first {
            First::Reply(reply) if accepts.json && !(accepts.stream && reply.is_stream()) => {
                self.stays();
                let status = match self.revision.era() {
                    Era::Legacy => StatusCode::OK,
                    Era::Modern => {
                        StatusCode::from_u16(reply.modern_status()).unwrap_or(StatusCode::OK)
                    }
                };
                json_response(status, reply.bytes(&self.id))
            }
            First::Reply(reply) => {
                self.stays();
                stream_response(Body::from(sse::event(&reply.bytes(&self.id))))
            }
            First::Cancelled => stream_response(Body::empty()),
            First::Message(message) => self.stream(sse::event(&message)),
            First::Wait => self.stream(sse::KEEP_ALIVE.to_vec()),
        }
    }

    async fn first(&mut self, accepts: Accepts) -> First {
        let check = self.inner.limits.stream_check;
        tokio::select! {
            biased;
            message = self.receiver.recv(), if accepts.stream => match message {
                Some(message) => First::Message(message),
                // The other end is dropped right after the reply is made.
                None => First::Reply(reply(&mut self.task).await),
            },
            done = &mut self.task => First::Reply(done.unwrap_or_else(|_| broke_off())),
            () = self.cancelled.cancelled() => First::Cancelled,
            () = tokio::time::sleep(check) => First::Wait,
        }
    }

    fn still_stands(&self) -> bool {
        self.inner.authority.stands(&self.authentication)
    }

    fn stream(self, first: Vec<u8>) -> Response {
        let check = StreamCheck::new(Arc::clone(&self.inner), self.authentication.clone());
        let state = Streaming { first: Some(first), waiting: Some(self), check };
        let events = stream::unfold(state, |mut state| async move {
            let bytes = state.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(bytes)), state))
        });
        stream_response(Body::from_stream(events))
    }

    /// The answer has been made, so a client that leaves now cancels nothing.
    fn stays(&mut self) {
        if let Some(gone) = self.gone.take() {
            gone.disarm();
        }
    }
}

async fn reply(task: &mut JoinHandle<Reply>) -> Reply {
    task.await.unwrap_or_else(|_| broke_off())
}

fn broke_off() -> Reply {
    Fault::new(INTERNAL_ERROR, "the call broke off inside the gateway").into()
}

/// The stream of one request.
struct Streaming<A: Authority> {
    first: Option<Vec<u8>>,
    waiting: Option<Waiting<A>>,
    check: StreamCheck<A>,
}

impl<A: Authority> Streaming<A> {
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let waiting = self.waiting.as_mut()?;
        let done = tokio::select! {
            biased;
            // Before messages, so that a stream that never rests is looked at too.
            stands = self.check.tick() => {
                if stands {
                    return Some(sse::KEEP_ALIVE.to_vec());
                }
                return self.last_word().await;
            }
            message = waiting.receiver.recv() => match message {
                Some(message) => return Some(sse::event(&message)),
                None => reply(&mut waiting.task).await,
            },
            done = &mut waiting.task => done.unwrap_or_else(|_| broke_off()),
            () = waiting.cancelled.cancelled() => {
                self.waiting = None;
                return None;
            }
        };
        let mut waiting = self.waiting.take()?;
        waiting.stays();
        // What came before the reply goes out before it.
        let mut bytes = Vec::new();
        while let Ok(message) = waiting.receiver.try_recv() {
            bytes.extend(sse::event(&message));
        }
        bytes.extend(sse::event(&done.bytes(&waiting.id)));
        Some(bytes)
    }
}

impl<A: Authority> Streaming<A> {
    /// The reply alone, where there is one; what was on its way before it is not for a client
    /// whose authority has ended.
    async fn last_word(&mut self) -> Option<Vec<u8>> {
        // Dropping it cancels the request where leaving means that.
        let mut waiting = self.waiting.take()?;
        if waiting.inner.closed.is_cancelled() {
            return None;
        }
        let done = tokio::time::timeout(LAST_WORD, reply(&mut waiting.task)).await.ok()?;
        waiting.stays();
        Some(sse::event(&done.bytes(&waiting.id)))
    }
}

/// The standing stream of a session.
pub(super) struct Standing<A: Authority> {
    pub(super) receiver: mpsc::Receiver<Vec<u8>>,
    pub(super) session: Arc<ClientSession<A>>,
    pub(super) check: StreamCheck<A>,
}

impl<A: Authority> Standing<A> {
    pub(super) fn respond(self) -> Response {
        let events = stream::unfold(self, |mut standing| async move {
            let bytes = standing.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(bytes)), standing))
        });
        stream_response(Body::from_stream(events))
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        tokio::select! {
            biased;
            () = self.session.closed.cancelled() => None,
            // Before messages, so that a stream that never rests is looked at too.
            stands = self.check.tick() => stands.then(|| sse::KEEP_ALIVE.to_vec()),
            message = self.receiver.recv() => message.map(|message| sse::event(&message)),
        }
    }
}

/// Looks whether a long stream may go on: when something has ended, and from time to time.
pub(super) struct StreamCheck<A: Authority> {
    inner: Arc<Inner<A>>,
    authentication: Authentication,
    bell: watch::Receiver<()>,
    every: Duration,
    /// When the next look is due, however much comes before.
    due: Instant,
}

impl<A: Authority> StreamCheck<A> {
    pub(super) fn new(inner: Arc<Inner<A>>, authentication: Authentication) -> Self {
        let every = inner.limits.stream_check;
        let mut bell = inner.endings.bell();
        // It may have rung before anyone listened here.
        bell.mark_changed();
        Self { inner, authentication, bell, every, due: Instant::now() + every }
    }

    async fn tick(&mut self) -> bool {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.due) => {
                    self.due = Instant::now() + self.every;
                    return self.inner.authority.stands(&self.authentication);
                }
                () = self.inner.closed.cancelled() => return false,
                rung = self.bell.changed() => {
                    if rung.is_err() || !self.inner.authority.stands(&self.authentication) {
                        return false;
                    }
                }
            }
        }
    }
}
