//! Streamable HTTP: `POST`, `GET` and `DELETE` at `/mcp/NAME` up to 2025-11-25, `POST` alone
//! from 2026-07-28.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use safeconduct_model::{Authentication, Digest, Mode, SessionKey};
use safeconduct_service::{
    AuthenticateError, ClientCertificates, ClientRequest, NotAuthenticated, token_digest,
};
use safeconduct_wire::json;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::challenge::{Asking, with_nonce};
use super::guard::Barred;
use super::headers::{Accepts, accepts, is_json, one, task, trace};
use super::resource;
use super::response::{accepted, empty, json_response, method_not_allowed, refusal};
use super::streaming::{Standing, StreamCheck, Waiting};
use crate::authority::Authority;
use crate::backend::Backend;
use crate::gateway::{Gateway, Inner};
use crate::headers::{
    HEADER_MISMATCH, META_CAPABILITIES, META_VERSION, PROTOCOL_VERSION, SESSION_ID, check_standard,
    unsupported_version,
};
use crate::message::{
    self, Answer, Fault, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Message, Request,
    response_bytes,
};
use crate::probe::Probing;
use crate::related::{Outlet, Related};
use crate::revision::Era;
use crate::session::{Caller, ClientSession};
use crate::side::Side;
use crate::{Revision, edit};

const MODE: HeaderName = HeaderName::from_static("safeconduct-mode");

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The routes of a gateway.
pub(crate) fn router<A: Authority>(gateway: &Gateway<A>) -> Router {
    Router::new()
        .route("/mcp/{name}", any(serve::<A>))
        .route(resource::WELL_KNOWN, get(resource::of_all::<A>))
        .route(resource::WELL_KNOWN_OF_ONE, get(resource::of_one::<A>))
        .with_state(Arc::clone(&gateway.inner))
}

async fn serve<A: Authority>(
    State(inner): State<Arc<Inner<A>>>,
    Path(name): Path<String>,
    request: HttpRequest,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(barred) = inner.allowed.check(&parts.uri, &parts.headers) {
        let text = match barred {
            Barred::Host => "this host is not served here",
            Barred::Origin => "this origin may not use the gateway",
        };
        return refusal(StatusCode::FORBIDDEN, None, &Fault::new(INVALID_REQUEST, text));
    }
    let asking = Asking { resource: inner.resource.get(), server: &name };
    let nonce = || inner.authority.dpop_nonce();
    let credential = match authenticated(&*inner.authority, &parts).await {
        Ok(credential) => credential,
        Err(NotAuthenticated::Registered(AuthenticateError::NotRegistered(_))) => {
            let text = "the identity is proved, but nobody has registered it";
            return refusal(StatusCode::FORBIDDEN, None, &Fault::new(INVALID_REQUEST, text));
        }
        Err(refused) => return asking.anew(&refused, nonce()),
    };
    // A handle that is not the caller's own tells no more than a token that is not.
    let credential = match task(&parts.headers) {
        None => credential,
        Some(handle) => match inner.authority.enter_task(credential, handle) {
            Some(entered) => entered,
            None => return asking.anew(&AuthenticateError::Unknown.into(), None),
        },
    };
    // The next proof needs no round trip for its nonce (RFC 9449 section 8.2).
    let next_nonce = parts.headers.contains_key(DPOP).then(nonce).flatten();
    let Some(backend) = inner.backend(&name) else {
        let fault = Fault::new(INVALID_REQUEST, "there is no upstream of this name");
        return refusal(StatusCode::NOT_FOUND, None, &fault);
    };
    let observed = backend.config.mode == Mode::Observe;
    let caller = Caller::of(&*inner.authority, credential, conversation(&parts.headers))
        .at(parts.extensions.get().copied());
    let call = Call { inner, backend, caller, parts };
    let mut response = match call.parts.method {
        Method::POST => call.post(body).await,
        Method::GET => call.get(),
        Method::DELETE => call.delete(),
        _ => method_not_allowed("POST, GET, DELETE"),
    };
    if observed {
        response.headers_mut().insert(MODE, HeaderValue::from_static("observe"));
    }
    with_nonce(&mut response, next_nonce);
    response
}

/// Takes a message of a caller that is known as it takes a client's: for probes alone, which go no
/// further than the decision.
pub(crate) async fn probe<A: Authority>(
    inner: &Arc<Inner<A>>,
    backend: Arc<Backend>,
    caller: Caller,
    (headers, body): (HeaderMap, Vec<u8>),
    probing: &Arc<Probing>,
) {
    let mut parts = HttpRequest::new(()).into_parts().0;
    parts.headers = headers;
    parts.extensions.insert(Arc::clone(probing));
    let call = Call { inner: Arc::clone(inner), backend, caller, parts };
    call.post(Body::from(body)).await;
}

