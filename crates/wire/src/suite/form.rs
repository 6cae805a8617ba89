//! The form of test files. Its comments are what editors show.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::signal::{Kind, Severity};
use safeconduct_model::{
    ActionName, Category, Confidentiality, Decision, EntityId, EntityType, Execution, IdentityId,
    IdentityKind, IdentityStatus, IntentName, Role, ServerName, SessionName, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

use crate::catalogue::CatalogueForm;
use crate::config::SessionsForm;
use crate::document::{Word, Written};
use crate::identity::{IdentityForm, PepForm};
use crate::intent::{AllowanceForm, BudgetForm, IntentForm};

/// Tests of policies.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Safeconduct policy tests")]
pub struct SuiteForm {
    /// What the suite is about.
    pub name: Option<String>,
    /// More on it.
    #[expect(dead_code, reason = "for people")]
    description: Option<String>,
    /// What holds for every test that does not say otherwise.
    #[serde(default)]
    pub options: OptionsForm,
    /// Leaves the suite out.
    #[serde(default)]
    pub skip: bool,
    /// Why it is left out.
    #[serde(rename = "skipReason")]
    pub skip_reason: Option<String>,
    /// The world that the tests run in; without it, the project that the file belongs to.
    pub world: Option<WorldForm>,
    /// Who acts, by a name that the tests use. Those of `testdata/principals.yaml` are known too.
    #[serde(default)]
    pub principals: BTreeMap<String, PrincipalForm>,
    /// What is acted on, by a name that the tests use. Those of `testdata/resources.yaml` are
    /// known too.
    #[serde(default)]
    pub resources: BTreeMap<String, ResourceFixtureForm>,
    /// The tests.
    #[schemars(length(min = 1, max = 10_000))]
    pub tests: Vec<TestForm>,
}

/// What holds for every test that does not say otherwise.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionsForm {
    /// The time at which it is decided.
    pub now: Option<Written<Timestamp>>,
    /// The actions whose live definition is not the approved one. A test that says so goes before
    /// its file, and `[]` says that there are none.
    #[schemars(length(max = 10_000))]
    pub quarantined: Option<BTreeSet<Written<ActionName>>>,
    /// The kinds of obligation that the enforcement point can carry out, such as `redact`; a
    /// permit with another one is a Deny. Left out, it can carry out every one.
    #[schemars(length(max = 256), inner(length(min = 1, max = 512)))]
    pub understands: Option<BTreeSet<String>>,
}

/// A world of its own: a folder with a `safeconduct.yaml`, or its parts written here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorldForm {
    /// The folder of a `safeconduct.yaml`, relative to this file.
    pub folder: Option<String>,
    /// Identities that exist.
    #[serde(default)]
    pub identities: Vec<IdentityForm>,
    /// What a session may do.
    pub sessions: Option<SessionsForm>,
    /// What actions need beside a policy that permits them, by their tiers.
    pub tiers: Option<crate::config::TiersForm>,
    /// The Cedar namespace of generated types and actions.
    #[schemars(extend("format" = "cedar-namespace"))]
    pub namespace: Option<String>,
    /// How the id of a tool's action is made.
    #[schemars(extend("format" = "action-template"))]
    pub action_id: Option<String>,
    /// Policies: Cedar text, by the name of its file.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// The Cedar schema; without it, the generated one alone.
    pub schema: Option<String>,
    /// Catalogue files.
    #[serde(default)]
    pub catalogue: Vec<CatalogueForm>,
    /// Intents, as `intents/*.yaml` has them.
    #[serde(default)]
    pub intents: Vec<IntentForm>,
    /// The tools of each server, as MCP lists them.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"type": "string", "format": "server-name"}))]
    pub tools: BTreeMap<Written<ServerName>, Vec<Map<String, Json>>>,
}

/// Who acts: a registered identity (`id` alone), an identity that is made for the test (with
/// `kind`), or someone of whom an enforcement point speaks (with `type`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalForm {
    /// Its id.
    pub id: Written<EntityId>,
    /// What kind of identity is made for the test.
    pub kind: Option<Word<IdentityKind>>,
    /// Whether that identity may act.
    pub status: Option<Word<IdentityStatus>>,
    /// Who is accountable for that identity.
    pub owner: Option<Written<IdentityId>>,
    /// Where that identity runs.
    pub environment: Option<String>,
    /// The groups that it belongs to.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// What it may do in the administration.
    #[serde(default)]
    pub roles: BTreeSet<Word<Role>>,
    /// What it may say of others, as an enforcement point.
    pub pep: Option<PepForm>,
    /// The type of someone of whom an enforcement point speaks.
    #[serde(rename = "type")]
    pub ty: Option<Written<EntityType>>,
    /// What the enforcement point says of them.
    #[serde(default)]
    pub properties: Map<String, Json>,
    /// The identity that is the enforcement point; without it, one that may say anything.
    pub by: Option<Written<IdentityId>>,
}

