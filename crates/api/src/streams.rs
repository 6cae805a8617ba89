//! What others tell us of risk: pushed security events (RFC 8935), signed webhooks, and how the
//! streams stand.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use safeconduct_credential::jose::TOKEN_BYTES_MAX;
use safeconduct_credential::webhook::WebhookHeaders;
use safeconduct_service::{
    ControlError, Deliveries, Operation, Received, SetError, StreamControl, StreamView, Streams,
    Transmit, WebhookFault,
};
use safeconduct_wire::admin::{StreamList, StreamStateView, StreamStatusView};
use safeconduct_wire::config::DeliveryWord;
use safeconduct_wire::document::Written;
use safeconduct_wire::json;
use safeconduct_wire::signals::{DeliveryFault, SET_MEDIA_TYPE, SignalReport};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::{BODY_BYTES_MAX, read_within};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::Refused;
use crate::router::{Inner, Shared};

/// What tells us of risk, and what we tell others.
#[derive(Default)]
pub struct SignalEdges {
    /// Streams and webhooks that we receive.
    pub streams: Option<Arc<Streams>>,
    /// The streams at their transmitters.
    pub control: Option<Arc<dyn StreamControl>>,
    /// Our own transmitter.
    pub transmitter: Option<Arc<dyn Transmit>>,
    /// How what goes out stands.
    pub deliveries: Option<Arc<dyn Deliveries>>,
}

/// Why a security event was not taken (RFC 8935 section 2.4).
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "it is only described; the answer is made by the protocol's own form")]
pub(crate) struct SetErrorForm {
    /// `invalid_request`, `invalid_key`, `invalid_issuer`, `invalid_audience`,
    /// `authentication_failed`, `access_denied`, `invalid_state`.
    err: String,
    /// What is wrong.
    description: String,
}

/// Takes a security event token of the stream of that name, pushed by its transmitter with the
/// stream's own bearer token. It is acknowledged once it is durable and what it revokes has
/// stopped; one that was taken before is acknowledged and changes nothing.
#[utoipa::path(
    post,
    path = "/v1/signals/streams/{name}",
    tag = "Signals",
    operation_id = "signals.push",
    params(("name" = String, Path, description = "The stream's name in the configuration")),
    request_body(content = String, content_type = "application/secevent+jwt"),
    responses(
        (status = 202, description = "It is taken"),
        (status = 400, description = "It is not taken, and why", body = SetErrorForm),
        (status = 429, description = "Too many come; send it again later", body = SetErrorForm),
        (status = 503, description = "It could not be kept or checked; send it again", body = SetErrorForm),
    ),
    security(("stream" = []))
)]
pub(crate) async fn push(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
    body: Body,
) -> Response {
    if let Err(problem) = api.check_doors(&parts.headers, &parts.uri) {
        return problem.into_response();
    }
    let refused = |description: &str| SetError::Refused {
        fault: DeliveryFault::InvalidRequest,
        description: description.to_owned(),
    };
    if !is_set(&parts.headers) {
        return not_taken(&refused("the content type must be `application/secevent+jwt`"));
    }
    // One byte more than a token may have is enough to refuse it.
    let bytes = match read_within(body, TOKEN_BYTES_MAX + 2).await {
        Ok(bytes) => bytes,
        Err(error) => return not_taken(&refused(&error.to_string())),
    };
    let Ok(set) = std::str::from_utf8(&bytes) else {
        return not_taken(&refused("the token is no text"));
    };
    let Some(streams) = api.signals().streams.as_ref() else { return unheard() };
    // Apart, so that a transmitter that leaves cannot leave half of it undone.
    let streams = Arc::clone(streams);
    let (bearer, set) = (bearer(&parts.headers).map(str::to_owned), set.to_owned());
    let taking = async move { streams.pushed(&name, bearer.as_deref(), &set).await };
    match tokio::spawn(taking).await {
        Ok(Ok(_)) => StatusCode::ACCEPTED.into_response(),
        Ok(Err(error)) => not_taken(&error),
        Err(error) => Problem::not_recorded(&error.to_string()).into_response(),
    }
}

