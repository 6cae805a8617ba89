//! The form of `intents/*.yaml`. Its comments are what editors show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{
    ActionName, EntityType, IdentityId, IdentityKind, IntentName, OnBehalfOf, Overlap,
    ScheduleName, TargetName, Tier,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use crate::document::{Span, Word, Written};

/// One version of an intent: a named purpose, and the most that may be done under it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Safeconduct intent")]
pub struct IntentForm {
    /// Its name: lowercase letters, digits, `-` and `_`.
    pub intent: Written<IntentName>,
    /// Its version. A change of what it allows is a new version, in a file of its own; the
    /// highest is undertaken where nobody names another.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub version: u32,
    /// What it is for, in a sentence.
    #[schemars(length(min = 1, max = 1024))]
    pub description: String,
    /// What is said when it is undertaken, by name: `${name}` in the envelope stands for it.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "parameter-name"},
        "maxProperties" = 32
    ))]
    pub parameters: BTreeMap<String, ParameterForm>,
    /// Who may undertake it: whoever fits one of the lists.
    pub undertaken_by: UndertakersForm,
    /// Whether it is undertaken for a person.
    pub on_behalf_of: Word<OnBehalfOf>,
    /// The longest time that a task may last: `45s`, `15m`, `2h`, `3d`; at most 30 days.
    pub longest: Written<Span>,
    /// After how long without a decision a task expires; where nothing is said `15m`, or
    /// `longest` where that is shorter.
    pub idle: Option<Written<Span>>,
    /// How much may be done.
    pub budget: BudgetForm,
    /// The highest tier that needs nobody's approval.
    pub tier_max: Word<Tier>,
    /// How many levels of delegation may follow; none where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 0, max = 8))]
    pub delegation_depth: u8,
    /// What its tasks may get leases of: for each target of the configuration, names of grants
    /// that it describes.
    #[serde(default)]
    pub credentials: BTreeMap<Written<TargetName>, BTreeSet<String>>,
    /// Scheduled jobs that may undertake it again and again, by name; no two intents have one of
    /// the same name.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 64))]
    pub schedules: BTreeMap<Written<ScheduleName>, ScheduleForm>,
    /// What may be done: a call must fit one of these. What is not named may not be done.
    #[schemars(length(min = 1, max = 64))]
    pub envelope: Vec<AllowanceForm>,
}

/// What is said when an intent is undertaken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterForm {
    /// What it must be.
    #[serde(rename = "type")]
    pub ty: ParameterWord,
    /// What it is for.
    #[schemars(length(min = 1, max = 1024))]
    pub description: Option<String>,
    /// What it is where nobody says it; without one it must be said.
    pub default: Option<Scalar>,
    /// Its longest text, in bytes: of `text` alone; 4096 where nothing is said.
    #[schemars(range(min = 1, max = 4096))]
    pub bytes_max: Option<u64>,
    /// The least: of `integer` alone.
    pub min: Option<i64>,
    /// The most: of `integer` alone.
    pub max: Option<i64>,
    /// The texts that it may be: of `one_of` alone.
    #[schemars(
        length(min = 1, max = 256),
        extend("uniqueItems" = true, "items" = {"type": "string", "maxLength": 4096})
    )]
    pub choices: Option<Vec<String>>,
}

/// What a parameter must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterWord {
    /// Any text.
    Text,
    /// 1 to 128 letters, digits, `.`, `_` and `-`, not `.` or `..`: it may stand within a text.
    Identifier,
    /// A whole number: it may stand within a text.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of `choices`.
    OneOf,
}

/// Who may undertake an intent: whoever fits one of the lists. Empty lists let nobody.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndertakersForm {
    /// Members of these groups.
    #[serde(default)]
    #[schemars(length(max = 1000), extend("items" = {"type": "string", "minLength": 1}))]
    pub groups: BTreeSet<String>,
    /// These identities.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub identities: BTreeSet<Written<IdentityId>>,
    /// Every identity of these kinds.
    #[serde(default)]
    pub kinds: BTreeSet<Word<IdentityKind>>,
}

/// A scheduled job's standing right to undertake the intent: it begins a task for each run, with
/// what stands here and nothing else.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleForm {
    /// Whose right it is: they begin each run themselves, and act in it.
    pub identity: Written<IdentityId>,
    /// The parameters of each run. They count as trusted: you wrote them.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub parameters: BTreeMap<String, Scalar>,
    /// What each run is told, at most 65,536 bytes.
    #[schemars(length(min = 1, max = 65_536))]
    pub prompt: Option<String>,
    /// The user for whom it is, who must have delegated the intent to the identity.
    pub on_behalf_of: Option<Written<IdentityId>>,
    /// How many runs there may be at one time; one where nothing is said.
    #[schemars(range(min = 1, max = 1000))]
    pub at_once: Option<u32>,
    /// What happens to a run that would be one too many: `refuse` it, which is so where nothing is
    /// said, or `replace` the oldest, which is ended.
    pub overlap: Option<Word<Overlap>>,
}

