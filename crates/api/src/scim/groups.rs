//! Groups: their name and what a directory calls them is kept; who belongs to them stands with
//! the identities.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Value};
use safeconduct_service::{KeptGroup, REPLACED_MAX, Replacing, World};
use safeconduct_wire::import::are_alike;
use safeconduct_wire::scim::{self, Attributes, GROUP, ScimError, Term, member};

use super::answer::{Resource, ScimProblem, list as page_of};
use super::users::{identity_of, scim_id, text};
use super::{Pusher, ROOT, TRIES, admitted, allowed, contended, is_user, read, replaced, wanted};
use crate::problem::Problem;
use crate::router::{Inner, Shared};

/// What a patch can be about.
const HAS: Attributes =
    Attributes { single: &["displayName", "externalId"], lists: &["members"], fixed: &["id"] };

/// Who belongs to each group, by its name.
fn members(world: &World) -> BTreeMap<&str, Vec<&IdentityId>> {
    let mut members: BTreeMap<&str, Vec<&IdentityId>> = BTreeMap::new();
    for identity in world.identities().filter(|identity| is_user(identity)) {
        for group in &identity.groups {
            members.entry(group).or_default().push(&identity.id);
        }
    }
    members.values_mut().for_each(|members| members.sort_unstable());
    members
}

fn resource(base_url: &str, id: &str, group: &KeptGroup, members: &[&IdentityId]) -> Resource {
    let one = |member: &&IdentityId| {
        let id = scim_id(member);
        let at = format!("{base_url}{ROOT}/Users/{id}");
        Value::object([("value", Value::from(id)), ("$ref", Value::from(at))])
    };
    let mut shown = vec![
        ("schemas", Value::Array(vec![Value::from(GROUP)])),
        ("displayName", Value::String(Arc::clone(&group.name))),
    ];
    shown.extend(group.external_id.clone().map(|id| ("externalId", Value::String(id))));
    if !members.is_empty() {
        shown.push(("members", Value::Array(members.iter().map(one).collect())));
    }
    Resource { kind: "Group", id: id.to_owned(), members: shown }
}

/// A group as it now is.
fn found(api: &Inner, world: &World, id: &str) -> Result<(KeptGroup, Resource), ScimProblem> {
    let group = api.service.kept_groups().remove(id).ok_or(ScimProblem::NotFound)?;
    let all = members(world);
    let members = all.get(&*group.name).map(Vec::as_slice).unwrap_or_default();
    let resource = resource(&api.base_url, id, &group, members);
    Ok((group, resource))
}

/// What a directory says of a group.
struct SaidGroup {
    name: Arc<str>,
    external_id: Option<Arc<str>>,
    /// Nothing where it does not speak of them.
    members: Option<BTreeSet<IdentityId>>,
}

fn said(world: &World, value: &Value) -> Result<SaidGroup, ScimError> {
    let name = text(value, "displayName")?;
    let name = name.ok_or_else(|| ScimError::value("displayName", "is missing"))?;
    let members = match member(value, "members") {
        None => None,
        Some(Value::Null) => Some(BTreeSet::new()),
        Some(Value::Array(members)) => {
            let one = |one: &Value| {
                let id = member(one, "value").and_then(Value::as_str).and_then(identity_of);
                let known = id.filter(|id| world.identity(id).is_some_and(is_user));
                known.ok_or_else(|| ScimError::value("members", "names somebody who is not here"))
            };
            Some(members.iter().map(one).collect::<Result<_, _>>()?)
        }
        Some(_) => return Err(ScimError::value("members", "is no list")),
    };
    let external_id = text(value, "externalId")?.map(Into::into);
    Ok(SaidGroup { name: name.into(), external_id, members })
}

/// Whether no other group has that name, or one that looks like it.
fn is_free(api: &Inner, name: &str, own: Option<&str>) -> Result<(), ScimError> {
    let kept = api.service.kept_groups();
    let taken = kept.iter().find(|(id, group)| {
        own != Some(&***id) && (*group.name == *name || are_alike(&group.name, name))
    });
    match taken {
        None => Ok(()),
        Some((_, other)) => {
            let other = &other.name;
            let detail = format!("`displayName` `{name}` is that of `{other}`, or looks like it");
            Err(ScimError::Uniqueness(detail))
        }
    }
}

