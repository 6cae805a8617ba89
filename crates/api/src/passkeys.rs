//! Passkeys: which there are, and taking one away. A new one takes a browser and a sign-in.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Passkey, PasskeyId};
use safeconduct_service::{Operation, PasskeyError};
use safeconduct_wire::admin::{PasskeyList, PasskeyView};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused};
use crate::router::Shared;

/// Which passkeys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Those of that identity.
    identity: Option<String>,
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Lists passkeys, by id. Without the right to `passkeys.remove` the caller's own alone.
#[utoipa::path(
    get,
    path = "/v1/passkeys",
    tag = "Passkeys",
    operation_id = "passkeys.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of passkeys", body = PasskeyList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PasskeyList>, Problem> {
    let caller = api.admit(&parts, Operation::PasskeysList).await?;
    let Listed { identity, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let all = api.may(&caller, Operation::PasskeysRemove)?;
    let found = caller.world.passkeys().filter(|passkey| {
        (all || passkey.identity == caller.proof.identity)
            && identity.as_deref().is_none_or(|wanted| passkey.identity.as_str() == wanted)
            && after.as_deref().is_none_or(|after| passkey.id.as_str() > after)
    });
    let id = |passkey: &&Passkey| passkey.id.as_str().to_owned();
    let (found, next) = page_of(found, limit, id);
    let passkeys = found.into_iter().map(PasskeyView::from).collect();
    Ok(Json(PasskeyList { passkeys, next }))
}

/// Takes a passkey away: the person whose it is, or whoever has the right to `passkeys.remove`.
/// Nothing is proved by it any more.
#[utoipa::path(
    delete,
    path = "/v1/passkeys/{id}",
    tag = "Passkeys",
    operation_id = "passkeys.remove",
    params(("id" = String, Path, description = "The passkey's id")),
    responses(
        (status = 204, description = "It is gone, and that is recorded"),
        Refused,
        (status = 404, description = "No such passkey is registered", body = ProblemForm),
        (status = 409, description = "It is the caller's last: somebody else takes that away", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn remove(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let caller = api.authenticated(&parts).await?;
    let by = &caller.proof.identity;
    let found = PasskeyId::new(id.as_str()).ok().and_then(|id| caller.world.passkey(&id));
    let own = caller.reaches(Operation::PasskeysRemove);
    if !own || found.is_none_or(|passkey| passkey.identity != *by) {
        api.authorize(&caller, Operation::PasskeysRemove)?;
    }
    let found = found.ok_or_else(|| Problem::not_found("passkey", &id))?;
    match api.service.remove_passkey(&found.id, &found.identity, by).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(PasskeyError::Change(error)) => Err(error.into()),
        Err(error @ PasskeyError::Last(_)) => {
            Err(Problem::new(StatusCode::CONFLICT, "last_passkey", error.to_string()))
        }
        // Somebody else was faster.
        Err(_) => Err(Problem::not_found("passkey", &id)),
    }
}
