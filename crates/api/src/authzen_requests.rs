//! Requesting what was denied, for enforcement points: the Access Request and Approval Profile of
//! AuthZEN, as its draft has it. The one who asked about it names the Deny; what is approved is no
//! grant, and the question is asked again.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use safeconduct_model::{EntityRef, RecordId, Subject, Timestamp, Value};
use safeconduct_service::{
    AccessMade, AccessState, AccessSummary, AskAccess, AskAccessError, AskError, Check, Operation,
    RevokeAccessError,
};
use safeconduct_wire::authzen::{
    ApprovalHandle, AuthzenError, RequestAnswer, RequestLinks, RequestResult, RequestTask,
    Submission, take_approval,
};
use safeconduct_wire::document::Written;
use safeconduct_wire::json;

use crate::access_requests::link;
use crate::admit::Admitted;
use crate::authzen::{Asker, DENIAL_NAMED_MS, asker, check};
use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::records;
use crate::refusals::{Refused, Unreadable};
use crate::router::{Inner, Shared};

/// After how many seconds a status is worth asking for again.
const RETRY_S: HeaderValue = HeaderValue::from_static("5");

/// How long a Deny is waited for that the read model has not read yet.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// What is taken back without a word, for the record.
const CANCELLED: &str = "cancelled by its enforcement point";

