//! The policy set in force, and loading it again.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use safeconduct_service::{Operation, World};
use safeconduct_wire::admin::PoliciesView;
use safeconduct_wire::document::Written;

use crate::problem::{Problem, ProblemForm};
use crate::refusals::Refused;
use crate::router::Shared;
use crate::{PolicyStatus, ReloadError};

/// Says how the policies stand.
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "Policies",
    operation_id = "policies.show",
    responses(
        (status = 200, description = "The set in force", body = PoliciesView),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PoliciesView>, Problem> {
    let caller = api.admit(&parts, Operation::PoliciesShow).await?;
    Ok(Json(view(&caller.world, api.controls.policies())))
}

/// Loads policies and catalogue again from where they lie: whole, or not at all.
#[utoipa::path(
    post,
    path = "/v1/policies/reload",
    tag = "Policies",
    operation_id = "policies.reload",
    responses(
        (status = 200, description = "The set that is now in force", body = PoliciesView),
        Refused,
        (status = 422, description = "The policies were refused; the set before stays in force", body = ProblemForm),
        (status = 503, description = "They could not be read or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn reload(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PoliciesView>, Problem> {
    let caller = api.admit(&parts, Operation::PoliciesReload).await?;
    match api.controls.reload(&caller.proof.identity).await {
        Ok(status) => Ok(Json(view(&api.service.world(), status))),
        Err(ReloadError::Refused(problem)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "policies_refused", problem))
        }
        Err(ReloadError::Failed(problem)) => Err(Problem::unavailable(problem)),
    }
}

fn view(world: &World, status: PolicyStatus) -> PoliciesView {
    PoliciesView {
        digest: Written(world.policies().digest()),
        policies: world.policies().len() as u64,
        catalogue: Written(world.catalogue_digest()),
        loaded_at: status.loaded_at.map(Written),
        refused: status.refused,
    }
}