/// What is acted on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceFixtureForm {
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
    /// Its id.
    pub id: Written<EntityId>,
    /// What the enforcement point says of it.
    #[serde(default)]
    pub properties: Map<String, Json>,
}

/// What people say to a request: yes, once and to exactly what was asked, where nothing else is
/// said.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovedForm {
    /// Who says yes, one after the other: users among the identities of the world.
    #[schemars(length(min = 1, max = 10))]
    pub by: Vec<Written<IdentityId>>,
    /// The most that numbers may be, by JSON Pointer.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub at_most: BTreeMap<String, serde_json::Number>,
    /// How often in the same task; left out, once.
    #[schemars(range(min = 1, max = 1000))]
    pub uses: Option<u32>,
    /// For how many seconds in every task of the intent, so often.
    #[schemars(range(min = 1, max = 604800))]
    pub for_s: Option<u32>,
}

/// What somebody tells of somebody, as of now.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToldForm {
    /// Of whom: an identity, whoever it is that acts or on whose behalf.
    pub about: Written<IdentityId>,
    /// What was seen; `reported` where nothing is said. A revoking one stops them at once.
    pub kind: Option<Word<Kind>>,
    /// How bad it is.
    pub severity: Word<Severity>,
    /// How sure it is, in percent; wholly where nothing is said.
    #[schemars(range(max = 100))]
    pub confidence: Option<u8>,
}

/// One test: a matrix (`principals`, `actions`, perhaps `resources`, `expect`), or `steps`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestForm {
    /// What it shows.
    #[schemars(length(min = 1))]
    pub name: String,
    /// More on it.
    #[expect(dead_code, reason = "for people")]
    description: Option<String>,
    /// Leaves it out.
    #[serde(default)]
    pub skip: bool,
    /// Why it is left out.
    #[serde(rename = "skipReason")]
    pub skip_reason: Option<String>,
    /// What holds for this test.
    #[serde(default)]
    pub options: OptionsForm,
    /// Who acts: names of principals.
    #[serde(default)]
    pub principals: Vec<String>,
    /// What they do.
    #[serde(default)]
    pub actions: Vec<Written<ActionName>>,
    /// What they do it to: names of resources. Without any, the catalogue finds the resource in
    /// the arguments.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The arguments of each call.
    #[serde(default)]
    pub input: Map<String, Json>,
    /// What else the enforcement point says.
    pub context: Option<Map<String, Json>>,
    /// What is expected. What is not listed is expected to be denied.
    #[serde(default)]
    pub expect: Vec<MatrixExpectForm>,
    /// Tasks that begin before the first of `steps`, one after the other.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub tasks: Vec<TaskForm>,
    /// Calls in one session, one after the other.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub steps: Vec<StepForm>,
}

/// What is expected of one principal and one resource.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixExpectForm {
    /// The principal's name.
    pub principal: String,
    /// The resource's name; left out where the test has no resources.
    pub resource: Option<String>,
    /// What is expected of each action.
    pub actions: BTreeMap<Written<ActionName>, ExpectForm>,
}

/// A task that begins: policies permit that, or the test is not about it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskForm {
    /// What the steps call it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What is undertaken.
    pub intent: Written<IntentName>,
    /// Which version; the highest where nothing is said.
    pub version: Option<u32>,
    /// What the intent wants to know.
    #[serde(default)]
    pub parameters: Map<String, Json>,
    /// What the agent is told.
    #[schemars(length(min = 1, max = 65_536))]
    pub prompt: Option<String>,
    /// Whether a person or an orchestrator says all that, as where nothing is said; `false` where
    /// the agent itself begins it, under the credential of the first step in it. Then the task
    /// goes on with the session of that credential, and nothing comes from the task. A task with
    /// a parent is always begun by an agent.
    pub trusted: Option<bool>,
    /// The id of the registered identity that acts.
    pub agent: Written<IdentityId>,
    /// The id of the registered user for whom it is; a child acts for whom its parent does.
    pub on_behalf_of: Option<Written<IdentityId>>,
    /// The task that it is delegated from, by its agent.
    pub parent: Option<String>,
    /// What may be done at most; left out, what the intent allows.
    pub envelope: Option<Vec<AllowanceForm>>,
    /// How much of it; left out, what the intent allows.
    pub budget: Option<BudgetForm>,
    /// It does not begin: `parameters`, because they do not fit, or `wider`, because it would be
    /// wider than what it comes from.
    pub refused: Option<RefusedWord>,
}

