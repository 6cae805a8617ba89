//! The ledger's records, read from the read model.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_model::{
    ActionName, Decision, IdentityId, NameError, PolicyId, RecordId, SessionKey, Timestamp, TokenId,
};
use safeconduct_service::{Operation, ReadError, ReadModel, RecordQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::form::{OneRecordForm, RecordForm, RecordsForm};
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::router::{Inner, Shared};

/// Which records to list: those that fit every parameter.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of that kind: `decision`, `outcome`, `policies_loaded`, `identity_changed`, …
    kind: Option<String>,
    /// Decisions of that answer: `permit` or `deny`.
    decision: Option<String>,
    /// In sessions of that identity.
    identity: Option<String>,
    /// With `identity`: in the session of that token.
    token: Option<String>,
    /// Decisions about that action.
    action: Option<String>,
    /// Decisions in which that policy was a reason.
    policy: Option<String>,
    /// Caused by that record.
    parent: Option<String>,
    /// Made at that moment or later: RFC 3339 in UTC.
    since: Option<String>,
    /// Made before that moment: RFC 3339 in UTC.
    until: Option<String>,
    /// Of lower sequence numbers than that one: `next_before` of the page before.
    before: Option<u64>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Searches the records, newest first.
#[utoipa::path(
    get,
    path = "/v1/records",
    tag = "Ledger",
    operation_id = "records.query",
    params(Wanted),
    responses(
        (status = 200, description = "A page of records", body = RecordsForm),
        (status = 400, description = "A parameter does not fit", body = ProblemForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 503, description = "The read model cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn query(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<RecordsForm>, Problem> {
    api.admit(&parts, Operation::RecordsQuery)?;
    let query = wanted(page::query(&parts.uri)?)?;
    let limit = query.limit;
    let page = read(&api, move |read| read.query(&query)).await?;
    let full = page.records.len() == limit;
    Ok(Json(RecordsForm {
        next_before: page.records.last().filter(|_| full).map(|record| record.sequence),
        records: page.records.iter().map(RecordForm::try_from).collect::<Result<_, _>>()?,
        read_up_to: page.read_up_to,
    }))
}

fn wanted(wanted: Wanted) -> Result<RecordQuery, Problem> {
    let identity = name("identity", wanted.identity, IdentityId::new)?;
    let token = name("token", wanted.token, TokenId::new)?;
    let session = match (&identity, token) {
        (Some(identity), Some(token)) => Some(SessionKey { identity: identity.clone(), token }),
        (None, Some(_)) => return Err(Problem::invalid("`token` needs `identity`")),
        (_, None) => None,
    };
    let decision = match wanted.decision.as_deref() {
        None => None,
        Some("permit") => Some(Decision::Permit),
        Some("deny") => Some(Decision::Deny),
        Some(_) => return Err(Problem::invalid("`decision` must be `permit` or `deny`")),
    };
    Ok(RecordQuery {
        kind: wanted.kind,
        decision,
        identity,
        session,
        action: name("action", wanted.action, ActionName::new)?,
        policy: name("policy", wanted.policy, PolicyId::new)?,
        parent: name("parent", wanted.parent, RecordId::new)?,
        since: moment("since", wanted.since)?,
        until: moment("until", wanted.until)?,
        before: wanted.before,
        limit: page::limit(wanted.limit)?,
    })
}

fn name<T>(
    what: &str,
    text: Option<String>,
    make: impl Fn(Arc<str>) -> Result<T, NameError>,
) -> Result<Option<T>, Problem> {
    let made = text.map(|text| make(text.into())).transpose();
    made.map_err(|error| Problem::invalid(format!("`{what}`: {error}")))
}

fn moment(what: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let parsed = Timestamp::parse(&text);
    let problem = || {
        Problem::invalid(format!("`{what}` must be RFC 3339 in UTC, like `2026-11-22T03:43:04Z`"))
    };
    parsed.map(Some).ok_or_else(problem)
}

/// Shows one record.
#[utoipa::path(
    get,
    path = "/v1/records/{id}",
    tag = "Ledger",
    operation_id = "records.show",
    params(("id" = String, Path, description = "The record's id; a decision's id is its record's")),
    responses(
        (status = 200, description = "The record", body = OneRecordForm),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 404, description = "No record of that id has been read yet", body = ProblemForm),
        (status = 503, description = "The read model cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<OneRecordForm>, Problem> {
    api.admit(&parts, Operation::RecordsShow)?;
    let record = RecordId::new(id.as_str()).map_err(|_| Problem::not_found("record", &id))?;
    let page = read(&api, move |read| read.record(&record)).await?;
    let found = page.records.first().ok_or_else(|| Problem::not_found("record", &id))?;
    Ok(Json(OneRecordForm { record: found.try_into()?, read_up_to: page.read_up_to }))
}

/// Gives the newest signed checkpoint, to keep elsewhere and to verify against.
#[utoipa::path(
    get,
    path = "/v1/log/checkpoint",
    tag = "Ledger",
    operation_id = "log.checkpoint",
    responses(
        (status = 200, description = "A signed note (C2SP tlog-checkpoint)", body = String, content_type = "text/plain"),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not do this", body = ProblemForm),
        (status = 404, description = "There is none yet", body = ProblemForm),
        (status = 503, description = "It cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn checkpoint(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Response, Problem> {
    api.admit(&parts, Operation::LogCheckpoint)?;
    let note = read(&api, |read| read.checkpoint()).await?;
    let note = note.ok_or_else(|| {
        Problem::new(http::StatusCode::NOT_FOUND, "not_found", "there is no checkpoint yet")
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

/// Reads where a wait for the disk holds up nobody else.
pub(crate) async fn read<T: Send + 'static>(
    api: &Inner,
    question: impl FnOnce(&dyn ReadModel) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    let read = Arc::clone(&api.read);
    match tokio::task::spawn_blocking(move || question(&*read)).await {
        Ok(answer) => Ok(answer?),
        Err(error) => Err(ReadError(error.to_string().into()).into()),
    }
}
