//! Rights that are taken away, in stages; and given back by one call.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{ActionName, Decision, EntityRef, IdentityId, RecordId, Value};
use safeconduct_review::{Effect, RemediationState};
use safeconduct_service::{
    LeftOut, NewRemediation, Operation, PlannedRights, Probing, RecordReviewsError, RemediateError,
};
use safeconduct_wire::admin::{
    NotPlannedView, ProbeForm, RemediationForm, RemediationList, RemediationQueryForm,
    RemediationStepForm, RemediationView, ScheduleForm, Scheduled, SteppedRemediation,
};
use safeconduct_wire::document::{FormError, read_json};

use crate::admit::Admitted;
use crate::body::json_bytes;
use crate::estate::apart;
use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::{Inner, Shared};

/// Most rights that are not planned of which an answer says why.
const LEFT_OUT_SHOWN_MAX: usize = 100;

/// Lists remediations, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/remediations",
    tag = "Reviews",
    operation_id = "remediations.list",
    params(RemediationQueryForm),
    responses((status = 200, description = "A page of remediations", body = RemediationList), Misasked, Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<RemediationList>, Problem> {
    api.admit(&parts, Operation::RemediationsList).await?;
    let RemediationQueryForm { state, holder, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let state = state.map(|word| {
        let no = || Problem::invalid(format!("`state` cannot be `{word}`"));
        RemediationState::parse(&word).ok_or_else(no)
    });
    let state = state.transpose()?;
    let mut found = api.service.remediations();
    found.retain(|one| {
        state.is_none_or(|state| one.state == state)
            && holder.as_ref().is_none_or(|holder| one.plan.holder.as_str() == holder)
    });
    let rest = match &after {
        None => found.as_slice(),
        Some(after) => {
            let at = found.iter().position(|one| one.id.as_str() == after);
            let no = || Problem::invalid(format!("`after`: no such remediation fits: `{after}`"));
            found.get(at.ok_or_else(no)? + 1..).unwrap_or_default()
        }
    };
    let (page, next) = page_of(rest, limit, |one| one.id.to_string());
    let remediations = page.into_iter().map(RemediationView::of).collect();
    Ok(Json(RemediationList { remediations, next }))
}

/// Shows a remediation: how far it is, and what the last verification found.
#[utoipa::path(
    get,
    path = "/v1/remediations/{id}",
    tag = "Reviews",
    operation_id = "remediations.show",
    params(("id" = String, Path, description = "The remediation")),
    responses(
        (status = 200, description = "The remediation", body = RemediationView),
        Refused,
        (status = 404, description = "No such remediation is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    // Nobody learns what there is who may not see it.
    api.admit(&parts, Operation::RemediationsShow).await?;
    let one = named(&id).ok().and_then(|id| api.service.remediation(&id));
    let one = one.ok_or_else(|| Problem::not_found("remediation", &id))?;
    Ok(Json(RemediationView::of(&one)).into_response())
}

/// Plans that rights are taken away, with notice: all of them, or none. Where one of those who hold
/// them has a role, `identities.change_privileged` is needed.
#[utoipa::path(
    post,
    path = "/v1/remediations",
    tag = "Reviews",
    operation_id = "remediations.schedule",
    request_body = ScheduleForm,
    responses(
        (status = 201, description = "They are planned, and that is recorded", body = Scheduled),
        Refused,
        (status = 404, description = "No such identity, or they have no such right", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn schedule(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::RemediationsSchedule).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let ScheduleForm { remediations, campaign, not_before } = read_json(&body)?;
    let (now, by) = (api.service.now(), caller.proof.identity.clone());
    if remediations.is_empty() == campaign.is_none() {
        return Err(Problem::invalid("name `remediations`, or a `campaign`"));
    }
    if let Some(campaign) = campaign {
        let at = not_before.map_or(now, |at| at.0);
        let (service, id) = (Arc::clone(&api.service), campaign.0.clone());
        // What was signed does not change any more.
        let effects = apart(move || service.campaign_effects(&id)).await??;
        may_touch(&api, &caller, effects.iter().map(|(case, _)| &case.holder))?;
        let (service, runtime) = (Arc::clone(&api.service), tokio::runtime::Handle::current());
        let plan = move || runtime.block_on(service.schedule_campaign(&campaign.0, at, Some(&by)));
        let planned = apart(plan).await??;
        return Ok((StatusCode::CREATED, Json(scheduled(&planned))).into_response());
    }
    let wanted = remediations.into_iter().map(|form| {
        let RemediationForm { holder, grant, effect, not_before, cause, reason } = form;
        let effect = Effect::ALL.into_iter().find(|one| one.as_str() == effect);
        Ok(NewRemediation {
            holder: holder.0,
            grant: grant.map(|grant| grant.0),
            effect: effect
                .ok_or_else(|| Problem::invalid("`effect` is `suspend`, `reduce` or `revoke`"))?,
            not_before: not_before.map_or(now, |at| at.0),
            cause: cause.map(Into::into),
            reason: reason.into(),
        })
    });
    let wanted = wanted.collect::<Result<Vec<_>, Problem>>()?;
    may_touch(&api, &caller, wanted.iter().map(|one| &one.holder))?;
    let ids = api.service.schedule_remediations(wanted, Some(&by)).await?;
    let planned = PlannedRights { ids, left_out: Vec::new() };
    Ok((StatusCode::CREATED, Json(scheduled(&planned))).into_response())
}

fn scheduled(planned: &PlannedRights) -> Scheduled {
    let left_out = planned.left_out.iter().take(LEFT_OUT_SHOWN_MAX);
    let left_out = left_out.map(|LeftOut { holder, grant, why }| NotPlannedView {
        holder: holder.to_string(),
        grant: grant.to_string(),
        why: why.to_string(),
    });
    Scheduled {
        ids: planned.ids.iter().map(ToString::to_string).collect(),
        left_out: left_out.collect(),
        left_out_count: planned.left_out.len() as u64,
    }
}

/// Moves a remediation on: sets the right aside (`quarantine`), brings it back (`restore`), takes it
/// away for good (`apply`; what policies give becomes a proposal that somebody else approves), asks
/// for it on the way of a call through the enforcement point that serves it and decides again what was
/// decided by it (`verify`), or gives back what was taken away (`roll_back`). Nobody gives
/// themselves back what was theirs; where one who holds such a right has a role,
/// `identities.change_privileged` is needed.
#[utoipa::path(
    post,
    path = "/v1/remediations/{id}/step",
    tag = "Reviews",
    operation_id = "remediations.step",
    params(("id" = String, Path, description = "The remediation")),
    request_body = RemediationStepForm,
    responses(
        (status = 200, description = "It is done, and that is recorded", body = SteppedRemediation),
        Refused,
        (status = 404, description = "No such remediation is known", body = ProblemForm),
        (status = 409, description = "Not now (`not_now`), the right is the caller's own (`own_right`), or the policy folder has changed (`conflict`)", body = ProblemForm),
        (status = 422, description = "The change does not pass its checks, the probe says nothing, or nothing shows that the right is gone", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be done or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn step(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<SteppedRemediation>, Problem> {
    let caller = api.admit(&parts, Operation::RemediationsStep).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let form: RemediationStepForm = read_json(&body)?;
    let id = named(&id)?;
    let whole = safeconduct_wire::json::parse(&body).map_err(FormError::from)?;
    may_step(&api, &caller, &id, &form)?;
    // Apart, so that a client that leaves does not leave half of it done.
    let working = tokio::spawn(async move {
        let waits_for = carry_out(&api, &id, &caller.proof.identity, form, &whole).await?;
        let one = api.service.remediation(&id);
        let one = one.ok_or_else(|| Problem::not_found("remediation", id.as_str()))?;
        Ok(Json(SteppedRemediation { remediation: RemediationView::of(&one), waits_for }))
    });
    working.await.map_err(|error| Problem::not_recorded(&error.to_string()))?
}

/// INVARIANT: whoever cannot give a role cannot take rights from those who hold one, nor give any
/// back to them.
fn may_touch<'a>(
    api: &Inner,
    caller: &Admitted,
    mut holders: impl Iterator<Item = &'a IdentityId>,
) -> Result<(), Problem> {
    let has_role = |id| caller.world.identity(id).is_some_and(|known| !known.roles.is_empty());
    match holders.any(has_role) {
        true => api.authorize(caller, Operation::IdentitiesChangePrivileged),
        false => Ok(()),
    }
}

/// Whether the caller may move on all that a step moves on.
fn may_step(
    api: &Inner,
    caller: &Admitted,
    id: &RecordId,
    form: &RemediationStepForm,
) -> Result<(), Problem> {
    let named = std::iter::once(id).chain(form.with.iter().map(|one| &one.0));
    let mut all: Vec<_> = named.filter_map(|id| api.service.remediation(id)).collect();
    let gives_back = matches!(&*form.step, "restore" | "roll_back");
    if gives_back {
        // What went with one change of the policies comes back with it.
        let proposals = all.iter().filter_map(|one| one.proposal.as_ref());
        let proposals = proposals.filter_map(|id| api.service.policy_proposal(id));
        let with: Vec<_> = proposals.flat_map(|one| one.change.remediations).collect();
        let with = with.into_iter().filter_map(|id| RecordId::new(id).ok());
        all.extend(with.filter_map(|id| api.service.remediation(&id)));
    }
    may_touch(api, caller, all.iter().map(|one| &one.plan.holder))?;
    match gives_back && all.iter().any(|one| one.plan.holder == caller.proof.identity) {
        true => Err(Problem::new(
            StatusCode::CONFLICT,
            "own_right",
            "nobody gives themselves back what was theirs: somebody else has to",
        )),
        false => Ok(()),
    }
}

async fn carry_out(
    api: &Inner,
    id: &RecordId,
    by: &IdentityId,
    form: RemediationStepForm,
    whole: &Value,
) -> Result<Option<String>, Problem> {
    let RemediationStepForm { step, reason, with, draft, probes } = form;
    let why = || {
        let missing = || Problem::invalid("say why: `reason`");
        reason.clone().map(Arc::<str>::from).ok_or_else(missing)
    };
    let waits = match &*step {
        "quarantine" => {
            api.service.quarantine(id, Some(by)).await?;
            None
        }
        "restore" => {
            api.service.restore_right(id, by, why()?).await?;
            None
        }
        "apply" => {
            let ids: Vec<_> =
                std::iter::once(id.clone()).chain(with.into_iter().map(|one| one.0)).collect();
            api.service.apply_remediations(&ids, by, draft).await?.proposal
        }
        "verify" => {
            let probings = probes.into_iter().enumerate();
            let probings = probings.map(|(at, form)| probing(form, input_of(whole, at)));
            let probings = probings.collect::<Result<Vec<_>, Problem>>()?;
            let (service, read) = (Arc::clone(&api.service), Arc::clone(&api.read));
            let (id, by) = (id.clone(), by.clone());
            // It reads the ledger, which takes its time.
            let runtime = tokio::runtime::Handle::current();
            let verify = move || {
                runtime.block_on(service.verify_remediation_by(&id, &by, probings, Some(&*read)))
            };
            apart(verify).await??;
            None
        }
        "roll_back" => api.service.roll_back(id, by, why()?).await?.proposal,
        _ => {
            return Err(Problem::invalid(
                "`step` is `quarantine`, `restore`, `apply`, `verify` or `roll_back`",
            ));
        }
    };
    Ok(waits.map(|proposal| proposal.to_string()))
}

fn named(id: &str) -> Result<RecordId, Problem> {
    RecordId::new(id).map_err(|_| Problem::not_found("remediation", id))
}

/// The arguments of a probe, exactly as they were sent.
fn input_of(whole: &Value, at: usize) -> Value {
    let probe = match whole.member("probes") {
        Some(Value::Array(probes)) => probes.get(at),
        _ => None,
    };
    let input = probe.and_then(|probe| probe.member("input"));
    input.filter(|input| **input != Value::Null).cloned().unwrap_or(Value::object::<&str>([]))
}

fn probing(form: ProbeForm, input: Value) -> Result<Probing, Problem> {
    let ProbeForm { action, resource_type, resource_id, wanted, .. } = form;
    let action: ActionName = action.0;
    let resource = EntityRef::new(resource_type, resource_id)
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let all = [Decision::Permit, Decision::Deny];
    let wanted = all.into_iter().find(|decision| decision.as_str() == wanted);
    let wanted = wanted.ok_or_else(|| Problem::invalid("`wanted` is `deny` or `permit`"))?;
    Ok(Probing { action, resource, input, wanted })
}

impl From<RemediateError> for Problem {
    fn from(error: RemediateError) -> Self {
        let detail = error.to_string();
        match error {
            RemediateError::Unknown(id) => Self::not_found("remediation", id.as_str()),
            RemediateError::UnknownProposal(id) => Self::not_found("proposal", id.as_str()),
            RemediateError::UnknownGrant { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown_grant", detail)
            }
            RemediateError::Estate(error) => error.into(),
            RemediateError::Campaign(error) => error.into(),
            RemediateError::Proposal(safeconduct_review::ProposalError::OwnProposal(_)) => {
                Self::new(StatusCode::CONFLICT, "own_proposal", detail)
            }
            RemediateError::OwnGain { .. } => Self::new(StatusCode::CONFLICT, "own_gain", detail),
            RemediateError::Diverged(_) => Self::new(StatusCode::CONFLICT, "diverged", detail),
            RemediateError::Proposal(
                safeconduct_review::ProposalError::Reason
                | safeconduct_review::ProposalError::Path(_)
                | safeconduct_review::ProposalError::Files,
            )
            | RemediateError::Step(
                safeconduct_review::RemediationError::Plan(_)
                | safeconduct_review::RemediationError::Probes
                | safeconduct_review::RemediationError::Reason,
            )
            | RemediateError::Draft(_)
            | RemediateError::Name(_) => Self::invalid(detail),
            RemediateError::Conflict(_)
            | RemediateError::Outlived { .. }
            | RemediateError::Revoke(_) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            RemediateError::Refused(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policies_refused", detail)
            }
            RemediateError::Inconclusive { .. }
            | RemediateError::Step(safeconduct_review::RemediationError::NoEvidence { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "inconclusive", detail)
            }
            RemediateError::Step(_) | RemediateError::Proposal(_) | RemediateError::Busy(_) => {
                Self::new(StatusCode::CONFLICT, "not_now", detail)
            }
            RemediateError::OverLimit { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "over_limit", detail)
            }
            RemediateError::Record(RecordReviewsError::Stale) => {
                Self::new(StatusCode::CONFLICT, "contended", detail)
            }
            RemediateError::Change(error) => error.into(),
            RemediateError::NoFolder | RemediateError::Folder(_) | RemediateError::Read(_) => {
                Self::unavailable(detail)
            }
            RemediateError::Record(_) | RemediateError::Append(_) | RemediateError::End(_) => {
                Self::not_recorded(&detail)
            }
        }
    }
}