/// Who calls.
async fn authenticated<A: Authority>(
    authority: &A,
    parts: &Parts,
) -> Result<Authentication, NotAuthenticated> {
    let values = |name: &HeaderName| -> Vec<&str> {
        let all = parts.headers.get_all(name).iter();
        // One that is no text is there all the same.
        all.map(|value| value.to_str().unwrap_or_default()).collect()
    };
    let request = ClientRequest {
        authorization: &values(&AUTHORIZATION),
        dpop: &values(&DPOP),
        method: parts.method.as_str(),
        path: parts.uri.path(),
        peer: parts.extensions.get::<ClientCertificates>(),
    };
    authority.authenticate(&request).await
}

/// The conversation that a request names: its session, in revisions that have them.
fn conversation(headers: &HeaderMap) -> Option<Digest> {
    let modern = one(headers, &PROTOCOL_VERSION) == Some(Revision::V2026_07_28.as_str());
    one(headers, &SESSION_ID).filter(|_| !modern).map(token_digest)
}

/// One HTTP request of a caller that is known.
struct Call<A: Authority> {
    inner: Arc<Inner<A>>,
    backend: Arc<Backend>,
    caller: Caller,
    parts: Parts,
}

impl<A: Authority> Call<A> {
    async fn post(self, body: Body) -> Response {
        if !is_json(&self.parts.headers) {
            let fault = Fault::new(INVALID_REQUEST, "the body must be `application/json`");
            return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, &fault);
        }
        let accepts = accepts(&self.parts.headers);
        if !accepts.json && !accepts.stream {
            let text = "the client must accept `application/json` and `text/event-stream`";
            let fault = Fault::new(INVALID_REQUEST, text);
            return refusal(StatusCode::NOT_ACCEPTABLE, None, &fault);
        }
        let limits = &self.inner.limits;
        let body = axum::body::to_bytes(body, limits.request_bytes);
        let Ok(Ok(body)) = tokio::time::timeout(limits.call, body).await else {
            let text = format!(
                "the message exceeds {} bytes, or did not come in time",
                limits.request_bytes
            );
            let fault = Fault::new(INVALID_REQUEST, text);
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, None, &fault);
        };
        let within = json::Limits { bytes: limits.request_bytes, depth: limits.request_depth };
        match message::parse_within(&body, within) {
            Ok(message) => self.message(message, accepts).await,
            Err(error) => {
                let fault = Fault::new(error.code(), error.to_string());
                refusal(StatusCode::BAD_REQUEST, error.id(), &fault)
            }
        }
    }

    /// Sorts a message by the revision that it claims.
    async fn message(self, message: Message, accepts: Accepts) -> Response {
        let claimed = match self.parts.headers.get_all(PROTOCOL_VERSION).iter().count() {
            0 => None,
            1 => one(&self.parts.headers, &PROTOCOL_VERSION),
            _ => Some("more than one"),
        };
        let claimed = claimed.map(str::to_owned);
        let revision = claimed.as_deref().and_then(Revision::parse);
        let (id, params, method) = match &message {
            Message::Request(r) => (Some(r.id.clone()), r.params.as_ref(), Some(&*r.method)),
            Message::Notification(n) => (None, n.params.as_ref(), Some(&*n.method)),
            Message::Response(..) => (None, None, None),
        };
        let in_body = params.and_then(|params| edit::meta(params, META_VERSION)).cloned();
        let refuse = |fault| refusal(StatusCode::BAD_REQUEST, id.as_ref(), &fault);
        match (revision, &claimed, &in_body) {
            (Some(revision), ..) if revision.era() == Era::Modern => {
                self.modern(message, accepts).await
            }
            (None, Some(claimed), Some(body)) if body.as_str() != Some(claimed) => {
                refuse(Fault::new(HEADER_MISMATCH, VERSION_MISMATCH))
            }
            // The handshake settles the revision, whatever stands in the header.
            (None, Some(_), None) if method == Some("initialize") => {
                self.legacy(message, accepts, None).await
            }
            (None, Some(claimed), _) => refuse(unsupported_version(claimed)),
            (_, _, Some(_)) => refuse(Fault::new(HEADER_MISMATCH, VERSION_MISMATCH)),
            (revision, _, None) => self.legacy(message, accepts, revision).await,
        }
    }

    async fn modern(self, message: Message, accepts: Accepts) -> Response {
        let request = match message {
            Message::Request(request) => request,
            // This revision defines none that a client sends over HTTP.
            Message::Notification(_) => return accepted(),
            Message::Response(..) => {
                let fault = Fault::new(INVALID_REQUEST, "a client sends no answers");
                return refusal(StatusCode::BAD_REQUEST, None, &fault);
            }
        };
        let headers = &self.parts.headers;
        if let Err(fault) = self.checked(&request) {
            return refusal(StatusCode::BAD_REQUEST, Some(&request.id), &fault);
        }
        if let Err(fault) = self.inner.admits() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, Some(&request.id), &fault);
        }
        let key = SessionKey::of(&self.caller.authentication);
        let in_flight = match self.inner.enter(key) {
            Ok(in_flight) => in_flight,
            Err(fault) => {
                return refusal(StatusCode::TOO_MANY_REQUESTS, Some(&request.id), &fault);
            }
        };
        let (outlet, receiver) = Outlet::new();
        let related = Related::new(Some(request.id.clone()), Some(outlet));
        let related = Arc::new(related.probing(self.parts.extensions.get().cloned()));
        let id = request.id.clone();
        let side = Side {
            trace: trace(headers, request.params.as_ref()),
            inner: Arc::clone(&self.inner),
            backend: self.backend,
            caller: self.caller.clone(),
            revision: Revision::V2026_07_28,
            session: None,
            session_name: None,
        };
        // Closing the stream of a request is what cancels it.
        let gone = related.cancelled.clone().drop_guard();
        let headers = self.parts.headers;
        let answering = async move {
            let _in_flight = in_flight;
            side.answer(request, Some(&headers), &related).await
        };
        let task = self.inner.calls.spawn(answering.in_current_span());
        let waiting = Waiting {
            inner: self.inner,
            authentication: self.caller.authentication,
            receiver,
            task,
            id,
            revision: Revision::V2026_07_28,
            cancelled: CancellationToken::new(),
            gone: Some(gone),
        };
        waiting.respond(accepts).await
    }

    /// Checks what a 2026-07-28 request must bring, before anything rests on it.
    fn checked(&self, request: &Request) -> Result<(), Fault> {
        let params = request.params.as_ref();
        let meta = |name| params.and_then(|params| edit::meta(params, name));
        match meta(META_VERSION) {
            None => {
                return Err(Fault::new(INVALID_PARAMS, format!("`_meta` lacks `{META_VERSION}`")));
            }
            Some(version) if version.as_str() == Some(Revision::V2026_07_28.as_str()) => {}
            Some(_) => return Err(Fault::new(HEADER_MISMATCH, VERSION_MISMATCH)),
        }
        if meta(META_CAPABILITIES).and_then(|c| c.as_object()).is_none() {
            return Err(Fault::new(INVALID_PARAMS, format!("`_meta` lacks `{META_CAPABILITIES}`")));
        }
        check_standard(&self.parts.headers, &request.method, params)
    }

    async fn legacy(
        self,
        message: Message,
        accepts: Accepts,
        revision: Option<Revision>,
    ) -> Response {
        if let Message::Request(request) = &message
            && &*request.method == "initialize"
        {
            return self.initialize(request.clone()).await;
        }
        let session = match self.session(revision) {
            Ok(session) => session,
            Err(none) => return none.response(),
        };
        match message {
            Message::Request(request) => self.request(request, accepts, session).await,
            Message::Notification(notification) => {
                match session.notified(notification, &self.caller).await {
                    Ok(()) => accepted(),
                    Err(fault) => refusal(StatusCode::BAD_REQUEST, None, &fault),
                }
            }
            Message::Response(id, answer) => {
                session.answered(id, answer);
                accepted()
            }
        }
    }

    /// The session that a request names, where it is the caller's own and of this upstream.
    fn session(&self, revision: Option<Revision>) -> Result<Arc<ClientSession<A>>, NoSession> {
        let Some(id) = one(&self.parts.headers, &SESSION_ID) else {
            let fault =
                Fault::new(INVALID_REQUEST, "`Mcp-Session-Id` is missing: initialize first");
            return Err(NoSession(StatusCode::BAD_REQUEST, fault));
        };
        let known = self.inner.session(id).filter(|session| {
            session.belongs_to(&self.caller.authentication)
                && Arc::ptr_eq(&session.backend, &self.backend)
                && !session.closed.is_cancelled()
        });
        // Another's session is as unknown as one that never was.
        let Some(session) = known else {
            let fault = Fault::new(INVALID_REQUEST, "the session is unknown: initialize again");
            return Err(NoSession(StatusCode::NOT_FOUND, fault));
        };
        if revision.is_some_and(|revision| revision != session.revision()) {
            let text = format!("this session speaks {}", session.revision());
            let fault = Fault::new(INVALID_REQUEST, text);
            return Err(NoSession(StatusCode::BAD_REQUEST, fault));
        }
        Ok(session)
    }

    async fn initialize(self, request: Request) -> Response {
        let Self { inner, backend, caller, .. } = self;
        // What begins now is no other conversation, whatever the request names.
        let caller = Caller::of(&*inner.authority, caller.credential, None).at(caller.network);
        if let Err(fault) = inner.admits() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, Some(&request.id), &fault);
        }
        // Apart, so that a client that leaves cannot leave half a session behind.
        let begun = inner
            .calls
            .clone()
            .spawn(async move { inner.begin_session(backend, caller, request.params).await });
        let begun = begun
            .await
            .unwrap_or_else(|_| Err(Fault::new(INTERNAL_ERROR, "the handshake broke off")));
        match begun {
            Ok((session, result)) => {
                let bytes = response_bytes(Some(&request.id), &Answer::Result(result));
                let mut response = json_response(StatusCode::OK, bytes);
                if let Ok(session) = HeaderValue::from_str(&session) {
                    response.headers_mut().insert(SESSION_ID, session);
                }
                response
            }
            Err(fault) => {
                let bytes = response_bytes(Some(&request.id), &Answer::Fault(fault));
                json_response(StatusCode::OK, bytes)
            }
        }
    }

    async fn request(
        self,
        request: Request,
        accepts: Accepts,
        session: Arc<ClientSession<A>>,
    ) -> Response {
        if let Err(fault) = self.inner.admits() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, Some(&request.id), &fault);
        }
        let (outlet, receiver) = Outlet::new();
        let id = request.id.clone();
        let outlet = accepts.stream.then_some(outlet);
        let related = Arc::new(Related::new(Some(id.clone()), outlet));
        if let Err(refused) = session.enter(&id, &related, &self.caller) {
            return refusal(StatusCode::BAD_REQUEST, Some(&id), &refused.fault());
        }
        let revision = session.revision();
        let cancelled = related.cancelled.clone();
        let side = Side {
            trace: trace(&self.parts.headers, request.params.as_ref()),
            inner: Arc::clone(&self.inner),
            backend: self.backend,
            caller: self.caller.clone(),
            revision,
            session_name: session.name.clone(),
            session: Some(Arc::clone(&session)),
        };
        // Apart, because in these revisions a client that disconnects has not cancelled.
        let answering = async move {
            let id = request.id.clone();
            let reply = side.answer(request, None, &related).await;
            session.leave(&id);
            reply
        };
        let task = self.inner.calls.spawn(answering.in_current_span());
        let waiting = Waiting {
            inner: self.inner,
            authentication: self.caller.authentication,
            receiver,
            task,
            id,
            revision,
            cancelled,
            gone: None,
        };
        waiting.respond(accepts).await
    }

    /// Opens the standing stream of a session.
    fn get(self) -> Response {
        if one(&self.parts.headers, &PROTOCOL_VERSION) == Some(Revision::V2026_07_28.as_str()) {
            return method_not_allowed("POST");
        }
        if !accepts(&self.parts.headers).stream {
            let fault = Fault::new(INVALID_REQUEST, "the client must accept `text/event-stream`");
            return refusal(StatusCode::NOT_ACCEPTABLE, None, &fault);
        }
        let session = match self.session(None) {
            Ok(session) => session,
            Err(none) => return none.response(),
        };
        let (outlet, receiver) = Outlet::new();
        session.listen(outlet, &self.caller);
        let standing = Standing {
            receiver,
            session,
            check: StreamCheck::new(self.inner, self.caller.credential),
        };
        standing.respond()
    }

    /// Ends a session.
    fn delete(self) -> Response {
        if one(&self.parts.headers, &PROTOCOL_VERSION) == Some(Revision::V2026_07_28.as_str()) {
            return method_not_allowed("POST");
        }
        match self.session(None) {
            Err(none) => none.response(),
            Ok(_) => {
                if let Some(id) = one(&self.parts.headers, &SESSION_ID) {
                    self.inner.end_session(id);
                }
                empty(StatusCode::NO_CONTENT)
            }
        }
    }
}

/// Why a request has no session.
struct NoSession(StatusCode, Fault);

impl NoSession {
    fn response(&self) -> Response {
        refusal(self.0, None, &self.1)
    }
}

const VERSION_MISMATCH: &str =
    "header mismatch: `MCP-Protocol-Version` does not match the body's protocol version";
