//! Changes of the policies: proposed by one, approved by another.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::RecordId;
use safeconduct_service::{NewProposal, Operation};
use safeconduct_wire::admin::{
    PolicyFolderView, ProposalAnswerForm, ProposalList, ProposalView, ProposalWithTexts,
    ProposeForm,
};
use safeconduct_wire::document::{Written, read_json};

use crate::body::json_bytes;
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Refused, Unreadable};
use crate::router::Shared;

/// Lists the changes of the policies that were proposed, the oldest first.
#[utoipa::path(
    get,
    path = "/v1/policy-proposals",
    tag = "Policies",
    operation_id = "proposals.list",
    responses((status = 200, description = "All of them", body = ProposalList), Refused),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<ProposalList>, Problem> {
    api.admit(&parts, Operation::ProposalsList).await?;
    let proposals = api.service.policy_proposals();
    Ok(Json(ProposalList { proposals: proposals.iter().map(ProposalView::of).collect() }))
}

/// Shows a change of the policies, with its texts.
#[utoipa::path(
    get,
    path = "/v1/policy-proposals/{id}",
    tag = "Policies",
    operation_id = "proposals.show",
    params(("id" = String, Path, description = "The proposal")),
    responses(
        (status = 200, description = "The proposal", body = ProposalWithTexts),
        Refused,
        (status = 404, description = "No such proposal is known", body = ProblemForm),
        (status = 503, description = "Its texts cannot be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<ProposalWithTexts>, Problem> {
    api.admit(&parts, Operation::ProposalsShow).await?;
    let id = named(&id)?;
    let one = api.service.policy_proposal(&id);
    let one = one.ok_or_else(|| Problem::not_found("proposal", id.as_str()))?;
    Ok(Json(ProposalWithTexts::of(&one, api.service.proposed_texts(&id)?)))
}

/// Shows the policy folder as it is, with its digest: what a change is edited from.
#[utoipa::path(
    get,
    path = "/v1/policy-folder",
    tag = "Policies",
    operation_id = "proposals.folder",
    responses(
        (status = 200, description = "The folder", body = PolicyFolderView),
        Refused,
        (status = 503, description = "The folder could not be read", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn folder(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<PolicyFolderView>, Problem> {
    api.admit(&parts, Operation::ProposalsFolder).await?;
    let (digest, files) = api.service.policy_folder().await?;
    Ok(Json(PolicyFolderView { digest: Written(digest), files }))
}

/// Proposes a change of the policies: the whole folder as it is to be. It is loaded and tested as
/// it would be in force; somebody else has to approve it.
#[utoipa::path(
    post,
    path = "/v1/policy-proposals",
    tag = "Policies",
    operation_id = "proposals.make",
    request_body = ProposeForm,
    responses(
        (status = 201, description = "It waits for somebody else, and that is recorded", body = ProposalView),
        Refused,
        (status = 409, description = "Others changed the same, or the folder is not the one that was edited (`diverged`)", body = ProblemForm),
        (status = 422, description = "It does not load, or a policy test fails", body = ProblemForm),
        Unreadable,
        (status = 503, description = "The folder could not be read, or it could not be recorded", body = ProblemForm),
        (status = 507, description = "There are too many", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn make(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let caller = api.admit(&parts, Operation::ProposalsMake).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let ProposeForm { files, from, reason } = read_json(&body)?;
    let wanted = NewProposal { files, reason, from: Some(from.0), ..NewProposal::default() };
    let made = api.service.propose_policies(wanted, &caller.proof.identity).await?;
    Ok((StatusCode::CREATED, Json(ProposalView::of(&made))).into_response())
}

/// Answers a proposal. Whoever wrote it cannot approve it; where somebody else does, it is put in
/// force: the folder is written and loaded, or, where it has changed since, nothing is.
#[utoipa::path(
    post,
    path = "/v1/policy-proposals/{id}/answer",
    tag = "Policies",
    operation_id = "proposals.answer",
    params(("id" = String, Path, description = "The proposal")),
    request_body = ProposalAnswerForm,
    responses(
        (status = 200, description = "It is in force, or rejected, and that is recorded", body = ProposalView),
        Refused,
        (status = 404, description = "No such proposal is known", body = ProblemForm),
        (status = 409, description = "The caller wrote it (`own_proposal`) or gains by it (`own_gain`), it is answered (`not_now`), or the folder has changed (`conflict`)", body = ProblemForm),
        (status = 422, description = "It does not pass its checks any more", body = ProblemForm),
        Unreadable,
        (status = 503, description = "It could not be written, loaded or recorded", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn answer(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Json<ProposalView>, Problem> {
    let caller = api.admit(&parts, Operation::ProposalsAnswer).await?;
    let body = json_bytes(&parts.headers, body).await?;
    let ProposalAnswerForm { answer, reason } = read_json(&body)?;
    let (id, by) = (named(&id)?, caller.proof.identity);
    // Apart, so that a client that leaves does not leave a change approved and not in force.
    let answering = tokio::spawn(async move {
        let one = match (&*answer, reason) {
            ("approve", None) => api.service.approve_proposal(&id, &by).await?,
            ("reject", Some(why)) => api.service.reject_proposal(&id, &by, why.into()).await?,
            ("reject", None) => return Err(Problem::invalid("say why: `reason`")),
            _ => {
                return Err(Problem::invalid("`answer` is `approve`, or `reject` with a `reason`"));
            }
        };
        Ok(Json(ProposalView::of(&one)))
    });
    answering.await.map_err(|error| Problem::not_recorded(&error.to_string()))?
}

fn named(id: &str) -> Result<RecordId, Problem> {
    RecordId::new(id).map_err(|_| Problem::not_found("proposal", id))
}
