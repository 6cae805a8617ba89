//! Our own transmitter over HTTP (Shared Signals Framework 1.0 sections 7 and 8, RFC 8936): for
//! programs that the configuration names as receivers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use safeconduct_model::{IdentityId, Value};
use safeconduct_service::{Change, Operation, Transmit, TransmitError};
use safeconduct_wire::json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::body::json_bytes;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::refused;
use crate::router::{Inner, Shared};

/// The routes. Without a transmitter nothing is at them.
pub(crate) fn routes(api: Shared) -> Router<Shared> {
    let stream = get(read).post(create).patch(change).put(replace).delete(delete);
    Router::new()
        .route("/ssf/stream", stream)
        .route("/ssf/status", get(status).post(set_status))
        .route("/ssf/subjects:add", post(add_subject))
        .route("/ssf/subjects:remove", post(remove_subject))
        .route("/ssf/verify", post(verify))
        .route("/ssf/poll/{id}", post(poll))
        .route_layer(middleware::from_fn_with_state(api, refused::recorded))
        .route("/.well-known/ssf-configuration", get(metadata))
}

/// Which stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The stream's id. Left out when reading configurations, all of the caller's.
    stream_id: Option<String>,
}

impl Which {
    fn needed(uri: &http::Uri) -> Result<String, Problem> {
        let Self { stream_id } = page::query(uri)?;
        stream_id.ok_or_else(|| Problem::invalid("`stream_id` is missing"))
    }
}

/// A receiver that may ask.
struct Receiver {
    id: IdentityId,
    transmitter: Arc<dyn Transmit>,
}

impl Inner {
    async fn receiver(&self, parts: &Parts) -> Result<Receiver, Problem> {
        let caller = self.admit(parts, Operation::StreamsReceive).await?;
        let transmitter = self.signals().transmitter.as_ref().ok_or_else(closed)?;
        Ok(Receiver { id: caller.proof.identity, transmitter: Arc::clone(transmitter) })
    }
}

fn closed() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_transmitter", "nothing is transmitted from here")
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, json::to_bytes(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn done(status: StatusCode) -> Response {
    let mut response = status.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Does what may wait for a disk where that hurts nobody.
async fn kept<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, TransmitError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(act).await;
    Ok(done.map_err(|error| Problem::unavailable(error.to_string()))??)
}

impl From<TransmitError> for Problem {
    fn from(error: TransmitError) -> Self {
        let detail = error.to_string();
        match error {
            TransmitError::Invalid(_) => Self::invalid(detail),
            TransmitError::UnknownStream => {
                Self::new(StatusCode::NOT_FOUND, "unknown_stream", detail)
            }
            TransmitError::NoReceiver => Self::new(StatusCode::FORBIDDEN, "no_receiver", detail),
            TransmitError::Exists => Self::new(StatusCode::CONFLICT, "stream_exists", detail),
            TransmitError::TooSoon(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_soon", detail)
            }
            TransmitError::NotKept(_) => Self::not_recorded(&detail),
        }
    }
}

/// What our transmitter is, and where (Shared Signals Framework 1.0 section 7.1).
#[utoipa::path(
    get,
    path = "/.well-known/ssf-configuration",
    tag = "Signals",
    operation_id = "ssf.metadata",
    responses(
        (status = 200, description = "The metadata", body = Object),
        (status = 404, description = "Nothing is transmitted from here", body = ProblemForm),
    ),
)]
pub(crate) async fn metadata(State(api): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    api.check_doors(&parts.headers, &parts.uri)?;
    let transmitter = api.signals().transmitter.as_ref().ok_or_else(closed)?;
    let mut response = answer(StatusCode::OK, &transmitter.metadata());
    let kept = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(CACHE_CONTROL, kept);
    Ok(response)
}

