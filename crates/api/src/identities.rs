//! Identities: who is registered.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{EntityType, Identity, IdentityId};
use safeconduct_service::{Operation, World};
use safeconduct_wire::admin::{IdentityList, IdentityView, WhoamiView};
use safeconduct_wire::document::{Word, Written, read_json};
use safeconduct_wire::identity::IdentityForm;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::body::json_bytes;
use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::{Inner, Shared};

/// Says who the caller is and what it may do here.
#[utoipa::path(
    get,
    path = "/v1/whoami",
    tag = "Identities",
    operation_id = "whoami",
    responses(
        (status = 200, description = "The caller", body = WhoamiView),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn whoami(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<WhoamiView>, Problem> {
    let caller = api.admit(&parts, Operation::Whoami).await?;
    let identity = caller.identity()?;
    let may = |operation: &Operation| {
        caller.reaches(*operation) && api.administration.permits(identity, *operation)
    };
    let operations = Operation::ALL.iter().copied().filter(may).map(Operation::as_str).collect();
    Ok(Json(WhoamiView {
        identity: identity.into(),
        token: Written(caller.proof.token.clone()),
        method: Word(caller.proof.method),
        operations,
    }))
}

/// Which identities to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Lists identities, by id.
#[utoipa::path(
    get,
    path = "/v1/identities",
    tag = "Identities",
    operation_id = "identities.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of identities", body = IdentityList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<IdentityList>, Problem> {
    let caller = api.admit(&parts, Operation::IdentitiesList).await?;
    let Listed { after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    // One more than is shown tells whether there is a next page.
    let found = caller.world.identities_after(after.as_deref(), limit + 1);
    let (found, next) = page_of(found, limit, |identity| identity.id.to_string());
    let seen = found.into_iter().map(|identity| seen(&api, identity));
    Ok(Json(IdentityList::of(seen, next)))
}

/// Shows one identity.
#[utoipa::path(
    get,
    path = "/v1/identities/{id}",
    tag = "Identities",
    operation_id = "identities.show",
    params(("id" = String, Path, description = "The identity's id, percent-encoded")),
    responses(
        (status = 200, description = "The identity", body = IdentityView),
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<IdentityView>, Problem> {
    let caller = api.admit(&parts, Operation::IdentitiesShow).await?;
    let found = IdentityId::new(id.as_str()).ok().and_then(|id| caller.world.identity(&id));
    found
        .map(|identity| Json(seen(&api, identity)))
        .ok_or_else(|| Problem::not_found("identity", &id))
}

/// An identity, and when it was seen to act.
pub(crate) fn seen(api: &Inner, identity: &Identity) -> IdentityView {
    let seen = api.service.identity_seen(&identity.id);
    IdentityView::new(identity, seen.map(|seen| (seen.first, seen.last)))
}

/// Registers an identity, or changes one: the body is all of it. Where it has a role or gets
/// one, `identities.change_privileged` is needed.
#[utoipa::path(
    put,
    path = "/v1/identities/{id}",
    tag = "Identities",
    operation_id = "identities.change",
    params(("id" = String, Path, description = "The identity's id, percent-encoded")),
    request_body = IdentityForm,
    responses(
        (status = 204, description = "It is registered, and recorded"),
        Refused,
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn change(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::IdentitiesChange).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let form: IdentityForm = read_json(&body)?;
    if form.id.0.as_str() != id {
        return Err(Problem::invalid("`/id` is not the id in the path"));
    }
    let identity = resolved(&caller.world, form.into_model());
    // INVARIANT: whoever cannot give a role cannot change those who hold one either, so that no
    // right to register turns into a right to administer.
    let held = caller.world.identity(&identity.id).is_some_and(|known| !known.roles.is_empty());
    if held || !identity.roles.is_empty() {
        api.authorize(&caller, Operation::IdentitiesChangePrivileged)?;
    }
    api.service.change_identity(identity, &caller.proof.identity).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Types as the schema names them, where it does.
fn resolved(world: &World, mut identity: Identity) -> Identity {
    let resolve = |ty: EntityType| world.policies().resolve_type(ty.as_str()).unwrap_or(ty);
    if let Some(pep) = &mut identity.pep {
        pep.subjects = std::mem::take(&mut pep.subjects).into_iter().map(resolve).collect();
        pep.resources = std::mem::take(&mut pep.resources).into_iter().map(resolve).collect();
    }
    identity
}
