//! The catalogue, and what is quarantined.

use safeconduct_model::{
    ActionEntry, ActionName, Confidentiality, Digest, Effect, EntityType, Integrity, Mode,
    ServerName, Tier,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::{Word, Written};

/// The catalogue in force.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CatalogueView {
    /// Its digest.
    pub digest: Written<Digest>,
    /// Its actions, by name.
    pub actions: Vec<ActionView>,
}

/// What is known of one action.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ActionView {
    /// Its name.
    pub name: Written<ActionName>,
    /// The upstream that performs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Written<ServerName>>,
    /// Its tier.
    pub tier: Word<Tier>,
    /// Its effect.
    pub effect: Word<Effect>,
    /// Whether tier and effect were guessed and nobody has confirmed them.
    pub guessed: bool,
    /// What its result is worth as a source of instructions.
    pub integrity: Word<Integrity>,
    /// How far its result may travel.
    pub confidentiality: Word<Confidentiality>,
    /// The arguments that name resources.
    pub resources: Vec<ResourceView>,
    /// How its live definition stands to the approved one.
    pub definition: DefinitionState,
    /// The approved definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Written<Digest>>,
    /// The definition that was seen instead, where it is quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Written<Digest>>,
}

/// An argument that names a resource.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ResourceView {
    /// JSON Pointer into the arguments.
    pub argument: String,
    /// The type of the resource.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
}

/// How the live definition of an action stands to the approved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionState {
    /// It has no pin.
    Unpinned,
    /// Nothing else than the approved definition was seen.
    Approved,
    /// Another definition was seen: calls are denied.
    Quarantined,
}

impl ActionView {
    /// What is known of an action, with the definition that was seen where it is quarantined.
    pub fn new(entry: &ActionEntry, quarantined: Option<Digest>) -> Self {
        Self {
            name: Written(entry.name.clone()),
            server: entry.server.clone().map(Written),
            tier: Word(entry.tier),
            effect: Word(entry.effect),
            guessed: entry.guessed,
            integrity: Word(entry.integrity),
            confidentiality: Word(entry.confidentiality),
            resources: entry
                .resources
                .iter()
                .map(|mapping| ResourceView {
                    argument: mapping.argument.clone(),
                    ty: Written(mapping.ty.clone()),
                })
                .collect(),
            definition: match (quarantined, entry.definition) {
                (Some(_), _) => DefinitionState::Quarantined,
                (None, Some(_)) => DefinitionState::Approved,
                (None, None) => DefinitionState::Unpinned,
            },
            pinned: entry.definition.map(Written),
            seen: quarantined.map(Written),
        }
    }
}

/// The servers behind the gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UpstreamList {
    /// The servers, by name.
    pub upstreams: Vec<UpstreamView>,
}

/// A server behind the gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UpstreamView {
    /// Its name.
    pub name: Written<ServerName>,
    /// Whether a Deny is carried out.
    pub mode: Word<Mode>,
    /// Whether it answers.
    pub ready: bool,
    /// Why it does not, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