/// How much may be done under one task. Calls are those that were permitted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetForm {
    /// Calls in all.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub calls: u64,
    /// Calls of single actions of the envelope.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "action-name"},
        "additionalProperties" = {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}
    ))]
    pub calls_of: BTreeMap<Written<ActionName>, u64>,
    /// Different resources that are touched; a task remembers 4096 of them.
    #[schemars(range(min = 1, max = 4096))]
    pub distinct_resources: Option<u64>,
    /// Bytes of the arguments of actions that send, write or execute.
    #[schemars(range(min = 1, max = 1_099_511_627_776_u64))]
    pub bytes_out: Option<u64>,
    /// What is spent.
    pub spend: Option<SpendForm>,
}

/// What may be spent, and where the amounts stand.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendForm {
    /// The most in all: a number or a text, with at most four decimal places.
    pub limit: AmountForm,
    /// For each action of the envelope that spends, where its amount stands: a JSON Pointer into
    /// the arguments. A call without a countable amount there is denied.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "action-name"},
        "additionalProperties" = {"type": "string", "format": "json-pointer"},
        "minProperties" = 1
    ))]
    pub amounts: BTreeMap<Written<ActionName>, String>,
}

/// One action that may be used.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowanceForm {
    /// The action, as the catalogue names it.
    pub action: Written<ActionName>,
    /// What it may touch: each resource must fit one of these. Without any, whatever policies
    /// permit.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub resources: Vec<ResourceRuleForm>,
    /// What its arguments must be, by JSON Pointer; in `/paths/*`, `*` stands for each element
    /// of a list.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "json-pointer"},
        "maxProperties" = 64
    ))]
    pub arguments: BTreeMap<String, ArgumentForm>,
    /// Whether arguments that are not named here may be there.
    #[serde(default)]
    pub other_arguments: OtherArgumentsWord,
}

/// Whether arguments that no rule names may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherArgumentsWord {
    /// The call is denied.
    #[default]
    Refused,
    /// They may.
    Allowed,
}

/// One kind of resource that may be touched.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceRuleForm {
    /// Its type, as policies name it.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
    /// What its id must be; without it, any.
    pub id: Option<IdForm>,
}

/// What an id must be: one of these. `${name}` stands for a parameter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdForm {
    /// Equal to this.
    pub equals: Option<String>,
    /// Equal to one of these.
    #[schemars(length(min = 1, max = 256))]
    pub one_of: Option<Vec<String>>,
    /// A path that is this folder or lies in it.
    #[schemars(length(min = 1))]
    pub under: Option<String>,
    /// A mail address or URL whose host is this domain or a subdomain of it.
    #[schemars(length(min = 1))]
    pub domain: Option<String>,
    /// A text of at most so many bytes.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub longest_bytes: Option<u64>,
}

/// What an argument must be: all that is said here. `${name}` stands for a parameter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgumentForm {
    /// Equal to this.
    pub equals: Option<Scalar>,
    /// Equal to one of these.
    #[schemars(length(min = 1, max = 256))]
    pub one_of: Option<Vec<Scalar>>,
    /// A number not above this one.
    pub at_most: Option<Scalar>,
    /// A number not below this one.
    pub at_least: Option<Scalar>,
    /// A path that is this folder or lies in it.
    #[schemars(length(min = 1))]
    pub under: Option<String>,
    /// A mail address or URL whose host is this domain or a subdomain of it.
    #[schemars(length(min = 1))]
    pub domain: Option<String>,
    /// A text of at most so many bytes.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub longest_bytes: Option<u64>,
    /// Whether it may be absent. Otherwise its absence is a Deny: what the server would fill in
    /// is unknown.
    #[serde(default)]
    pub optional: bool,
}

/// A text, number or truth value. What it is worth is read from the document, where numbers are
/// exact.
#[derive(Debug, Clone)]
pub struct Scalar;

/// A number or a text of one.
#[derive(Debug, Clone)]
pub struct AmountForm;

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

impl<'de> Deserialize<'de> for AmountForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for AmountForm {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "format": "amount"})
    }
}
