//! The ledger's records, read from the read model.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use safeconduct_model::{RecordId, SessionKey};
use safeconduct_service::{Operation, ReadError, ReadModel, ReadRecord, RecordQuery};
use safeconduct_wire::admin::{OneRecord, RecordPage, RecordQueryForm, RecordView};

use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused};
use crate::router::{Inner, Shared};

/// Searches the records, newest first.
#[utoipa::path(
    get,
    path = "/v1/records",
    tag = "Ledger",
    operation_id = "records.query",
    params(RecordQueryForm),
    responses(
        (status = 200, description = "A page of records", body = RecordPage),
        Misasked,
        Refused,
        (status = 503, description = "The read model cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn query(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<RecordPage>, Problem> {
    api.admit(&parts, Operation::RecordsQuery).await?;
    let query = wanted(page::query(&parts.uri)?)?;
    let limit = query.limit;
    let page = read(&api, move |read| read.query(&query)).await?;
    let full = page.records.len() == limit;
    Ok(Json(RecordPage {
        next_before: page.records.last().filter(|_| full).map(|record| record.sequence),
        records: page.records.iter().map(view).collect::<Result<_, _>>()?,
        read_up_to: page.read_up_to,
    }))
}

fn wanted(form: RecordQueryForm) -> Result<RecordQuery, Problem> {
    let identity = form.identity.map(|identity| identity.0);
    let session = match (&identity, form.token) {
        (Some(identity), Some(token)) => {
            Some(SessionKey { identity: identity.clone(), scope: token.0 })
        }
        (None, Some(_)) => return Err(Problem::invalid("`token` needs `identity`")),
        (_, None) => None,
    };
    Ok(RecordQuery {
        kind: form.kind,
        decision: form.decision.map(|decision| decision.0),
        identity,
        session,
        action: form.action.map(|action| action.0),
        policy: form.policy.map(|policy| policy.0),
        parent: form.parent.map(|parent| parent.0),
        since: form.since.map(|since| since.0),
        until: form.until.map(|until| until.0),
        before: form.before,
        limit: page::limit(form.limit)?,
    })
}

fn view(read: &ReadRecord) -> Result<RecordView, Problem> {
    RecordView::new(read.sequence, &read.leaf).map_err(|error| {
        tracing::error!(%error, sequence = read.sequence, "the read model holds a leaf that is not JSON");
        Problem::unavailable("a record of the read model cannot be shown; rebuild it")
    })
}

/// Shows one record.
#[utoipa::path(
    get,
    path = "/v1/records/{id}",
    tag = "Ledger",
    operation_id = "records.show",
    params(("id" = String, Path, description = "The record's id; a decision's id is its record's")),
    responses(
        (status = 200, description = "The record", body = OneRecord),
        Refused,
        (status = 404, description = "No record of that id has been read yet", body = ProblemForm),
        (status = 503, description = "The read model cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<OneRecord>, Problem> {
    api.admit(&parts, Operation::RecordsShow).await?;
    let record = RecordId::new(id.as_str()).map_err(|_| Problem::not_found("record", &id))?;
    let page = read(&api, move |read| read.record(&record)).await?;
    let found = page.records.first().ok_or_else(|| Problem::not_found("record", &id))?;
    Ok(Json(OneRecord { record: view(found)?, read_up_to: page.read_up_to }))
}

/// Gives the newest signed checkpoint, to keep elsewhere and to verify against.
#[utoipa::path(
    get,
    path = "/v1/log/checkpoint",
    tag = "Ledger",
    operation_id = "log.checkpoint",
    responses(
        (status = 200, description = "A signed note (C2SP tlog-checkpoint)", body = String, content_type = "text/plain"),
        Refused,
        (status = 404, description = "There is none yet", body = ProblemForm),
        (status = 503, description = "It cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn checkpoint(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Response, Problem> {
    api.admit(&parts, Operation::LogCheckpoint).await?;
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
