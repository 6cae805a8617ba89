//! Sessions: what their state is, and erasing their values.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use safeconduct_model::{IdentityId, SessionKey, SessionScope};
use safeconduct_service::{EraseError, Operation};
use safeconduct_wire::admin::{ErasedView, SessionView};
use safeconduct_wire::document::Written;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::task::JoinError;
use utoipa::IntoParams;

use crate::problem::{Problem, ProblemForm};
use crate::refusals::Refused;
use crate::router::Shared;

/// Which session.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Named {
    /// Whose session, percent-encoded.
    identity: String,
    /// Under which token, by its public id, or of which task.
    token: String,
}

/// Shows the state of a session.
#[utoipa::path(
    get,
    path = "/v1/sessions/{identity}/{token}",
    tag = "Sessions",
    operation_id = "sessions.show",
    params(Named),
    responses(
        (status = 200, description = "The session", body = SessionView),
        Refused,
        (status = 404, description = "No such session is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(session): Path<Named>,
    parts: Parts,
) -> Result<Json<SessionView>, Problem> {
    api.admit(&parts, Operation::SessionsShow).await?;
    let key = key(session)?;
    let session = api.service.session(&key).ok_or_else(|| unknown(&key.to_string()))?.session;
    let (token, task) = match key.scope {
        SessionScope::Credential(token) => (Some(Written(token)), None),
        SessionScope::Task(task) => (None, Some(Written(task))),
    };
    Ok(Json(SessionView {
        identity: Written(key.identity),
        token,
        task,
        sequence: session.sequence(),
        steps: session.steps(),
        denials: session.denials(),
        distinct_resources: session.distinct_resources(),
        began_at: session.began_at().map(Written),
        actions: session.actions().map(|(name, n)| (name.to_string(), n)).collect(),
    }))
}

/// Erases the values of a session, and the keys that they were digested and sealed under. The
/// records stay, and so does the tree over them.
#[utoipa::path(
    post,
    path = "/v1/sessions/{identity}/{token}/erase",
    tag = "Sessions",
    operation_id = "sessions.erase",
    params(Named),
    responses(
        (status = 200, description = "They are overwritten where they lay, and it is recorded", body = ErasedView),
        Refused,
        (status = 404, description = "No such session is known", body = ProblemForm),
        (status = 503, description = "They could not be overwritten, or it could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn erase(
    State(api): State<Shared>,
    Path(session): Path<Named>,
    parts: Parts,
) -> Result<Json<ErasedView>, Problem> {
    let caller = api.admit(&parts, Operation::SessionsErase).await?;
    let (key, by) = (key(session)?, caller.proof.identity);
    let (service, runtime) = (Arc::clone(&api.service), Handle::current());
    // It waits for the disk: on a thread that answers nobody else.
    let erasing =
        tokio::task::spawn_blocking(move || runtime.block_on(service.erase(&key, &by))).await;
    let broke_off = |error: JoinError| EraseError::Record(error.to_string().into());
    let attachments = erasing.unwrap_or_else(|error| Err(broke_off(error)))?;
    Ok(Json(ErasedView { attachments }))
}

fn key(Named { identity, token }: Named) -> Result<SessionKey, Problem> {
    let shown = format!("{identity}#{token}");
    let named = IdentityId::new(identity)
        .and_then(|identity| Ok(SessionKey { identity, scope: SessionScope::parse(&token)? }));
    named.map_err(|_| unknown(&shown))
}

fn unknown(session: &str) -> Problem {
    Problem::not_found("session", session)
}
