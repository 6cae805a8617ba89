//! Leases: issued to the task that the caller acts in, renewed while it lives.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use safeconduct_model::{Authentication, LeaseId, LeaseState};
use safeconduct_service::{LeaseError, Operation, TaskView};
use safeconduct_wire::admin::{LeaseIssued, LeaseList, LeaseRequest, LeaseView};
use safeconduct_wire::document::read_json;

use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::Unreadable;
use crate::router::{Inner, Shared};

/// Leases a credential at a target for the task that the caller acts in: the grants that its
/// intent names. It ends with the task. The secret is shown in this answer and never again.
#[utoipa::path(
    post,
    path = "/v1/leases",
    tag = "Leases",
    operation_id = "leases.issue",
    params(("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task")),
    request_body = LeaseRequest,
    responses(
        (status = 201, description = "The lease, and its secret this once", body = LeaseIssued<'_>),
        (status = 401, description = "Nobody has proved who they are, or no task of that handle is known", body = ProblemForm),
        (status = 403, description = "The task's intent gives nothing there, or policies in force forbid it, with `decision_id` and `reasons`", body = ProblemForm),
        (status = 404, description = "No such target is configured", body = ProblemForm),
        (status = 409, description = "The caller acts in no task, or it is over", body = ProblemForm),
        Unreadable,
        (status = 502, description = "The target did not issue it; whatever was made is taken back", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many leases", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn issue(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::LeasesIssue).await?;
    let by = api.within_task(&parts.headers, caller.proof)?;
    let LeaseRequest { target, grants } = read_json(&json_bytes(&parts.headers, body).await?)?;
    let by = in_own_task(&api, &by)?;
    let grants: Option<BTreeSet<Arc<str>>> =
        grants.map(|grants| grants.into_iter().map(Arc::from).collect());
    let leased = api.service.lease(by, &target.0, grants.as_ref()).await?;
    let issued = LeaseIssued {
        lease: LeaseView::new(&leased.lease, LeaseState::Issued),
        secret: leased.secret.as_ref().map(|secret| secret.reveal()),
        address: leased.address.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
    };
    let mut response = (StatusCode::CREATED, Json(issued)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Makes a lease of the caller's task last longer: never beyond its most, never past the task.
#[utoipa::path(
    post,
    path = "/v1/leases/{id}/renew",
    tag = "Leases",
    operation_id = "leases.renew",
    params(
        ("id" = String, Path, description = "The lease's id"),
        ("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task"),
    ),
    responses(
        (status = 200, description = "The lease as it now is", body = LeaseView),
        (status = 401, description = "Nobody has proved who they are, or no task of that handle is known", body = ProblemForm),
        (status = 404, description = "The task has no such lease", body = ProblemForm),
        (status = 409, description = "It lasts as long as it may, or the task is over", body = ProblemForm),
        (status = 502, description = "The target did not renew it; it ends when it was to end", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn renew(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<LeaseView>, Problem> {
    let caller = api.admit(&parts, Operation::LeasesRenew).await?;
    let by = api.within_task(&parts.headers, caller.proof)?;
    let id = LeaseId::new(id.as_str()).map_err(|_| Problem::not_found("lease", &id))?;
    let lease = api.service.renew_lease(in_own_task(&api, &by)?, &id).await?;
    Ok(Json(LeaseView::new(&lease, LeaseState::Issued)))
}

/// Lists the leases that are not over. Without the right to `tasks.show` those alone of tasks
/// that the caller acts in.
#[utoipa::path(
    get,
    path = "/v1/leases",
    tag = "Leases",
    operation_id = "leases.list",
    responses(
        (status = 200, description = "The leases", body = LeaseList),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<LeaseList>, Problem> {
    let caller = api.admit(&parts, Operation::LeasesList).await?;
    let all = api.may(&caller, Operation::TasksShow)?;
    let mut leases = api.service.leases(None);
    leases.extend(api.service.token_leases());
    leases.retain(|view| {
        let task = api.service.task(&view.lease.task);
        let is_own = |view: TaskView| {
            view.task.agent == caller.proof.identity && caller.reaches_task(&view.task.id)
        };
        all || task.is_some_and(is_own)
    });
    leases.sort_unstable_by(|a, b| a.lease.id.cmp(&b.lease.id));
    let leases = leases.iter().map(|view| LeaseView::new(&view.lease, view.state)).collect();
    Ok(Json(LeaseList { leases }))
}

/// Someone who acts in a task as its agent: leases are given to no one else.
fn in_own_task<'a>(api: &Inner, by: &'a Authentication) -> Result<&'a Authentication, Problem> {
    if api.service.is_narrowed(by) {
        let detail = "the access token is for less than its task: it gets no leases";
        return Err(Problem::new(StatusCode::FORBIDDEN, "narrowed", detail));
    }
    let task = by.task.as_ref().filter(|task| task.agent == by.identity);
    task.map(|_| by).ok_or_else(|| {
        let detail = "leases are given to tasks: act in one of your own";
        Problem::new(StatusCode::CONFLICT, "no_task", detail)
    })
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        let detail = error.to_string();
        let problem = |status, code| Self::new(status, code, detail.clone());
        match error {
            LeaseError::TaskEnded | LeaseError::Plan(_) => {
                problem(StatusCode::CONFLICT, "task_ended")
            }
            LeaseError::NotInIntent(_) => problem(StatusCode::FORBIDDEN, "outside_intent"),
            LeaseError::Denied { decision, reasons } => Self::decided(&decision, &reasons, detail),
            LeaseError::UnknownTarget(_) => problem(StatusCode::NOT_FOUND, "unknown_target"),
            LeaseError::UnknownLease(_) => problem(StatusCode::NOT_FOUND, "unknown_lease"),
            LeaseError::OverLimit { .. } => problem(StatusCode::INSUFFICIENT_STORAGE, "over_limit"),
            LeaseError::Renewal(_) => problem(StatusCode::CONFLICT, "not_renewed"),
            LeaseError::Naming(_) | LeaseError::Issue(_) | LeaseError::Renew(_) => {
                problem(StatusCode::BAD_GATEWAY, "target")
            }
            LeaseError::Name(_) => Self::invalid(detail),
            LeaseError::Submit(_) | LeaseError::Append(_) | LeaseError::Record(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}
