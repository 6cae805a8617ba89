//! The tools that the gateway itself offers at every upstream: to begin a task and to end it, for
//! agents that can set no header. A name that begins with `safeconduct_` is the gateway's; a tool
//! of an upstream that bears one is shown to nobody and cannot be called.
//!
//! What is listed varies by caller, never by the state of a session: whether a task is under way
//! changes nothing, so that lists can be kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_credential::mandate_value;
use safeconduct_model::{
    Authentication, IdentityId, Intent, IntentName, OnBehalfOf, PROMPT_BYTES_MAX, ParameterType,
    ServerName, Task, Value,
};
use safeconduct_service::{BeginError, OnBehalf};
use safeconduct_wire::admin::{RequestedTask, RequestedWork, TaskRequest};
use safeconduct_wire::json;

use crate::authority::{Authority, Begun};
use crate::message::{Answer, METHOD_NOT_FOUND};
use crate::revision::Era;
use crate::{approval_tools, edit};

/// How the names of the gateway's own tools begin.
pub(crate) const RESERVED: &str = "safeconduct_";
/// Begins a task.
pub(crate) const BEGIN: &str = "safeconduct_begin_task";
/// Begins a task of another agent under the one of the session.
pub(crate) const DELEGATE: &str = "safeconduct_delegate_task";
/// Ends the task of the session.
pub(crate) const END: &str = "safeconduct_end_task";

/// Longest summary, in bytes: it is recorded as it is.
pub(crate) const SUMMARY_BYTES_MAX: usize = 256;
/// Most intents that the tool's schema spells out; others can be undertaken all the same.
const SPELT_OUT_MAX: usize = 32;
/// Most bytes of allowances that an agent is told of; beyond it only the actions are named.
const ALLOWED_BYTES_MAX: usize = 64 * 1024;

/// Whether the gateway has tools of its own: where the project has intents, or people may be asked.
fn offers(authority: &impl Authority) -> bool {
    has_tasks(authority) || approval_tools::offers(authority)
}

fn has_tasks(authority: &impl Authority) -> bool {
    !authority.intents().versions.is_empty()
}

/// Says in a greeting that there are tools, also where the upstream has none.
pub(crate) fn offer(authority: &impl Authority, greeting: &mut Value) {
    if !offers(authority) {
        return;
    }
    let mut capabilities = edit::take(greeting, "capabilities").unwrap_or_else(edit::empty);
    if capabilities.member("tools").is_none() {
        edit::set(&mut capabilities, "tools", edit::empty());
    }
    edit::set(greeting, "capabilities", capabilities);
}

/// The empty list of an upstream that knows no lists of tools, so that ours can stand in it.
pub(crate) fn stand_in(authority: &impl Authority, era: Era, answer: &mut Answer) {
    let Answer::Fault(fault) = &*answer else { return };
    if fault.code != METHOD_NOT_FOUND || !offers(authority) {
        return;
    }
    let mut list = Value::object([("tools", Value::Array(Vec::new()))]);
    if era == Era::Modern {
        edit::set(&mut list, "resultType", "complete");
        edit::set(&mut list, "ttlMs", 0);
        edit::set(&mut list, "cacheScope", "private");
    }
    *answer = Answer::Result(list);
}

/// Puts the gateway's tools first on the first page, and takes out what bears such a name.
pub(crate) fn list(
    authority: &impl Authority,
    caller: &Authentication,
    server: &ServerName,
    params: Option<&Value>,
    page: &mut Value,
) {
    let Some(Value::Array(tools)) = edit::member_mut(page, "tools") else { return };
    tools.retain(|tool| {
        let name = tool.member("name").and_then(Value::as_str).unwrap_or_default();
        let taken = name.starts_with(RESERVED);
        if taken {
            tracing::warn!(%server, tool = name, "a tool with a name of the gateway's is hidden");
        }
        !taken
    });
    let first = params.and_then(|params| params.member("cursor")).is_none();
    if first && approval_tools::offers(authority) {
        tools.splice(0..0, approval_tools::tools());
    }
    if first && has_tasks(authority) {
        let intents = authority.intents();
        let latest = intents.versions.values().filter_map(|versions| versions.last_key_value());
        let theirs = latest.map(|(_, intent)| intent);
        let theirs: Vec<_> = theirs.filter(|one| authority.may_undertake(caller, one)).collect();
        if theirs.iter().any(|intent| intent.delegation_depth > 0) {
            tools.insert(0, delegate_tool());
        }
        tools.insert(0, end_tool());
        if !theirs.is_empty() {
            tools.insert(0, begin_tool(&theirs));
        }
    }
}

