//! People.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use safeconduct_model::{
    Identity, IdentityId, IdentityKind, IdentityStatus, ImportSource, Imported, NAME_BYTES_MAX,
    Value,
};
use safeconduct_service::{Replacing, World, nobody};
use safeconduct_wire::import::{are_alike, is_plain};
use safeconduct_wire::scim::{self, Attributes, ScimError, Term, USER, member};

use super::answer::{Resource, ScimProblem, list as page_of};
use super::{TRIES, admitted, contended, is_user, read, replaced, wanted};
use crate::router::{Inner, Shared};

/// What a patch can be about.
const HAS: Attributes = Attributes {
    single: &["userName", "externalId", "displayName", "active"],
    lists: &[],
    fixed: &["id"],
};

/// What a directory calls an identity: its id in letters that stand in every URL.
pub(super) fn scim_id(id: &IdentityId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_str())
}

/// Whom a directory means.
pub(super) fn identity_of(scim_id: &str) -> Option<IdentityId> {
    let bytes = URL_SAFE_NO_PAD.decode(scim_id).ok()?;
    IdentityId::new(String::from_utf8(bytes).ok()?).ok()
}

fn found<'w>(world: &'w World, scim_id: &str) -> Result<&'w Identity, ScimProblem> {
    let known = identity_of(scim_id).and_then(|id| world.identity(&id));
    known.filter(|identity| is_user(identity)).ok_or(ScimProblem::NotFound)
}

/// What somebody signs in as.
fn user_name(identity: &Identity) -> &str {
    let own = identity.imported.as_ref().and_then(|imported| imported.user_name.as_deref());
    own.unwrap_or(identity.id.as_str())
}

fn resource(api: &Inner, identity: &Identity) -> Resource {
    let mut members = vec![
        ("schemas", Value::Array(vec![Value::from(USER)])),
        ("userName", Value::from(user_name(identity))),
        ("active", Value::Bool(identity.status == IdentityStatus::Active)),
    ];
    if let Some(imported) = &identity.imported {
        let text = |text: &Option<std::sync::Arc<str>>| text.clone().map(Value::String);
        members.extend(text(&imported.external_id).map(|id| ("externalId", id)));
        members.extend(text(&imported.display_name).map(|name| ("displayName", name)));
    }
    let kept =
        if identity.groups.is_empty() { Default::default() } else { api.service.kept_groups() };
    let groups = kept.iter().filter(|(_, group)| identity.groups.contains(&*group.name));
    let groups: Vec<Value> = groups
        .map(|(id, group)| {
            let (id, name) = (std::sync::Arc::clone(id), std::sync::Arc::clone(&group.name));
            Value::object([("value", Value::String(id)), ("display", Value::String(name))])
        })
        .collect();
    if !groups.is_empty() {
        members.push(("groups", Value::Array(groups)));
    }
    Resource { kind: "User", id: scim_id(&identity.id), members }
}

/// What a directory says of somebody.
struct SaidUser {
    user_name: String,
    external_id: Option<String>,
    display_name: Option<String>,
    active: Option<bool>,
}

fn said(value: &Value) -> Result<SaidUser, ScimError> {
    let user_name =
        text(value, "userName")?.ok_or_else(|| ScimError::value("userName", "is missing"))?;
    let active = match member(value, "active") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(active)) => Some(*active),
        // Some write truth as a text.
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Some(true),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => return Err(ScimError::value("active", "is neither true nor false")),
    };
    let (external_id, display_name) = (text(value, "externalId")?, text(value, "displayName")?);
    Ok(SaidUser { user_name, external_id, display_name, active })
}

/// A text that people and records can hold; nothing where it is empty.
pub(super) fn text(value: &Value, name: &str) -> Result<Option<String>, ScimError> {
    match member(value, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() > NAME_BYTES_MAX => {
            Err(ScimError::value(name, format!("has more than {NAME_BYTES_MAX} bytes")))
        }
        Some(Value::String(text)) if is_plain(text) => Ok(Some(text.to_string())),
        Some(Value::String(_)) => {
            Err(ScimError::value(name, "holds a character that does not show"))
        }
        Some(_) => Err(ScimError::value(name, "is no text")),
    }
}

/// Somebody as a directory has them, with all that is decided here.
fn with(mut identity: Identity, said: SaidUser) -> Identity {
    let was = identity.imported.take();
    let suspended = was.is_some_and(|was| was.suspended);
    let (status, suspended) = match (identity.status, said.active) {
        (IdentityStatus::Active, Some(false)) => (IdentityStatus::Suspended, true),
        (IdentityStatus::Suspended, Some(true)) if suspended => (IdentityStatus::Active, false),
        (status, _) => (status, suspended),
    };
    identity.status = status;
    identity.imported = Some(Box::new(Imported {
        external_id: said.external_id.map(Into::into),
        user_name: (said.user_name != identity.id.as_str()).then(|| said.user_name.into()),
        display_name: said.display_name.map(Into::into),
        suspended,
        ..Imported::of(ImportSource::Scim)
    }));
    identity
}