/// What has to be changed so that those belong to the group of that name, and nobody does to the
/// one of another name. Where nobody is named, those who belonged to it still do.
fn moves(
    world: &World,
    was: Option<&str>,
    now: Option<(&str, Option<&BTreeSet<IdentityId>>)>,
) -> Vec<Replacing> {
    let belongs = |identity: &Identity| match now {
        None => false,
        Some((_, Some(members))) => members.contains(&identity.id),
        Some((name, None)) => identity.groups.contains(was.unwrap_or(name)),
    };
    let change = |identity: &Identity| {
        let mut is = identity.clone();
        if identity.status == IdentityStatus::Retired {
            // Nobody sees them there: they leave with the name, and do not join.
            return was
                .is_some_and(|was| is.groups.remove(was))
                .then(|| Replacing { was: Some(identity.clone()), is });
        }
        if let Some(was) = was {
            is.groups.remove(was);
        }
        if let Some((name, _)) = now {
            match belongs(identity) {
                true => is.groups.insert(name.to_owned()),
                false => is.groups.remove(name),
            };
        }
        (is != *identity).then(|| Replacing { was: Some(identity.clone()), is })
    };
    let people = world.identities().filter(|identity| identity.kind == IdentityKind::User);
    people.filter_map(change).collect()
}

/// Whether only people belong to a group. What a directory does not see it does not take out, and
/// a group that goes while something belongs to it would be given to that by its next namesake.
fn only_people(world: &World, group: &str) -> Result<(), ScimProblem> {
    let mut others = world.identities().filter(|other| other.kind != IdentityKind::User);
    match others.find(|other| other.groups.contains(group)) {
        None => Ok(()),
        Some(other) => {
            let kind = other.kind.as_str();
            let detail = format!(
                "`{group}` has members that are no people, such as the {kind} `{}`: take them out \
                 here before it is renamed or deleted",
                other.id
            );
            Err(Problem::new(StatusCode::CONFLICT, "group_in_use", detail).into())
        }
    }
}

/// Carries it out, in portions. Only within one is it all or nothing.
async fn moved(
    api: &Inner,
    pusher: &Pusher,
    was: Option<&str>,
    now: Option<(&str, Option<&BTreeSet<IdentityId>>)>,
) -> Result<(), ScimProblem> {
    for _ in 0..TRIES {
        let moves = moves(&api.service.world(), was, now);
        let mut all = true;
        for portion in moves.chunks(REPLACED_MAX) {
            all &= replaced(api, pusher, portion.to_vec()).await?;
        }
        if all {
            return Ok(());
        }
    }
    Err(contended())
}

pub(super) async fn list(State(api): State<Shared>, parts: Parts) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = wanted(&parts)?;
    let (page, total) = found_by(&api, &pusher.who.world, &wanted, wanted.page())?;
    Ok(page_of(&page, total, &api.base_url, &wanted))
}

/// The groups that fit, by id: those of a page, and how many there are.
pub(super) fn found_by(
    api: &Inner,
    world: &World,
    wanted: &super::Wanted,
    (skipped, most): (usize, usize),
) -> Result<(Vec<Resource>, usize), ScimError> {
    let terms = wanted.filter.as_deref().map(scim::filter).transpose()?.unwrap_or_default();
    let (all, mut found) = (members(world), Vec::new());
    let kept = api.service.kept_groups();
    for (id, group) in &kept {
        let members = all.get(&*group.name).map(Vec::as_slice).unwrap_or_default();
        if fits(id, group, members, &terms)? {
            found.push((id, group, members));
        }
    }
    let page = found.iter().skip(skipped).take(most);
    let page = page.map(|(id, group, members)| resource(&api.base_url, id, group, members));
    Ok((page.collect(), found.len()))
}