pub(crate) fn schema(properties: Value, required: &[&str]) -> Value {
    let required = required.iter().map(|name| Value::from(*name)).collect();
    Value::object([
        ("type", Value::from("object")),
        ("properties", properties),
        ("required", Value::Array(required)),
        ("additionalProperties", Value::from(false)),
    ])
}

pub(crate) fn described(ty: &str, description: &str) -> Value {
    Value::object([("type", Value::from(ty)), ("description", Value::from(description))])
}

pub(crate) fn tool(
    name: &str,
    title: &str,
    description: String,
    input: Value,
    output: Value,
) -> Value {
    let hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
    Value::object([
        ("name", Value::from(name)),
        ("title", Value::from(title)),
        ("description", Value::from(description)),
        ("inputSchema", input),
        ("outputSchema", output),
        ("annotations", Value::object(hints.map(|hint| (hint, Value::from(false))))),
    ])
}

fn begin_tool(intents: &[&Intent]) -> Value {
    let mut text = String::from(
        "Begins a task: one undertaking of an intent. From then on every call of this session \
         belongs to the task and may do what its intent allows, until the task ends. Intents:",
    );
    for intent in intents.iter().take(SPELT_OUT_MAX) {
        text.push_str(&format!("\n- `{}`: {}", intent.name, intent.description));
    }
    let more = intents.len().saturating_sub(SPELT_OUT_MAX);
    let mut name = described("string", "The name of the intent.");
    if more > 0 {
        text.push_str(&format!("\nand {more} others."));
    } else {
        let names = intents.iter().map(|intent| Value::String(intent.name.shared())).collect();
        edit::set(&mut name, "enum", Value::Array(names));
    }
    let mut version = described("integer", "The intent's version; the latest if left out.");
    edit::set(&mut version, "minimum", 1);
    let mut parameters = described("object", "The parameters of the intent.");
    if more == 0 {
        let each = intents.iter().map(|intent| parameters_of(intent)).collect();
        edit::set(&mut parameters, "anyOf", Value::Array(each));
    }
    let mut prompt = described("string", "What the task is about, in your own words.");
    edit::set(&mut prompt, "maxLength", whole(PROMPT_BYTES_MAX));
    let mut properties = Value::object([
        ("intent", name),
        ("version", version),
        ("parameters", parameters),
        ("prompt", prompt),
    ]);
    if intents.iter().any(|intent| intent.on_behalf_of != OnBehalfOf::Never) {
        let what = "The id of the user for whom the task is, who must have delegated the intent.";
        edit::set(&mut properties, "on_behalf_of", described("string", what));
    }
    let begun = schema(
        Value::object([
            ("task", described("string", "The task's id.")),
            ("intent", described("string", "Its intent.")),
            ("version", described("integer", "The intent's version.")),
            ("deadline", described("string", "When it ends by itself (RFC 3339).")),
            ("allowances", described("array", "What may be done in it.")),
        ]),
        &["task", "intent", "version", "deadline", "allowances"],
    );
    tool(BEGIN, "Begin a task", text, schema(properties, &["intent"]), begun)
}

