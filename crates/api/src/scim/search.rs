//! Searches whose question is in a body (RFC 7644, section 3.4.3), so that it is in no log of
//! addresses.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;

use super::answer::{Resource, ScimProblem, list};
use super::{Wanted, admitted, groups as of_groups, read, users as of_users};
use crate::router::Shared;

pub(super) async fn all(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    // What only the other kind has, this one does not have.
    let mut found: Vec<Resource> =
        of_users::found_by(&api, &pusher.who.world, &wanted).unwrap_or_default();
    found.extend(of_groups::found_by(&api, &pusher.who.world, &wanted)?);
    Ok(page(&found, &api.base_url, &wanted))
}

pub(super) async fn users(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    let found = of_users::found_by(&api, &pusher.who.world, &wanted)?;
    Ok(page(&found, &api.base_url, &wanted))
}

pub(super) async fn groups(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    let found = of_groups::found_by(&api, &pusher.who.world, &wanted)?;
    Ok(page(&found, &api.base_url, &wanted))
}

fn page(found: &[Resource], base_url: &str, wanted: &Wanted) -> Response {
    let (skipped, most) = wanted.page();
    let page = found.get(skipped.min(found.len())..).unwrap_or_default();
    let page = page.get(..most.min(page.len())).unwrap_or_default();
    list(page, found.len(), base_url, wanted)
}
