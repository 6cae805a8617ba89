//! A client that speaks over one stream of lines: the far end of `safeconduct mcp`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeconduct_model::{Authentication, Digest, ServerName};
use safeconduct_service::token_digest;
use safeconduct_wire::json;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::backend::Backend;
use crate::gateway::{Gateway, Inner};
use crate::headers::{META_CAPABILITIES, META_VERSION, unsupported_version};
use crate::message::{
    self, Answer, Fault, INVALID_PARAMS, INVALID_REQUEST, Id, Message, Notification, Request,
    response_bytes,
};
use crate::related::{Outlet, Related};
use crate::session::{Caller, ClientSession, NotAdmitted};
use crate::side::Side;
use crate::{Revision, edit};

/// How long what is under way may still be answered once the client has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Why a stream was not served to its end.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The caller's fault: there is no upstream of that name.
    #[error("there is no upstream `{0}`")]
    NoUpstream(ServerName),
    /// The client's fault: a line is longer than the limit, so its end cannot be found.
    #[error("a line exceeds the limit of {limit} bytes")]
    LineTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The credential no longer stands, or the task has ended that the stream was begun in.
    #[error("the credential no longer stands, or its task has ended")]
    Revoked,
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
}

impl<A: Authority> Gateway<A> {
    /// Serves one client that writes a message per line, until it closes its end or its
    /// authority ends. Where `authentication` names a task, all that it does is done in it, and
    /// the stream ends with it; else each request belongs to the task that is then attached to
    /// this stream, which ends with the stream. What is under
    /// way then has 2 seconds to be answered; after that it comes to its recorded end unanswered.
    ///
    /// # Errors
    /// [`StreamError`] says whose fault it is.
    pub async fn serve_stream<R, W>(
        &self,
        upstream: &ServerName,
        authentication: Authentication,
        reader: R,
        writer: W,
    ) -> Result<(), StreamError>
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let backend = self.inner.backend(upstream.as_str());
        let backend = backend.ok_or_else(|| StreamError::NoUpstream(upstream.clone()))?;
        let (outlet, receiver) = Outlet::new();
        let tasks = TaskTracker::new();
        let mut writing = tokio::spawn(write(writer, receiver));
        let client = Arc::new(StreamClient {
            inner: Arc::clone(&self.inner),
            backend,
            authentication,
            conversation: token_digest(&uuid::Uuid::new_v4().simple().to_string()),
            outlet,
            session: Mutex::new(None),
            in_flight: Mutex::default(),
            tasks: tasks.clone(),
        });
        let read = client.read(reader).await;
        tasks.close();
        let _ = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await;
        client.end();
        drop(client);
        // It ends by itself once nobody is left who could write.
        if tokio::time::timeout(LAST_ANSWERS, &mut writing).await.is_err() {
            writing.abort();
        }
        read
    }
}

struct StreamClient<A: Authority> {
    inner: Arc<Inner<A>>,
    backend: Arc<Backend>,
    authentication: Authentication,
    /// What a task of its agent's is attached to: this stream and no other.
    conversation: Digest,
    outlet: Outlet,
    /// Its session, once it has shaken hands; with the id that the gateway knows it by.
    session: Mutex<Option<(String, Arc<ClientSession<A>>)>>,
    /// Requests without a session, so that they can be cancelled.
    in_flight: Mutex<HashMap<Id, Arc<Related>>>,
    /// Requests that are being answered.
    tasks: TaskTracker,
}

impl<A: Authority> StreamClient<A> {
    async fn read<R: AsyncRead + Unpin>(self: &Arc<Self>, reader: R) -> Result<(), StreamError> {
        let limit = self.inner.limits.request_bytes;
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        let mut line = Vec::new();
        let mut ended = std::pin::pin!(self.inner.ended(&self.authentication));
        loop {
            let chunk = tokio::select! {
                chunk = reader.fill_buf() => chunk?,
                () = self.inner.closed.cancelled() => return Ok(()),
                () = &mut ended => return self.cut_off().await,
            };
            if chunk.is_empty() {
                return Ok(());
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (head, _) = chunk.split_at(end.unwrap_or(chunk.len()));
            if line.len() + head.len() > limit {
                let text = format!("the message exceeds {limit} bytes");
                self.answer(None, Answer::Fault(Fault::new(INVALID_REQUEST, text))).await;
                return Err(StreamError::LineTooLong { limit });
            }
            line.extend_from_slice(head);
            let used = head.len() + usize::from(end.is_some());
            reader.consume(used);
            if end.is_some() {
                let line = std::mem::take(&mut line);
                if !line.iter().all(u8::is_ascii_whitespace) {
                    self.line(&line).await?;
                }
            }
        }
    }

    async fn line(self: &Arc<Self>, line: &[u8]) -> Result<(), StreamError> {
        if !self.inner.authority.stands(&self.authentication) {
            return self.cut_off().await;
        }
        let limits = &self.inner.limits;
        let within = json::Limits { bytes: limits.request_bytes, depth: limits.request_depth };
        match message::parse_within(line, within) {
            Ok(Message::Request(request)) => self.request(request).await,
            Ok(Message::Notification(notification)) => self.notified(notification).await,
            Ok(Message::Response(id, answer)) => {
                if let Some(session) = self.session() {
                    session.answered(id, answer);
                }
            }
            Err(error) => {
                let fault = Fault::new(error.code(), error.to_string());
                self.answer(error.id(), Answer::Fault(fault)).await;
            }
        }
        Ok(())
    }

    async fn cut_off(&self) -> Result<(), StreamError> {
        let fault = Fault::new(INVALID_REQUEST, StreamError::Revoked.to_string());
        self.answer(None, Answer::Fault(fault)).await;
        Err(StreamError::Revoked)
    }

    /// The client, in the task that a request of this moment belongs to.
    fn now(&self) -> Caller {
        let credential = self.authentication.clone();
        Caller::of(&*self.inner.authority, credential, Some(self.conversation))
    }

    fn session(&self) -> Option<Arc<ClientSession<A>>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_ref().map(|(_, session)| Arc::clone(session))
    }

