//! Tasks: beginning, reading and ending them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{
    Allowance, Budget, IdentityId, IntentName, Mandate, ScheduleName, TargetName, Task, TaskId,
    TaskState, Tier, Timestamp, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{
    Diagnostic, FormError, Node, Place, Vocabulary as _, Word, Written, read_value,
};
use crate::intent::{
    AllowanceForm, BudgetForm, Scalar, budget, envelope_document, literal_budget, literal_envelope,
};
use crate::json;

/// A task to begin: of an intent, or the next run of a schedule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRequest {
    /// What is undertaken. Either this or `run_of` must be here.
    pub intent: Option<Written<IntentName>>,
    /// The caller's schedule of which this is a run: intent, parameters, prompt and user are the
    /// schedule's, and nothing else is said of them.
    pub run_of: Option<Written<ScheduleName>>,
    /// Which version; the highest where nothing is said.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub version: Option<u32>,
    /// What the intent wants to know, by name.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub parameters: BTreeMap<String, Scalar>,
    /// What the agent is told, in words: at most 65,536 bytes. Trusted where a person or an
    /// orchestrator says it; kept sealed.
    #[schemars(length(min = 1, max = 65_536))]
    pub prompt: Option<Secret>,
    /// Who will act; the caller where nothing is said.
    pub agent: Option<Written<IdentityId>>,
    /// For whom.
    pub on_behalf_of: Option<OnBehalfForm>,
    /// What may be done at most, as intents say it but without parameters: no more than the
    /// intent allows. Left out, all that the intent allows.
    #[schemars(length(min = 1, max = 64))]
    pub envelope: Option<Vec<AllowanceForm>>,
    /// How much of it, as intents say it: no more than the intent allows. Left out, all of it.
    pub budget: Option<BudgetForm>,
    /// For how many seconds at most.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub seconds: Option<u32>,
    /// How many levels of delegation may follow at most.
    #[schemars(range(min = 0, max = 8))]
    pub depth: Option<u8>,
    /// The highest tier that needs nobody's approval: no higher than the intent's.
    pub tier_max: Option<Word<Tier>>,
    /// What it may get leases of, by target: no more than the intent names. Left out, all of it.
    pub credentials: Option<BTreeMap<Written<TargetName>, BTreeSet<String>>>,
}

/// For whom a task acts: one of these.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnBehalfForm {
    /// A bearer token of the user: they are there.
    pub token: Option<Secret>,
    /// A user who has delegated the intent to the agent.
    pub delegated: Option<Written<IdentityId>>,
}

/// A text that is never shown: its `Debug` says nothing of it.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A task to begin, in the model's terms.
#[derive(Debug, Clone)]
pub struct RequestedTask {
    /// What is undertaken.
    pub work: RequestedWork,
    /// Which version.
    pub version: Option<u32>,
    /// What the intent wants to know; numbers are exact.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// What the agent is told.
    pub prompt: Option<Secret>,
    /// Who will act.
    pub agent: Option<IdentityId>,
    /// For whom.
    pub on_behalf_of: Option<ForWhom>,
    /// What may be done at most; types of resources are as they were written.
    pub envelope: Option<Vec<Allowance<Value>>>,
    /// How much of it.
    pub budget: Option<Budget>,
    /// For how many seconds.
    pub seconds: Option<u32>,
    /// How many levels of delegation may follow.
    pub depth: Option<u8>,
    /// The highest tier.
    pub tier_max: Option<Tier>,
    /// What it may get leases of.
    pub credentials: Option<BTreeMap<TargetName, BTreeSet<Arc<str>>>>,
}

/// What a task undertakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedWork {
    /// This intent.
    Intent(IntentName),
    /// The next run of this schedule.
    RunOf(ScheduleName),
}

/// For whom a task acts, and by what that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForWhom {
    /// The user's bearer token.
    Token(Secret),
    /// The user's standing word.
    Delegated(IdentityId),
}