fn unheard() -> Response {
    not_taken(&SetError::Refused {
        fault: DeliveryFault::AuthenticationFailed,
        description: "the bearer token of this stream is needed".to_owned(),
    })
}

fn not_taken(error: &SetError) -> Response {
    let (status, fault) = match error {
        SetError::Refused { fault, .. } => (StatusCode::BAD_REQUEST, *fault),
        SetError::Busy => (StatusCode::TOO_MANY_REQUESTS, DeliveryFault::InvalidRequest),
        SetError::NotKept(_) | SetError::NoKeys => {
            (StatusCode::SERVICE_UNAVAILABLE, DeliveryFault::InvalidRequest)
        }
    };
    let said = match error {
        // What the disk says is for the operators' log.
        SetError::NotKept(_) => "the event could not be kept".to_owned(),
        other => other.to_string(),
    };
    let mut response = (status, json::to_bytes(&fault.described(&said))).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("content-language", HeaderValue::from_static("en"));
    if status != StatusCode::BAD_REQUEST {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn is_set(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(SET_MEDIA_TYPE)
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = all.next()?.to_str().ok()?.split_once(' ')?;
    let alone = all.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    alone.then(|| token.trim())
}

/// Takes the message of a signed webhook: HMAC-SHA256 as Standard Webhooks 1.0 has it. One whose
/// id was taken before is acknowledged and changes nothing.
#[utoipa::path(
    post,
    path = "/v1/signals/webhooks/{name}",
    tag = "Signals",
    operation_id = "signals.webhook",
    params(
        ("name" = String, Path, description = "The webhook's name in the configuration"),
        ("webhook-id" = String, Header, description = "The message's id: the same with every try"),
        ("webhook-timestamp" = String, Header, description = "When it is sent, in seconds since 1970"),
        ("webhook-signature" = String, Header, description = "`v1,` and the signature in Base64"),
    ),
    request_body = SignalReport,
    responses(
        (status = 202, description = "Its signals are taken"),
        (status = 400, description = "Its body does not fit", body = ProblemForm),
        (status = 401, description = "There is no such webhook, or its signature does not hold", body = ProblemForm),
        (status = 403, description = "It may not send signals of this kind", body = ProblemForm),
        (status = 429, description = "Too many signals wait; send it again later", body = ProblemForm),
        (status = 503, description = "They could not be kept; send it again", body = ProblemForm),
    ),
    security(())
)]
pub(crate) async fn webhook(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, Problem> {
    api.check_doors(&parts.headers, &parts.uri)?;
    let headers = webhook_headers(&parts.headers).ok_or_else(unproved)?;
    let streams = api.signals().streams.as_ref().ok_or_else(unproved)?;
    // What nobody can have signed is not read.
    if !streams.has_webhook(&name) {
        return Err(WebhookFault::unknown().into());
    }
    let body = read_within(body, BODY_BYTES_MAX).await?;
    // Apart, so that a sender that leaves cannot leave half of it undone.
    let streams = Arc::clone(streams);
    let taking = tokio::spawn(async move { streams.webhook(&name, &headers, &body).await });
    let taken = taking.await.map_err(|error| Problem::not_recorded(&error.to_string()))?;
    match taken {
        Ok(Received::Taken { .. } | Received::Before | Received::PassedOver) => {
            Ok(StatusCode::ACCEPTED)
        }
        Err(fault) => Err(fault.into()),
    }
}

fn webhook_headers(headers: &HeaderMap) -> Option<WebhookHeaders> {
    let text = |name: &str| {
        let mut all = headers.get_all(name).iter();
        let one = all.next()?.to_str().ok()?.to_owned();
        all.next().is_none().then_some(one)
    };
    Some(WebhookHeaders {
        id: text("webhook-id")?,
        timestamp: text("webhook-timestamp")?,
        signature: text("webhook-signature")?,
    })
}

/// The words are the same whether there is a webhook of that name or not.
fn unproved() -> Problem {
    let detail = "exactly one `webhook-id`, `webhook-timestamp` and `webhook-signature` that hold";
    Problem::new(StatusCode::UNAUTHORIZED, "unproved", detail)
}

impl From<WebhookFault> for Problem {
    fn from(fault: WebhookFault) -> Self {
        let detail = fault.to_string();
        match fault {
            WebhookFault::Unproved(error) => {
                Self::new(StatusCode::UNAUTHORIZED, "unproved", error.to_string())
            }
            WebhookFault::Body(_) => Self::invalid(detail),
            WebhookFault::MayNotRevoke(_) => {
                Self::new(StatusCode::FORBIDDEN, "may_not_revoke", detail)
            }
            WebhookFault::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail),
            WebhookFault::NotKept(_) => Self::not_recorded(&detail),
        }
    }
}