    async fn answer(&self, id: Option<&Id>, answer: Answer) {
        // A client that does not read any more needs no answer.
        let _ = self.outlet.deliver(response_bytes(id, &answer)).await;
    }

    async fn request(self: &Arc<Self>, request: Request) {
        let modern = request.params.as_ref().and_then(|params| edit::meta(params, META_VERSION));
        let session = match (modern, self.session()) {
            (Some(version), _) => {
                if let Err(fault) = modern_meta(version.as_str(), &request) {
                    return self.answer(Some(&request.id), Answer::Fault(fault)).await;
                }
                None
            }
            (None, None) if &*request.method == "initialize" => {
                return self.initialize(request).await;
            }
            (None, None) => {
                let text = "initialize first, or say in `_meta` which revision this is";
                let fault = Fault::new(INVALID_PARAMS, text);
                return self.answer(Some(&request.id), Answer::Fault(fault)).await;
            }
            (None, session) => session,
        };
        if let Err(fault) = self.inner.admits() {
            return self.answer(Some(&request.id), Answer::Fault(fault)).await;
        }
        let related = Arc::new(Related::new(Some(request.id.clone()), Some(self.outlet.clone())));
        let caller = self.now();
        let entered = match &session {
            Some(session) => session.enter(&request.id, &related, &caller),
            None => self.enter(&request.id, &related),
        };
        if let Err(refused) = entered {
            return self.answer(Some(&request.id), Answer::Fault(refused.fault())).await;
        }
        let side = Side {
            inner: Arc::clone(&self.inner),
            backend: Arc::clone(&self.backend),
            caller,
            revision: session.as_ref().map_or(Revision::V2026_07_28, |session| session.revision()),
            session_name: session.as_ref().and_then(|session| session.name.clone()),
            trace: super::headers::trace(&http::HeaderMap::new(), request.params.as_ref()),
            session,
        };
        let client = Arc::clone(self);
        self.inner.calls.spawn(self.tasks.track_future(async move {
            let id = request.id.clone();
            let reply = side.answer(request, None, &related).await;
            match &side.session {
                Some(session) => session.leave(&id),
                None => client.leave(&id),
            }
            if !related.cancelled.is_cancelled() {
                // A client that does not read any more needs no answer.
                let _ = client.outlet.deliver(reply.bytes(&id)).await;
            }
        }));
    }

    async fn initialize(self: &Arc<Self>, request: Request) {
        let backend = Arc::clone(&self.backend);
        let begun = self.inner.begin_session(backend, self.now(), request.params).await;
        let answer = match begun {
            Ok((id, result)) => {
                if let Some(session) = self.inner.session(&id) {
                    let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
                    *slot = Some((id, session));
                }
                Answer::Result(result)
            }
            Err(fault) => Answer::Fault(fault),
        };
        self.answer(Some(&request.id), answer).await;
        // After the handshake's answer, so that nothing overtakes it.
        if let Some(session) = self.session() {
            session.listen(self.outlet.clone(), &self.now());
        }
    }

    async fn notified(&self, notification: Notification) {
        if let Some(session) = self.session() {
            // Nobody waits for an answer to it.
            let _ = session.notified(notification, &self.now()).await;
            return;
        }
        if &*notification.method == "notifications/cancelled" {
            let id = notification.params.as_ref().and_then(|params| params.member("requestId"));
            let in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(related) = id.and_then(Id::of).and_then(|id| in_flight.get(&id)) {
                related.cancelled.cancel();
            }
        }
    }

    fn enter(&self, id: &Id, related: &Arc<Related>) -> Result<(), NotAdmitted> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if in_flight.len() >= self.inner.limits.in_flight {
            return Err(NotAdmitted::TooMany);
        }
        if in_flight.contains_key(id) {
            return Err(NotAdmitted::Duplicate);
        }
        in_flight.insert(id.clone(), Arc::clone(related));
        Ok(())
    }

    fn leave(&self, id: &Id) {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The client has closed its end: what is under way is cancelled, its session ends.
    fn end(&self) {
        let in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.values().for_each(|related| related.cancelled.cancel());
        drop(in_flight);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((id, _)) = session {
            self.inner.end_session(&id);
        }
        self.inner.end_attached(self.authentication.clone(), self.conversation);
    }
}

/// What a 2026-07-28 request must bring.
fn modern_meta(version: Option<&str>, request: &Request) -> Result<(), Fault> {
    if version != Some(Revision::V2026_07_28.as_str()) {
        return Err(unsupported_version(version.unwrap_or_default()));
    }
    let capabilities = request.params.as_ref().and_then(|p| edit::meta(p, META_CAPABILITIES));
    match capabilities.and_then(|capabilities| capabilities.as_object()) {
        Some(_) => Ok(()),
        None => Err(Fault::new(INVALID_PARAMS, format!("`_meta` lacks `{META_CAPABILITIES}`"))),
    }
}

/// Writes messages, one per line, and flushes when none is waiting.
async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut receiver: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut message) = receiver.recv().await {
        message.push(b'\n');
        while let Ok(next) = receiver.try_recv() {
            message.extend(next);
            message.push(b'\n');
        }
        if writer.write_all(&message).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}
