//! Access requests: asking people for a call of one's own that was denied, seeing what waits,
//! answering it, waiting for the answer, and taking it back. Reading answers nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{
    Allowance, ArgumentRule, Authentication, Constraint, Entity, IdentityId, Method, Mode,
    RecordId, Subject, Value,
};
use safeconduct_service::{
    AccessExtent, AccessMade, AccessQuery, AccessState, AccessSummary, AccessWord,
    AnswerAccessError, AnswerError, Answering, AnsweringAll, AskAccess, AskAccessError, AskError,
    AskedView, Check, Operation, RevokeAccessError, Service, TakeBackError, Understood,
};
use safeconduct_wire::admin::{
    AccessAskedView, AccessQueryForm, AccessRequestDetail, AccessRequestList, AccessRequestSummary,
    AccessSettledView, AllSettledView, AnswerAllRequest, AnswerRequest, AnswerWord, AskRequest,
    AtMost, Extent, Loosened, OneSettledView, ResourcesWord, TakeBackRequest, WaitForm,
};
use safeconduct_wire::document::{Written, read_json};

use crate::admit::Admitted;
use crate::authzen::resolved;
use crate::body::json_bytes;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::refused::Denied;
use crate::router::{Inner, Shared};
use crate::trace;

mod shown;

pub(crate) use shown::link;

/// Longest wait, in seconds.
const WAIT_S_MAX: u64 = 60;

/// How long is waited where nothing is said, in seconds.
const WAIT_S_DEFAULT: u64 = 30;

/// Most requests that one list looks at for those whom the caller may see.
const LOOKED_AT_MAX: usize = 10_000;

/// Asks people for a call of the caller's own that is denied: in the task that `Safeconduct-Task`
/// names, where there is one. The call is decided once more, and where people may set aside what
/// denies it, they are asked. Whoever asks for the same again is given the same request. Once it is
/// approved, the call itself is made again; it is decided anew then, and the approval is used up.
#[utoipa::path(
    post,
    path = "/v1/access-requests",
    tag = "Access requests",
    operation_id = "access_requests.ask",
    params(("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task that the caller acts in")),
    request_body = AskRequest,
    responses(
        (status = 200, description = "The same was asked before, and stands", body = AccessAskedView),
        (status = 202, description = "People are asked", body = AccessAskedView),
        (status = 401, description = "Nobody has proved who they are, or no task of that handle is known", body = ProblemForm),
        (status = 403, description = "It is denied for reasons that nobody can set aside, with `decision_id` and `reasons`", body = ProblemForm),
        (status = 409, description = "It is permitted as it is, it was refused before, or too few people are left to ask", body = ProblemForm),
        Unreadable,
        (status = 429, description = "Too much is open, or the approvers are asked no oftener", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn ask(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestsAsk).await?;
    let by = api.within_task(&parts.headers, caller.proof.clone())?;
    let body = json_bytes(&parts.headers, body).await?;
    let wanted = AskRequest::read(&body)?;
    drop(body);
    recall(&api, &by).await;
    let pep =
        IdentityId::new("administration").map_err(|error| Problem::invalid(error.to_string()))?;
    let check = Check {
        subject: Subject::Caller(by),
        action: wanted.action,
        resource: wanted.resource.map(|uid| resolved(&caller.world, Entity::bare(uid))),
        input: wanted.arguments,
        asserted: None,
        session_name: None,
        pep,
        mode: Mode::Enforce,
        trace: trace::of(&parts.headers),
        parent: None,
        understood: Understood::LeftToCaller,
        network: parts.extensions.get().copied(),
    };
    let ask = AskAccess { check, justification: wanted.justification };
    let asked = api.service.request_access(ask).await?;
    let status = match asked.made {
        AccessMade::Now => StatusCode::ACCEPTED,
        AccessMade::Before => StatusCode::OK,
    };
    let view = AccessAskedView {
        link: link(&api, &asked.request),
        id: Written(asked.request),
        state: asked.state.as_str().to_owned(),
        answer_by: Written(asked.answer_by),
        decision_id: Written(asked.denial.value().decision().clone()),
    };
    Ok((status, Json(view)).into_response())
}

/// Brings back what is known of a session where that is due, on a thread that may wait for the
/// disk.
pub(crate) async fn recall(api: &Inner, by: &Authentication) {
    if api.service.recall_due(by) {
        let (service, by) = (Arc::clone(&api.service), by.clone());
        // Where that fails, the decision itself does.
        let _ = tokio::task::spawn_blocking(move || service.recall_for(&by)).await;
    }
}

/// Lists access requests, by id; those that ended long ago are in the ledger alone. Without the
/// right to `access_requests.show` those alone that the caller asked, acts in, has answered or may
/// answer. A page may hold fewer than were wanted, and even none, and still say where the next one
/// starts.
#[utoipa::path(
    get,
    path = "/v1/access-requests",
    tag = "Access requests",
    operation_id = "access_requests.list",
    params(AccessQueryForm),
    responses(
        (status = 200, description = "A page of requests", body = AccessRequestList),
        Misasked,
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<AccessRequestList>, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestsList).await?;
    let form: AccessQueryForm = page::query(&parts.uri)?;
    let limit = page::limit(form.limit)?.min(safeconduct_service::ACCESS_PAGE_MAX);
    let state = form.state.as_deref().map(state_of).transpose()?;
    let after = form.after.as_deref().map(RecordId::new).transpose();
    let after = after.map_err(|error| Problem::invalid(error.to_string()))?;
    let all = api.may(&caller, Operation::AccessRequestsShow)?;
    let shared = api.clone();
    // Who owns what is touched may lie on the disk.
    let found = blocking(move || {
        let wanted = AccessQuery {
            state,
            agent: form.agent.as_ref().map(|agent| &agent.0),
            task: form.task.as_ref().map(|task| &task.0),
            answerable_by: form.answerable.unwrap_or_default().then_some(&caller.proof.identity),
            after: after.as_ref(),
            limit,
        };
        match all || wanted.answerable_by.is_some() {
            true => {
                let page = shared.service.access_requests(&wanted);
                (page.requests, page.next)
            }
            false => visible(&shared.service, &caller, wanted),
        }
    });
    let (requests, next) = found.await?;
    let requests = requests.iter().map(|of| shown::summary(&api, of)).collect();
    Ok(Json(AccessRequestList { requests, next: next.map(|id| id.to_string()) }))
}

