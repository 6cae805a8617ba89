//! Tasks: begun by the policies in force, shown to those who have a part in them, ended at once.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use safeconduct_model::{Authentication, Digest, IdentityId, SessionKey, Task, TaskId};
use safeconduct_service::{
    BeginError, Ending, Narrowed, OnBehalf, Operation, Run, TaskPage, TaskQuery, TaskView,
    Undertaking,
};
use safeconduct_wire::admin::{
    EndRequest, ForWhom, MandateView, RequestedTask, RequestedWork, Shown, TaskBegun, TaskDetail,
    TaskEnded, TaskList, TaskQueryForm, TaskRequest, TaskSummary, UsedView,
};
use safeconduct_wire::document::read_json;

use crate::admit::Admitted;
use crate::body::json_bytes;
use crate::handle;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::refused::Denied;
use crate::router::{Inner, Shared};
use crate::trace;

/// What a task that was ended without a word ended for.
const NO_REASON: &str = "ended by request";

/// Begins a task, or, within the task that `Safeconduct-Task` names, a child of it. Whether it
/// begins is decided by the policies in force: action `undertake` on the intent. The handle is
/// shown in this answer and never again.
#[utoipa::path(
    post,
    path = "/v1/tasks",
    tag = "Tasks",
    operation_id = "tasks.begin",
    params(("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task that this one is delegated from")),
    request_body = TaskRequest,
    responses(
        (status = 201, description = "The task, and its handle this once", body = TaskBegun<'_>),
        (status = 401, description = "Nobody has proved who they are, or no task of that handle is known", body = ProblemForm),
        (status = 403, description = "Policies in force say no, with `decision_id` and `reasons`; or the agent may not undertake the intent, the caller may not begin its tasks, or the user has not said so", body = ProblemForm),
        (status = 404, description = "No such intent or identity is known, or no such schedule of the caller's", body = ProblemForm),
        (status = 409, description = "The task that it is begun in is over, the session has a task already, or the schedule has as many runs as it may", body = ProblemForm),
        (status = 422, description = "The parameters do not fit the intent, nobody is named for whom, or it would be wider than what it comes from", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many tasks", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn begin(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::TasksBegin).await?;
    let by = api.within_task(&parts.headers, caller.proof.clone())?;
    let body = json_bytes(&parts.headers, body).await?;
    let wanted = TaskRequest::read(&body)?;
    drop(body);
    let handle = handle::generate().map_err(|error| Problem::unavailable(error.to_string()))?;
    let begun = async {
        let mut undertaking = undertaking(&api, by, handle.digest(), wanted).await?;
        undertaking.trace = trace::of(&parts.headers);
        Ok(api.service.begin_task(undertaking).await?)
    };
    let task = begun.await.map_err(|problem| match problem {
        BeginProblem::Asked(problem) => problem,
        BeginProblem::Begin(error) => not_begun(&caller.proof, error),
    })?;
    let begun = TaskBegun::new(&task, handle.reveal());
    let mut response = (StatusCode::CREATED, Json(begun)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn undertaking(
    api: &Inner,
    by: Authentication,
    handle: Digest,
    wanted: RequestedTask,
) -> Result<Undertaking, BeginProblem> {
    let pep =
        IdentityId::new("administration").map_err(|error| Problem::invalid(error.to_string()))?;
    let intent = match wanted.work {
        RequestedWork::RunOf(of) => {
            return Ok(api.service.run(Run { of, by, handle, pep, trace: None })?);
        }
        RequestedWork::Intent(intent) => intent,
    };
    let on_behalf_of = match wanted.on_behalf_of {
        None => None,
        Some(ForWhom::Delegated(user)) => Some(OnBehalf::Delegated(user)),
        Some(ForWhom::Token(token)) => Some(OnBehalf::Proved(user_of(api, &token.0).await?)),
    };
    Ok(Undertaking {
        agent: wanted.agent.unwrap_or_else(|| by.identity.clone()),
        by,
        intent,
        version: wanted.version,
        parameters: wanted.parameters,
        prompt: wanted.prompt.map(|prompt| prompt.0.into()),
        on_behalf_of,
        narrowed: Narrowed {
            allowances: wanted.envelope,
            budget: wanted.budget,
            seconds: wanted.seconds,
            depth: wanted.depth,
            tier_max: wanted.tier_max,
            credentials: wanted.credentials,
        },
        handle: Some(handle),
        conversation: None,
        run_of: None,
        pep,
        trace: None,
    })
}

/// Why nothing begins: what was asked, or what came of it.
enum BeginProblem {
    Asked(Problem),
    Begin(BeginError),
}

impl From<Problem> for BeginProblem {
    fn from(problem: Problem) -> Self {
        Self::Asked(problem)
    }
}

impl From<BeginError> for BeginProblem {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

/// The user that a token proves to be there.
async fn user_of(api: &Inner, token: &str) -> Result<Authentication, Problem> {
    api.service.authenticate_user(token).await.map_err(|_| {
        let detail = "the token of `on_behalf_of` is none of an active user";
        Problem::new(StatusCode::FORBIDDEN, "unproved_user", detail)
    })
}

fn not_begun(proof: &Authentication, error: BeginError) -> Problem {
    let detail = error.to_string();
    let refused = |code| {
        let denied = Denied { proof: proof.clone(), operation: Operation::TasksBegin };
        Problem::refused(denied, code, error.to_string())
    };
    let problem = |status, code| Problem::new(status, code, error.to_string());
    match &error {
        BeginError::UnknownIntent(_) => problem(StatusCode::NOT_FOUND, "unknown_intent"),
        BeginError::UnknownIdentity(_) => problem(StatusCode::NOT_FOUND, "unknown_identity"),
        BeginError::NotAnUndertaker { .. } => refused("not_an_undertaker"),
        BeginError::NotAllowed { .. } => refused("not_allowed"),
        BeginError::NotDelegated { .. } => refused("not_delegated"),
        BeginError::Parameters(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "parameters"),
        BeginError::Prompt { .. } => problem(StatusCode::UNPROCESSABLE_ENTITY, "prompt"),
        BeginError::NoUser(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "no_user"),
        BeginError::NotForUsers(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "not_for_users"),
        BeginError::Wider(_) => problem(StatusCode::UNPROCESSABLE_ENTITY, "wider"),
        BeginError::NoTime => problem(StatusCode::UNPROCESSABLE_ENTITY, "no_time"),
        BeginError::Stopped => refused("killed"),
        BeginError::NotActive(_) => refused("identity_not_active"),
        BeginError::ParentEnded => problem(StatusCode::CONFLICT, "parent_ended"),
        BeginError::Attached(_) => problem(StatusCode::CONFLICT, "attached"),
        BeginError::UnknownSchedule(_) => problem(StatusCode::NOT_FOUND, "unknown_schedule"),
        BeginError::Running { .. } => problem(StatusCode::CONFLICT, "already_running"),
        BeginError::Denied { ruling, .. } => {
            let outcome = &ruling.value().outcome;
            Problem::decided(&outcome.record.id, &outcome.reasons, detail)
        }
        BeginError::OverLimit { .. } => problem(StatusCode::INSUFFICIENT_STORAGE, "over_limit"),
        BeginError::Contended => Problem::unavailable(detail),
        BeginError::Name(_) => Problem::invalid(detail),
        BeginError::Unrecorded(_)
        | BeginError::Submit(_)
        | BeginError::Append(_)
        | BeginError::Record(_) => Problem::not_recorded(&detail),
    }
}

/// Lists tasks, by id; the ended ones that are remembered included. Without the right to
/// `tasks.show` those alone that the caller acts in, began, or is acted for in. A page may hold
/// fewer tasks than were wanted, and even none, and still say where the next one starts.
#[utoipa::path(
    get,
    path = "/v1/tasks",
    tag = "Tasks",
    operation_id = "tasks.list",
    params(TaskQueryForm),
    responses(
        (status = 200, description = "A page of tasks", body = TaskList),
        Misasked,
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<TaskList>, Problem> {
    let caller = api.admit(&parts, Operation::TasksList).await?;
    let TaskQueryForm { state, agent, intent, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let all = api.may(&caller, Operation::TasksShow)?;
    let wanted = TaskQuery {
        state: state.map(|state| state.0),
        agent: agent.as_ref().map(|agent| &agent.0),
        intent: intent.as_ref().map(|intent| &intent.0),
        concerns: (!all).then_some(&caller.proof.identity),
        after: after.as_deref(),
    };
    let fits = |task: &Task| all || caller.reaches_task(&task.id);
    let TaskPage { tasks, next } = api.service.tasks(&wanted, limit, fits);
    let tasks = tasks.iter().map(|view| TaskSummary::new(&view.task, view.state)).collect();
    Ok(Json(TaskList { tasks, next: next.map(|id| id.to_string()) }))
}

/// Shows a task, its budget, and what of that was used. The agent, who began it, and those with
/// the right to `tasks.show` see what may be done in it too.
#[utoipa::path(
    get,
    path = "/v1/tasks/{id}",
    tag = "Tasks",
    operation_id = "tasks.show",
    params(("id" = String, Path, description = "The task's id")),
    responses(
        (status = 200, description = "The task", body = TaskDetail),
        Refused,
        (status = 404, description = "No such task is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<TaskDetail>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let (TaskView { task, state }, part) = found(&api, &caller, &id, Operation::TasksShow)?;
    let whole =
        part.is_none_or(|part| part != Part::User) || api.may(&caller, Operation::TasksShow)?;
    let mandate = whole.then(|| api.service.mandate(&task.id)).flatten();
    let prompt = mandate.as_ref().and_then(|_| api.service.prompt(&task.id));
    let prompt = prompt.map(|prompt| prompt.text);
    let used = used(&api, &task);
    Ok(Json(TaskDetail {
        task: TaskSummary::new(&task, state),
        budget: Shown::budget(&task.budget),
        calls_left: task.budget.calls.saturating_sub(used.calls),
        used,
        mandate: mandate.map(|mandate| MandateView::new(&task, &mandate, prompt.as_deref())),
    }))
}

fn used(api: &Inner, task: &Task) -> UsedView {
    let key = SessionKey::task(task.agent.clone(), task.id.clone());
    let session = api.service.session(&key);
    let used = session.as_ref().and_then(|view| view.session.used()).map(|used| UsedView {
        calls: used.calls(),
        calls_of: task
            .budget
            .calls_of
            .keys()
            .map(|action| (action.to_string(), used.calls_of(action)))
            .collect(),
        spend: used.spend().to_string(),
        distinct_resources: used.resources(),
        bytes_out: used.bytes_out(),
    });
    used.unwrap_or_default()
}

/// Ends a task with everything under it, from this moment and at every connection. The agent,
/// who began it and the user for whom it acts may; others need the right to `tasks.end`.
#[utoipa::path(
    post,
    path = "/v1/tasks/{id}/end",
    tag = "Tasks",
    operation_id = "tasks.end",
    params(("id" = String, Path, description = "The task's id")),
    request_body = EndRequest,
    responses(
        (status = 200, description = "It has ended, and that is recorded", body = TaskEnded),
        Refused,
        (status = 404, description = "No such task is known", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<TaskEnded>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let (view, _) = found(&api, &caller, &id, Operation::TasksEnd)?;
    let body = json_bytes(&parts.headers, body).await?;
    let EndRequest { state, reason } = read_json(&body)?;
    let ending = Ending {
        state: state.into(),
        by: Some(caller.proof.identity),
        reason: reason.map_or_else(|| Arc::from(NO_REASON), Arc::from),
    };
    let ended = api.service.end_task(&view.task.id, ending).await?;
    let now = api.service.task(&view.task.id).map_or(view.state, |view| view.state);
    Ok(Json(TaskEnded::new(now, ended.len())))
}

/// What someone has to do with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// They act in it.
    Agent,
    /// They began it.
    Beginner,
    /// It is for them.
    User,
}

impl Part {
    fn of(task: &Task, caller: &Admitted) -> Option<Self> {
        let identity = &caller.proof.identity;
        if !caller.reaches_task(&task.id) {
            None
        } else if task.agent == *identity {
            Some(Self::Agent)
        } else if task.begun_by == *identity {
            Some(Self::Beginner)
        } else {
            (task.on_behalf_of.as_ref() == Some(identity)).then_some(Self::User)
        }
    }
}

/// A task, and the caller's part in it. Those without one need a right, and without that they do
/// not learn whether there is such a task.
fn found(
    api: &Inner,
    caller: &Admitted,
    id: &str,
    operation: Operation,
) -> Result<(TaskView, Option<Part>), Problem> {
    let view = TaskId::new(id).ok().and_then(|id| api.service.task(&id));
    let part = view.as_ref().and_then(|view| Part::of(&view.task, caller));
    if part.is_none() {
        api.authorize(caller, operation)?;
    }
    view.map(|view| (view, part)).ok_or_else(|| Problem::not_found("task", id))
}
