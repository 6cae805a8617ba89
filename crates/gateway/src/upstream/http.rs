//! An upstream over streamable HTTP. Only the gateway's own headers go there, and redirects are
//! not followed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, RequestBuilder, Response, Url};
use safeconduct_credential::inject::Scrubber;
use safeconduct_model::ServerName;
use safeconduct_wire::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Answered, Form, Inbound, LinkError, Outgoing, Wiring};
use crate::config::{Limits, UpstreamConfig};
use crate::headers::{PROTOCOL_VERSION, SESSION_ID};
use crate::inject::scrubbed;
use crate::message::{self, FramingError, Id, Message};
use crate::related::Related;
use crate::revision::Era;
use crate::sse::{Event, Parser};
use crate::{Revision, Secrets};

/// How long the rest of an answered stream is read, so that its connection can be used again.
const DRAIN: Duration = Duration::from_millis(200);
/// How often a stream that broke off is taken up again.
const RESUMES_MAX: usize = 5;
/// How long to wait before a standing stream is opened again.
const RELISTEN: Duration = Duration::from_secs(1);
/// Longest such wait.
const RELISTEN_MAX: Duration = Duration::from_secs(60);
/// Shortest wait before a stream is taken up again, whatever the server says.
const RETRY_MIN: Duration = Duration::from_millis(500);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) struct HttpLink {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

struct Shared {
    name: ServerName,
    client: Client,
    url: Url,
    headers: HeaderMap,
    spoken: Mutex<Spoken>,
    limits: json::Limits,
    scrubber: Option<Arc<Scrubber>>,
    inbound: Arc<dyn Inbound>,
    closed: CancellationToken,
}

/// Where requests go, and with what: the gateway's own headers and secrets, bound to this one
/// URL.
pub(super) struct Destination {
    url: Url,
    headers: HeaderMap,
    scrubber: Option<Arc<Scrubber>>,
}

impl Destination {
    pub(super) fn of(
        upstream: &ServerName,
        url: &str,
        headers: &HeaderMap,
        secrets: Option<&Secrets>,
    ) -> Result<Self, LinkError> {
        let (url, headers) = match secrets {
            None => (url.to_owned(), headers.clone()),
            Some(secrets) => (
                secrets.url(upstream, url).map_err(LinkError::NotInjected)?,
                secrets.headers(upstream, headers).map_err(LinkError::NotInjected)?,
            ),
        };
        let url = Url::parse(&url)
            .map_err(|error| LinkError::NotSent(format!("its URL does not parse: {error}")))?;
        Ok(Self { url, headers, scrubber: secrets.and_then(Secrets::scrubber) })
    }
}

/// What both sides agreed on.
#[derive(Debug, Clone, Default)]
struct Spoken {
    revision: Option<Revision>,
    session: Option<HeaderValue>,
}

impl HttpLink {
    pub(super) fn new(
        config: &UpstreamConfig,
        to: Destination,
        limits: &Limits,
        wiring: &Wiring,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Self, LinkError> {
        let client = wiring.client().map_err(LinkError::NotSent)?;
        let shared = Shared {
            name: config.name.clone(),
            client,
            url: to.url,
            headers: to.headers,
            scrubber: to.scrubber,
            spoken: Mutex::default(),
            limits: json::Limits { bytes: limits.answer_bytes, depth: limits.answer_depth },
            inbound,
            closed: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared), tasks: wiring.tasks.clone() })
    }

    pub(crate) async fn call(
        &self,
        outgoing: Outgoing<'_>,
        related: &Arc<Related>,
    ) -> Result<Answered, LinkError> {
        let id = Id::Integer(outgoing.id);
        let body = message::request_bytes(&id, outgoing.method, outgoing.params);
        let response = self.shared.post(body, outgoing.mirror).await?;
        if outgoing.method == "initialize" {
            let session = response.headers().get(SESSION_ID).cloned();
            self.shared.spoken().session = session;
        }
        let (status, streams) = (response.status(), is_stream(&response));
        if streams && status.is_success() {
            return self.stream(response, &id, related).await;
        }
        self.shared.single(response, &id).await
    }

    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        let response = self.shared.post(bytes, HeaderMap::new()).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(self.shared.refused(status)),
        }
    }

    pub(crate) fn speak(&self, revision: Revision) {
        self.shared.spoken().revision = Some(revision);
    }

    pub(crate) fn revision(&self) -> Option<Revision> {
        self.shared.spoken().revision
    }

    pub(crate) fn listen(&self) {
        self.tasks.spawn(Arc::clone(&self.shared).listen());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    pub(crate) fn close(&self) {
        if self.is_closed() {
            return;
        }
        self.shared.closed.cancel();
        if self.shared.spoken().session.is_some() && tokio::runtime::Handle::try_current().is_ok() {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move {
                let request = shared.with_headers(shared.client.delete(shared.url.clone()));
                // Whether it takes notice is its own affair: the session is over here.
                let _ = tokio::time::timeout(Duration::from_secs(2), request.send()).await;
            });
        }
    }

    /// Reads a stream up to the answer; what comes before it goes to the inbound side.
    async fn stream(
        &self,
        response: Response,
        id: &Id,
        related: &Arc<Related>,
    ) -> Result<Answered, LinkError> {
        let mut response = response;
        let mut cursor = Cursor::default();
        for _ in 0..=RESUMES_MAX {
            let read = self.shared.read(&mut response, Some((id, related)), &mut cursor).await;
            match read? {
                Some(answered) => {
                    self.drain(response);
                    return Ok(answered);
                }
                None => match self.shared.resume(&cursor).await {
                    Some(resumed) => response = resumed,
                    None => return Err(LinkError::Gone),
                },
            }
        }
        Err(LinkError::Gone)
    }

    fn drain(&self, mut response: Response) {
        self.tasks.spawn(async move {
            let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
            let _ = tokio::time::timeout(DRAIN, rest).await;
        });
    }
}

