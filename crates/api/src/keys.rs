//! The keys that sign access tokens: how they stand, new ones on demand, and one dropped that may be
//! in other hands.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use safeconduct_service::{DropKeyError, KeyRecordError, KeyStanding, Operation, RotateError};
use safeconduct_wire::admin::{KeyDrop, KeyList, KeyView};
use safeconduct_wire::document::{Written, read_json};

use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::router::Shared;

/// Lists the keys that sign access tokens: the next one, the one that signs, and those whose tokens
/// may still be alive.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "Keys",
    operation_id = "keys.list",
    responses(
        (status = 200, description = "The keys; never their secret halves", body = KeyList),
        Refused,
        (status = 409, description = "There is no token service here", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<KeyList>, Problem> {
    api.admit(&parts, Operation::KeysList).await?;
    let keys = api.service.token_keys().ok_or(RotateError::Closed)?;
    Ok(Json(shown(&keys)))
}

/// Makes new keys for access tokens. They are published at once and sign ten minutes later, when
/// everybody who checks tokens knows them; tokens of the keys before them hold until they expire.
#[utoipa::path(
    post,
    path = "/v1/keys/rotate",
    tag = "Keys",
    operation_id = "keys.rotate",
    responses(
        (status = 201, description = "The new keys, and that is recorded", body = KeyList),
        Refused,
        (status = 409, description = "New keys wait already, or there is no token service here", body = ProblemForm),
        (status = 503, description = "They could not be kept or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn rotate(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<(StatusCode, Json<KeyList>), Problem> {
    let caller = api.admit(&parts, Operation::KeysRotate).await?;
    let service = Arc::clone(&api.service);
    let by = caller.proof.identity;
    // The disk makes it wait: not on a thread that decides.
    let here = tokio::runtime::Handle::current();
    let rotated = tokio::task::spawn_blocking(move || {
        here.block_on(async move { service.rotate_token_keys(&by).await })
    });
    let made = rotated.await.map_err(|error| Problem::unavailable(error.to_string()))??;
    Ok((StatusCode::CREATED, Json(shown(&made))))
}

/// Stops using a key that may be in other hands. It leaves the published set, and every token that it
/// signed is inactive, at once and for good; the key after it signs, or a new one. Whoever checks
/// tokens of ours alone keeps the set for five minutes. Answers with the keys that are left.
#[utoipa::path(
    post,
    path = "/v1/keys/drop",
    tag = "Keys",
    operation_id = "keys.drop",
    request_body = KeyDrop,
    responses(
        (status = 200, description = "It is used no more, and that is recorded", body = KeyList),
        Refused,
        (status = 404, description = "No such key is known", body = ProblemForm),
        (status = 409, description = "There is no token service here", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded or removed: drop it again", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn drop_key(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Json<KeyList>, Problem> {
    let caller = api.admit(&parts, Operation::KeysDrop).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let KeyDrop { key, reason } = read_json(&body)?;
    let (service, by) = (Arc::clone(&api.service), caller.proof.identity);
    let here = tokio::runtime::Handle::current();
    let named = key.clone();
    let dropped = tokio::task::spawn_blocking(move || {
        here.block_on(async move { service.drop_token_key(&named, &reason, &by).await })
    });
    let left = dropped.await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let left = left.map_err(|error| match error {
        DropKeyError::Unknown => Problem::not_found("key", &key),
        other => other.into(),
    })?;
    Ok(Json(shown(&left)))
}

fn shown(keys: &[KeyStanding]) -> KeyList {
    let view = |key: &KeyStanding| KeyView {
        id: key.id.clone(),
        algorithm: key.algorithm.as_str().to_owned(),
        state: key.phase.as_str().to_owned(),
        made_at: Written(key.made_at),
        signs_from: Written(key.signs_from),
        published_until: key.published_until.map(Written),
    };
    KeyList { keys: keys.iter().map(view).collect() }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        let detail = error.to_string();
        match error {
            RotateError::Closed => Self::new(StatusCode::CONFLICT, "no_token_service", detail),
            RotateError::Waiting { .. } => {
                Self::new(StatusCode::CONFLICT, "keys_are_waiting", detail)
            }
            RotateError::Keys(_) => {
                tracing::error!(%error, "new keys could not be made");
                Self::unavailable("the new keys could not be kept, so there are none")
            }
            RotateError::Unrecorded(error) => error.into(),
        }
    }
}

impl From<DropKeyError> for Problem {
    fn from(error: DropKeyError) -> Self {
        let detail = error.to_string();
        match error {
            DropKeyError::Closed => Self::new(StatusCode::CONFLICT, "no_token_service", detail),
            DropKeyError::Unknown => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            DropKeyError::Keys(_) => {
                tracing::error!(%error, "a key could not be dropped");
                Self::unavailable("the keys could not be read or removed: drop it again")
            }
            DropKeyError::Unrecorded(error) => error.into(),
        }
    }
}

impl From<KeyRecordError> for Problem {
    fn from(error: KeyRecordError) -> Self {
        Self::not_recorded(&error.to_string())
    }
}