/// Requests what was denied. The Deny must be one of the caller's own, on the same subject, action
/// and resource, and not older than 15 minutes. Whoever requests the same again, with whatever
/// `Idempotency-Key`, is given the request that stands.
#[utoipa::path(
    post,
    path = "/access/v1/request",
    tag = "AuthZEN",
    operation_id = "access.request",
    request_body(content = Object, description = "`subject`, `action`, `resource`, `context?` as they were denied, and `denial.evaluation_id`. `items` and `callback` are not offered", content_type = "application/json"),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: the same request is made once"),
        ("Safeconduct-Task" = Option<String>, Header, description = "The handle of the task that the subject acts in"),
    ),
    responses(
        (status = 201, description = "It was approved before, and may be used", body = RequestAnswer),
        (status = 202, description = "People are asked", body = RequestAnswer),
        (status = 400, description = "The body does not fit; `invalid_denial_binding`: that Deny is of something else, or of somebody else; `not_requestable`: nobody can be asked", body = ProblemForm),
        Refused,
        (status = 408, description = "The body did not come within 30 s", body = ProblemForm),
        (status = 409, description = "`duplicate_request`: it was refused before, or is permitted as it is", body = ProblemForm),
        (status = 410, description = "`expired_denial`: ask the question again", body = ProblemForm),
        (status = 413, description = "The body has more than 1 MiB", body = ProblemForm),
        (status = 415, description = "The content type is not `application/json`", body = ProblemForm),
        (status = 429, description = "Too much is open, or the approvers are asked no oftener", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn request(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let asker = asker(&api, &parts, Operation::AccessRequest).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let submission = Submission::parse(&body).map_err(unread)?;
    drop(body);
    let Submission { mut question, evaluation, justification } = submission;
    take_approval(&mut question);
    let check = check(&asker, question);
    bound(&api, &asker, &check, &evaluation).await?;
    let asked = api.service.request_access(AskAccess { check, justification }).await;
    let asked = asked.map_err(not_asked)?;
    let status = match (asked.made, asked.state) {
        (AccessMade::Before, AccessState::Approved) => StatusCode::CREATED,
        _ => StatusCode::ACCEPTED,
    };
    let known =
        api.service.access_summary(&asked.request).ok_or_else(|| unknown(&asked.request))?;
    let answer = shown(&api, &known);
    let location = HeaderValue::try_from(answer.task.status_endpoint.as_str());
    let mut response = (status, Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.extend(location.ok().map(|location| (LOCATION, location)));
    if asked.state == AccessState::Pending {
        headers.insert(RETRY_AFTER, RETRY_S);
    }
    Ok(response)
}

/// Says how a request stands that the caller made.
#[utoipa::path(
    get,
    path = "/access/v1/request/{id}",
    tag = "AuthZEN",
    operation_id = "access.request_status",
    params(("id" = String, Path, description = "The request's id")),
    responses(
        (status = 200, description = "How it stands; `Retry-After` while it waits", body = RequestAnswer),
        Refused,
        (status = 404, description = "`unknown_task`: the caller has made no such request", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn status(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestStatus).await?;
    let known = own(&api, &caller, &id)?;
    let mut response = Json(shown(&api, &known)).into_response();
    if known.state == AccessState::Pending {
        response.headers_mut().insert(RETRY_AFTER, RETRY_S);
    }
    Ok(response)
}

/// Takes a request back that the caller made.
#[utoipa::path(
    post,
    path = "/access/v1/request/{id}/cancel",
    tag = "AuthZEN",
    operation_id = "access.request_cancel",
    params(("id" = String, Path, description = "The request's id")),
    responses(
        (status = 200, description = "Nothing more comes of it", body = RequestAnswer),
        Refused,
        (status = 404, description = "`unknown_task`: the caller has made no such request", body = ProblemForm),
        (status = 409, description = "`invalid_task_state`: it has ended", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn cancel(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<RequestAnswer>, Problem> {
    let caller = api.admit(&parts, Operation::AccessRequestCancel).await?;
    let known = own(&api, &caller, &id)?;
    let by = &caller.proof.identity;
    let taken = api.service.revoke_access(&known.id, by, CANCELLED.into()).await;
    taken.map_err(|error| match error {
        RevokeAccessError::Unknown(id) => unknown(&id),
        RevokeAccessError::Revoke(error) => Problem::of_access_request(
            StatusCode::CONFLICT,
            "invalid_task_state",
            error.to_string(),
        ),
        error => Problem::not_recorded(&error.to_string()),
    })?;
    let now = api.service.access_summary(&known.id).unwrap_or(known);
    Ok(Json(shown(&api, &now)))
}

/// A request of the caller's own. Of others nobody learns whether there are any.
fn own(api: &Inner, caller: &Admitted, id: &str) -> Result<AccessSummary, Problem> {
    let known = RecordId::new(id).ok().and_then(|id| api.service.access_summary(&id));
    let reached = |known: &AccessSummary| {
        known.asked_by == caller.proof.identity
            && known.task.as_ref().is_none_or(|task| caller.reaches_task(task))
    };
    known.filter(reached).ok_or_else(|| {
        let detail = format!("you have made no request `{id}`");
        Problem::of_access_request(StatusCode::NOT_FOUND, "unknown_task", detail)
    })
}

fn unknown(id: &RecordId) -> Problem {
    let detail = format!("you have made no request `{id}`");
    Problem::of_access_request(StatusCode::NOT_FOUND, "unknown_task", detail)
}

/// Whether the named Deny is one that this caller was given on the same question, and not long
/// ago: read from its record, whatever the caller says of it.
async fn bound(
    api: &Inner,
    asker: &Asker,
    check: &Check,
    evaluation: &RecordId,
) -> Result<(), Problem> {
    let unbound = || {
        Problem::of_access_request(
            StatusCode::BAD_REQUEST,
            "invalid_denial_binding",
            format!("`{evaluation}` is no Deny that you were given on this question"),
        )
    };
    let record = recorded(api, evaluation).await?.ok_or_else(unbound)?;
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let same = text("/kind") == Some("decision")
        && text("/body/decision") == Some("deny")
        && text("/body/pep") == Some(asker.proof.identity.as_str())
        && text("/body/action") == Some(check.action.as_str())
        && names_subject(&record, asker, check)
        && names_resource(&record, check);
    if !same {
        return Err(unbound());
    }
    let at = text("/at").and_then(Timestamp::parse).ok_or_else(unbound)?;
    if api.service.now() >= at.plus_ms(DENIAL_NAMED_MS) {
        let detail = format!("`{evaluation}` is too old: ask the question again");
        return Err(Problem::of_access_request(StatusCode::GONE, "expired_denial", detail));
    }
    Ok(())
}

fn names_subject(record: &Value, asker: &Asker, check: &Check) -> bool {
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
    let named = |uid: &EntityRef| {
        text("/body/principal/type") == Some(uid.ty.as_str())
            && text("/body/principal/id") == Some(uid.id.as_str())
    };
    match &check.subject {
        Subject::Asserted { entity, .. } => named(&entity.uid),
        Subject::Caller(by) => {
            let kind = asker.world.identity(&by.identity).map(|known| known.kind.entity_type());
            let ty = text("/body/principal/type").and_then(|ty| ty.rsplit("::").next());
            text("/body/principal/id") == Some(by.identity.as_str()) && kind.is_some() && ty == kind
        }
        // No question of an enforcement point is about these.
        Subject::Undertaker { .. } | Subject::Lessee(_) => false,
    }
}

fn names_resource(record: &Value, check: &Check) -> bool {
    let resources = record.pointer("/body/resources").and_then(Value::as_array);
    let Some(wanted) = &check.resource else { return true };
    resources.into_iter().flatten().any(|one| {
        one.member("type").and_then(Value::as_str) == Some(wanted.uid.ty.as_str())
            && one.member("id").and_then(Value::as_str) == Some(wanted.uid.id.as_str())
    })
}

/// The record of that id, where it is read within a short time: it was durable before its
/// decision was answered.
async fn recorded(api: &Inner, id: &RecordId) -> Result<Option<Value>, Problem> {
    let wait = async {
        loop {
            let read_up_to = api.read.read_up_to();
            let wanted = id.clone();
            let page = records::read(api, move |read| read.record(&wanted)).await?;
            if let Some(found) = page.records.first() {
                return Ok(json::parse(found.leaf.as_bytes()).ok());
            }
            api.read.grown_beyond(read_up_to).await;
        }
    };
    tokio::time::timeout(RECORD_WITHIN, wait).await.unwrap_or(Ok(None))
}

fn shown(api: &Inner, of: &AccessSummary) -> RequestAnswer {
    let status = match of.state {
        AccessState::Pending => "pending",
        AccessState::Approved | AccessState::Spent => "approved",
        AccessState::Refused => "denied",
        AccessState::Expired => "expired",
        AccessState::Revoked => "cancelled",
    };
    let usable = of.grant.filter(|_| of.state == AccessState::Approved);
    let status_endpoint = format!("{}/{}", api.request_endpoint, of.id);
    RequestAnswer {
        task: RequestTask {
            id: Written(of.id.clone()),
            status: status.to_owned(),
            links: RequestLinks {
                cancel: format!("{status_endpoint}/cancel"),
                review: link(api, &of.id),
            },
            status_endpoint,
            expires_at: Written(of.answer_by),
        },
        result: usable.map(|grant| RequestResult {
            mode: "reevaluate".to_owned(),
            approval: ApprovalHandle {
                id: Written(of.id.clone()),
                approved_at: Written(grant.from),
                approved_until: Written(grant.until),
            },
        }),
    }
}

fn unread(error: AuthzenError) -> Problem {
    Problem::invalid(error.to_string())
}

fn not_asked(error: AskAccessError) -> Problem {
    let detail = error.to_string();
    let problem = |status, code| Problem::of_access_request(status, code, detail.clone());
    match error {
        AskAccessError::NotRequestable { .. } | AskAccessError::Refused(AskError::Open(_)) => {
            problem(StatusCode::BAD_REQUEST, "not_requestable")
        }
        AskAccessError::NotNeeded | AskAccessError::Refused(AskError::Repeat { .. }) => {
            problem(StatusCode::CONFLICT, "duplicate_request")
        }
        error => error.into(),
    }
}
