//! Principals and resources by name: those of the file, and those of `testdata/`.

use std::collections::BTreeMap;

use safeconduct_model::{Entity, EntityRef, Identity, IdentityId, IdentityStatus, Value};
use serde_json::{Map, Value as Json};

use super::form::{PrincipalForm, ResourceFixtureForm};
use super::plain::Principal;
use super::read::limits;
use crate::document::{self, Diagnostic, Document};
use crate::json::from_serde;

/// Principals and resources that tests share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixtures {
    /// Who acts, by name.
    pub principals: BTreeMap<String, Principal>,
    /// What is acted on, by name.
    pub resources: BTreeMap<String, Entity>,
}

/// Reads `testdata/principals.yaml`: principals by name.
///
/// # Errors
/// Every problem that was found.
pub fn parse_principals(
    file: &str,
    text: &str,
) -> Result<BTreeMap<String, Principal>, Vec<Diagnostic>> {
    let document = document::read::<BTreeMap<String, PrincipalForm>>(file, text, limits())?;
    principals(&document, "", &document.content)
}

/// Reads `testdata/resources.yaml`: resources by name.
///
/// # Errors
/// Every problem that was found.
pub fn parse_resources(
    file: &str,
    text: &str,
) -> Result<BTreeMap<String, Entity>, Vec<Diagnostic>> {
    let document = document::read::<BTreeMap<String, ResourceFixtureForm>>(file, text, limits())?;
    Ok(document.content.iter().map(|(name, form)| (name.clone(), resource(form))).collect())
}

pub(super) fn principals<T>(
    document: &Document<T>,
    at: &str,
    forms: &BTreeMap<String, PrincipalForm>,
) -> Result<BTreeMap<String, Principal>, Vec<Diagnostic>> {
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, form) in forms {
        match principal(form) {
            Ok(principal) => drop(found.insert(name.clone(), principal)),
            Err((field, message)) => {
                let name = name.replace('~', "~0").replace('/', "~1");
                problems.push(document.problem(&format!("{at}/{name}/{field}"), message));
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

pub(super) fn resource(form: &ResourceFixtureForm) -> Entity {
    Entity {
        uid: EntityRef { ty: form.ty.0.clone(), id: form.id.0.clone() },
        attributes: attributes(&form.properties),
        ancestors: Vec::new(),
    }
}

/// The principal of a form, or the field that does not fit and why.
fn principal(form: &PrincipalForm) -> Result<Principal, (&'static str, String)> {
    let identity =
        || IdentityId::new(form.id.0.as_str()).map_err(|error| ("id", error.to_string()));
    match (&form.kind, &form.ty) {
        (Some(_), Some(_)) => {
            Err(("kind", "an identity has a `kind`, a subject has a `type`: not both".into()))
        }
        (None, None) => match only_id(form) {
            None => Ok(Principal::Registered(identity()?)),
            Some(field) => Err((field, format!("`{field}` needs a `kind` or a `type`"))),
        },
        (Some(kind), None) => match subject_field(form) {
            Some(field) => Err((field, format!("`{field}` needs a `type` instead of a `kind`"))),
            None => Ok(Principal::Made(Box::new(Identity {
                id: identity()?,
                kind: kind.0,
                status: form.status.map_or(IdentityStatus::Active, |status| status.0),
                owner: form.owner.clone().map(|owner| owner.0),
                sponsor: None,
                imported: None,
                fallback_owner: None,
                environment: form.environment.clone(),
                groups: form.groups.clone(),
                pep: form.pep.clone().map(crate::identity::PepForm::into_model),
                roles: form.roles.iter().map(|role| role.0).collect(),
            }))),
        },
        (None, Some(ty)) => match identity_field(form) {
            Some(field) => Err((field, format!("`{field}` needs a `kind` instead of a `type`"))),
            None => Ok(Principal::Asserted {
                by: form.by.clone().map(|by| by.0),
                entity: Entity {
                    uid: EntityRef { ty: ty.0.clone(), id: form.id.0.clone() },
                    attributes: attributes(&form.properties),
                    ancestors: Vec::new(),
                },
            }),
        },
    }
}

/// A field that only an identity has.
fn identity_field(form: &PrincipalForm) -> Option<&'static str> {
    let fields = [
        ("status", form.status.is_some()),
        ("owner", form.owner.is_some()),
        ("environment", form.environment.is_some()),
        ("groups", !form.groups.is_empty()),
        ("roles", !form.roles.is_empty()),
        ("pep", form.pep.is_some()),
    ];
    fields.into_iter().find(|(_, there)| *there).map(|(name, _)| name)
}

/// A field that only a subject of whom someone speaks has.
fn subject_field(form: &PrincipalForm) -> Option<&'static str> {
    let fields = [("properties", !form.properties.is_empty()), ("by", form.by.is_some())];
    fields.into_iter().find(|(_, there)| *there).map(|(name, _)| name)
}

/// A field that a registered identity has elsewhere.
fn only_id(form: &PrincipalForm) -> Option<&'static str> {
    identity_field(form).or_else(|| subject_field(form))
}

pub(super) fn attributes(map: &Map<String, Json>) -> BTreeMap<std::sync::Arc<str>, Value> {
    map.iter().map(|(name, value)| (name.as_str().into(), from_serde(value))).collect()
}
