//! Campaigns of access reviews. Reviewers see and answer what they are asked about, owners see and
//! sign what is theirs; everyone else needs the right.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{IdentityId, RecordId, Value};
use safeconduct_review::FreezeError;
use safeconduct_service::{
    CampaignPart, CampaignStepError, CampaignsOf, CaseAnswer, CasesOf, Operation, StartCampaign,
    StartCampaignError, expression_problems,
};
use safeconduct_wire::admin::{
    BeginWord, CampaignDecideForm, CampaignDecided, CampaignDecidedOne, CampaignItemView,
    CampaignItems, CampaignItemsForm, CampaignList, CampaignListForm, CampaignReassignForm,
    CampaignSignForm, CampaignStartForm, CampaignStarted, CampaignView,
};
use safeconduct_wire::campaign;
use safeconduct_wire::document::{FormError, Written, read_json};

use crate::admit::Admitted;
use crate::body::json_bytes;
use crate::estate::apart;
use crate::page;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused, Unreadable};
use crate::router::{Inner, Shared};

/// How often a population is read again where identities or policies change meanwhile.
const ATTEMPTS: u32 = 3;

/// Begins a campaign, or keeps its definition until its time comes. Its population is frozen:
/// complete, counted and hashed, or the campaign does not begin.
#[utoipa::path(
    post,
    path = "/v1/campaigns",
    tag = "Access reviews",
    operation_id = "campaigns.start",
    request_body = CampaignStartForm,
    responses(
        (status = 201, description = "It has begun, or is kept, and that is recorded", body = CampaignStarted),
        Refused,
        Unreadable,
        (status = 409, description = "The estate changed while it was read (`changed`), there is nothing to review (`nothing`), or a stage cannot open", body = ProblemForm),
        (status = 503, description = "The population could not be read to its end, or not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn start(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsStart).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let CampaignStartForm { begin, .. } = read_json(&body)?;
    let body = safeconduct_wire::json::parse(&body).map_err(FormError::from)?;
    let definition = body.member("definition").cloned().unwrap_or(Value::Null);
    let read = campaign::of_value_with(&definition, expression_problems);
    let file = read.map_err(FormError::from)?;
    let (file, by) = (Arc::new(file), caller.proof.identity.clone());
    let name = file.plan.definition.name.to_string();
    let keep = file.plan.is_standing() && begin != Some(BeginWord::Now);
    if keep || begin == Some(BeginWord::Standing) {
        api.service.keep_campaign(&file, &by).await?;
        let next = file.plan.schedule.and_then(|plan| plan.next(api.service.now()));
        let next = next.map(Written);
        let kept = CampaignStarted { id: None, name, cases: None, population: None, next };
        return Ok((StatusCode::CREATED, Json(kept)).into_response());
    }
    let wanted =
        StartCampaign { file, by: Some(by), due: None, holder: None, because: Default::default() };
    let started = begin_now(&api, wanted).await?;
    let started = CampaignStarted {
        id: Some(started.id.to_string()),
        name,
        cases: Some(started.cases as u64),
        population: Some(Written(started.population)),
        next: None,
    };
    Ok((StatusCode::CREATED, Json(started)).into_response())
}

async fn begin_now(
    api: &Inner,
    wanted: StartCampaign,
) -> Result<safeconduct_service::StartedCampaign, Problem> {
    let mut attempt = 1;
    loop {
        let (service, read) = (Arc::clone(&api.service), Arc::clone(&api.read));
        let again = wanted.clone();
        let prepared = apart(move || service.prepare_campaign(&*read, again)).await??;
        match api.service.begin_campaign(prepared).await {
            Err(StartCampaignError::Changed) if attempt < ATTEMPTS => attempt += 1,
            other => return Ok(other?),
        }
    }
}

/// Lists the campaigns in which the caller has a part, or all with the right to read them, page by
/// page.
#[utoipa::path(
    get,
    path = "/v1/campaigns",
    tag = "Access reviews",
    operation_id = "campaigns.list",
    params(CampaignListForm),
    responses((status = 200, description = "Campaigns, the newest first", body = CampaignList), Misasked, Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<CampaignList>, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsList).await?;
    let CampaignListForm { state, after, limit } = page::query(&parts.uri)?;
    let of = match state.as_deref() {
        None | Some("all") => CampaignsOf::All,
        Some("open") => CampaignsOf::Open,
        Some(_) => return Err(Problem::invalid("`state` is `open` or `all`")),
    };
    let limit = page::limit(limit)?;
    let no_cursor = || Problem::invalid("`after` is no campaign");
    let after = after.map(|after| RecordId::new(after).map_err(|_| no_cursor())).transpose()?;
    let found = api.service.campaign_ids_after(of, after.as_ref(), limit);
    let (ids, next) = found.ok_or_else(no_cursor)?;
    let all = api.authorize(&caller, Operation::CampaignsShow).is_ok();
    let (service, who) = (Arc::clone(&api.service), caller.proof.identity.clone());
    let campaigns = apart(move || {
        let mut found = Vec::new();
        for id in ids {
            if all || has_part(service.campaign_part(&id, &who)?) {
                found.push(service.campaign_view(&id, &who)?);
            }
            // Those that are over are large, and in memory one at a time.
            service.cool_campaign(&id);
        }
        Ok::<_, CampaignStepError>(found)
    });
    let campaigns = campaigns.await??;
    let standing = if all { api.service.standing_campaigns() } else { Vec::new() };
    let next = next.map(|next| next.to_string());
    Ok(Json(CampaignList { campaigns, standing, next }))
}