/// What is delegated may be of any intent, whoever undertakes it: policies, the intent and the task
/// that it comes from decide.
fn delegate_tool() -> Value {
    let text = "Begins a task of another agent under the task of this session. It may do no more \
                than this task may, takes what it is given from this task's budget, and ends with \
                it. The answer holds its handle: give it to that agent alone, who sends it as \
                `Safeconduct-Task`, and to nobody else.";
    let mut version = described("integer", "The intent's version; the latest if left out.");
    edit::set(&mut version, "minimum", 1);
    let mut seconds = described("integer", "For how many seconds at most.");
    edit::set(&mut seconds, "minimum", 1);
    let mut prompt = described("string", "What the other agent is to do, in your words.");
    edit::set(&mut prompt, "maxLength", whole(PROMPT_BYTES_MAX));
    let properties = Value::object([
        ("agent", described("string", "The id of the agent that will act.")),
        ("intent", described("string", "The name of the intent.")),
        ("version", version),
        ("parameters", described("object", "The parameters of the intent.")),
        ("prompt", prompt),
        ("envelope", described("array", "What it may do at most, as intents say it.")),
        ("budget", described("object", "How much at most, as intents say it: {\"calls\": 3}.")),
        ("seconds", seconds),
        ("depth", described("integer", "How many levels of delegation may follow at most.")),
        ("tier_max", described("string", "The highest tier that needs nobody's approval.")),
        ("credentials", described("object", "What it may get leases of: grants by target.")),
    ]);
    let begun = schema(
        Value::object([
            ("task", described("string", "The task's id.")),
            ("agent", described("string", "Who acts in it.")),
            ("deadline", described("string", "When it ends by itself (RFC 3339).")),
            ("handle", described("string", "What its agent names it by; shown this once.")),
        ]),
        &["task", "agent", "deadline", "handle"],
    );
    let input = schema(properties, &["agent", "intent"]);
    tool(DELEGATE, "Delegate a task", text.to_owned(), input, begun)
}

/// Reads the arguments of [`DELEGATE`]: what intent, for whom, and how much of it.
pub(crate) fn read_delegation(
    arguments: &Value,
) -> Result<(IdentityId, IntentName, RequestedTask), String> {
    let mut wanted = TaskRequest::of(arguments).map_err(|error| error.to_string())?;
    if wanted.on_behalf_of.is_some() {
        return Err("a child is for whom its parent is: leave `on_behalf_of` out".into());
    }
    let agent = wanted.agent.take().ok_or("`agent` is missing")?;
    match wanted.work.clone() {
        RequestedWork::Intent(intent) => Ok((agent, intent, wanted)),
        RequestedWork::RunOf(_) => Err("a run of a schedule is begun outside of tasks".into()),
    }
}

/// What the agent is told of a task that it has delegated.
pub(crate) fn delegated(task: &Task, handle: &str) -> (String, Value) {
    let text = format!(
        "Task {} of `{}` has begun: `{}`, version {}. It ends at {} at the latest, and with this \
         task. Its handle, shown this once: {handle}",
        task.id, task.agent, task.intent, task.intent_version, task.deadline
    );
    let told = Value::object([
        ("task", Value::String(task.id.shared())),
        ("agent", Value::String(task.agent.shared())),
        ("deadline", Value::from(task.deadline.to_string())),
        ("handle", Value::from(handle)),
    ]);
    (text, told)
}

fn end_tool() -> Value {
    let mut summary = described(
        "string",
        "What came of it, in a sentence. It is recorded in the clear: name no personal data.",
    );
    edit::set(&mut summary, "maxLength", whole(SUMMARY_BYTES_MAX));
    let text = "Ends the task of this session as completed. Everything that was given for it ends \
                with it: its rights, its credentials, and what is still under way.";
    let ended = Value::object([
        ("task", described("string", "The task's id.")),
        ("ended", described("integer", "How many tasks ended: it and those under it.")),
    ]);
    let input = schema(Value::object([("summary", summary)]), &[]);
    tool(END, "End the task", text.to_owned(), input, schema(ended, &["task", "ended"]))
}

fn parameters_of(intent: &Intent) -> Value {
    let properties = intent.parameters.iter().map(|(name, parameter)| {
        let mut property = type_of(&parameter.ty);
        if let Some(description) = &parameter.description {
            edit::set(&mut property, "description", Arc::clone(description));
        }
        if let Some(default) = &parameter.default {
            edit::set(&mut property, "default", default.clone());
        }
        (Arc::clone(name), property)
    });
    let must = intent.parameters.iter().filter(|(_, parameter)| parameter.default.is_none());
    let must: Vec<&str> = must.map(|(name, _)| &**name).collect();
    let mut schema = schema(Value::object(properties), &must);
    edit::set(&mut schema, "title", intent.name.shared());
    schema
}

