//! The form of `catalogue/*.yaml`. Its comments are what editors show.

use std::collections::BTreeMap;

use safeconduct_model::{
    ArgumentRole, Category, Confidentiality, Digest, Effect, EntityType, Integrity, Obligation,
    ServerName, Tier,
};
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
    /// `SERVER/resources/read`. Methods that are left out are known with cautious defaults. Where
    /// nothing is said of the resources of `resources/read` and `resources/subscribe`, `/uri` is
    /// one of the type `Url` and the form `uri`.
    #[serde(default)]
    pub methods: BTreeMap<String, ActionForm>,
    /// Named ways to lower what a result carries, for the obligation `declassify:NAME`. A name
    /// stands once in the whole catalogue.
    #[serde(default)]
    pub declassifiers: BTreeMap<String, DeclassifierForm>,
}

/// What holds for every action of a file that does not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsForm {
    /// What results are worth as a source of instructions; `untrusted` where nothing is said.
    pub integrity: Option<Word<Integrity>>,
    /// How far results may travel; `internal` where nothing is said.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// Free categories that every result carries, such as `pii`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub categories: Vec<Written<Category>>,
    /// The most confidential content that an action may be given. Where nothing is said: `public`
    /// for what sends; for everything else what its own results carry.
    pub accepts: Option<Word<Confidentiality>>,
    /// Which values are kept, encrypted; none where nothing is said.
    pub keep: Option<KeepForm>,
}

/// What is known of one action.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionForm {
    /// How much harm it can do.
    pub tier: Word<Tier>,
    /// Arguments that make it worse. Nothing lowers a tier.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub raise: Vec<RaiseForm>,
    /// What it does to the world.
    pub effect: Word<Effect>,
    /// Whether an import guessed tier and effect and nobody has confirmed them yet.
    #[serde(default)]
    pub guessed: bool,
    /// What its result is worth as a source of instructions.
    pub integrity: Option<Word<Integrity>>,
    /// How far its result may travel.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// Free categories that its result carries, such as `pii`.
    #[schemars(length(max = 64))]
    pub categories: Option<Vec<Written<Category>>>,
    /// Fields of a structured result (JSON, or JSON and YAML inside text) that carry something
    /// else than the rest.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub fields: Vec<FieldForm>,
    /// The most confidential content that it may be given.
    pub accepts: Option<Word<Confidentiality>>,
    /// What its arguments decide. An argument that names a resource is an `address` unless it
    /// stands here; one of which nothing is said is `content`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub arguments: Vec<ArgumentForm>,
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

/// Arguments that raise the tier of a call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseForm {
    /// The tier that the call then has, if it is not above that already.
    pub to: Word<Tier>,
    /// It has that tier unless the arguments keep all of these rules, by JSON Pointer:
    /// `unless: { /amount: { at_most: 1000 } }`. What is missing or cannot be compared raises it.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "propertyNames" = {"type": "string", "format": "json-pointer"}))]
    pub unless: BTreeMap<String, crate::intent::ArgumentForm>,
}

/// A field of a result. What it does not say is as for the whole result.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldForm {
    /// JSON Pointer into the result, such as `/customer/email`; in `/items/*/note`, `*` stands for
    /// each element of a list and each member of an object. It speaks for everything below it.
    #[schemars(extend("format" = "json-pointer"))]
    pub field: String,
    /// What it is worth as a source of instructions.
    pub integrity: Option<Word<Integrity>>,
    /// How far it may travel.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// Free categories that it carries.
    #[schemars(length(max = 64))]
    pub categories: Option<Vec<Written<Category>>>,
}

/// What an argument decides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgumentForm {
    /// JSON Pointer into the arguments, such as `/recipient`; in `/to/*`, `*` stands for each
    /// element of a list. It speaks for everything below it.
    #[schemars(extend("format" = "json-pointer"))]
    pub argument: String,
    /// `address`, `command`, `amount` or `content`.
    pub role: Word<ArgumentRole>,
}

/// A way to lower what a result carries.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclassifierForm {
    /// Obligations of the permit that must have been carried out on the result, such as
    /// `redact:$.ssn`; without them nothing is lowered.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub requires: Vec<Written<Obligation>>,
    /// The worst that the result is afterwards.
    pub integrity: Option<Word<Integrity>>,
    /// The most confidential that it is afterwards.
    pub confidentiality: Option<Word<Confidentiality>>,
    /// Categories that it carries no longer.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub drops: Vec<Written<Category>>,
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
    /// A URI by which the server knows something of its own. One that leads over the network
    /// (`https` and the like) is read as a URL; any other names nothing beside the server.
    Uri,
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
