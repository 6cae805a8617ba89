//! One of the estate, with all that hangs on it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use safeconduct_service::Operation;
use safeconduct_wire::admin::{EstateOne, TokenView};

use crate::estate::{apart, lease, one, registered, task};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::Refused;
use crate::router::Shared;

/// One who there is: who answers for them and where they came from, when they were seen, their
/// tasks and intents, their grants, what they prove themselves with, and who else acts by them.
#[utoipa::path(
    get,
    path = "/v1/estate/who/{id}",
    tag = "Estate",
    operation_id = "estate.show",
    params(("id" = String, Path, description = "The identity's id, percent-encoded")),
    responses(
        (status = 200, description = "All that is known of them", body = EstateOne),
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<EstateOne>, Problem> {
    let caller = api.admit(&parts, Operation::EstateShow).await?;
    let identity = registered(&caller.world, &id)?;
    let (service, id) = (Arc::clone(&api.service), identity.id.clone());
    let inventory = apart(move || service.inventory(&id)).await??;
    let tokens = inventory.tokens.iter().map(|token| {
        TokenView::from(token).last_used(api.service.token_seen(&token.id).map(|seen| seen.last))
    });
    Ok(Json(EstateOne {
        identity: one(&api, &caller.world, identity),
        live_tasks: inventory.tasks.iter().map(task).collect(),
        intents: inventory.intents.iter().map(|(name, n)| (name.to_string(), *n)).collect(),
        grants: inventory.grants,
        tokens: tokens.collect(),
        passkeys: inventory.passkeys,
        leases: inventory.leases.iter().map(lease).collect(),
        sessions: inventory.sessions,
        shared_by: inventory.shared_by.iter().map(ToString::to_string).collect(),
    }))
}
