//! The endpoints.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_credential::TaskHandle;
use safeconduct_model::Value;
use safeconduct_service::{Fault, FaultCode, Form, Issued, KEYS_KEPT_S};

use super::answer::{kept, refusal, unkept, with_nonce};
use super::described::{
    Introspected, OneToken, PublishedKeys, RefusedForm, ServerMetadata, TokenAnswer, TokenForm,
};
use super::presented::Presented;
use crate::body::read_within;
use crate::handle;
use crate::problem::{Problem, ProblemForm};
use crate::router::{Inner, Shared};
use crate::trace;

/// How long the metadata may be kept, in seconds.
const METADATA_KEPT_S: u32 = 300;

/// What the token service is, and where (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "OAuth",
    operation_id = "oauth.metadata",
    responses(
        (status = 200, description = "The metadata", body = ServerMetadata),
        (status = 404, description = "There is no token service here", body = ProblemForm),
    ),
)]
pub(crate) async fn metadata(State(api): State<Shared>, parts: Parts) -> Response {
    published(&api, &parts, METADATA_KEPT_S, || api.service.authorization_server_metadata())
}

/// The same, for clients that look for it where OpenID providers have theirs (RFC 8414 section 5).
/// This is none: there are no ID tokens.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    tag = "OAuth",
    operation_id = "oauth.metadata_as_openid",
    responses(
        (status = 200, description = "The metadata", body = ServerMetadata),
        (status = 404, description = "There is no token service here", body = ProblemForm),
    ),
)]
pub(crate) async fn metadata_as_openid(state: State<Shared>, parts: Parts) -> Response {
    metadata(state, parts).await
}

/// The keys that tokens are checked with.
#[utoipa::path(
    get,
    path = "/oauth/jwks",
    tag = "OAuth",
    operation_id = "oauth.keys",
    responses(
        (status = 200, description = "The keys, which may be kept for five minutes", body = PublishedKeys),
        (status = 404, description = "There is no token service here", body = ProblemForm),
    ),
)]
pub(crate) async fn keys(State(api): State<Shared>, parts: Parts) -> Response {
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

/// Issues an access token for a task, or begins the task that the request asks for and issues one
/// for it.
#[utoipa::path(
    post,
    path = "/oauth/token",
    tag = "OAuth",
    operation_id = "oauth.token",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = TokenAnswer),
        RefusedForm,
    ),
    security(("client" = []), ("bearer" = []), ("certificate" = []), ()),
)]
pub(crate) async fn token(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
    let form = match form(&api, &parts, body).await {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let handle = match handle::generate() {
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

/// What is to be known of a token (RFC 7662): for those who serve the resource that it is for.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    tag = "OAuth",
    operation_id = "oauth.introspect",
    request_body(content = OneToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is to be known of it", body = Introspected),
        RefusedForm,
    ),
    security(("client" = []), ("bearer" = []), ("certificate" = []), ()),
)]
pub(crate) async fn introspect(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
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

/// Takes a token back (RFC 7009): its client, or whoever serves its resource. One that is not known
/// is as good as taken back.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    tag = "OAuth",
    operation_id = "oauth.revoke",
    request_body(content = OneToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is taken back, or was not alive"),
        RefusedForm,
    ),
    security(("client" = []), ("bearer" = []), ("certificate" = []), ()),
)]
pub(crate) async fn revoke(State(api): State<Shared>, parts: Parts, body: Body) -> Response {
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
