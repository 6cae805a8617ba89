//! What then happened, from enforcement points that perform the action themselves.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Execution, RecordId};
use safeconduct_service::{Content, Operation, Read, Report};
use safeconduct_wire::json;
use safeconduct_wire::outcome::{self, OutcomeForm};

use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::Unreadable;
use crate::router::Shared;

/// Takes what then happened to a permitted action, from the enforcement point that asked.
#[utoipa::path(
    post,
    path = "/v1/decisions/{id}/outcome",
    tag = "AuthZEN",
    operation_id = "outcomes.report",
    request_body = OutcomeForm,
    params(("id" = String, Path, description = "The decision's id")),
    responses(
        (status = 204, description = "It is recorded"),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller is no registered enforcement point", body = ProblemForm),
        (status = 404, description = "No permit of that id waits for an outcome from this caller", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn report(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::OutcomesReport).await?;
    let decision = RecordId::new(id).map_err(|error| Problem::invalid(error.to_string()))?;
    let body = json_bytes(&parts.headers, body).await?;
    let outcome = outcome::parse(&body)?;
    let report = Report {
        decision,
        reported_by: caller.proof.identity,
        execution: outcome.execution,
        duration_ms: outcome.duration_ms,
        result: outcome.result.as_ref().map(json::to_bytes),
        detail: outcome.detail,
        edits: outcome.edits,
        read: match (outcome.result, outcome.execution) {
            (Some(result), _) => Read::This(vec![Content::Value(result)]),
            (None, Execution::NotExecuted) => Read::Nothing,
            // It says nothing of what its agent has read.
            (None, _) => Read::Unseen,
        },
        beside: Read::Nothing,
    };
    api.service.observe(report).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
