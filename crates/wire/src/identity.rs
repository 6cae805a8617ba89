//! Identities, as configuration, tests and the administration API write them.

use std::collections::BTreeSet;

use safeconduct_model::{
    EntityType, Identity, IdentityId, IdentityKind, IdentityStatus, ImportSource, Imported,
    LabelAt, PepRegistration, Role,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Word, Written};

/// An identity: one agent, workload, service account or person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityForm {
    /// Its name: a SPIFFE ID, `issuer|subject`, or a local name.
    pub id: Written<IdentityId>,
    /// What kind of thing it is.
    pub kind: Word<IdentityKind>,
    /// Whether it may act; `active` where nothing is said.
    #[serde(default = "active")]
    pub status: Word<IdentityStatus>,
    /// The person accountable for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Written<IdentityId>>,
    /// The one accountable where the owner is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_owner: Option<Written<IdentityId>>,
    /// The person for whose purpose it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<Written<IdentityId>>,
    /// Where it runs: `production`, `test`, or what you call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub environment: Option<String>,
    /// The groups that it belongs to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)))]
    pub groups: BTreeSet<String>,
    /// What it may say of others when it asks for decisions as an enforcement point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pep: Option<PepForm>,
    /// What it may do in the administration of Safeconduct.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<Word<Role>>,
    /// Where it came from, where others keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedForm>,
}

/// Where an identity came from that others keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedForm {
    /// How it came.
    pub from: Word<ImportSource>,
    /// Its own name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub external_id: Option<String>,
    /// What a person signs in as there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub user_name: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub display_name: Option<String>,
    /// Whether it is suspended because it is so there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

/// A file of identities.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitiesForm {
    /// The identities, as in the configuration.
    #[schemars(length(max = 100_000))]
    pub identities: Vec<IdentityForm>,
}

/// What an enforcement point may say of others when it asks for decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PepForm {
    /// The types of subject that it may speak for.
    pub subjects: BTreeSet<Written<EntityType>>,
    /// The types of resource that it may ask about; left out, every type.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resources: BTreeSet<Written<EntityType>>,
    /// Whether properties that it sends count as facts.
    #[serde(default)]
    pub properties: bool,
    /// When a session carries what is read by its permits: with the `permit`, or with the
    /// `report`, where it reports each result before it hands it on; `permit` where nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_at: Option<Word<LabelAt>>,
}

const fn active() -> Word<IdentityStatus> {
    Word(IdentityStatus::Active)
}

impl IdentityForm {
    /// The identity in the model's terms.
    pub fn into_model(self) -> Identity {
        Identity {
            id: self.id.0,
            kind: self.kind.0,
            status: self.status.0,
            owner: self.owner.map(|owner| owner.0),
            fallback_owner: self.fallback_owner.map(|owner| owner.0),
            sponsor: self.sponsor.map(|sponsor| sponsor.0),
            environment: self.environment,
            groups: self.groups,
            pep: self.pep.map(PepForm::into_model),
            roles: self.roles.into_iter().map(|role| role.0).collect(),
            imported: self.imported.map(|form| Box::new(form.into_model())),
        }
    }
}

impl ImportedForm {
    fn into_model(self) -> Imported {
        Imported {
            from: self.from.0,
            external_id: self.external_id.map(Into::into),
            user_name: self.user_name.map(Into::into),
            display_name: self.display_name.map(Into::into),
            suspended: self.suspended,
        }
    }
}

impl From<&Imported> for ImportedForm {
    fn from(imported: &Imported) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            from: Word(imported.from),
            external_id: text(&imported.external_id),
            user_name: text(&imported.user_name),
            display_name: text(&imported.display_name),
            suspended: imported.suspended,
        }
    }
}

impl PepForm {
    /// The registration in the model's terms.
    pub fn into_model(self) -> PepRegistration {
        PepRegistration {
            subjects: self.subjects.into_iter().map(|ty| ty.0).collect(),
            resources: self.resources.into_iter().map(|ty| ty.0).collect(),
            properties: self.properties,
            label_at: self.label_at.map(|label_at| label_at.0).unwrap_or_default(),
        }
    }
}

impl From<&Identity> for IdentityForm {
    fn from(identity: &Identity) -> Self {
        Self {
            id: Written(identity.id.clone()),
            kind: Word(identity.kind),
            status: Word(identity.status),
            owner: identity.owner.clone().map(Written),
            fallback_owner: identity.fallback_owner.clone().map(Written),
            sponsor: identity.sponsor.clone().map(Written),
            environment: identity.environment.clone(),
            groups: identity.groups.clone(),
            pep: identity.pep.as_ref().map(PepForm::from),
            roles: identity.roles.iter().copied().map(Word).collect(),
            imported: identity.imported.as_deref().map(ImportedForm::from),
        }
    }
}

impl From<&PepRegistration> for PepForm {
    fn from(pep: &PepRegistration) -> Self {
        Self {
            subjects: pep.subjects.iter().cloned().map(Written).collect(),
            resources: pep.resources.iter().cloned().map(Written).collect(),
            properties: pep.properties,
            label_at: (pep.label_at != LabelAt::default()).then_some(Word(pep.label_at)),
        }
    }
}
