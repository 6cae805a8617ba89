//! Intents: what may be undertaken.

use axum::Json;
use axum::extract::{Path, State};
use http::request::Parts;
use safeconduct_model::{Identity, IdentityKind, Intent, IntentName};
use safeconduct_service::Operation;
use safeconduct_wire::admin::{IntentList, IntentSummary, IntentView};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::page::{self, page_of};
use crate::problem::{Problem, ProblemForm};
use crate::refusals::{Misasked, Refused};
use crate::router::Shared;

/// Which intents to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// The versions of that one.
    intent: Option<String>,
    /// Those after this one: `NAME@VERSION`.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Lists intents, by name and version, with what must be said to undertake them. What is no
/// person sees those that it may undertake, and with the right to `intents.show` all.
#[utoipa::path(
    get,
    path = "/v1/intents",
    tag = "Intents",
    operation_id = "intents.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of intents", body = IntentList),
        Misasked,
        (status = 401, description = "Nobody has proved who they are", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<IntentList>, Problem> {
    let caller = api.admit(&parts, Operation::IntentsList).await?;
    let Listed { intent: wanted, after, limit } = page::query(&parts.uri)?;
    let limit = page::limit(limit)?;
    let after = after.map(|after| place(&after)).transpose()?;
    let identity = caller.identity()?;
    let all = identity.kind == IdentityKind::User || api.may(&caller, Operation::IntentsShow)?;
    let beyond = |intent: &Intent| {
        after.as_ref().is_none_or(|(name, version)| {
            (intent.name.as_str(), intent.version) > (name.as_str(), *version)
        })
    };
    let found = caller.world.intents().iter();
    let found = found.filter(|intent| {
        wanted.as_deref().is_none_or(|wanted| intent.name.as_str() == wanted)
            && beyond(intent)
            && (all || undertakes(identity, intent))
    });
    let (found, next) =
        page_of(found, limit, |intent| format!("{}@{}", intent.name, intent.version));
    Ok(Json(IntentList { intents: found.into_iter().map(IntentSummary::from).collect(), next }))
}

fn place(after: &str) -> Result<(String, u32), Problem> {
    let place = after.rsplit_once('@');
    let place = place.and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    place.ok_or_else(|| Problem::invalid("`after` must be `NAME@VERSION`"))
}

fn undertakes(identity: &Identity, intent: &Intent) -> bool {
    intent.undertakers.include(identity)
}

/// Which version to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Versioned {
    /// The version; left out, the highest.
    version: Option<u32>,
}

/// Shows an intent in whole. Whoever may undertake it may; others need the right to
/// `intents.show`.
#[utoipa::path(
    get,
    path = "/v1/intents/{name}",
    tag = "Intents",
    operation_id = "intents.show",
    params(("name" = String, Path, description = "The intent's name"), Versioned),
    responses(
        (status = 200, description = "The intent", body = IntentView),
        Misasked,
        Refused,
        (status = 404, description = "No such intent of that version is known", body = ProblemForm),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    Path(name): Path<String>,
    parts: Parts,
) -> Result<Json<IntentView>, Problem> {
    let caller = api.authenticated(&parts).await?;
    let Versioned { version } = page::query(&parts.uri)?;
    let identity = caller.identity()?;
    let known = IntentName::new(name.as_str()).ok();
    let found = known.and_then(|known| caller.world.intents().version(&known, version));
    let own = caller.reaches(Operation::IntentsShow);
    if !own || found.is_none_or(|intent| !undertakes(identity, intent)) {
        api.authorize(&caller, Operation::IntentsShow)?;
    }
    found.map(|intent| Json(intent.into())).ok_or_else(|| Problem::not_found("intent", &name))
}
