//! Tokens: issued once, shown once, kept as digests.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use safeconduct_model::{Token, TokenId};
use safeconduct_service::Operation;
use safeconduct_wire::admin::{TokenIssued, TokenList, TokenRequest, TokenView};
use safeconduct_wire::document::read_json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::bearer::{Bearer, new_token_id};
use crate::body::json_bytes;
use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::Shared;

/// Which tokens to list.
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

/// Lists tokens, by id; never the tokens themselves.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "Tokens",
    operation_id = "tokens.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of tokens", body = TokenList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<TokenList>, Problem> {
    let caller = api.admit(&parts, Operation::TokensList).await?;
    let Listed { identity, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let wanted = |token: &&Token| {
        identity.as_deref().is_none_or(|identity| token.identity.as_str() == identity)
            && after.as_deref().is_none_or(|after| token.id.as_str() > after)
    };
    let mut found: Vec<&Token> = caller.world.tokens().filter(wanted).collect();
    found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let (found, next) = page_of(found, limit, |token| token.id.to_string());
    let view = |token: &Token| {
        let seen = api.service.token_seen(&token.id);
        TokenView::from(token).last_used(seen.map(|seen| seen.last))
    };
    Ok(Json(TokenList { tokens: found.into_iter().map(view).collect(), next }))
}

/// Issues a token. It is shown in this answer and never again. For an identity that has a role,
/// `tokens.issue_privileged` is needed.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "Tokens",
    operation_id = "tokens.issue",
    request_body = TokenRequest,
    responses(
        (status = 201, description = "The token, this once", body = TokenIssued<'_>),
        Refused,
        (status = 404, description = "Nobody is registered under that id", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn issue(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::TokensIssue).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let TokenRequest { identity, ttl_s } = read_json(&body)?;
    // INVARIANT: nobody gets hold of a role by a token of someone who has it.
    if caller.world.identity(&identity.0).is_some_and(|known| !known.roles.is_empty()) {
        api.authorize(&caller, Operation::TokensIssuePrivileged)?;
    }
    let bearer = Bearer::generate().map_err(|error| Problem::unavailable(error.to_string()))?;
    let issued_at = api.service.now();
    let token = Token {
        id: new_token_id(),
        identity: identity.0,
        digest: bearer.digest(),
        issued_at,
        expires_at: issued_at.plus_ms(ttl_s * 1000),
        revoked: false,
    };
    api.service.register_token(token.clone(), &caller.proof.identity).await?;
    let issued = TokenIssued { token: bearer.reveal(), registered: (&token).into() };
    let mut response = (StatusCode::CREATED, Json(issued)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Takes a token back. From this moment nothing is permitted by it, and no permit of it is
/// performed any more.
#[utoipa::path(
    post,
    path = "/v1/tokens/{id}/revoke",
    tag = "Tokens",
    operation_id = "tokens.revoke",
    params(("id" = String, Path, description = "The token's public id")),
    responses(
        (status = 204, description = "It is revoked, and recorded"),
        Refused,
        (status = 404, description = "No token of that id was issued", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn revoke(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::TokensRevoke).await?;
    let id = TokenId::new(id.as_str()).map_err(|_| Problem::not_found("token", &id))?;
    api.service.revoke_token(&id, &caller.proof.identity).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