/// Why a task does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedWord {
    /// Its parameters do not fit the intent.
    Parameters,
    /// It would be wider than what it comes from.
    Wider,
}

impl RefusedWord {
    /// The word for it, here and in the administration API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Wider => "wider",
        }
    }
}

/// One call of a sequence.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepForm {
    /// Who acts: the name of a principal.
    pub principal: String,
    /// Which of its credentials; each has a session of its own.
    pub credential: Option<String>,
    /// What the enforcement point calls its part of the session.
    pub session: Option<Written<SessionName>>,
    /// The task that it is done in: one of `tasks`.
    pub in_task: Option<String>,
    /// The tasks that end right before.
    #[serde(default)]
    pub after_end_of: BTreeSet<String>,
    /// Signals that come in right before. They count for the steps that come after, too.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub signals: Vec<ToldForm>,
    /// What they do.
    pub action: Written<ActionName>,
    /// What they do it to: the name of a resource. Without it, the catalogue finds the resource
    /// in the arguments.
    pub resource: Option<String>,
    /// The arguments.
    #[serde(default)]
    pub input: Map<String, Json>,
    /// What else the enforcement point says.
    pub context: Option<Map<String, Json>>,
    /// People are asked for it where it was denied, and say yes: what they approve counts for the
    /// steps that come after.
    pub approved: Option<ApprovedForm>,
    /// The time at which it is decided. It stays so for the steps that come after.
    pub now: Option<Written<Timestamp>>,
    /// How long after the step before it is decided: `90s`, `5m`, `2h`, `7d`.
    #[schemars(length(min = 2, max = 11))]
    pub after: Option<String>,
    /// What is expected.
    pub expect: ExpectForm,
    /// What then happens, where it is permitted; `succeeded` where nothing is said.
    pub outcome: Option<Word<Execution>>,
    /// What the agent then reads: a text or any other JSON value, labelled as the catalogue says.
    /// Where nothing is said and the call was made, it is taken to have read the worst that the
    /// catalogue lets such a result hold.
    #[serde(default, deserialize_with = "there")]
    pub result: Option<Json>,
}

/// A value that is there, `null` included.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// What is expected: a decision, or a decision with its reasons.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectForm {
    /// Only the decision.
    Decision(Word<Decision>),
    /// The decision and more.
    Full(FullExpectForm),
}

/// What is expected in full.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullExpectForm {
    /// Permit or deny.
    pub decision: Word<Decision>,
    /// Exactly these reasons, in any order: ids of policies, or codes of other reasons.
    pub reason: Option<BTreeSet<String>>,
    /// Exactly these obligations, in any order, such as `redact:$.ssn`.
    pub obligations: Option<BTreeSet<String>>,
    /// Whether a Deny may be requested.
    pub requestable: Option<bool>,
    /// Where arguments come from, by JSON Pointer: exactly these. What is not listed is not looked
    /// at.
    #[schemars(length(max = 256))]
    pub flow: Option<BTreeMap<String, BTreeSet<SeenWord>>>,
    /// What the session has read before, as policies see it.
    pub session: Option<SessionExpectForm>,
}

/// Where a value was seen, as `context.flow` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeenWord {
    /// In the task's parameters or its prompt.
    FromTask,
    /// In a trusted result.
    FromTrusted,
    /// In an untrusted result.
    FromUntrusted,
    /// Nowhere.
    Unseen,
}

impl SeenWord {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromTask => "from_task",
            Self::FromTrusted => "from_trusted",
            Self::FromUntrusted => "from_untrusted",
            Self::Unseen => "unseen",
        }
    }
}

/// What a session has read. What is not listed is not looked at.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionExpectForm {
    /// Whether it has read anything untrusted.
    pub untrusted: Option<bool>,
    /// The highest confidentiality.
    pub sensitivity: Option<Word<Confidentiality>>,
    /// Exactly these categories.
    pub categories: Option<BTreeSet<Written<Category>>>,
}