/// Lists the streams of security events that tell us of risk, and how they stand.
#[utoipa::path(
    get,
    path = "/v1/signals/streams",
    tag = "Signals",
    operation_id = "streams.list",
    responses((status = 200, description = "The streams", body = StreamList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<StreamList>, Problem> {
    api.admit(&parts, Operation::StreamsList).await?;
    let views = api.signals().streams.as_ref().map(|streams| streams.views());
    let streams = views.unwrap_or_default().into_iter().map(shown).collect();
    Ok(Json(StreamList { streams }))
}

/// Shows the status of a stream, as its transmitter has it.
#[utoipa::path(
    get,
    path = "/v1/signals/streams/{name}/status",
    tag = "Signals",
    operation_id = "streams.status",
    params(("name" = String, Path, description = "The stream's name in the configuration")),
    responses(
        (status = 200, description = "Its status", body = StreamStatusView),
        Refused,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 409, description = "The stream is not managed from here", body = ProblemForm),
        (status = 502, description = "The transmitter did not answer as it must", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn status(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<Json<StreamStatusView>, Problem> {
    api.admit(&parts, Operation::StreamsStatus).await?;
    let status = control(&api, &name)?.status(&name).await?;
    Ok(Json(StreamStatusView {
        name,
        stream_id: status.stream.to_string(),
        status: status.status.as_str().to_owned(),
        reason: status.reason.map(|reason| reason.to_string()),
    }))
}

/// Asks the transmitter of a stream to verify it: an event comes through the stream, and
/// `verified_at` of the list says when.
#[utoipa::path(
    post,
    path = "/v1/signals/streams/{name}/verify",
    tag = "Signals",
    operation_id = "streams.verify",
    params(("name" = String, Path, description = "The stream's name in the configuration")),
    responses(
        (status = 202, description = "The transmitter was asked"),
        Refused,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 409, description = "The stream is not managed from here", body = ProblemForm),
        (status = 502, description = "The transmitter did not do it", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn verify(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    api.admit(&parts, Operation::StreamsVerify).await?;
    control(&api, &name)?.verify(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

fn control<'a>(api: &'a Inner, name: &str) -> Result<&'a Arc<dyn StreamControl>, Problem> {
    let edges = api.signals();
    let known = edges.streams.as_ref().is_some_and(|streams| streams.view(name).is_some());
    let control = edges.control.as_ref().filter(|_| known);
    control.ok_or_else(|| Problem::not_found("stream", name))
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let detail = error.to_string();
        match error {
            ControlError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            ControlError::Unmanaged(_) => Self::new(StatusCode::CONFLICT, "unmanaged", detail),
            ControlError::Transmitter { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "transmitter", detail)
            }
        }
    }
}

fn shown(view: StreamView) -> StreamStateView {
    StreamStateView {
        name: view.name.to_string(),
        issuer: view.issuer.to_string(),
        delivery: match view.delivery {
            DeliveryWord::Push => "push".to_owned(),
            DeliveryWord::Poll => "poll".to_owned(),
        },
        state: view.standing.as_str().to_owned(),
        last_heard: view.last_heard.map(Written),
        verified_at: view.verified_at.map(Written),
        verifying: view.verifying,
        taken: view.taken,
        repeated: view.before,
        passed_over: view.passed_over,
        refused: view.refused.into_iter().map(|(why, n)| (why.to_owned(), n)).collect(),
    }
}
