//! The catalogue with what is quarantined, and the servers behind the gateway.

use safeconduct_model::{
    ActionEntry, ActionName, ArgumentRole, ArgumentUse, Category, Confidentiality, Digest, Effect,
    EntityType, FieldLabel, Integrity, Mode, ServerName, Tier,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Word, Written};

/// Actions, by name.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CatalogueList {
    /// The actions of this page.
    pub actions: Vec<ActionView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is known of one action.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ActionView {
    /// Its name.
    pub action: Written<ActionName>,
    /// The upstream that performs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Written<ServerName>>,
    /// Its tier.
    pub tier: Word<Tier>,
    /// Its effect.
    pub effect: Word<Effect>,
    /// Whether tier and effect were guessed by an import and nobody has confirmed them.
    pub guessed: bool,
    /// Whether what it returns may steer an agent.
    pub integrity: Word<Integrity>,
    /// How far what it returns may travel.
    pub confidentiality: Word<Confidentiality>,
    /// Free categories that it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Written<Category>>,
    /// Fields of its result that carry something else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldView>,
    /// The most confidential content that it may be given.
    pub accepts: Word<Confidentiality>,
    /// What its arguments decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<ArgumentView>,
    /// The arguments that name resources.
    pub resources: Vec<ResourceView>,
    /// The digest of the approved definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Written<Digest>>,
    /// The digest of the live definition, where it is not the approved one: calls are denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Written<Digest>>,
}

/// A field of a result.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FieldView {
    /// JSON Pointer into the result.
    pub field: String,
    /// Whether it may steer an agent.
    pub integrity: Word<Integrity>,
    /// How far it may travel.
    pub confidentiality: Word<Confidentiality>,
    /// Free categories that it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Written<Category>>,
}

impl FieldView {
    fn new(field: &FieldLabel) -> Self {
        Self {
            field: field.pointer.as_ref().to_owned(),
            integrity: Word(field.label.integrity),
            confidentiality: Word(field.label.confidentiality),
            categories: field.label.categories.iter().cloned().map(Written).collect(),
        }
    }
}

/// What an argument decides.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ArgumentView {
    /// JSON Pointer into the arguments.
    pub argument: String,
    /// What it decides.
    pub role: Word<ArgumentRole>,
}

impl ArgumentView {
    fn new(argument: &ArgumentUse) -> Self {
        Self { argument: argument.argument.as_ref().to_owned(), role: Word(argument.role) }
    }
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

impl ActionView {
    /// What is known of an action, with the definition that was seen where it is quarantined.
    pub fn new(entry: &ActionEntry, quarantined: Option<Digest>) -> Self {
        let resources = entry.resources.iter().map(|mapping| ResourceView {
            argument: mapping.argument.clone(),
            ty: Written(mapping.ty.clone()),
        });
        Self {
            action: Written(entry.name.clone()),
            server: entry.server.clone().map(Written),
            tier: Word(entry.tier),
            effect: Word(entry.effect),
            guessed: entry.guessed,
            integrity: Word(entry.returns.default.integrity),
            confidentiality: Word(entry.returns.default.confidentiality),
            categories: entry.returns.default.categories.iter().cloned().map(Written).collect(),
            fields: entry.returns.fields.iter().map(FieldView::new).collect(),
            accepts: Word(entry.accepts),
            arguments: entry.arguments.iter().map(ArgumentView::new).collect(),
            resources: resources.collect(),
            pinned: entry.definition.map(Written),
            quarantined: quarantined.map(Written),
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
    /// How it is reached.
    pub transport: TransportWord,
    /// Whether a Deny is carried out.
    pub mode: Word<Mode>,
    /// Whether it can be called.
    pub state: UpstreamState,
    /// Why it cannot, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How an upstream is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransportWord {
    /// As a child process, over its standard input and output.
    Stdio,
    /// Over streamable HTTP.
    Http,
}

/// Whether an upstream can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// It is being started or reached.
    Starting,
    /// It can.
    Ready,
    /// It cannot, and is tried again.
    Failed,
}