impl TaskRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`FormError`] names every field that does not fit; never the user's token.
    pub fn read(body: &[u8]) -> Result<RequestedTask, FormError> {
        Self::of(&json::parse(body)?)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`FormError`] names every field that does not fit; never the user's token.
    pub fn of(value: &Value) -> Result<RequestedTask, FormError> {
        let form: Self = read_value(value)?;
        let root = Node::from_value(value);
        let work = form.work(value)?;
        let on_behalf_of = form.on_behalf_of.map(OnBehalfForm::read).transpose()?;
        let envelope = form.envelope.as_deref();
        let budget = form
            .budget
            .as_ref()
            .map(|budget| literal_budget(&root, budget, envelope))
            .transpose()?;
        let envelope = envelope.map(|forms| literal_envelope(&root, forms)).transpose()?;
        let parameters = value.pointer("/parameters").and_then(Value::as_object);
        Ok(RequestedTask {
            work,
            version: form.version,
            parameters: parameters.cloned().unwrap_or_default(),
            prompt: form.prompt,
            agent: form.agent.map(|agent| agent.0),
            on_behalf_of,
            envelope,
            budget,
            seconds: form.seconds,
            depth: form.depth,
            tier_max: form.tier_max.map(|tier| tier.0),
            credentials: form.credentials.map(|all| {
                let grants = |of: BTreeSet<String>| of.into_iter().map(Arc::from).collect();
                all.into_iter().map(|(target, of)| (target.0, grants(of))).collect()
            }),
        })
    }

    /// What is undertaken. Of a run nothing is said that its schedule says.
    fn work(&self, value: &Value) -> Result<RequestedWork, Vec<Diagnostic>> {
        let problem =
            |at: &str, message: &str| Err(vec![Diagnostic::new("", Place::default(), at, message)]);
        match (&self.intent, &self.run_of) {
            (Some(intent), None) => Ok(RequestedWork::Intent(intent.0.clone())),
            (None, Some(schedule)) => {
                let mut said = value.as_object().into_iter().flat_map(BTreeMap::keys);
                match said.find(|name| &***name != "run_of") {
                    None => Ok(RequestedWork::RunOf(schedule.0.clone())),
                    Some(name) => {
                        problem(&format!("/{name}"), "of a run everything is its schedule's")
                    }
                }
            }
            _ => problem("", "exactly one of `intent` and `run_of` must be here"),
        }
    }
}

impl OnBehalfForm {
    fn read(self) -> Result<ForWhom, Vec<Diagnostic>> {
        match (self.token, self.delegated) {
            (Some(token), None) => Ok(ForWhom::Token(token)),
            (None, Some(user)) => Ok(ForWhom::Delegated(user.0)),
            _ => {
                let message = "exactly one of `token` and `delegated` must be here";
                Err(vec![Diagnostic::new("", Place::default(), "/on_behalf_of", message)])
            }
        }
    }
}

/// A task as it begins: the one time that its handle is shown. Its `Debug` does not show it.
#[derive(Clone, Serialize, JsonSchema)]
pub struct TaskBegun<'a> {
    /// What the task is called.
    pub task: Written<TaskId>,
    /// What is undertaken.
    pub intent: Written<IntentName>,
    /// Which version.
    pub version: u32,
    /// Who acts.
    pub agent: Written<IdentityId>,
    /// For whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Written<IdentityId>>,
    /// When it ends by itself.
    pub deadline: Written<Timestamp>,
    /// What the agent names the task by, in `Safeconduct-Task`. It is not kept and cannot be
    /// shown again.
    pub handle: &'a str,
}

impl<'a> TaskBegun<'a> {
    /// The answer to a task that has begun.
    pub fn new(task: &Task, handle: &'a str) -> Self {
        Self {
            task: Written(task.id.clone()),
            intent: Written(task.intent.clone()),
            version: task.intent_version,
            agent: Written(task.agent.clone()),
            on_behalf_of: task.on_behalf_of.clone().map(Written),
            deadline: Written(task.deadline),
            handle,
        }
    }
}

impl fmt::Debug for TaskBegun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskBegun").field("task", &self.task).finish_non_exhaustive()
    }
}

/// Which tasks are wanted: a query string. All that fit every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskQueryForm {
    /// In that state.
    pub state: Option<Word<TaskState>>,
    /// Of that agent.
    pub agent: Option<Written<IdentityId>>,
    /// Of that intent.
    pub intent: Option<Written<IntentName>>,
    /// Those after this id.
    pub after: Option<String>,
    /// At most so many: 1 to 1000; 100 where nothing is said.
    pub limit: Option<usize>,
}

/// Tasks, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskList {
    /// The tasks of this page; fewer than were wanted where many had to be looked at for them.
    pub tasks: Vec<TaskSummary>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A task, without what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TaskSummary {
    /// What it is called.
    pub id: Written<TaskId>,
    /// Where it stands.
    pub state: Word<TaskState>,
    /// What is undertaken.
    pub intent: Written<IntentName>,
    /// Which version.
    pub version: u32,
    /// Who acts.
    pub agent: Written<IdentityId>,
    /// For whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Written<IdentityId>>,
    /// Who began it.
    pub begun_by: Written<IdentityId>,
    /// The task that it was delegated from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Written<TaskId>>,
    /// How many tasks stand above it.
    pub depth: u8,
    /// The schedule of which it is a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_of: Option<Written<ScheduleName>>,
    /// When it began.
    pub begun_at: Written<Timestamp>,
    /// When it ends by itself.
    pub deadline: Written<Timestamp>,
    /// After how many seconds without a decision it ends by itself.
    pub idle_s: u32,
}