/// The requests of a page that the caller has a part in.
fn visible(
    service: &Service,
    caller: &Admitted,
    wanted: AccessQuery<'_>,
) -> (Vec<AccessSummary>, Option<RecordId>) {
    let (mut found, mut after, mut looked_at) = (Vec::new(), wanted.after.cloned(), 0);
    loop {
        let limit = safeconduct_service::ACCESS_PAGE_MAX;
        let page = service.access_requests(&AccessQuery { after: after.as_ref(), limit, ..wanted });
        looked_at += page.requests.len();
        let mut more = page.requests.into_iter();
        for request in more.by_ref() {
            let id = request.id.clone();
            if Part::of(service, caller, &request).is_some() {
                found.push(request);
            }
            if found.len() == wanted.limit {
                let more = more.next().is_some() || page.next.is_some();
                return (found, more.then_some(id));
            }
        }
        match page.next {
            Some(next) if looked_at < LOOKED_AT_MAX => after = Some(next),
            next => return (found, next),
        }
    }
}

fn state_of(word: &str) -> Result<AccessState, Problem> {
    AccessState::parse(word).ok_or_else(|| {
        let words = AccessState::ALL.map(AccessState::as_str).join("`, `");
        Problem::invalid(format!(
            "`{word}` is no state of an access request: it is one of `{words}`"
        ))
    })
}

