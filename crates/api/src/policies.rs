//! The policy set in force, and loading it again.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use safeconduct_service::Operation;

use crate::ReloadError;
use crate::form::PoliciesForm;
use crate::problem::{Problem, ProblemForm};
use crate::router::Shared;

/// Says how the policies stand.
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "Policies",
    operation_id = "policies.show",
    responses(
        (status = 200, description = "The set in force", body = PoliciesForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PoliciesForm>, Problem> {
    let caller = api.admit(&parts, Operation::PoliciesShow)?;
    Ok(Json(PoliciesForm::new(&caller.world, api.controls.policies())))
}

/// Loads policies and catalogue again from where they lie: whole, or not at all.
#[utoipa::path(
    post,
    path = "/v1/policies/reload",
    tag = "Policies",
    operation_id = "policies.reload",
    responses(
        (status = 200, description = "The set that is now in force", body = PoliciesForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 422, description = "The policies were refused; the set before stays in force", body = ProblemForm),
        (status = 503, description = "They could not be read or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn reload(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PoliciesForm>, Problem> {
    let caller = api.admit(&parts, Operation::PoliciesReload)?;
    match api.controls.reload(&caller.proof.identity).await {
        Ok(status) => Ok(Json(PoliciesForm::new(&api.service.world(), status))),
        Err(ReloadError::Refused(problem)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "policies_refused", problem))
        }
        Err(ReloadError::Failed(problem)) => Err(Problem::unavailable(problem)),
    }
}