const fn has_part(part: CampaignPart) -> bool {
    part.owner || part.reviewer
}

/// Shows a campaign: where it stands, what came out, and the digest that its owner signs.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{id}",
    tag = "Access reviews",
    operation_id = "campaigns.show",
    params(("id" = String, Path, description = "The campaign")),
    responses(
        (status = 200, description = "The campaign", body = CampaignView),
        Refused,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<CampaignView>, Problem> {
    let (caller, id) = api.let_in(&parts, &id, Operation::CampaignsShow, has_part).await?;
    let (service, who) = (Arc::clone(&api.service), caller.proof.identity);
    Ok(Json(apart(move || service.campaign_view(&id, &who)).await??))
}

/// Lists cases, the riskiest and smallest first: those that wait for the caller, or all.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{id}/items",
    tag = "Access reviews",
    operation_id = "campaigns.items",
    params(("id" = String, Path, description = "The campaign"), CampaignItemsForm),
    responses(
        (status = 200, description = "A page of cases", body = CampaignItems),
        Misasked,
        Refused,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn items(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<CampaignItems>, Problem> {
    let (caller, id) = api.let_in(&parts, &id, Operation::CampaignsItems, has_part).await?;
    let CampaignItemsForm { of, after, limit } = page::query(&parts.uri)?;
    let of = match of.as_deref() {
        None | Some("mine") => CasesOf::Mine,
        Some("all") => CasesOf::All,
        Some(_) => return Err(Problem::invalid("`of` is `mine` or `all`")),
    };
    let limit = page::limit(limit)?;
    let after = after.map(|after| after.parse().map_err(|_| Problem::invalid("no such cursor")));
    let after = after.transpose()?;
    let (service, who) = (Arc::clone(&api.service), caller.proof.identity);
    let found = apart(move || service.campaign_cases(&id, &who, of, after, limit)).await??;
    let (items, next) = found;
    Ok(Json(CampaignItems { items, next: next.map(|next: u32| next.to_string()) }))
}

/// Shows a case with what is known of the right. Where the caller is asked about it, it is
/// remembered when they saw it first, and what they saw: that is recorded with their answer.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{id}/items/{case}",
    tag = "Access reviews",
    operation_id = "campaigns.item",
    params(
        ("id" = String, Path, description = "The campaign"),
        ("case" = String, Path, description = "The case's number"),
    ),
    responses(
        (status = 200, description = "The case", body = CampaignItemView),
        Refused,
        (status = 404, description = "No such campaign or case is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn item(
    State(api): State<Shared>,
    Path((id, case)): Path<(String, String)>,
    parts: Parts,
) -> Result<Json<CampaignItemView>, Problem> {
    let (caller, id) = api.let_in(&parts, &id, Operation::CampaignsItem, has_part).await?;
    let number = case.parse().map_err(|_| Problem::not_found("case", &case))?;
    let (service, read) = (Arc::clone(&api.service), Arc::clone(&api.read));
    let who = caller.proof.identity;
    let shown = apart(move || service.open_case(&*read, &id, number, &who)).await?;
    shown.map(Json).map_err(|error| match error {
        CampaignStepError::Campaign(_) => Problem::not_found("case", &case),
        other => other.into(),
    })
}

/// Answers cases, 1 to 100 at once. Each answer is taken or refused by itself. Nobody answers a
/// case that they were not shown, that is about their own right, or that they gave.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/decisions",
    tag = "Access reviews",
    operation_id = "campaigns.decide",
    params(("id" = String, Path, description = "The campaign")),
    request_body = CampaignDecideForm,
    responses(
        (status = 200, description = "What came of each answer; those that were taken are recorded", body = CampaignDecided),
        Refused,
        Unreadable,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 503, description = "They could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn decide(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<CampaignDecided>, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsDecide).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let CampaignDecideForm { decisions } = read_json(&body)?;
    let answers: Vec<CaseAnswer> = decisions
        .into_iter()
        .map(|form| CaseAnswer {
            case: form.case,
            response: form.response.0,
            reason: form.reason.into(),
            acting_for: form.acting_for.map(|of| of.0),
        })
        .collect();
    let id = campaign_id(&id)?;
    let results = api.service.decide_cases(&id, &caller.proof.identity, &answers).await?;
    let results = results.into_iter().map(|(case, result)| CampaignDecidedOne {
        case,
        status: if result.is_ok() { "recorded" } else { "refused" },
        problem: result.err().map(|error| error.to_string()),
    });
    Ok(Json(CampaignDecided { results: results.collect() }))
}

/// Hands a case on to another person. Reviewers hand on their own; the case of somebody else
/// takes the right to.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/reassign",
    tag = "Access reviews",
    operation_id = "campaigns.reassign",
    params(("id" = String, Path, description = "The campaign")),
    request_body = CampaignReassignForm,
    responses(
        (status = 204, description = "It is theirs now, and that is recorded"),
        Refused,
        Unreadable,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 409, description = "It cannot be handed on, or not to them", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn reassign(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsReassign).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let CampaignReassignForm { case, to, from } = read_json(&body)?;
    let by = caller.proof.identity.clone();
    let from = from.map_or_else(|| by.clone(), |from| from.0);
    if from != by {
        api.authorize(&caller, Operation::CampaignsReassignOthers)?;
    }
    let id = campaign_id(&id)?;
    api.service.reassign_case(&id, case, &from, &to.0, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the stage under way, once everyone who was asked has answered or its time is over. The
/// campaign's owner may, and those with the right.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/close-stage",
    tag = "Access reviews",
    operation_id = "campaigns.close_stage",
    params(("id" = String, Path, description = "The campaign")),
    responses(
        (status = 204, description = "It has ended, and that is recorded"),
        Refused,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 409, description = "No stage is open, or cases wait for answers", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn close_stage(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let (by, id) = api.owner_or(&parts, &id, Operation::CampaignsCloseStage).await?;
    api.service.close_stage(&id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts the cases about which nobody said anything to reviewers again, where the definition has
/// iterations left. The campaign's owner may, and those with the right.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/reiterate",
    tag = "Access reviews",
    operation_id = "campaigns.reiterate",
    params(("id" = String, Path, description = "The campaign")),
    responses(
        (status = 204, description = "They are asked again, and that is recorded"),
        Refused,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 409, description = "Not now, or not again", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn reiterate(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let (by, id) = api.owner_or(&parts, &id, Operation::CampaignsReiterate).await?;
    api.service.reiterate(&id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs what came out: its owner alone, over the digest that the campaign shows. What was decided
/// can be planned from then on (`remediations.schedule` with the campaign).
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/sign-off",
    tag = "Access reviews",
    operation_id = "campaigns.sign_off",
    params(("id" = String, Path, description = "The campaign")),
    request_body = CampaignSignForm,
    responses(
        (status = 204, description = "It is signed, and that is recorded"),
        Refused,
        Unreadable,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 409, description = "Not now, not by them, or over another digest", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn sign_off(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsSignOff).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let CampaignSignForm { over } = read_json(&body)?;
    api.service.sign_off(&campaign_id(&id)?, &caller.proof.identity, over.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a campaign up. What was answered stays in the record, and nothing of it is carried out.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{id}/cancel",
    tag = "Access reviews",
    operation_id = "campaigns.cancel",
    params(("id" = String, Path, description = "The campaign")),
    responses(
        (status = 204, description = "It is given up, and that is recorded"),
        Refused,
        (status = 404, description = "No such campaign is known", body = ProblemForm),
        (status = 409, description = "It is over", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn cancel(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let (by, id) = api.owner_or(&parts, &id, Operation::CampaignsCancel).await?;
    api.service.cancel_campaign(&id, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps a definition no longer: no campaign begins by it any more. Those that have begun go on.
#[utoipa::path(
    delete,
    path = "/v1/campaigns/standing/{name}",
    tag = "Access reviews",
    operation_id = "campaigns.withdraw",
    params(("name" = String, Path, description = "The definition's name")),
    responses(
        (status = 204, description = "It is kept no longer, and that is recorded"),
        Refused,
        (status = 404, description = "No definition of that name is kept", body = ProblemForm),
        (status = 503, description = "It could not be recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn withdraw(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<StatusCode, Problem> {
    let caller = api.admit(&parts, Operation::CampaignsWithdraw).await?;
    api.service.withdraw_campaign(&name, &caller.proof.identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Inner {
    /// Lets somebody in who has that part in the campaign, or the right.
    async fn let_in(
        &self,
        parts: &Parts,
        id: &str,
        operation: Operation,
        enough: fn(CampaignPart) -> bool,
    ) -> Result<(Admitted, RecordId), Problem> {
        let caller = self.authenticated(parts).await?;
        let known = RecordId::new(id).ok();
        let part = match known.clone().filter(|_| caller.reaches(operation)) {
            None => None,
            Some(id) => {
                let (service, who) = (Arc::clone(&self.service), caller.proof.identity.clone());
                apart(move || service.campaign_part(&id, &who)).await?.ok()
            }
        };
        if !part.is_some_and(enough) {
            self.authorize(&caller, operation)?;
        }
        Ok((caller, known.ok_or_else(|| Problem::not_found("campaign", id))?))
    }

    async fn owner_or(
        &self,
        parts: &Parts,
        id: &str,
        operation: Operation,
    ) -> Result<(IdentityId, RecordId), Problem> {
        let (caller, id) = self.let_in(parts, id, operation, |part| part.owner).await?;
        Ok((caller.proof.identity, id))
    }
}

fn campaign_id(id: &str) -> Result<RecordId, Problem> {
    RecordId::new(id).map_err(|_| Problem::not_found("campaign", id))
}

impl From<CampaignStepError> for Problem {
    fn from(error: CampaignStepError) -> Self {
        let detail = error.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match error {
            CampaignStepError::Unknown(id) => Self::not_found("campaign", id.as_str()),
            CampaignStepError::Campaign(_) => conflict("not_now"),
            CampaignStepError::Decide(_)
            | CampaignStepError::NotShown(_)
            | CampaignStepError::Twice(_) => conflict("not_taken"),
            CampaignStepError::NotAPerson(_) => conflict("not_a_person"),
            CampaignStepError::NotDeputy { .. } => conflict("not_a_deputy"),
            CampaignStepError::Damaged(_) | CampaignStepError::NotRecorded(_) => {
                tracing::error!(problem = %detail, "a campaign cannot be read or recorded");
                Self::unavailable(detail)
            }
        }
    }
}

impl From<StartCampaignError> for Problem {
    fn from(error: StartCampaignError) -> Self {
        let detail = error.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match error {
            StartCampaignError::Definition(_) => Self::invalid(detail),
            StartCampaignError::Owner(_) => conflict("not_a_person"),
            StartCampaignError::Population(FreezeError::Nothing) => conflict("nothing"),
            StartCampaignError::Population(FreezeError::TooMany) => conflict("over_limit"),
            StartCampaignError::Population(_) => Self::unavailable(detail),
            StartCampaignError::Campaign(_) => conflict("not_now"),
            StartCampaignError::Changed => conflict("changed"),
            StartCampaignError::TooMany { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "over_limit", detail)
            }
            StartCampaignError::Unknown(name) => Self::not_found("kept definition", &name),
            StartCampaignError::NotRecorded(_) => Self::unavailable(detail),
        }
    }
}