impl TaskSummary {
    /// A task with its state.
    pub fn new(task: &Task, state: TaskState) -> Self {
        Self {
            id: Written(task.id.clone()),
            state: Word(state),
            intent: Written(task.intent.clone()),
            version: task.intent_version,
            agent: Written(task.agent.clone()),
            on_behalf_of: task.on_behalf_of.clone().map(Written),
            begun_by: Written(task.begun_by.clone()),
            parent: task.parent.clone().map(Written),
            depth: task.depth,
            run_of: task.run_of.clone().map(Written),
            begun_at: Written(task.begun_at),
            deadline: Written(task.deadline),
            idle_s: task.idle_s,
        }
    }
}

/// A task, with its budget and, for those whom it concerns, what it may do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: TaskSummary,
    /// How much may be done in it.
    pub budget: Shown,
    /// How much was done, what its children were given included.
    pub used: UsedView,
    /// How many calls are left.
    pub calls_left: u64,
    /// What may be done in it and with which parameters; once it has ended, or where the caller
    /// has no part in it, absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mandate: Option<MandateView>,
}

/// How much of a budget was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UsedView {
    /// Permitted calls.
    pub calls: u64,
    /// Permitted calls of the actions that have a limit of their own.
    pub calls_of: BTreeMap<String, u64>,
    /// What was spent.
    pub spend: String,
    /// Different resources.
    pub distinct_resources: u64,
    /// Bytes of the arguments of actions that send, write or execute.
    pub bytes_out: u64,
}

impl Default for UsedView {
    fn default() -> Self {
        let (calls_of, spend) = (BTreeMap::new(), "0".to_owned());
        Self { calls: 0, calls_of, spend, distinct_resources: 0, bytes_out: 0 }
    }
}

/// What a task may do at most.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MandateView {
    /// The parameters.
    pub parameters: Shown,
    /// What the agent was told, where it was told something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What parameters and prompt are worth as a source of instructions: `trusted` where a person
    /// or an orchestrator spoke, `untrusted` where an agent did.
    pub integrity: &'static str,
    /// The envelope, as intents say it.
    pub envelope: Shown,
    /// The highest tier that needs nobody's approval.
    pub tier_max: &'static str,
    /// How many levels of delegation may follow.
    pub depth_left: u8,
}

impl MandateView {
    /// What a task may do, and what was said of it.
    pub fn new(task: &Task, mandate: &Mandate, prompt: Option<&str>) -> Self {
        Self {
            parameters: Shown::of(&Value::Object(mandate.parameters.clone())),
            prompt: prompt.map(str::to_owned),
            integrity: task.integrity().as_str(),
            envelope: Shown::of(&envelope_document(&mandate.authority.allowances)),
            tier_max: mandate.authority.tier_max.as_str(),
            depth_left: mandate.authority.depth_left,
        }
    }
}

/// Any JSON, its numbers exact.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Shown(Box<RawValue>);

impl Shown {
    /// A value as canonical JSON.
    pub fn of(value: &Value) -> Self {
        let text = String::from_utf8(json::to_bytes(value)).unwrap_or_default();
        Self(RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// A budget, as intents say it.
    pub fn budget(of: &Budget) -> Self {
        Self::of(&budget(of))
    }
}

impl JsonSchema for Shown {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Shown".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["object", "array"]})
    }
}

/// How a task ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRequest {
    /// `completed`, where nothing is said, or `revoked`.
    #[serde(default)]
    pub state: EndWord,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
}

/// How a task is ended by someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndWord {
    /// It was brought to its end.
    #[default]
    Completed,
    /// It is taken back.
    Revoked,
}

impl From<EndWord> for TaskState {
    fn from(word: EndWord) -> Self {
        match word {
            EndWord::Completed => Self::Completed,
            EndWord::Revoked => Self::Revoked,
        }
    }
}

/// What came of an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TaskEnded {
    /// Where the task stands now. A task that had ended before stays as it was.
    pub state: &'static str,
    /// How many tasks ended by this, those under it included.
    pub ended: u64,
}

impl TaskEnded {
    /// So many tasks ended; the named one stands so now.
    pub fn new(state: TaskState, ended: usize) -> Self {
        Self { state: state.word(), ended: ended as u64 }
    }
}