/// Makes the caller's stream: pushed to an address of its own, or polled for where nothing is said.
#[utoipa::path(
    post,
    path = "/ssf/stream",
    tag = "Signals",
    operation_id = "ssf.create",
    request_body = Object,
    responses(
        (status = 201, description = "The stream", body = Object),
        Refused,
        Unreadable,
        (status = 404, description = "Nothing is transmitted from here", body = ProblemForm),
        (status = 409, description = "The caller has a stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let made = kept(move || transmitter.create(&id, &body)).await?;
    Ok(answer(StatusCode::CREATED, &made))
}

/// Shows a stream of the caller's, or all of them.
#[utoipa::path(
    get,
    path = "/ssf/stream",
    tag = "Signals",
    operation_id = "ssf.read",
    params(Which),
    responses(
        (status = 200, description = "The stream, or a list", body = Object),
        Refused,
        (status = 404, description = "There is no such stream", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn read(State(api): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let Which { stream_id } = page::query(&parts.uri)?;
    Ok(answer(StatusCode::OK, &transmitter.read(&id, stream_id.as_deref())?))
}

/// Changes what is said of a stream.
#[utoipa::path(
    patch,
    path = "/ssf/stream",
    tag = "Signals",
    operation_id = "ssf.change",
    request_body = Object,
    responses(
        (status = 200, description = "The stream", body = Object),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn change(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    changed(&api, &parts, body, Change::Part).await
}

/// Sets a stream anew.
#[utoipa::path(
    put,
    path = "/ssf/stream",
    tag = "Signals",
    operation_id = "ssf.replace",
    request_body = Object,
    responses(
        (status = 200, description = "The stream", body = Object),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn replace(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    changed(&api, &parts, body, Change::Whole).await
}

async fn changed(
    api: &Inner,
    parts: &Parts,
    body: Body,
    change: Change,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let changed = kept(move || transmitter.change(&id, &body, change)).await?;
    Ok(answer(StatusCode::OK, &changed))
}

/// Ends a stream, with all that waits in it.
#[utoipa::path(
    delete,
    path = "/ssf/stream",
    tag = "Signals",
    operation_id = "ssf.delete",
    params(Which),
    responses(
        (status = 204, description = "It is gone"),
        Refused,
        (status = 400, description = "A parameter does not fit", body = ProblemForm),
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn delete(State(api): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let stream = Which::needed(&parts.uri)?;
    kept(move || transmitter.delete(&id, &stream)).await?;
    Ok(done(StatusCode::NO_CONTENT))
}

/// Shows the status of a stream.
#[utoipa::path(
    get,
    path = "/ssf/status",
    tag = "Signals",
    operation_id = "ssf.status",
    params(Which),
    responses(
        (status = 200, description = "The status", body = Object),
        Refused,
        (status = 400, description = "A parameter does not fit", body = ProblemForm),
        (status = 404, description = "There is no such stream", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn status(State(api): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let stream = Which::needed(&parts.uri)?;
    Ok(answer(StatusCode::OK, &transmitter.status(&id, &stream)?))
}

/// Holds the events of a stream, drops them, or lets them come.
#[utoipa::path(
    post,
    path = "/ssf/status",
    tag = "Signals",
    operation_id = "ssf.set_status",
    request_body = Object,
    responses(
        (status = 200, description = "The status", body = Object),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn set_status(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let status = kept(move || transmitter.set_status(&id, &body)).await?;
    Ok(answer(StatusCode::OK, &status))
}

/// Has a stream tell of a subject again that was taken out of it.
#[utoipa::path(
    post,
    path = "/ssf/subjects:add",
    tag = "Signals",
    operation_id = "ssf.add_subject",
    request_body = Object,
    responses(
        (status = 200, description = "It is told of"),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn add_subject(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    kept(move || transmitter.add_subject(&id, &body)).await?;
    Ok(done(StatusCode::OK))
}

/// Takes a subject out of a stream: of it nothing more is told.
#[utoipa::path(
    post,
    path = "/ssf/subjects:remove",
    tag = "Signals",
    operation_id = "ssf.remove_subject",
    request_body = Object,
    responses(
        (status = 204, description = "It is told of no more"),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 503, description = "It could not be kept", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn remove_subject(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    kept(move || transmitter.remove_subject(&id, &body)).await?;
    Ok(done(StatusCode::NO_CONTENT))
}

/// Has an event sent through a stream that shows that it lives.
#[utoipa::path(
    post,
    path = "/ssf/verify",
    tag = "Signals",
    operation_id = "ssf.verify",
    request_body = Object,
    responses(
        (status = 204, description = "It comes"),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
        (status = 429, description = "The stream was verified a moment ago", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn verify(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    transmitter.verify(&id, &body)?;
    Ok(done(StatusCode::NO_CONTENT))
}

/// Gives the events that wait in a stream, and forgets those that the caller has (RFC 8936). Where
/// nothing waits, it is waited for up to 25 s, unless `returnImmediately` says otherwise.
#[utoipa::path(
    post,
    path = "/ssf/poll/{id}",
    tag = "Signals",
    operation_id = "ssf.poll",
    params(("id" = String, Path, description = "The stream's id")),
    request_body = Object,
    responses(
        (status = 200, description = "The events", body = Object),
        Refused,
        Unreadable,
        (status = 404, description = "There is no such stream", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn poll(
    State(api): State<Shared>,
    Path(stream): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let Receiver { id, transmitter } = api.receiver(&parts).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let mut stopping = api.stopping.subscribe();
    tokio::select! {
        answered = transmitter.poll(&id, &stream, &body) => {
            Ok(answer(StatusCode::OK, &answered?))
        }
        _ = stopping.wait_for(|stopping| *stopping) => {
            Err(Problem::unavailable("the server stops"))
        }
    }
}
