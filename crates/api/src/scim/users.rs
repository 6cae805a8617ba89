//! People.

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The ids of the groups that directories keep here, by their names.
pub(super) struct KeptNames(BTreeMap<Arc<str>, Arc<str>>);

impl KeptNames {
    pub(super) fn of(api: &Inner) -> Self {
        let kept = api.service.kept_groups();
        Self(kept.into_iter().map(|(id, group)| (group.name, id)).collect())
    }
}

fn resource(api: &Inner, identity: &Identity) -> Resource {
    let none = identity.groups.is_empty();
    let kept = if none { KeptNames(BTreeMap::new()) } else { KeptNames::of(api) };
    resource_in(&kept, identity)
}

pub(super) fn resource_in(kept: &KeptNames, identity: &Identity) -> Resource {
    let mut members = vec![
        ("schemas", Value::Array(vec![Value::from(USER)])),
        ("userName", Value::from(user_name(identity))),
        ("active", Value::Bool(identity.status == IdentityStatus::Active)),
    ];
    if let Some(imported) = &identity.imported {
        let text = |text: &Option<Arc<str>>| text.clone().map(Value::String);
        members.extend(text(&imported.external_id).map(|id| ("externalId", id)));
        members.extend(text(&imported.display_name).map(|name| ("displayName", name)));
    }
    let one = |name: &String| {
        let (name, id) = kept.0.get_key_value(name.as_str())?;
        let (id, name) = (Value::String(Arc::clone(id)), Value::String(Arc::clone(name)));
        Some(Value::object([("value", id), ("display", name)]))
    };
    let groups: Vec<Value> = identity.groups.iter().filter_map(one).collect();
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
    use IdentityStatus::{Active, Quarantined, Suspended};
    let by = suspended_by(&identity);
    identity.imported = None;
    let (ours, theirs) = (Some(ImportSource::Scim), by.is_some_and(|by| by != ImportSource::Scim));
    let (status, by) = match (identity.status, said.active) {
        (Active, Some(false)) => (Suspended, ours),
        (Suspended, Some(true)) if by == ours => (Active, None),
        // Once they may act again here, they may not there.
        (Quarantined, Some(false)) if !theirs => (Quarantined, ours),
        (Quarantined, Some(true)) if by == ours => (Quarantined, None),
        // Two have stopped them, and neither lets them go on alone: that is for somebody here.
        (Suspended, Some(false)) if theirs => (Suspended, None),
        (status, _) => (status, by),
    };
    identity.status = status;
    identity.imported = Some(Box::new(Imported {
        external_id: said.external_id.map(Into::into),
        user_name: (said.user_name != identity.id.as_str()).then(|| said.user_name.into()),
        display_name: said.display_name.map(Into::into),
        suspended: by.is_some(),
        ..Imported::of(by.unwrap_or(ImportSource::Scim))
    }));
    identity
}

/// Which source suspended somebody, where one did; nobody where that was decided here.
fn suspended_by(identity: &Identity) -> Option<ImportSource> {
    let stopped = identity.status != IdentityStatus::Active;
    let imported = identity.imported.as_ref().filter(|imported| stopped && imported.suspended);
    imported.map(|imported| imported.from)
}

/// Whom a directory has deleted. Who was stopped here stays as they are, and does not go on when
/// that ends.
fn deleted(mut identity: Identity, kept: &KeptNames) -> Identity {
    let by = suspended_by(&identity);
    let mut imported = Imported::of(by.unwrap_or(ImportSource::Scim));
    match identity.status {
        IdentityStatus::Quarantined => imported.suspended = true,
        IdentityStatus::Suspended if by != Some(ImportSource::Scim) => {}
        _ => {
            identity.status = IdentityStatus::Retired;
            identity.groups.clear();
            return identity;
        }
    }
    identity.groups.retain(|group| !kept.0.contains_key(group.as_str()));
    identity.imported = Some(Box::new(imported));
    identity
}

/// Whether a name is or was somebody's, or looks as if it were. Who is retired keeps their name,
/// and with it what records, tokens and passkeys say of them: only somebody here brings them back.
fn is_free(world: &World, name: &str, own: Option<&IdentityId>) -> Result<(), ScimError> {
    let taken = world.identities().find(|identity| {
        let other = user_name(identity);
        let same = |other: &str| other == name || are_alike(other, name);
        Some(&identity.id) != own && (same(other) || same(identity.id.as_str()))
    });
    match taken {
        None => Ok(()),
        Some(taken) => {
            let other = user_name(taken);
            let retired = match taken.status {
                IdentityStatus::Retired => ", who is retired here and is brought back here alone",
                _ => "",
            };
            let detail =
                format!("`userName` `{name}` is that of `{other}`, or looks like it{retired}");
            Err(ScimError::Uniqueness(detail))
        }
    }
}

pub(super) async fn list(State(api): State<Shared>, parts: Parts) -> Result<Response, ScimProblem> {
    let pusher = admitted(&api, &parts).await?;
    let wanted = wanted(&parts)?;
    let found = found_by(&pusher.who.world, &wanted)?;
    let ((skipped, most), kept) = (wanted.page(), KeptNames::of(&api));
    let page = found.iter().skip(skipped).take(most).map(|identity| resource_in(&kept, identity));
    Ok(page_of(&page.collect::<Vec<_>>(), found.len(), &api.base_url, &wanted))
}

/// Everyone who fits, by id.
pub(super) fn found_by<'w>(
    world: &'w World,
    wanted: &super::Wanted,
) -> Result<Vec<&'w Identity>, ScimError> {
    let terms = wanted.filter.as_deref().map(scim::filter).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for identity in world.identities().filter(|identity| is_user(identity)) {
        if fits(identity, &terms)? {
            found.push(identity);
        }
    }
    found.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

fn fits(identity: &Identity, terms: &[Term]) -> Result<bool, ScimError> {
    let imported = identity.imported.as_ref();
    let text = |text: Option<&Arc<str>>, value: &str| text.is_some_and(|t| **t == *value);
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
        let is = with(nobody(id.clone(), IdentityKind::User), said);
        if replaced(&api, &pusher, vec![Replacing { was: None, is }]).await? {
            let world = api.service.world();
            let resource = resource(&api, world.identity(&id).ok_or(ScimProblem::NotFound)?);
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

/// Whom a directory deletes is retired, and belongs to no group any more. Who was stopped here
/// stays stopped as they are.
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
        let is = deleted(was.clone(), &KeptNames::of(&api));
        if replaced(&api, &pusher, vec![Replacing { was: Some(was.clone()), is }]).await? {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    Err(contended())
}
