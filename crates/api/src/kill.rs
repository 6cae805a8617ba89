//! The kill switch.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::KillScope;
use safeconduct_service::Operation;
use safeconduct_wire::admin::{KillRequest, Killed};
use safeconduct_wire::document::{FormError, read_json};

use crate::admit::Admitted;
use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::router::{Inner, Shared};

/// Stops an identity, a task, a session or everything, at once and on every path.
#[utoipa::path(
    post,
    path = "/v1/kill",
    tag = "Tasks",
    operation_id = "kill.use",
    request_body = KillRequest,
    responses(
        (status = 200, description = "It is stopped, and that is recorded", body = Killed),
        Refused,
        (status = 404, description = "No such identity or task is known", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "Too many sessions are stopped one by one", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn kill(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Json<Killed>, Problem> {
    let caller = api.admit(&parts, Operation::KillUse).await?;
    let (scope, reason) = wanted(&parts, body).await?;
    known(&api, &caller, &scope)?;
    // Apart, so that a client that leaves cannot leave half of it alive.
    let (service, by) = (Arc::clone(&api.service), caller.proof.identity);
    let killing = tokio::spawn(async move { service.kill(scope, &by, reason).await });
    let ended = killing.await.map_err(|error| Problem::not_recorded(&error.to_string()))??;
    Ok(Json(Killed { tasks: ended.len() as u64 }))
}

/// Lets a session or everything go on. Tasks that were ended stay ended; an identity goes on once
/// it is changed to `active`.
#[utoipa::path(
    post,
    path = "/v1/kill/lift",
    tag = "Tasks",
    operation_id = "kill.lift",
    request_body = KillRequest,
    responses(
        (status = 204, description = "It may go on, and that is recorded"),
        Refused,
        (status = 409, description = "That is not stopped by the kill switch", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn lift(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::KillLift).await?;
    let (scope, reason) = wanted(&parts, body).await?;
    api.service.lift_kill(scope, &caller.proof.identity, reason).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn wanted(parts: &Parts, body: Body) -> Result<(KillScope, Arc<str>), Problem> {
    let body = json_bytes(&parts.headers, body).await?;
    let KillRequest { scope, reason } = read_json(&body)?;
    Ok((scope.into_model().map_err(FormError::from)?, reason.into()))
}

/// Whether there is something to stop, and the caller may stop that.
fn known(api: &Inner, caller: &Admitted, scope: &KillScope) -> Result<(), Problem> {
    match scope {
        // INVARIANT: whoever cannot give a role cannot stop those who hold one either.
        KillScope::Identity(id)
            if caller.world.identity(id).is_some_and(|known| !known.roles.is_empty()) =>
        {
            api.authorize(caller, Operation::IdentitiesChangePrivileged)
        }
        KillScope::Task(id) if api.service.task(id).is_none() => {
            Err(Problem::not_found("task", id.as_str()))
        }
        _ => Ok(()),
    }
}
