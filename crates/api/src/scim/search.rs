//! Searches whose question is in a body (RFC 7644, section 3.4.3), so that it is in no log of
//! addresses.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use safeconduct_model::Identity;
use safeconduct_wire::scim::ScimError;

use super::answer::{Resource, ScimProblem, list};
use super::users::{KeptNames, resource_in};
use super::{Pusher, Wanted, admitted, groups as of_groups, read, users as of_users};
use crate::router::{Inner, Shared};

pub(super) async fn all(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    // What only the other kind has, this one does not have.
    let users = of_users::found_by(&pusher.who.world, &wanted).unwrap_or_default();
    Ok(page(&api, &users, Some(&pusher), &wanted)?)
}

pub(super) async fn users(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    let users = of_users::found_by(&pusher.who.world, &wanted)?;
    Ok(page(&api, &users, None, &wanted)?)
}

pub(super) async fn groups(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = Wanted::of_body(&read(&parts, body).await?)?;
    Ok(page(&api, &[], Some(&pusher), &wanted)?)
}

/// A page of people, and of groups where those are asked for. Only what is on it is made.
fn page(
    api: &Inner,
    users: &[&Identity],
    groups: Option<&Pusher>,
    wanted: &Wanted,
) -> Result<Response, ScimError> {
    let (skipped, most) = wanted.page();
    let kept = KeptNames::of(api);
    let shown = users.iter().skip(skipped).take(most);
    let mut page: Vec<Resource> = shown.map(|user| resource_in(&kept, user)).collect();
    let mut total = users.len();
    if let Some(pusher) = groups {
        let rest = (skipped.saturating_sub(users.len()), most - page.len());
        let (shown, count) = of_groups::found_by(api, &pusher.who.world, wanted, rest)?;
        page.extend(shown);
        total += count;
    }
    Ok(list(&page, total, &api.base_url, wanted))
}
