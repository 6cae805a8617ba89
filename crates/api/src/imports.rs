//! Imports: files of identities that others keep.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Digest, ImportSource, NAME_BYTES_MAX};
use safeconduct_service::{
    Import, ImportError, ImportPlan, ImportView, Operation, Reach, WrongRows,
};
use safeconduct_wire::admin::{
    ImportList, ImportQuery, ImportReport, ImportShown, WRONG_SHOWN_MAX, WrongRow,
};
use safeconduct_wire::document::Written;
use safeconduct_wire::import::{self, IMPORT_BYTES_MAX, ImportForm};
use sha2::{Digest as _, Sha256};

use crate::body::read_within;
use crate::estate::apart;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::router::Shared;

/// Imports the identities of a file, the body, at most 64 MiB: all of them, or, where rows are
/// wrong, none; with `partial` those that are not. Where one has a role or gets one,
/// `identities.change_privileged` is needed.
#[utoipa::path(
    post,
    path = "/v1/imports",
    tag = "Estate",
    operation_id = "imports.run",
    params(ImportQuery),
    request_body(
        content((String = "text/csv"), (String = "application/json"), (String = "application/yaml")),
        description = "The file",
    ),
    responses(
        (status = 200, description = "It is imported, or would be", body = ImportReport),
        Refused,
        Unreadable,
        (status = 409, description = "Another import is under way", body = ProblemForm),
        (status = 422, description = "Rows are wrong, and nothing is imported", body = ImportReport),
        (status = 503, description = "It could not be recorded, or not all of it", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn run(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::ImportsRun).await?;
    let query: ImportQuery = page::query(&parts.uri)?;
    let form = query.form().ok_or_else(|| {
        let known = ImportForm::ALL.map(ImportForm::as_str).join("`, `");
        Problem::invalid(format!("`as` must be one of `{known}`"))
    })?;
    let name = query.name.as_deref().unwrap_or("-");
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Problem::invalid("`name` is no name of a file"));
    }
    let reach = match api.may(&caller, Operation::IdentitiesChangePrivileged)? {
        true => Reach::Privileged,
        false => Reach::Plain,
    };
    let bytes = read_within(body, IMPORT_BYTES_MAX).await?;
    let (service, unsaid, name) = (Arc::clone(&api.service), query.unsaid(), Arc::from(name));
    let plan = apart(move || -> Result<ImportPlan, Problem> {
        let rows = import::read(form, &bytes, &unsaid)
            .map_err(|fault| Problem::invalid(format!("the file cannot be imported: {fault}")))?;
        let digest = Digest::from_bytes(Sha256::digest(&bytes).into());
        let source = source_of(form);
        let import = Import { source, name, digest, bytes: bytes.len() as u64, rows, reach };
        Ok(service.plan_import(import))
    });
    let plan = plan.await??;
    let mut report = report(&plan);
    let refused = !query.partial && report.wrong > 0;
    if refused || query.dry_run {
        let (status, state) = match refused {
            true => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            false => (StatusCode::OK, "checked"),
        };
        report.state = state;
        return Ok((status, Json(report)).into_response());
    }
    // It goes on although the caller hangs up: what began is better done.
    let (service, by) = (Arc::clone(&api.service), caller.proof.identity.clone());
    let import = tokio::spawn(async move { service.import(plan, WrongRows::LeaveOut, &by).await });
    let import = import.await.map_err(|_| Problem::unavailable("the import was cut off"))??;
    report.id = Some(import.id.to_string());
    Ok(Json(report).into_response())
}

/// Lists the newest imports.
#[utoipa::path(
    get,
    path = "/v1/imports",
    tag = "Estate",
    operation_id = "imports.list",
    responses((status = 200, description = "The newest imports", body = ImportList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<ImportList>, Problem> {
    api.admit(&parts, Operation::ImportsList).await?;
    Ok(Json(ImportList { imports: api.service.imports().into_iter().map(shown).collect() }))
}

const fn source_of(form: ImportForm) -> ImportSource {
    match form {
        ImportForm::Csv => ImportSource::Csv,
        ImportForm::Spire => ImportSource::Spire,
        ImportForm::Kubernetes => ImportSource::Kubernetes,
        ImportForm::Oauth => ImportSource::Oauth,
    }
}

fn report(plan: &ImportPlan) -> ImportReport {
    let began = plan.began();
    ImportReport {
        state: "completed",
        id: None,
        source: began.source.as_str(),
        digest: began.digest.to_string(),
        rows: began.rows,
        new: began.new,
        changed: began.changed,
        same: plan.same,
        others: plan.others,
        unowned: plan.unowned,
        orphaned: plan.orphaned,
        wrong: began.wrong,
        wrong_rows: plan.wrong.iter().take(WRONG_SHOWN_MAX).map(WrongRow::from).collect(),
    }
}

fn shown(import: ImportView) -> ImportShown {
    let ImportView { id, record, at, by, began, state } = import;
    ImportShown {
        id: id.to_string(),
        at: Written(at),
        by: by.map(|by| by.to_string()),
        state: state.as_str(),
        source: began.source.as_str(),
        name: began.name.to_string(),
        digest: began.digest.to_string(),
        rows: began.rows,
        new: began.new,
        changed: began.changed,
        wrong: began.wrong,
        record: record.to_string(),
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        let detail = error.to_string();
        match error {
            ImportError::Wrong(_) => Self::invalid(detail),
            ImportError::Busy | ImportError::Meanwhile { .. } => {
                Self::new(StatusCode::CONFLICT, "import_under_way", detail)
            }
            ImportError::Change(error) => error.into(),
            ImportError::Record(_) => Self::unavailable(detail),
        }
    }
}