fn type_of(ty: &ParameterType) -> Value {
    let of = |ty: &str| Value::object([("type", Value::from(ty))]);
    let with = |ty: &str, name: &str, value: Value| {
        let mut schema = of(ty);
        edit::set(&mut schema, name, value);
        schema
    };
    match ty {
        ParameterType::Text { bytes_max } => with("string", "maxLength", whole(*bytes_max)),
        ParameterType::Identifier => {
            with("string", "pattern", Value::from("^[A-Za-z0-9._-]{1,128}$"))
        }
        ParameterType::Integer { min, max } => {
            let mut schema = with("integer", "minimum", Value::from(*min));
            edit::set(&mut schema, "maximum", *max);
            schema
        }
        ParameterType::Number => of("number"),
        ParameterType::Boolean => of("boolean"),
        ParameterType::OneOf(choices) => {
            let choices = choices.iter().map(|choice| Value::String(Arc::clone(choice))).collect();
            with("string", "enum", Value::Array(choices))
        }
    }
}

pub(crate) fn whole(n: usize) -> Value {
    Value::from(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What an agent asks for when it begins a task.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) intent: IntentName,
    pub(crate) version: Option<u32>,
    pub(crate) parameters: BTreeMap<Arc<str>, Value>,
    pub(crate) prompt: Option<Arc<str>>,
    pub(crate) on_behalf_of: Option<OnBehalf>,
}

impl Asked {
    /// Reads the arguments of [`BEGIN`]; says what does not fit.
    pub(crate) fn read(arguments: &Value) -> Result<Self, String> {
        only(arguments, &["intent", "version", "parameters", "prompt", "on_behalf_of"])?;
        let text = |name: &str| match arguments.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Arc::clone(text))),
            Some(_) => Err(format!("`{name}` must be a text")),
        };
        let intent = text("intent")?.ok_or("`intent` is missing")?;
        let version = match arguments.member("version") {
            None => None,
            Some(version) => {
                let version = version.as_integer().and_then(|n| u32::try_from(n).ok());
                Some(version.filter(|n| *n > 0).ok_or("`version` must be an integer from 1")?)
            }
        };
        let parameters = match arguments.member("parameters") {
            None => BTreeMap::new(),
            Some(Value::Object(parameters)) => parameters.clone(),
            Some(_) => return Err("`parameters` must be an object".into()),
        };
        let user = text("on_behalf_of")?.map(IdentityId::new).transpose();
        Ok(Self {
            intent: IntentName::new(intent).map_err(|error| error.to_string())?,
            version,
            parameters,
            prompt: text("prompt")?,
            on_behalf_of: user.map_err(|error| error.to_string())?.map(OnBehalf::Delegated),
        })
    }
}

/// Reads the arguments of [`END`]: why the task ends, as it is recorded.
pub(crate) fn read_summary(arguments: &Value) -> Result<Arc<str>, String> {
    only(arguments, &["summary"])?;
    match arguments.member("summary") {
        None => Ok("completed".into()),
        Some(Value::String(text)) if text.is_empty() => Ok("completed".into()),
        Some(Value::String(text))
            if text.len() <= SUMMARY_BYTES_MAX && !text.chars().any(char::is_control) =>
        {
            Ok(Arc::clone(text))
        }
        Some(_) => {
            Err(format!("`summary` must be one line of text of at most {SUMMARY_BYTES_MAX} bytes"))
        }
    }
}

pub(crate) fn only(arguments: &Value, known: &[&str]) -> Result<(), String> {
    let unknown =
        arguments.as_object().and_then(|all| all.keys().find(|n| !known.contains(&&***n)));
    match unknown {
        None => Ok(()),
        Some(unknown) => Err(format!("there is no argument `{unknown}`")),
    }
}

/// What the agent is told of a task that has begun: only what it said itself and what the intent
/// says of itself.
pub(crate) fn begun(begun: &Begun) -> (String, Value) {
    let task = &begun.task;
    let mandate = begun.mandate.as_ref().map(|mandate| mandate_value(mandate));
    let allowances = mandate.as_ref().and_then(|mandate| mandate.member("allowances")).cloned();
    let allowances = allowances.unwrap_or_else(|| Value::Array(Vec::new()));
    let bounded = json::to_bytes(&allowances).len() <= ALLOWED_BYTES_MAX;
    let mut text = format!(
        "Task {} has begun: `{}`, version {}. It ends at {} at the latest. Every call of this \
         session now belongs to it.\nIt may do:",
        task.id, task.intent, task.intent_version, task.deadline
    );
    let mut actions = Vec::new();
    for allowance in allowances.as_array().unwrap_or_default() {
        let action = allowance.member("action").and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!("\n- {action}"));
        actions.push(Value::object([("action", Value::from(action))]));
        if bounded {
            text.push_str(&rules(allowance));
        }
    }
    text.push_str(&format!("\nEnd it with `{END}`."));
    let allowances = if bounded { allowances } else { Value::Array(actions) };
    let told = Value::object([
        ("task", Value::String(task.id.shared())),
        ("intent", Value::String(task.intent.shared())),
        ("version", Value::from(i64::from(task.intent_version))),
        ("deadline", Value::from(task.deadline.to_string())),
        ("allowances", allowances),
    ]);
    (text, told)
}