fn fits(
    id: &str,
    group: &KeptGroup,
    members: &[&IdentityId],
    terms: &[Term],
) -> Result<bool, ScimError> {
    for Term { attribute, value } in terms {
        let fits = match &**attribute {
            "displayname" => group.name.to_lowercase() == value.to_lowercase(),
            "id" => id == value,
            "externalid" => group.external_id.as_deref() == Some(value),
            "members" | "members.value" => {
                identity_of(value).is_some_and(|id| members.contains(&&id))
            }
            other => return Err(ScimError::Filter(format!("`{other}` is not served"))),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) async fn show(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let (_, resource) = found(&api, &pusher.who.world, &id)?;
    match resource.is_known(&parts) {
        true => Ok(StatusCode::NOT_MODIFIED.into_response()),
        false => Ok(resource.answer(StatusCode::OK, &api.base_url, &wanted(&parts)?)),
    }
}

pub(super) async fn create(
    State(api): State<Shared>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let body = read(&parts, body).await?;
    let _alone = api.provisioning.lock().await;
    let world = api.service.world();
    let said = said(&world, &body)?;
    is_free(&api, &said.name, None)?;
    let change = moves(&world, None, Some((&said.name, said.members.as_ref())));
    allowed(&api, &pusher, &change)?;
    let (name, external_id) = (Arc::clone(&said.name), said.external_id);
    let id = api.service.keep_group(None, name, external_id, pusher.id()).await?;
    // Who is in a group of that name already stays in it where nobody is named.
    moved(&api, &pusher, None, Some((&said.name, said.members.as_ref()))).await?;
    let (_, resource) = found(&api, &api.service.world(), &id)?;
    Ok(resource.answer(StatusCode::CREATED, &api.base_url, &wanted(&parts)?))
}

pub(super) async fn replace(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let body = read(&parts, body).await?;
    let _alone = api.provisioning.lock().await;
    let mut said = said(&api.service.world(), &body)?;
    // A replacement says all of it: whom it does not name does not belong to it.
    said.members.get_or_insert_default();
    changed(&api, &pusher, &id, &parts, said).await
}

pub(super) async fn patch(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let operations = scim::patch(&read(&parts, body).await?)?;
    let _alone = api.provisioning.lock().await;
    let world = api.service.world();
    let (_, before) = found(&api, &world, &id)?;
    let after = scim::patched(before.value(), &operations, HAS)?;
    let mut said = said(&world, &after)?;
    said.members.get_or_insert_default();
    changed(&api, &pusher, &id, &parts, said).await
}

async fn changed(
    api: &Inner,
    pusher: &Pusher,
    id: &str,
    parts: &Parts,
    said: SaidGroup,
) -> Result<Response, ScimProblem> {
    let (group, before) = found(api, &api.service.world(), id)?;
    before.is_as_thought(parts)?;
    is_free(api, &said.name, Some(id))?;
    let id: Arc<str> = id.into();
    let was = (said.name != group.name).then_some(&*group.name);
    // Nothing is recorded of a change that is not theirs to make.
    let world = api.service.world();
    if let Some(was) = was {
        only_people(&world, was)?;
    }
    allowed(api, pusher, &moves(&world, was, Some((&said.name, said.members.as_ref()))))?;
    if said.name != group.name || said.external_id != group.external_id {
        let (name, external_id) = (Arc::clone(&said.name), said.external_id);
        api.service.keep_group(Some(&id), name, external_id, pusher.id()).await?;
    }
    moved(api, pusher, was, Some((&said.name, said.members.as_ref()))).await?;
    let (_, resource) = found(api, &api.service.world(), &id)?;
    Ok(resource.answer(StatusCode::OK, &api.base_url, &wanted(parts)?))
}

/// Nobody belongs to a group that is deleted; one to which more than people belong is not.
pub(super) async fn remove(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let _alone = api.provisioning.lock().await;
    let world = api.service.world();
    let (group, resource) = found(&api, &world, &id)?;
    resource.is_as_thought(&parts)?;
    only_people(&world, &group.name)?;
    allowed(&api, &pusher, &moves(&world, Some(&group.name), None))?;
    moved(&api, &pusher, Some(&group.name), None).await?;
    api.service.forget_group(&id.into(), pusher.id()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
