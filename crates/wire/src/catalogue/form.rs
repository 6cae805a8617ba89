//! The form of `catalogue/*.yaml`. Its comments are what editors show.

use std::collections::BTreeMap;

use safeconduct_model::{Confidentiality, Digest, Effect, EntityType, Integrity, ServerName, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Word, Written};

/// What is known of the actions of one server, or of actions that have none.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Safeconduct catalogue")]
pub struct CatalogueForm {
    /// The upstream server that performs these actions: `read_text_file` below is then the
    /// action `SERVER.read_text_file`. Without it, names stand as they are.
    pub server: Option<Written<ServerName>>,
    /// What holds for every action of this file that does not say otherwise.
    #[serde(default)]
    pub defaults: DefaultsForm,
    /// The actions: tools of the server, or full names where there is no server.
    #[serde(default)]
    pub actions: BTreeMap<String, ActionForm>,
    /// Other methods of the server's protocol, such as `resources/read`: the action
    /// `SERVER/resources/read`. Methods that are left out are known with cautious defaults.
    #[serde(default)]
    pub methods: BTreeMap<String, ActionForm>,
}

/// What holds for every action of a file that does not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsForm {
    /// What results are worth as a source of instructions; `untrusted` where nothing is said.
    pub integrity: Option<Word<Integrity>>,
    /// How far results may travel; `internal` where nothing is said.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// Which values are kept, encrypted; none where nothing is said.
    pub keep: Option<KeepForm>,
}

/// What is known of one action.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionForm {
    /// How much harm it can do.
    pub tier: Word<Tier>,
    /// What it does to the world.
    pub effect: Word<Effect>,
    /// Whether an import guessed tier and effect and nobody has confirmed them yet.
    #[serde(default)]
    pub guessed: bool,
    /// What its result is worth as a source of instructions.
    pub integrity: Option<Word<Integrity>>,
    /// How far its result may travel.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// The arguments that name what it touches. Without any, the server is what it touches.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceForm>,
    /// The digest of the definition that was approved. A tool whose live definition has another
    /// is quarantined until it is pinned again.
    pub definition: Option<Written<Digest>>,
    /// Whether arguments that the definition does not name are let through, unseen by policies.
    pub additional_arguments: Option<AdditionalArguments>,
    /// Which values are kept, encrypted.
    pub keep: Option<KeepForm>,
}

/// An argument that names what an action touches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceForm {
    /// JSON Pointer into the arguments, such as `/path`; in `/paths/*`, `*` stands for each
    /// element of a list.
    #[schemars(extend("format" = "json-pointer"))]
    pub argument: String,
    /// The type of the resource, as policies name it.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
    /// How the text is read.
    #[serde(default)]
    pub form: FormWord,
    /// The folder that relative paths start from; only for the form `path`.
    #[schemars(extend("format" = "absolute-path"))]
    pub root: Option<String>,
    /// Whether the argument may be absent: then it names nothing.
    #[serde(default)]
    pub optional: bool,
}

/// How an argument's text names a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormWord {
    /// The text is the id as it stands.
    #[default]
    Text,
    /// A file path; the folders above it are what it belongs to.
    Path,
    /// A URL with a host; the host and the domains above it are what it belongs to.
    Url,
}

/// Whether arguments that the definition does not name are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdditionalArguments {
    /// The call is denied.
    #[default]
    Refuse,
    /// They pass, and no policy sees them.
    Allow,
}

/// Which values are kept, encrypted under the session's key, so that they can be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepForm {
    /// The arguments of each call.
    #[serde(default)]
    pub arguments: bool,
    /// The result of each call.
    #[serde(default)]
    pub result: bool,
}