impl Drop for HttpLink {
    fn drop(&mut self) {
        self.close();
    }
}

/// How far a stream was read.
#[derive(Debug, Default)]
struct Cursor {
    last: Option<HeaderValue>,
    retry: Option<Duration>,
}

impl Cursor {
    fn note(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            self.last = HeaderValue::from_str(id).ok().filter(|id| !id.is_empty());
        }
        self.retry = event.retry.or(self.retry);
    }

    /// How long to wait before the stream is taken up again.
    fn wait(&self, otherwise: Duration) -> Duration {
        self.retry.map_or(otherwise, |retry| retry.clamp(RETRY_MIN, RELISTEN_MAX))
    }
}

impl Shared {
    fn spoken(&self) -> std::sync::MutexGuard<'_, Spoken> {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_headers(&self, request: RequestBuilder) -> RequestBuilder {
        let spoken = self.spoken().clone();
        let mut headers = self.headers.clone();
        let revision = spoken.revision.map(|revision| HeaderValue::from_static(revision.as_str()));
        headers.extend(revision.map(|value| (PROTOCOL_VERSION, value)));
        headers.extend(spoken.session.map(|value| (SESSION_ID, value)));
        request.headers(headers)
    }

    async fn post(&self, body: Vec<u8>, mirror: HeaderMap) -> Result<Response, LinkError> {
        let modern = self.spoken().revision.is_some_and(|r| r.era() == Era::Modern);
        let mirror = if modern { mirror } else { HeaderMap::new() };
        let request = self
            .with_headers(self.client.post(self.url.clone()))
            .header(ACCEPT, BOTH)
            .header(CONTENT_TYPE, JSON)
            .headers(mirror)
            .body(body);
        request.send().await.map_err(|error| match error.is_connect() {
            true => LinkError::NotSent("no connection".into()),
            false => {
                tracing::warn!(server = %self.name, error = %error.without_url(), "upstream failed");
                LinkError::Gone
            }
        })
    }

    /// What the upstream wrote, without the secrets that it was given.
    fn message(&self, bytes: &[u8]) -> Result<Message, FramingError> {
        let message = message::parse_within(bytes, self.limits)?;
        Ok(scrubbed(message, self.scrubber.as_deref()))
    }

    /// An answer that is one JSON text.
    async fn single(&self, mut response: Response, id: &Id) -> Result<Answered, LinkError> {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() <= self.limits.bytes => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Err(LinkError::TooLarge { limit: self.limits.bytes });
                }
                Err(_) => return Err(LinkError::Gone),
            }
        }
        let message = self.message(&body);
        match message {
            Ok(Message::Response(Some(answered), answer))
                if answered == *id && status.is_success() =>
            {
                Ok(answer.into())
            }
            _ if status == StatusCode::NOT_FOUND && self.spoken().session.is_some() => {
                Err(LinkError::SessionLost)
            }
            Ok(Message::Response(answered, answer @ message::Answer::Fault(_)))
                if answered.is_none() || answered.as_ref() == Some(id) =>
            {
                Ok(Answered { answer, status: Some(status.as_u16()), form: Form::Text })
            }
            _ if !status.is_success() => Err(self.refused(status)),
            _ => Err(LinkError::Malformed),
        }
    }

    fn refused(&self, status: StatusCode) -> LinkError {
        match status {
            StatusCode::NOT_FOUND if self.spoken().session.is_some() => LinkError::SessionLost,
            status => LinkError::Refused(status.as_u16()),
        }
    }

    /// Reads events until the awaited answer comes or the stream ends.
    async fn read(
        &self,
        response: &mut Response,
        awaited: Option<(&Id, &Arc<Related>)>,
        cursor: &mut Cursor,
    ) -> Result<Option<Answered>, LinkError> {
        let mut parser = Parser::new(self.limits.bytes);
        let mut events = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let too_long = parser.feed(&chunk, &mut events).is_err();
            for event in events.drain(..) {
                cursor.note(&event);
                if event.data.is_empty() {
                    continue;
                }
                if let Some(answered) = self.event(&event.data, awaited)? {
                    return Ok(Some(answered));
                }
            }
            if too_long {
                return Err(LinkError::TooLarge { limit: self.limits.bytes });
            }
        }
        Ok(None)
    }

    fn event(
        &self,
        data: &[u8],
        awaited: Option<(&Id, &Arc<Related>)>,
    ) -> Result<Option<Answered>, LinkError> {
        let related = awaited.map(|(_, related)| related);
        match self.message(data) {
            Ok(Message::Response(id, answer)) => {
                let ours = awaited.is_some_and(|(awaited, _)| id.as_ref() == Some(awaited));
                if ours {
                    return Ok(Some(Answered { form: Form::Stream, ..answer.into() }));
                }
                tracing::warn!(
                    server = %self.name,
                    id = id.as_ref().map_or("none", Id::kind),
                    bytes = data.len(),
                    "an answer that nobody waits for was dropped"
                );
                Ok(None)
            }
            Ok(message) => {
                self.inbound.receive(message, related);
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(
                    server = %self.name,
                    code = error.code(),
                    bytes = data.len(),
                    "an event that is no message"
                );
                // On the stream of one call there is no doubt whose answer it would have been.
                if related.is_some() { Err(LinkError::Malformed) } else { Ok(None) }
            }
        }
    }

    /// Takes up a stream that broke off, where the revision and the stream allow it.
    async fn resume(&self, cursor: &Cursor) -> Option<Response> {
        let last = cursor.last.clone()?;
        if self.spoken().revision.is_none_or(|revision| revision.era() == Era::Modern) {
            return None;
        }
        tokio::time::sleep(cursor.wait(RELISTEN)).await;
        let request = self
            .with_headers(self.client.get(self.url.clone()))
            .header(ACCEPT, STREAM)
            .header(LAST_EVENT_ID, last);
        let response = request.send().await.ok()?;
        (response.status().is_success() && is_stream(&response)).then_some(response)
    }

    /// The standing stream of what the upstream sends by itself (up to 2025-11-25).
    async fn listen(self: Arc<Self>) {
        let closed = self.closed.clone();
        let reading = async {
            let mut wait = RELISTEN;
            let mut cursor = Cursor::default();
            loop {
                let mut request = self.with_headers(self.client.get(self.url.clone()));
                request = request.header(ACCEPT, STREAM);
                if let Some(last) = &cursor.last {
                    request = request.header(LAST_EVENT_ID, last);
                }
                match request.send().await {
                    Ok(mut response) if response.status().is_success() && is_stream(&response) => {
                        wait = RELISTEN;
                        if let Err(error) = self.read(&mut response, None, &mut cursor).await {
                            tracing::warn!(server = %self.name, %error, "standing stream");
                        }
                    }
                    // It has none, or the session is over.
                    Ok(_) => return,
                    Err(_) => {}
                }
                tokio::time::sleep(cursor.wait(wait)).await;
                wait = (wait * 2).min(RELISTEN_MAX);
            }
        };
        tokio::select! {
            () = reading => {}
            () = closed.cancelled() => {}
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let ty = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    ty.is_some_and(|ty| ty.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_make_a_stream_be_taken_up_again_at_once_or_never() {
        for (retry, wait) in [
            (None, RELISTEN),
            (Some(Duration::ZERO), RETRY_MIN),
            (Some(Duration::from_secs(2)), Duration::from_secs(2)),
            (Some(Duration::MAX), RELISTEN_MAX),
        ] {
            let cursor = Cursor { last: None, retry };
            assert_eq!(cursor.wait(RELISTEN), wait, "{retry:?}");
        }
    }
}
