//! The endpoints.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_model::Value;
use safeconduct_service::{Fault, FaultCode, Form, Issued, KEYS_KEPT_S};

use super::answer::{kept, refusal, unkept, with_nonce};
use super::presented::Presented;
use crate::body::read_within;
use crate::handle::TaskHandle;
use crate::problem::Problem;
use crate::router::{Inner, Shared};
use crate::trace;

/// How long the metadata may be kept, in seconds.
const METADATA_KEPT_S: u32 = 300;

/// What the service is, and where (RFC 8414).
pub(super) async fn metadata(State(api): State<Shared>, parts: Parts) -> Response {
    published(&api, &parts, METADATA_KEPT_S, || api.service.authorization_server_metadata())
}

/// The keys that tokens are checked with.
pub(super) async fn keys(State(api): State<Shared>, parts: Parts) -> Response {
    published(&api, &parts, KEYS_KEPT_S, || api.service.token_jwks())
}

fn published(
    api: &Inner,
    parts: &Parts,
    seconds: u32,
    value: impl FnOnce() -> Option<Value>,
) -> Response {
    if let Err(problem) = api.check_doors(&parts.headers, &parts.uri) {
        return problem.into_response();
    }
    value().map_or_else(closed, |value| kept(&value, seconds))
}

/// Issues a token.
pub(super) async fn token(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
    let form = match form(&api, &parts, body).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let handle = match TaskHandle::generate() {
        Ok(handle) => handle,
        Err(error) => {
            return refusal(&Fault::new(FaultCode::TemporarilyUnavailable, error.to_string()));
        }
    };
    let (presented, trace) = (Presented::of(&parts), trace::of(&parts.headers));
    let request = presented.request();
    let issued = api.service.issue_access_token(&request, &form, handle.digest(), trace).await;
    let response = match issued {
        Ok(issued) => unkept(StatusCode::OK, &answer(&issued, &handle)),
        Err(fault) => {
            if fault.code == FaultCode::InvalidClient {
                api.metrics.unauthenticated();
            }
            refusal(&fault)
        }
    };
    with_nonce(response, api.service.dpop_nonce())
}

/// The answer to a request that was granted (RFC 8693 section 2.2.1). The handle of a task that
/// it began is shown in it and never again.
fn answer(issued: &Issued, handle: &TaskHandle) -> Value {
    let token = &issued.token;
    let mut members = vec![
        ("access_token", Value::from(issued.text.as_str())),
        ("issued_token_type", Value::from(Issued::TYPE)),
        ("token_type", Value::from(token.token_type())),
        ("expires_in", Value::Integer(issued.expires_in_s())),
        ("authorization_details", issued.details()),
        ("task", Value::String(token.task.shared())),
    ];
    members.extend(token.scope_text().map(|scope| ("scope", Value::from(scope))));
    if issued.begun {
        members.push(("task_handle", Value::from(handle.reveal())));
    }
    Value::object(members)
}

/// What is to be known of a token.
pub(super) async fn introspect(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
    let form = match form(&api, &parts, body).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let presented = Presented::of(&parts);
    match api.service.introspect(&presented.request(), &form).await {
        Ok(value) => unkept(StatusCode::OK, &value),
        Err(fault) => refusal(&fault),
    }
}

/// Takes a token back.
pub(super) async fn revoke(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
    let form = match form(&api, &parts, body).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let presented = Presented::of(&parts);
    match api.service.withdraw(&presented.request(), &form).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(fault) => refusal(&fault),
    }
}

/// The form of a request that came through our doors.
async fn form(api: &Inner, parts: &Parts, body: Body) -> Result<Form, Box<Response>> {
    let doors = api.check_doors(&parts.headers, &parts.uri);
    doors.map_err(|problem| Box::new(problem.into_response()))?;
    if !api.service.has_token_service() {
        return Err(Box::new(closed()));
    }
    let refuse = |says: &str| Box::new(refusal(&Fault::new(FaultCode::InvalidRequest, says)));
    let ty = parts.headers.get(CONTENT_TYPE).and_then(|ty| ty.to_str().ok()).unwrap_or_default();
    let essence = ty.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(refuse("the content type must be `application/x-www-form-urlencoded`"));
    }
    // A credential in the query ends up in logs.
    if parts.uri.query().is_some() {
        return Err(refuse("parameters stand in the body, not in the query"));
    }
    let bytes = read_within(body, safeconduct_service::FORM_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| refuse(&error.to_string()))?;
    Form::parse(&bytes).map_err(|fault| Box::new(refusal(&fault)))
}

fn closed() -> Response {
    let says = "there is no token service here";
    Problem::new(StatusCode::NOT_FOUND, "unknown_path", says).into_response()
}