/// The rules of one allowance in a line: `, where /case {"equals":"C-1"}`.
fn rules(allowance: &Value) -> String {
    let list = |name: &str| allowance.member(name).and_then(Value::as_array).unwrap_or_default();
    let rule = |at: Option<&Value>, must: Option<&Value>| {
        let at = at.and_then(Value::as_str).unwrap_or_default();
        must.map_or_else(|| at.to_owned(), |must| format!("{at} {}", json::to_text(must)))
    };
    let resources = list("resources").iter().map(|r| rule(r.member("type"), r.member("id")));
    let resources: Vec<_> = resources.collect();
    let arguments = list("arguments").iter().map(|r| rule(r.member("pointer"), r.member("must")));
    let arguments: Vec<_> = arguments.collect();
    let mut text = String::new();
    if !resources.is_empty() {
        text.push_str(&format!(" on {}", resources.join(" or ")));
    }
    if !arguments.is_empty() {
        text.push_str(&format!(", where {}", arguments.join(" and ")));
    }
    text
}

/// The word for why a task did not begin.
pub(crate) const fn code(error: &BeginError) -> &'static str {
    match error {
        BeginError::UnknownIntent(_) => "unknown_intent",
        BeginError::NotAnUndertaker { .. } => "not_an_undertaker",
        BeginError::NotAllowed { .. } | BeginError::UnknownIdentity(_) => "not_allowed",
        BeginError::Parameters(_) | BeginError::Name(_) => "parameters",
        BeginError::Prompt { .. } => "prompt",
        BeginError::NoUser(_) | BeginError::NotForUsers(_) => "on_behalf_of",
        BeginError::NotDelegated { .. } => "not_delegated",
        BeginError::Wider(_) => "wider",
        BeginError::ParentEnded => "task_ended",
        BeginError::Stopped => "killed",
        BeginError::NotActive(_) => "identity_not_active",
        BeginError::NoTime => "no_time",
        BeginError::Attached(_) => "task_attached",
        BeginError::UnknownSchedule(_) => "unknown_schedule",
        BeginError::Running { .. } => "already_running",
        BeginError::Denied { .. } => "denied",
        BeginError::OverLimit { .. } => "over_limit",
        BeginError::Contended => "contended",
        BeginError::Unrecorded(_)
        | BeginError::Submit(_)
        | BeginError::Append(_)
        | BeginError::Record(_) => "not_recorded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        let asked = Asked::read(&value(r#"{"intent":"work","version":2,"parameters":{"a":1}}"#));
        let asked = asked.unwrap();
        assert_eq!((asked.intent.as_str(), asked.version), ("work", Some(2)));
        for bad in [
            "{}",
            r#"{"intent":1}"#,
            r#"{"intent":"No Name"}"#,
            r#"{"intent":"work","version":0}"#,
            r#"{"intent":"work","version":1.5}"#,
            r#"{"intent":"work","parameters":[]}"#,
            r#"{"intent":"work","parameter":{}}"#,
            r#"{"intent":"work","on_behalf_of":7}"#,
            r#"{"intent":"work","prompt":{}}"#,
        ] {
            assert!(Asked::read(&value(bad)).is_err(), "{bad}");
        }
        assert_eq!(read_summary(&value("{}")).as_deref(), Ok("completed"));
        for bad in [r#"{"summary":"a\nb"}"#, r#"{"summary":1}"#, r#"{"why":"x"}"#] {
            assert!(read_summary(&value(bad)).is_err(), "{bad}");
        }
    }
}
