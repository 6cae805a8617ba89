//! What the administration API does about those that it turns away: a caller who has proved who
//! they are leaves a record, anyone else a count.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use safeconduct_model::{Authentication, Decision};
use safeconduct_service::{Operation, Refusal};

use crate::metrics::Asked;
use crate::router::Shared;
use crate::trace;

/// Beside a refusal on its way out: whom our own policies did not permit what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) proof: Authentication,
    pub(crate) operation: Operation,
}

/// Records and counts refusals. The answer waits until its record is durable; where there can be
/// none, the caller is refused all the same.
pub(crate) async fn recorded(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let trace = trace::of(request.headers());
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        api.metrics.unauthenticated();
    }
    let Some(Denied { proof, operation }) = response.extensions_mut().remove() else {
        return response;
    };
    let refusal = Refusal { proof, operation, path, trace };
    let took = |reasons: &[_]| {
        api.metrics.decided(Asked::Administration, Decision::Deny, reasons, began.elapsed());
    };
    match api.service.record_refusal(&api.administration, refusal).await {
        Ok(recorded) => took(&recorded.value().reasons),
        Err(unrecorded) => {
            let why = unrecorded.reason.message();
            tracing::error!(problem = why, "a refusal could not be recorded");
            took(&[unrecorded.reason]);
        }
    }
    response
}