/// Shows a request, with everything that whoever answers must see to those who may answer it or
/// have, and to those with the right to `access_requests.show`; who asked sees what they asked for.
#[utoipa::path(
    get,
    path = "/v1/access-requests/{id}",
    tag = "Access requests",
    operation_id = "access_requests.show",
    params(("id" = String, Path, description = "The request's id")),
    responses(
        (status = 200, description = "The request", body = AccessRequestDetail),
        Refused,
        (status = 404, description = "No such request is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<AccessRequestDetail>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let (request, part) = found(&api, &caller, &id, Operation::AccessRequestsShow).await?;
    let judges = part == Some(Part::Approver) || api.may(&caller, Operation::AccessRequestsShow)?;
    let (shared, id) = (api.clone(), request.id.clone());
    let detail = blocking(move || {
        let view = shared.service.access_request(&id)?;
        let may = shared.service.may_answer_access(&id, &caller.proof.identity);
        let may = may.unwrap_or(Err(AnswerError::Closed(view.summary.state)));
        Some(shown::detail(&shared, &view, judges, may))
    });
    let detail = detail.await?;
    detail.map(Json).ok_or_else(|| Problem::not_found("access request", request.id.as_str()))
}

/// Waits until a request no longer stands as the caller saw it, or until the time is over, and
/// says how it stands. Nothing depends on the wait: whoever asked may come back hours later, in
/// another process. A request whose time is over is answered as such.
#[utoipa::path(
    get,
    path = "/v1/access-requests/{id}/wait",
    tag = "Access requests",
    operation_id = "access_requests.wait",
    params(("id" = String, Path, description = "The request's id"), WaitForm),
    responses(
        (status = 200, description = "How it stands now; as before where the time was over first", body = AccessRequestSummary),
        Misasked,
        Refused,
        (status = 404, description = "No such request is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn wait(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<AccessRequestSummary>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let (request, _) = found(&api, &caller, &id, Operation::AccessRequestsWait).await?;
    let WaitForm { state, seconds } = page::query(&parts.uri)?;
    let seen = state.as_deref().map_or(Ok(AccessState::Pending), state_of)?;
    let seconds = match seconds.unwrap_or(WAIT_S_DEFAULT) {
        seconds @ 1..=WAIT_S_MAX => seconds,
        _ => return Err(Problem::invalid(format!("`seconds` must be 1 to {WAIT_S_MAX}"))),
    };
    let mut stopping = api.stopping.subscribe();
    tokio::select! {
        _ = api.service.wait_for_access(&request.id, seen) => {}
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    let now = api.service.access_summary(&request.id).unwrap_or(request);
    Ok(Json(shown::summary(&api, &now)))
}

/// Answers a request. An approval counts where the policy names the caller, they have proved who
/// they are as well as it takes, and the digest is of what is asked; a refusal is for good. Where
/// a passkey is needed, the request's `link` leads to the page that takes one.
#[utoipa::path(
    post,
    path = "/v1/access-requests/{id}/answer",
    tag = "Access requests",
    operation_id = "access_requests.answer",
    params(("id" = String, Path, description = "The request's id")),
    request_body = AnswerRequest,
    responses(
        (status = 200, description = "It counts, and is recorded", body = AccessSettledView),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller may not answer it, or must use a passkey (`needs_passkey`); the refusal is recorded", body = ProblemForm),
        (status = 409, description = "It takes no answer any more, the caller has answered, or the digest is of something else", body = ProblemForm),
        (status = 422, description = "What would be approved cannot be", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn answer(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<AccessSettledView>, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestsAnswer).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let wanted = AnswerRequest::read(&body)?;
    let denied =
        || Denied { proof: caller.proof.clone(), operation: Operation::AccessRequestsAnswer };
    let request = RecordId::new(id.as_str()).map_err(|_| nobodys(&id, denied()))?;
    let word = match wanted.word {
        AnswerWord::Refuse(reason) => AccessWord::Refuse { reason },
        AnswerWord::Approve(extent) => {
            let (shared, of, proof) = (api.clone(), request.clone(), caller.proof.clone());
            let other = wanted.standing_in_for.clone();
            // Of what was asked nothing is said, not even of bounds that do not fit it, to whoever
            // may not answer.
            let takes = move || shared.service.takes_answer_of(&of, &proof, other.as_ref());
            let takes = blocking(takes).await?;
            takes.map_err(|error| not_answered(&api, Some(&request), error, denied()))?;
            AccessWord::Approve(extent_of(&api, &request, extent).await?)
        }
    };
    let answering = Answering {
        request: request.clone(),
        by: caller.proof.clone(),
        standing_in_for: wanted.standing_in_for,
        word,
        shown: wanted.digest,
    };
    let settled = api.service.answer_access(answering).await;
    let settled = settled.map_err(|error| not_answered(&api, Some(&request), error, denied()))?;
    let state = settled.state.as_str().to_owned();
    Ok(Json(AccessSettledView { id: Written(settled.request), state }))
}

/// How far a yes reaches, in the service's terms.
async fn extent_of(api: &Shared, id: &RecordId, extent: Extent) -> Result<AccessExtent, Problem> {
    let (uses, until, loosened) = match extent {
        Extent::Once => return Ok(AccessExtent::Once),
        Extent::Edited(AtMost(edits)) => {
            let edits = edits.into_iter().map(|(at, most)| AskedView::at_most(at, most));
            return Ok(AccessExtent::Lowered(edits.collect()));
        }
        Extent::Task { uses, loosened } => (uses, None, loosened),
        Extent::Until { uses, until, loosened } => (uses, Some(until), loosened),
    };
    let (shared, request) = (api.clone(), id.clone());
    let view = blocking(move || shared.service.access_request(&request)).await?;
    // What was erased can only be refused, which the answer itself says.
    let Some((asked, summary)) = view.and_then(|view| Some((view.asked?, view.summary))) else {
        return Ok(AccessExtent::Once);
    };
    let mut bounds = asked.bounds(&summary);
    loosen(&mut bounds, loosened)?;
    Ok(match until {
        None => AccessExtent::Task { bounds, uses },
        Some(until) => AccessExtent::Until { bounds, uses, until },
    })
}

/// Lets go of what may differ from use to use.
fn loosen(bounds: &mut Allowance<Value>, loosened: Loosened) -> Result<(), Problem> {
    for (pointer, most) in loosened.at_most.0 {
        let rule = rule_at(bounds, &pointer)?;
        // From 0 on: "at most 100" lets no negative amount through.
        let least = Constraint::AtLeast(Value::Integer(0));
        let least = ArgumentRule { constraint: least, ..rule.clone() };
        rule.constraint = Constraint::AtMost(most);
        bounds.arguments.push(least);
    }
    for (pointer, constraint) in loosened.within {
        let rule = rule_at(bounds, &pointer)?;
        rule.constraint = match (constraint, &rule.constraint) {
            (Constraint::OneOf(mut choices), Constraint::Equals(asked)) => {
                if !choices.contains(asked) {
                    choices.push(asked.clone());
                }
                Constraint::OneOf(choices)
            }
            (constraint, _) => constraint,
        };
    }
    if loosened.resources == ResourcesWord::OfType {
        bounds.resources.iter_mut().for_each(|rule| rule.id = None);
    }
    Ok(())
}

fn rule_at<'a>(
    bounds: &'a mut Allowance<Value>,
    pointer: &str,
) -> Result<&'a mut ArgumentRule<Value>, Problem> {
    let rule = bounds.arguments.iter_mut().find(|rule| *rule.pointer == *pointer);
    rule.ok_or_else(|| {
        let detail = format!("no argument of its own stands at `{pointer}`");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "scope", detail)
    })
}

/// Answers several requests at once that are listed together under `evidence.group`: each is
/// approved once and exactly as it was shown, or refused.
#[utoipa::path(
    post,
    path = "/v1/access-requests/answers",
    tag = "Access requests",
    operation_id = "access_requests.answer_all",
    request_body = AnswerAllRequest,
    responses(
        (status = 200, description = "What came of each", body = AllSettledView),
        Refused,
        Unreadable,
        (status = 503, description = "They could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn answer_all(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Json<AllSettledView>, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestsAnswerAll).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let wanted: AnswerAllRequest = read_json(&body)?;
    let answering = AnsweringAll {
        requests: wanted.requests.into_iter().map(|one| (one.id.0, one.digest.0)).collect(),
        by: caller.proof.clone(),
        standing_in_for: wanted.standing_in_for.map(|of| of.0),
        refuse: wanted.refuse.map(|refuse| refuse.reason.into()),
    };
    let settled = api.service.answer_all_access(answering).await.map_err(|error| {
        let operation = Operation::AccessRequestsAnswerAll;
        let denied = Denied { proof: caller.proof.clone(), operation };
        not_answered(&api, None, error, denied)
    })?;
    let one = |(id, result): (RecordId, Result<_, AnswerAccessError>)| {
        let (state, problem) = match result {
            Ok(safeconduct_service::AccessSettled { state, .. }) => {
                (Some(state.as_str().to_owned()), None)
            }
            Err(error) => (None, Some(words(&error, &id, &caller.proof.identity))),
        };
        OneSettledView { id: Written(id), state, problem }
    };
    Ok(Json(AllSettledView { requests: settled.into_iter().map(one).collect() }))
}

/// Takes a request back, or what it gave. Who asked, who may answer it, and those with the right
/// to `access_requests.revoke` may.
#[utoipa::path(
    post,
    path = "/v1/access-requests/{id}/revoke",
    tag = "Access requests",
    operation_id = "access_requests.revoke",
    params(("id" = String, Path, description = "The request's id")),
    request_body = TakeBackRequest,
    responses(
        (status = 200, description = "Nothing more comes of it, and that is recorded", body = AccessSettledView),
        Refused,
        (status = 404, description = "No such request is known", body = ProblemForm),
        (status = 409, description = "It has ended already", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn revoke(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<AccessSettledView>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let (request, _) = found(&api, &caller, &id, Operation::AccessRequestsRevoke).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let TakeBackRequest { reason } = read_json(&body)?;
    api.service.revoke_access(&request.id, &caller.proof.identity, reason.into()).await?;
    let state = AccessState::Revoked.as_str().to_owned();
    Ok(Json(AccessSettledView { id: Written(request.id), state }))
}

/// What someone has to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// They asked, or act in it.
    Asker,
    /// They may answer it now, or have.
    Approver,
}

impl Part {
    fn of(service: &Service, caller: &Admitted, request: &AccessSummary) -> Option<Self> {
        let identity = &caller.proof.identity;
        if request.asked_by == *identity || request.actors.contains(identity) {
            let own = caller.proof.method != Method::AccessToken
                || request.task.as_ref().is_some_and(|task| caller.reaches_task(task));
            return own.then_some(Self::Asker);
        }
        // What is done within a task is no person's answer.
        let person = caller.proof.method != Method::AccessToken;
        let answered = request.answers.iter().any(|answer| answer.by == *identity);
        let may = || matches!(service.may_answer_access(&request.id, identity), Some(Ok(())));
        (person && (answered || may())).then_some(Self::Approver)
    }
}

/// A request, and the caller's part in it. Those without one need a right, and without that they
/// do not learn whether there is such a request.
async fn found(
    api: &Shared,
    caller: &Admitted,
    id: &str,
    operation: Operation,
) -> Result<(AccessSummary, Option<Part>), Problem> {
    let known = RecordId::new(id).ok().and_then(|id| api.service.access_summary(&id));
    let part = match &known {
        None => None,
        Some(known) => {
            let admitted =
                Admitted { proof: caller.proof.clone(), world: Arc::clone(&caller.world) };
            let (shared, known) = (api.clone(), known.clone());
            blocking(move || Part::of(&shared.service, &admitted, &known)).await?
        }
    };
    if part.is_none() {
        api.authorize(caller, operation)?;
    }
    known.map(|known| (known, part)).ok_or_else(|| Problem::not_found("access request", id))
}

/// Reads where a wait for the disk holds up nobody else.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Problem::unavailable(error.to_string()))
}

impl From<AskAccessError> for Problem {
    fn from(error: AskAccessError) -> Self {
        let detail = error.to_string();
        let problem = |status, code| Self::new(status, code, detail.clone());
        match error {
            AskAccessError::NotNeeded => problem(StatusCode::CONFLICT, "not_needed"),
            AskAccessError::NotRequestable { denial } => {
                let outcome = &denial.value().outcome;
                Self::decided(&outcome.record.id, &outcome.reasons, detail)
            }
            AskAccessError::Justification { .. } => Self::invalid(detail),
            AskAccessError::Unrecorded(_) => Self::not_recorded(&detail),
            AskAccessError::Refused(error) => match error {
                AskError::Repeat { .. } => problem(StatusCode::CONFLICT, "refused_before"),
                AskError::Taken(_) => Self::not_recorded(&detail),
                AskError::TooManyOfTask | AskError::TooMany => {
                    problem(StatusCode::TOO_MANY_REQUESTS, "too_many_open")
                }
                AskError::ApproversBusy { .. } => {
                    problem(StatusCode::TOO_MANY_REQUESTS, "approvers_busy")
                }
                AskError::Open(_) => problem(StatusCode::CONFLICT, "nobody_to_ask"),
            },
        }
    }
}

impl From<RevokeAccessError> for Problem {
    fn from(error: RevokeAccessError) -> Self {
        let detail = error.to_string();
        match error {
            RevokeAccessError::Unknown(id) => Self::not_found("access request", id.as_str()),
            RevokeAccessError::Revoke(TakeBackError::Reason) => Self::invalid(detail),
            RevokeAccessError::Revoke(TakeBackError::Final(_)) => {
                Self::new(StatusCode::CONFLICT, "closed", detail)
            }
            RevokeAccessError::Submit(_)
            | RevokeAccessError::Append(_)
            | RevokeAccessError::Record(_) => Self::not_recorded(&detail),
        }
    }
}

/// Nobody learns from an answer whether there is a request that they may not answer.
fn nobodys(id: &str, denied: Denied) -> Problem {
    let detail = format!("`{id}` is no access request that `{}` may answer", denied.proof.identity);
    Problem::refused(denied, "not_an_approver", detail)
}

/// Whether that says that there is a request to somebody who has no part in it.
fn is_nobodys(error: &AnswerAccessError, by: &IdentityId) -> bool {
    let AnswerAccessError::Answer(error) = error else {
        return matches!(error, AnswerAccessError::Unknown(_));
    };
    match error {
        AnswerError::NotNamed { .. } | AnswerError::Interested(_) | AnswerError::NoDeputies => true,
        // Whom they stand in for has a part, and they have none.
        AnswerError::OwnRequest(of) | AnswerError::Twice(of) => of != by,
        _ => false,
    }
}

fn words(error: &AnswerAccessError, id: &RecordId, by: &IdentityId) -> String {
    match error {
        error if is_nobodys(error, by) => {
            format!("`{id}` is no access request that you may answer")
        }
        AnswerAccessError::NotRecorded(error) => {
            tracing::error!(%error, "an answer could not be recorded");
            "the answer could not be recorded, so it does not count".to_owned()
        }
        error => error.to_string(),
    }
}

/// Where a passkey is taken, or why nowhere.
pub(crate) fn on_page(api: &Inner, detail: &str, page: Option<&str>) -> String {
    match (page, api.pages.get()) {
        (Some(page), _) => format!("{detail}, on {page}"),
        (None, Some(pages)) => format!("{detail}, on {pages}/approve"),
        (None, None) => format!(
            "{detail}: a passkey is taken on a page, and this server has none until `sign_in:` \
             stands in its configuration"
        ),
    }
}

fn not_answered(
    api: &Inner,
    id: Option<&RecordId>,
    error: AnswerAccessError,
    denied: Denied,
) -> Problem {
    let detail = error.to_string();
    let conflict = |code| Problem::new(StatusCode::CONFLICT, code, detail.clone());
    if is_nobodys(&error, &denied.proof.identity) {
        return nobodys(id.map_or("these", RecordId::as_str), denied);
    }
    match error {
        AnswerAccessError::Unknown(_)
        | AnswerAccessError::NotAPerson(_)
        | AnswerAccessError::NotADeputy { .. }
        | AnswerAccessError::Answer(
            AnswerError::NotNamed { .. }
            | AnswerError::OwnRequest(_)
            | AnswerError::Interested(_)
            | AnswerError::NoDeputies,
        ) => Problem::refused(denied, "not_an_approver", detail),
        AnswerAccessError::Answer(AnswerError::Assurance { .. }) => {
            let page = id.and_then(|id| link(api, id));
            let detail = on_page(api, &detail, page.as_deref());
            Problem::refused(denied, "needs_passkey", detail)
        }
        AnswerAccessError::CredentialEnded => Problem::unauthenticated(),
        AnswerAccessError::Erased(_) => conflict("erased"),
        AnswerAccessError::Answer(AnswerError::Closed(_)) => conflict("closed"),
        AnswerAccessError::Answer(AnswerError::Twice(_)) => conflict("answered"),
        AnswerAccessError::Answer(AnswerError::Shown(_)) => conflict("shown_otherwise"),
        AnswerAccessError::Answer(AnswerError::OtherScope) => conflict("other_scope"),
        AnswerAccessError::Group(_) => conflict("not_of_group"),
        AnswerAccessError::Answer(AnswerError::Scope(_)) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "scope", detail)
        }
        AnswerAccessError::Edit(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "edit", detail)
        }
        AnswerAccessError::Answer(AnswerError::Reason) | AnswerAccessError::TooMany => {
            Problem::invalid(detail)
        }
        AnswerAccessError::Contended => Problem::unavailable(detail),
        AnswerAccessError::NotRecorded(_) => Problem::not_recorded(&detail),
    }
}
