//! The catalogue with what is quarantined, and the upstreams.

use axum::Json;
use axum::extract::State;
use http::request::Parts;
use safeconduct_service::Operation;
use safeconduct_wire::admin::{ActionView, CatalogueList, UpstreamList};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::page::{self, page_of};
use crate::problem::Problem;
use crate::refusals::{Misasked, Refused};
use crate::router::Shared;

/// Which actions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listed {
    /// Those of that server.
    server: Option<String>,
    /// `true`: only those whose live definition is not the approved one; `false`: only others.
    quarantined: Option<bool>,
    /// Those after this name.
    after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    limit: Option<usize>,
}

/// Lists what is known of actions, by name, and which of them are quarantined.
#[utoipa::path(
    get,
    path = "/v1/catalogue",
    tag = "Catalogue",
    operation_id = "catalogue.list",
    params(Listed),
    responses(
        (status = 200, description = "A page of the catalogue", body = CatalogueList),
        Misasked,
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<CatalogueList>, Problem> {
    let caller = api.admit(&parts, Operation::CatalogueList).await?;
    let Listed { server, quarantined, after, limit } = page::query(&parts.uri)?;
    let world = &caller.world;
    let entries = world.catalogue().actions.values();
    let found =
        entries.map(|entry| (entry, world.quarantined(&entry.name))).filter(|(entry, seen)| {
            let on = entry.server.as_ref().map(|server| server.as_str());
            server.as_deref().is_none_or(|server| on == Some(server))
                && quarantined.is_none_or(|wanted| seen.is_some() == wanted)
                && after.as_deref().is_none_or(|after| entry.name.as_str() > after)
        });
    let (found, next) = page_of(found, page::limit(limit)?, |(entry, _)| entry.name.to_string());
    let actions = found.into_iter().map(|(entry, seen)| ActionView::new(entry, seen));
    Ok(Json(CatalogueList { actions: actions.collect(), next }))
}

/// Lists the upstreams and how they stand.
#[utoipa::path(
    get,
    path = "/v1/upstreams",
    tag = "Catalogue",
    operation_id = "upstreams.list",
    responses(
        (status = 200, description = "The upstreams, by name", body = UpstreamList),
        Refused,
    ),
    security(("bearer" = []))
)]
pub(crate) async fn upstreams(
    State(api): State<Shared>,
    parts: Parts,
) -> Result<Json<UpstreamList>, Problem> {
    api.admit(&parts, Operation::UpstreamsList).await?;
    Ok(Json(UpstreamList { upstreams: api.controls.upstreams() }))
}
