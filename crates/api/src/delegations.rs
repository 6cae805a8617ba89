//! Delegations: users' standing words that agents may undertake intents for them.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Delegation, IdentityId};
use safeconduct_service::Operation;
use safeconduct_wire::admin::{DelegationList, DelegationRequest, DelegationView};
use safeconduct_wire::document::read_json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::body::json_bytes;
use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::Shared;

/// Takes the caller's standing word that an agent may undertake an intent for them. Only a user
/// can give one, and only their own.
#[utoipa::path(
    post,
    path = "/v1/delegations",
    tag = "Delegations",
    operation_id = "delegations.make",
    request_body = DelegationRequest,
    responses(
        (status = 201, description = "It stands, and is recorded", body = DelegationView),
        Refused,
        (status = 404, description = "No such agent or intent is known", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn make(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::DelegationsMake).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let DelegationRequest { agent, intent, seconds } = read_json(&body)?;
    let ends = api.service.now().plus_ms(i64::from(seconds) * 1000);
    let user = caller.proof.identity;
    let delegation = api.service.delegate(user, agent.0, intent.0, ends).await?;
    Ok((StatusCode::CREATED, Json(DelegationView::from(&delegation))).into_response())
}

/// Which delegations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Those of that user.
    user: Option<String>,
    /// Those to that agent.
    agent: Option<String>,
    /// Those after this id.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Lists the delegations that stand, by id. Without the right to `tasks.show`
/// those alone that the caller gave or was given.
#[utoipa::path(
    get,
    path = "/v1/delegations",
    tag = "Delegations",
    operation_id = "delegations.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of delegations", body = DelegationList),
        Misasked,
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<DelegationList>, Problem> {
    let caller = api.admit(&parts, Operation::DelegationsList).await?;
    let Listed { user, agent, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let all = api.may(&caller, Operation::TasksShow)?;
    let is = |wanted: &Option<String>, id: &IdentityId| {
        wanted.as_deref().is_none_or(|wanted| id.as_str() == wanted)
    };
    let now = api.service.now();
    let found = caller.world.delegations().filter(|delegation| {
        let own = [&delegation.user, &delegation.agent].contains(&&caller.proof.identity);
        (all || own)
            && is(&user, &delegation.user)
            && is(&agent, &delegation.agent)
            && after.as_deref().is_none_or(|after| delegation.id.as_str() > after)
            && now < delegation.expires_at
    });
    let (found, next) = page_of(found, limit, |delegation: &&Delegation| delegation.id.to_string());
    let delegations = found.into_iter().map(DelegationView::from).collect();
    Ok(Json(DelegationList { delegations, next }))
}

/// Takes a delegation back: the user whose word it is, or whoever has the right to
/// `delegations.end`. Tasks that have begun by it go on; end them to stop them.
#[utoipa::path(
    delete,
    path = "/v1/delegations/{id}",
    tag = "Delegations",
    operation_id = "delegations.end",
    params(("id" = String, Path, description = "The delegation's id")),
    responses(
        (status = 204, description = "It stands no more, and that is recorded"),
        Refused,
        (status = 404, description = "No such delegation stands", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let caller = api.authenticated(&parts).await?;
    let by = &caller.proof.identity;
    let found = caller.world.delegations().find(|delegation| delegation.id.as_str() == id);
    let own = caller.reaches(Operation::DelegationsEnd);
    if !own || found.is_none_or(|delegation| delegation.user != *by) {
        api.authorize(&caller, Operation::DelegationsEnd)?;
    }
    let found = found.ok_or_else(|| Problem::not_found("delegation", &id))?;
    api.service.end_delegation(&found.id, by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