/// Whether a name is somebody's already, or looks as if it were.
fn is_free(world: &World, name: &str, own: Option<&IdentityId>) -> Result<(), ScimError> {
    let taken = world.identities().find(|identity| {
        let other = user_name(identity);
        let retired = identity.status == IdentityStatus::Retired && is_user_name(identity, name);
        let same = |other: &str| other == name || are_alike(other, name);
        Some(&identity.id) != own && !retired && (same(other) || same(identity.id.as_str()))
    });
    match taken {
        None => Ok(()),
        Some(other) => {
            let other = user_name(other);
            let detail = format!("`userName` `{name}` is that of `{other}`, or looks like it");
            Err(ScimError::Uniqueness(detail))
        }
    }
}

/// Whether somebody who is gone can come back under that name.
fn is_user_name(identity: &Identity, name: &str) -> bool {
    identity.kind == IdentityKind::User && identity.id.as_str() == name
}

pub(super) async fn list(State(api): State<Shared>, parts: Parts) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = wanted(&parts)?;
    let terms = wanted.filter.as_deref().map(scim::filter).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for identity in pusher.who.world.identities().filter(|identity| is_user(identity)) {
        if fits(identity, &terms)? {
            found.push(identity);
        }
    }
    found.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    let (skipped, most) = wanted.page();
    let page = found.iter().skip(skipped).take(most).map(|identity| resource(&api, identity));
    Ok(page_of(&page.collect::<Vec<_>>(), found.len(), &api.base_url, &wanted))
}

/// Everyone who fits, by id.
pub(super) fn found_by(
    api: &Inner,
    world: &World,
    wanted: &super::Wanted,
) -> Result<Vec<Resource>, ScimError> {
    let terms = wanted.filter.as_deref().map(scim::filter).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for identity in world.identities().filter(|identity| is_user(identity)) {
        if fits(identity, &terms)? {
            found.push(identity);
        }
    }
    found.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(found.into_iter().map(|identity| resource(api, identity)).collect())
}

fn fits(identity: &Identity, terms: &[Term]) -> Result<bool, ScimError> {
    let imported = identity.imported.as_ref();
    let text =
        |text: Option<&std::sync::Arc<str>>, value: &str| text.is_some_and(|t| **t == *value);
    for Term { attribute, value } in terms {
        let fits = match &**attribute {
            "username" => user_name(identity).to_lowercase() == value.to_lowercase(),
            "id" => scim_id(&identity.id) == *value,
            "externalid" => text(imported.and_then(|one| one.external_id.as_ref()), value),
            "displayname" => text(imported.and_then(|one| one.display_name.as_ref()), value),
            "active" => (identity.status == IdentityStatus::Active) == (value == "true"),
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
    let resource = resource(&api, found(&pusher.who.world, &id)?);
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
    for _ in 0..TRIES {
        let said = said(&body)?;
        let world = api.service.world();
        is_free(&world, &said.user_name, None)?;
        let id = IdentityId::new(said.user_name.as_str())
            .map_err(|error| ScimError::value("userName", error.to_string()))?;
        let was = world.identity(&id).cloned();
        // Somebody who was deleted comes back with nothing of what they had.
        let mut base = nobody(id.clone(), IdentityKind::User);
        base.roles = was.as_ref().map(|was| was.roles.clone()).unwrap_or_default();
        let is = with(base, said);
        if replaced(&api, &pusher, vec![Replacing { was, is: is.clone() }]).await? {
            let resource = resource(&api, &is);
            return Ok(resource.answer(StatusCode::CREATED, &api.base_url, &wanted(&parts)?));
        }
    }
    Err(contended())
}

pub(super) async fn replace(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let body = read(&parts, body).await?;
    change(&api, &pusher, &id, &parts, |_| said(&body)).await
}

pub(super) async fn patch(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let operations = scim::patch(&read(&parts, body).await?)?;
    change(&api, &pusher, &id, &parts, |before| said(&scim::patched(before, &operations, HAS)?))
        .await
}

/// Changes somebody by what is said of them, who are as the directory thinks.
async fn change(
    api: &Inner,
    pusher: &super::Pusher,
    id: &str,
    parts: &Parts,
    said: impl Fn(Value) -> Result<SaidUser, ScimError>,
) -> Result<Response, ScimProblem> {
    let _alone = api.provisioning.lock().await;
    for _ in 0..TRIES {
        let world = api.service.world();
        let was = found(&world, id)?;
        let before = resource(api, was);
        before.is_as_thought(parts)?;
        let said = said(before.value())?;
        if said.user_name != user_name(was) {
            is_free(&world, &said.user_name, Some(&was.id))?;
        }
        let is = with(was.clone(), said);
        let (was, id) = (Some(was.clone()), is.id.clone());
        if replaced(api, pusher, vec![Replacing { was, is }]).await? {
            let world = api.service.world();
            let is = world.identity(&id).ok_or(ScimProblem::NotFound)?;
            return Ok(resource(api, is).answer(StatusCode::OK, &api.base_url, &wanted(parts)?));
        }
    }
    Err(contended())
}

/// Whom a directory deletes is retired, and belongs to no group any more.
pub(super) async fn remove(
    State(api): State<Shared>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let _alone = api.provisioning.lock().await;
    for _ in 0..TRIES {
        let world = api.service.world();
        let was = found(&world, &id)?;
        resource(&api, was).is_as_thought(&parts)?;
        let mut is = Identity { status: IdentityStatus::Retired, ..was.clone() };
        is.groups.clear();
        if replaced(&api, &pusher, vec![Replacing { was: Some(was.clone()), is }]).await? {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    Err(contended())
}
