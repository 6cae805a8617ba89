//! A small world to ask questions in.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Assurance, Effect, Entity, EntityRef, IdentityKind, Integrity, Method, Number,
    ServerName, Tier, Timestamp, Value,
};
use safeconduct_policy::{
    ActionSituation, AdditionalArguments, Evaluation, IdentitySituation, LoadError, Loaded,
    Policies, Question, QuestionError, SessionSituation, Situation, SourceFile, Sources,
    ToolDefinition, load,
};

/// A JSON value of its text.
pub(crate) fn json(text: &str) -> Value {
    fn of(value: &serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => n
                .as_i64()
                .map_or_else(|| Value::Number(Number::parse(&n.to_string()).unwrap()), Value::from),
            serde_json::Value::String(text) => Value::from(text.as_str()),
            serde_json::Value::Array(items) => Value::Array(items.iter().map(of).collect()),
            serde_json::Value::Object(members) => {
                Value::object(members.iter().map(|(k, v)| (k.as_str(), of(v))))
            }
        }
    }
    of(&serde_json::from_str(text).unwrap())
}

pub(crate) fn tool(server: &str, name: &str, schema: &str) -> ToolDefinition {
    let definition = Value::object([("name", Value::from(name)), ("inputSchema", json(schema))]);
    ToolDefinition { server: ServerName::new(server).unwrap(), tool: name.into(), definition }
}

/// A server `files` with a few tools, and the given policies.
pub(crate) fn sources(policies: &str) -> Sources {
    let read = r#"{"type":"object","properties":{
        "path":{"type":"string"},"head":{"type":"integer"}},"required":["path"]}"#;
    let pay = r#"{"type":"object","properties":{
        "amount":{"type":"number"},"mode":{"type":"string","enum":["fast","slow"]},
        "at":{"type":"string","format":"date-time"},
        "tags":{"type":"array","items":{"type":"string"}},
        "to":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]},
        "note":{"anyOf":[{"type":"string"},{"type":"null"}]},
        "user-id":{"type":"string"},
        "labels":{"type":"object","additionalProperties":{"type":"string"}},
        "any":{}},"required":["amount"]}"#;
    Sources {
        policies: vec![SourceFile::new("test.cedar", policies)],
        servers: vec![ServerName::new("files").unwrap()],
        definitions: vec![tool("files", "read_text_file", read), tool("files", "pay", pay)],
        ..Sources::default()
    }
}

pub(crate) fn loaded(sources: &Sources) -> Policies {
    match load(sources) {
        Ok(Loaded { policies, .. }) => policies,
        Err(error) => panic!("{:#?}", error.diagnostics),
    }
}

pub(crate) fn refused(sources: &Sources) -> LoadError {
    load(sources).map(|_| ()).unwrap_err()
}

pub(crate) fn entity(ty: &str, id: &str) -> Entity {
    Entity::bare(EntityRef::new(ty, id).unwrap())
}

pub(crate) fn within(mut entity: Entity, ancestors: &[(&str, &str)]) -> Entity {
    entity.ancestors = ancestors.iter().map(|(ty, id)| EntityRef::new(*ty, *id).unwrap()).collect();
    entity
}

pub(crate) fn having(mut entity: Entity, attributes: &[(&str, Value)]) -> Entity {
    entity.attributes = attributes.iter().map(|(k, v)| (Arc::from(*k), v.clone())).collect();
    entity
}

pub(crate) fn situation(tier: Tier) -> Situation<'static> {
    Situation {
        session: SessionSituation {
            steps: 3,
            denials: 1,
            distinct_resources: 2,
            calls_left: 97,
            actions: Vec::new(),
            label: safeconduct_model::Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(IdentityKind::Agent),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 60,
        },
        action: ActionSituation {
            tier,
            effect: Effect::Read,
            trust: Integrity::Untrusted,
            guessed: false,
            accepts: safeconduct_model::Confidentiality::Internal,
        },
        now: Timestamp::from_millis(1_709_210_096_789),
        task: None,
        flow: safeconduct_policy::FlowSituation::default(),
        risk: safeconduct_policy::RiskSituation::default(),
        approval: None,
        request: None,
    }
}

/// Asks whether agent `a` may do something to a file.
pub(crate) fn ask(
    policies: &Policies,
    action: &str,
    input: &str,
) -> Result<Evaluation, QuestionError> {
    ask_of(
        policies,
        &within(entity("Agent", "a"), &[("Safeconduct::Group", "clerks")]),
        action,
        &having(
            within(
                entity("Safeconduct::Path", "/cases/4711/notes.md"),
                &[("Safeconduct::Path", "/cases/4711"), ("Safeconduct::Path", "/cases")],
            ),
            &[("path", Value::from("/cases/4711/notes.md"))],
        ),
        input,
    )
}

pub(crate) fn ask_of(
    policies: &Policies,
    principal: &Entity,
    action: &str,
    resource: &Entity,
    input: &str,
) -> Result<Evaluation, QuestionError> {
    let situation = situation(Tier::Low);
    policies.evaluate(&Question {
        principal,
        action: &ActionName::new(action).unwrap(),
        resource,
        input: &json(input),
        additional: AdditionalArguments::Refused,
        situation: &situation,
        extra: &[],
    })
}
