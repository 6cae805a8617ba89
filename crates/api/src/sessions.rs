//! Sessions: what their state is, and erasing their values.

use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use safeconduct_model::{IdentityId, SessionKey, TokenId};
use safeconduct_service::Operation;

use crate::form::{ErasedForm, SessionForm};
use crate::problem::{Problem, ProblemForm};
use crate::router::Shared;

/// Shows the state of a session.
#[utoipa::path(
    get,
    path = "/v1/sessions/{identity}/{token}",
    tag = "Sessions",
    operation_id = "sessions.show",
    params(
        ("identity" = String, Path, description = "Whose session, percent-encoded"),
        ("token" = String, Path, description = "Under which token: its public id"),
    ),
    responses(
        (status = 200, description = "The session", body = SessionForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 404, description = "No such session is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(session): Path<(String, String)>,
    parts: Parts,
) -> Result<Json<SessionForm>, Problem> {
    api.admit(&parts, Operation::SessionsShow)?;
    let key = key(session)?;
    let view = api.service.session(&key).ok_or_else(|| unknown(&key.to_string()))?;
    Ok(Json((&view).into()))
}

/// Erases the values of a session, and the keys that they were digested and sealed under. The
/// records stay, and so does the tree over them.
#[utoipa::path(
    post,
    path = "/v1/sessions/{identity}/{token}/erase",
    tag = "Sessions",
    operation_id = "sessions.erase",
    params(
        ("identity" = String, Path, description = "Whose session, percent-encoded"),
        ("token" = String, Path, description = "Under which token: its public id"),
    ),
    responses(
        (status = 200, description = "They are overwritten where they lay, and it is recorded", body = ErasedForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 404, description = "No such session is known", body = ProblemForm),
        (status = 503, description = "They could not be overwritten, or it could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn erase(
    State(api): State<Shared>,
    Path(session): Path<(String, String)>,
    parts: Parts,
) -> Result<Json<ErasedForm>, Problem> {
    let caller = api.admit(&parts, Operation::SessionsErase)?;
    let attachments = api.service.erase(&key(session)?, &caller.proof.identity).await?;
    Ok(Json(ErasedForm { attachments }))
}

fn key((identity, token): (String, String)) -> Result<SessionKey, Problem> {
    let shown = format!("{identity}#{token}");
    let named = IdentityId::new(identity)
        .and_then(|identity| Ok(SessionKey { identity, token: TokenId::new(token)? }));
    named.map_err(|_| unknown(&shown))
}

fn unknown(session: &str) -> Problem {
    Problem::not_found("session", session)
}
