//! Findings: what is wrong with the estate, a new look at it, and exemptions.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::IdentityId;
use safeconduct_model::signal::Severity;
use safeconduct_review::finding::{
    ExemptError, ExemptionKind, ExemptionWish, Finding, FindingId, FindingKind, FindingState,
};
use safeconduct_service::{ExemptFindingError, LookError, LookReport, Operation};
use safeconduct_wire::admin::{
    ExemptionRequest, FindingList, FindingQueryForm, FindingView, LookView,
};
use safeconduct_wire::document::{Written, read_json};

use crate::body::json_bytes;
use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::{Inner, Shared};

/// Lists findings, the worst first.
#[utoipa::path(
    get,
    path = "/v1/findings",
    tag = "Reviews",
    operation_id = "findings.list",
    params(FindingQueryForm),
    responses(
        (status = 200, description = "A page of findings", body = FindingList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<FindingList>, Problem> {
    api.admit(&parts, Operation::FindingsList).await?;
    let form: FindingQueryForm = page::query(&parts.uri)?;
    let limit = page::limit(form.limit)?;
    let wanted = Wanted::of(&form)?;
    let now = api.service.now();
    let fits = |finding: &Finding| wanted.fit(finding, finding.state(now));
    let found = api.service.findings(fits);
    let total = found.len() as u64;
    let rest = match &form.after {
        None => found.as_slice(),
        Some(after) => {
            let at = found.iter().position(|finding| finding.id.as_str() == after);
            let at = at.ok_or_else(|| {
                Problem::invalid(format!("`after`: no such finding fits: `{after}`"))
            })?;
            found.get(at + 1..).unwrap_or_default()
        }
    };
    let (page, next) = page_of(rest, limit, |finding| finding.id.to_string());
    let findings = page.into_iter().map(|finding| FindingView::of(finding, now)).collect();
    let last_look = api.service.last_look().as_ref().map(shown);
    Ok(Json(FindingList { findings, total, next, last_look }))
}

/// What a query string asks for.
struct Wanted {
    state: Option<FindingState>,
    kind: Option<FindingKind>,
    identity: Option<IdentityId>,
    severity: Option<Severity>,
}

impl Wanted {
    fn of(form: &FindingQueryForm) -> Result<Self, Problem> {
        let no = |name: &str, word: &str| Problem::invalid(format!("`{name}` cannot be `{word}`"));
        let state = form.state.as_deref();
        let state = state.map(|word| FindingState::parse(word).ok_or_else(|| no("state", word)));
        let kind = form.kind.as_deref();
        let kind = kind.map(|word| FindingKind::parse(word).ok_or_else(|| no("kind", word)));
        let severity = form.severity.as_deref();
        let severity =
            severity.map(|word| Severity::parse(word).ok_or_else(|| no("severity", word)));
        let identity = form.identity.as_deref();
        let identity = identity.map(|id| IdentityId::new(id).map_err(|_| no("identity", id)));
        Ok(Self {
            state: state.transpose()?,
            kind: kind.transpose()?,
            identity: identity.transpose()?,
            severity: severity.transpose()?,
        })
    }

    fn fit(&self, finding: &Finding, state: FindingState) -> bool {
        let whom = finding.subject.whom.as_ref();
        self.state.map_or(state != FindingState::Closed, |wanted| state == wanted)
            && self.kind.is_none_or(|kind| finding.kind == kind)
            && self.severity.is_none_or(|severity| finding.severity >= severity)
            && self.identity.as_ref().is_none_or(|identity| whom == Some(identity))
    }
}

/// Shows one finding, with what it rests on.
#[utoipa::path(
    get,
    path = "/v1/findings/{id}",
    tag = "Reviews",
    operation_id = "findings.show",
    params(("id" = String, Path, description = "The finding's id")),
    responses(
        (status = 200, description = "The finding", body = FindingView),
        Refused,
        (status = 404, description = "There is no such finding", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<FindingView>, Problem> {
    api.admit(&parts, Operation::FindingsShow).await?;
    let finding = api.service.finding(&named(&id)?);
    shown_finding(&api, finding, &id)
}

/// Looks at the estate now, and records what changed.
#[utoipa::path(
    post,
    path = "/v1/findings/scan",
    tag = "Reviews",
    operation_id = "findings.scan",
    responses(
        (status = 200, description = "What was seen, and what changed", body = LookView),
        Refused,
        (status = 409, description = "Another look is under way", body = ProblemForm),
        (status = 503, description = "Something could not be read or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn scan(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<LookView>, Problem> {
    api.admit(&parts, Operation::FindingsScan).await?;
    let (service, read) = (Arc::clone(&api.service), Arc::clone(&api.read));
    // Apart, so that a client that leaves does not leave half of it recorded.
    let looking = tokio::spawn(async move {
        let at_work = Arc::clone(&service);
        let look = tokio::task::spawn_blocking(move || at_work.look(&*read)).await;
        let look = look.map_err(|error| Problem::unavailable(error.to_string()))??;
        Ok::<_, Problem>(service.take_look(look).await?)
    });
    let report = looking.await.map_err(|error| Problem::unavailable(error.to_string()))??;
    Ok(Json(shown(&report)))
}

/// Says that a finding is as it should be, for a time.
#[utoipa::path(
    post,
    path = "/v1/findings/{id}/exemption",
    tag = "Reviews",
    operation_id = "findings.exempt",
    params(("id" = String, Path, description = "The finding's id")),
    request_body = ExemptionRequest,
    responses(
        (status = 200, description = "It is exempt, and that is recorded", body = FindingView),
        Refused,
        (status = 404, description = "There is no such finding", body = ProblemForm),
        (status = 409, description = "It is exempt already", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn exempt(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<FindingView>, Problem> {
    let caller = api.admit(&parts, Operation::FindingsExempt).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let ExemptionRequest { kind, reason, until } = read_json(&body)?;
    let kind = ExemptionKind::parse(&kind)
        .ok_or_else(|| Problem::invalid(format!("`kind` cannot be `{kind}`")))?;
    let (by, until) = (caller.proof.identity, Some(until.0));
    let wish = ExemptionWish { kind, reason: reason.into(), by, until };
    let finding = api.service.exempt_finding(&named(&id)?, wish).await?;
    shown_finding(&api, finding, &id)
}

/// Ends the exemption of a finding before its time.
#[utoipa::path(
    delete,
    path = "/v1/findings/{id}/exemption",
    tag = "Reviews",
    operation_id = "findings.unexempt",
    params(("id" = String, Path, description = "The finding's id")),
    responses(
        (status = 200, description = "It is not exempt any more, and that is recorded", body = FindingView),
        Refused,
        (status = 404, description = "There is no such finding", body = ProblemForm),
        (status = 409, description = "It is not exempt", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn unexempt(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<FindingView>, Problem> {
    let caller = api.admit(&parts, Operation::FindingsUnexempt).await?;
    let finding = api.service.unexempt_finding(&named(&id)?, &caller.proof.identity).await?;
    shown_finding(&api, finding, &id)
}

fn named(id: &str) -> Result<FindingId, Problem> {
    FindingId::parse(id).ok_or_else(|| Problem::not_found("finding", id))
}

fn shown_finding(
    api: &Inner,
    finding: Option<Finding>,
    id: &str,
) -> Result<Json<FindingView>, Problem> {
    let finding = finding.ok_or_else(|| Problem::not_found("finding", id))?;
    Ok(Json(FindingView::of(&finding, api.service.now())))
}

fn shown(report: &LookReport) -> LookView {
    LookView {
        at: Written(report.at),
        tracked_since: Written(report.tracked_since),
        identities: report.identities,
        grants: report.grants,
        grants_left_out: report.grants_left_out,
        decisions: report.decisions,
        sampled: report.sampled.clone(),
        opened: report.opened,
        changed: report.changed,
        reopened: report.reopened,
        closed: report.closed,
        expired: report.expired,
        left_off: report.left_off,
        not_judged: report.not_judged.iter().map(Into::into).collect(),
        not_judged_count: report.not_judged_count,
    }
}

impl From<LookError> for Problem {
    fn from(error: LookError) -> Self {
        let detail = error.to_string();
        match error {
            LookError::UnderWay => Self::new(StatusCode::CONFLICT, "under_way", detail),
            LookError::Record(_) => Self::not_recorded(&detail),
            LookError::Read(_)
            | LookError::Ledger(_)
            | LookError::Damaged(_)
            | LookError::Estate(_) => {
                tracing::error!(problem = detail, "the estate cannot be looked at");
                Self::unavailable("the estate cannot be looked at: nothing has changed")
            }
        }
    }
}

impl From<ExemptFindingError> for Problem {
    fn from(error: ExemptFindingError) -> Self {
        let detail = error.to_string();
        match error {
            ExemptFindingError::Exempt(ExemptError::Unknown(id)) => Self::not_found("finding", &id),
            ExemptFindingError::Exempt(ExemptError::Exempt) => {
                Self::new(StatusCode::CONFLICT, "exempt", detail)
            }
            ExemptFindingError::Exempt(ExemptError::NotExempt) => {
                Self::new(StatusCode::CONFLICT, "not_exempt", detail)
            }
            ExemptFindingError::Exempt(ExemptError::OwnCase(_)) => {
                Self::new(StatusCode::FORBIDDEN, "own_case", detail)
            }
            ExemptFindingError::Exempt(_) => Self::invalid(detail),
            ExemptFindingError::Record(_) => Self::not_recorded(&detail),
        }
    }
}
