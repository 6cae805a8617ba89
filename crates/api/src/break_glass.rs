//! Break-glass: rules that ask for an approval, set aside for a time by a person with that right.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Authentication, DueVerdict, IdentityId, RecordId, Timestamp};
use safeconduct_service::{
    BreakGlass, BreakGlassError, DueReview, GlassView, MendGlassError, Operation, ReviewDueError,
    ReviewingDue,
};
use safeconduct_wire::admin::{
    BrokenGlassList, BrokenGlassView, DueReviewList, DueReviewRequest, DueReviewView, GlassRequest,
};
use safeconduct_wire::document::{Written, read_json};

use crate::access_requests::on_page;
use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::refused::Denied;
use crate::router::{Inner, Shared};
use crate::trace;

/// Sets the rules that ask for an approval aside for somebody, for at most an hour. It takes a
/// passkey that was used just now, and the policies in force must give the caller that right
/// (action `break_glass` on the agent). A review of it is due from then on.
#[utoipa::path(
    post,
    path = "/v1/break-glass",
    tag = "Access requests",
    operation_id = "glass.break",
    request_body = GlassRequest,
    responses(
        (status = 201, description = "They are set aside, and that is recorded", body = BrokenGlassView),
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
        (status = 403, description = "The caller must use a passkey (`needs_passkey`: the detail names the page that takes one), or policies in force say no, with `decision_id` and `reasons`", body = ProblemForm),
        (status = 404, description = "No such agent or task is known", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "Too many are set aside", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn break_glass(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::GlassBreak).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let GlassRequest { agent, task, reason, seconds } = read_json(&body)?;
    let pep =
        IdentityId::new("administration").map_err(|error| Problem::invalid(error.to_string()))?;
    let breaking = BreakGlass {
        by: caller.proof.clone(),
        agent: agent.0,
        task: task.map(|task| task.0),
        reason: reason.into(),
        for_ms: i64::from(seconds) * 1000,
        pep,
        trace: trace::of(&parts.headers),
    };
    let view = api.service.break_glass(breaking).await;
    let view = view.map_err(|error| not_broken(&api, &caller.proof, error))?;
    Ok((StatusCode::CREATED, Json(shown(&view))).into_response())
}

/// Lists the rules that are set aside now.
#[utoipa::path(
    get,
    path = "/v1/break-glass",
    tag = "Access requests",
    operation_id = "glass.list",
    responses((status = 200, description = "What is set aside", body = BrokenGlassList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<BrokenGlassList>, Problem> {
    api.admit(&parts, Operation::GlassList).await?;
    Ok(Json(BrokenGlassList { broken: api.service.glasses().iter().map(shown).collect() }))
}

/// Lets rules hold again before their time: whoever set them aside may, and those with the right
/// to `glass.mend`.
#[utoipa::path(
    post,
    path = "/v1/break-glass/{id}/mend",
    tag = "Access requests",
    operation_id = "glass.mend",
    params(("id" = String, Path, description = "The record by which they were set aside")),
    responses(
        (status = 204, description = "They hold again, and that is recorded"),
        Refused,
        (status = 404, description = "Nothing is set aside by that", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn mend(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    let caller = api.authenticated(&parts).await?;
    let broken = api.service.glasses().into_iter().find(|glass| glass.id.as_str() == id);
    let own = broken.as_ref().is_some_and(|glass| glass.broken.by == caller.proof.identity);
    if !own || !caller.reaches(Operation::GlassMend) {
        api.authorize(&caller, Operation::GlassMend)?;
    }
    let id = RecordId::new(id.as_str()).map_err(|_| Problem::not_found("broken glass", &id))?;
    api.service.mend_glass(&id, &caller.proof.identity).await.map_err(|error| match error {
        MendGlassError::Unknown(id) => Problem::not_found("broken glass", id.as_str()),
        MendGlassError::NotRecorded(error) => Problem::not_recorded(&error),
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Lists the reviews that are due of rules that were set aside: until somebody else than who did
/// it has done them.
#[utoipa::path(
    get,
    path = "/v1/break-glass/reviews",
    tag = "Access requests",
    operation_id = "glass.reviews",
    responses((status = 200, description = "What is due, and what is late", body = DueReviewList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn reviews(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<DueReviewList>, Problem> {
    api.admit(&parts, Operation::GlassReviews).await?;
    let now = api.service.now();
    let due = api.service.due_reviews();
    Ok(Json(DueReviewList { due: due.iter().map(|due| due_shown(due, now)).collect() }))
}

/// Does a review that is due: somebody who did not set the rules aside says what they found.
#[utoipa::path(
    post,
    path = "/v1/break-glass/{id}/review",
    tag = "Access requests",
    operation_id = "glass.review",
    params(("id" = String, Path, description = "The record by which they were set aside")),
    request_body = DueReviewRequest,
    responses(
        (status = 204, description = "It is done, and that is recorded"),
        Refused,
        (status = 404, description = "No review of that is due", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn review(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::GlassReview).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let DueReviewRequest { verdict, note } = read_json(&body)?;
    let verdict = DueVerdict::parse(&verdict).ok_or_else(|| {
        Problem::invalid(format!("`{verdict}` is no verdict: it is `justified` or `unjustified`"))
    })?;
    let of = RecordId::new(id.as_str()).map_err(|_| Problem::not_found("due review", &id))?;
    let by = caller.proof.clone();
    let reviewing = ReviewingDue { of, by, verdict, note: note.into() };
    api.service.review_due(reviewing).await.map_err(|error| {
        let detail = error.to_string();
        let denied = Denied { proof: caller.proof.clone(), operation: Operation::GlassReview };
        match error {
            ReviewDueError::Unknown(of) => Problem::not_found("due review", of.as_str()),
            ReviewDueError::NotAPerson(_) | ReviewDueError::WithinTask => {
                Problem::refused(denied, "not_a_person", detail)
            }
            ReviewDueError::Own(_) => Problem::refused(denied, "own_doing", detail),
            ReviewDueError::CredentialEnded => Problem::unauthenticated(),
            ReviewDueError::Note { .. } => Problem::invalid(detail),
            ReviewDueError::NotRecorded(error) => Problem::not_recorded(&error),
        }
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn due_shown(due: &DueReview, now: Timestamp) -> DueReviewView {
    DueReviewView {
        of: Written(due.of.clone()),
        about: Written(due.about.clone()),
        cause: due.cause.to_string(),
        since: Written(due.since),
        late_from: Written(due.late_from),
        late: due.is_late(now),
    }
}

fn shown(view: &GlassView) -> BrokenGlassView {
    let broken = &view.broken;
    BrokenGlassView {
        id: Written(view.id.clone()),
        agent: Written(broken.agent.clone()),
        task: broken.task.clone().map(Written),
        by: Written(broken.by.clone()),
        reason: broken.reason.to_string(),
        at: Written(view.at),
        until: Written(broken.until),
    }
}

fn not_broken(api: &Inner, proof: &Authentication, error: BreakGlassError) -> Problem {
    let detail = error.to_string();
    let refused = |code| {
        let denied = Denied { proof: proof.clone(), operation: Operation::GlassBreak };
        Problem::refused(denied, code, detail.clone())
    };
    match error {
        BreakGlassError::NotAPerson(_) => refused("not_a_person"),
        BreakGlassError::Passkey => {
            // No bearer token is a passkey: the page takes one.
            let page = api.pages.get().map(|pages| format!("{pages}/break-glass"));
            let detail = on_page(api, &detail, page.as_deref());
            let denied = Denied { proof: proof.clone(), operation: Operation::GlassBreak };
            Problem::refused(denied, "needs_passkey", detail)
        }
        BreakGlassError::UnknownAgent(_) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown_identity", detail)
        }
        BreakGlassError::UnknownTask { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "unknown_task", detail)
        }
        BreakGlassError::Reason { .. } | BreakGlassError::Time => Problem::invalid(detail),
        BreakGlassError::Denied { ruling, .. } => {
            let outcome = &ruling.value().outcome;
            Problem::decided(&outcome.record.id, &outcome.reasons, detail)
        }
        BreakGlassError::TooMany | BreakGlassError::Unreviewed => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "over_limit", detail)
        }
        BreakGlassError::NotRecorded(error) => Problem::not_recorded(&error),
    }
}
