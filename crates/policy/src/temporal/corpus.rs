//! Dogwood's own cases, verdict by verdict, under the event schema that each brings; and every
//! leaf beside them held equal to Dogwood's interpreter.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use dogwood_language::corpus::{CorpusTrace, macro_cases, mixed_cases, temporal_cases};
use dogwood_language::{
    Authorizer, Decision, Error, Event as Logged, EventSignature, InMemoryTemporalEngine,
    ParsedPolicySet, PartitionKey, PolicySchema, ServiceSchema, TemporalBindings, TemporalEngine,
    TemporalField, UNPINNED_EVENT_SCHEMA, Value as Said, parse_trace, partition_value_key,
};
use safeconduct_model::{ActionName, Timestamp, Value};
use safeconduct_session::monitor::{
    Datum, Event, Monitors, Part, Program, ProgramName, ProgramSet, Root, Sort,
};

use super::formula::{self, Events, Layout};
use crate::{LoadError, SourceFile, Sources, load};

/// All fields of an event in one record, as Dogwood has them.
pub(super) struct AsLogged;

impl Layout for AsLogged {
    fn part(&self, _: &[&str]) -> (Part, usize) {
        (Part::Beside, 0)
    }
}

pub(super) fn named(namespace: &[String], action: &str) -> String {
    let name = format!("{}::{action}", namespace.join("::"));
    match ActionName::new(name.as_str()) {
        Ok(_) => name,
        Err(_) => name.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Our monitors in Dogwood's authorizer, with its interpreter beside them.
pub(super) struct Ours {
    pub(super) leaves: Vec<(String, Result<Arc<Program>, String>)>,
    programs: ProgramSet,
    keys: Vec<PartitionKey>,
    monitors: BTreeMap<String, Monitors>,
    newest: Option<Logged>,
    reference: InMemoryTemporalEngine,
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

impl Ours {
    pub(super) fn new(log: Arc<Mutex<Vec<String>>>) -> Self {
        Self {
            leaves: Vec::new(),
            programs: ProgramSet::default(),
            keys: Vec::new(),
            monitors: BTreeMap::new(),
            newest: None,
            reference: InMemoryTemporalEngine::new(),
            log,
        }
    }

    fn key(&self, event: &Logged) -> String {
        let parts = self.keys.iter().map(|key| {
            event.field_path(&key.field_path).map_or_else(|| "none".into(), partition_value_key)
        });
        parts.collect::<Vec<_>>().join("\n")
    }
}

fn with<T>(event: &Logged, then: impl FnOnce(&Event<'_>) -> T) -> T {
    let mut members = BTreeMap::new();
    for (path, value) in event.logged_leaves() {
        if let [name] = path.as_slice() {
            members.insert(Arc::from(name.as_str()), model(value));
        }
    }
    let beside = Value::Object(members);
    let action = ActionName::new(named(event.namespace(), event.action())).unwrap();
    then(&Event {
        kind: event.kind(),
        action: &action,
        principal: None,
        resources: &[],
        input: &Value::Null,
        output: None,
        beside: Some(&beside),
        at: Timestamp::from_millis(event.timestamp().saturating_mul(1000)),
        decision: None,
    })
}

fn model(value: &Said) -> Value {
    match value {
        Said::Null => Value::Null,
        Said::Bool(truth) => Value::Bool(*truth),
        Said::Int(n) => Value::Integer(*n),
        Said::Decimal(text) | Said::String(text) => Value::from(text.as_str()),
        Said::Entity { ty, id } => {
            Value::object([("type", Value::from(ty.as_str())), ("id", Value::from(id.as_str()))])
        }
        Said::Array(items) => Value::Array(items.iter().map(model).collect()),
        Said::Object(members) => {
            Value::object(members.iter().map(|(name, value)| (name.as_str(), model(value))))
        }
    }
}

fn parameter(value: Option<&Said>, sort: &Sort) -> Datum {
    match value {
        None => Datum::Absent,
        Some(Said::Entity { ty, id }) => Datum::entity(ty, id),
        Some(Said::Decimal(text)) => Datum::decimal(text),
        Some(other) => Datum::of(&model(other), sort),
    }
}

fn entity(uid: Option<String>) -> Datum {
    let uid = uid.and_then(|uid| dogwood_language::cedar::EntityUid::from_str(&uid).ok());
    uid.map_or(Datum::Absent, |uid| {
        Datum::entity(&uid.type_name().to_string(), uid.id().unescaped())
    })
}

fn parameters(program: &Program, event: &Logged) -> Vec<Datum> {
    let of = program.parameters().iter().map(|wanted| {
        let path: Vec<String> = wanted.path.iter().map(|part| part.to_string()).collect();
        match (wanted.root, path.is_empty()) {
            (Root::Context, _) => parameter(event.request_context_path(&path), &wanted.sort),
            (Root::Principal, true) => entity(event.principal()),
            (Root::Resource, true) => entity(event.resource()),
            (Root::Principal, false) => {
                parameter(event.scope_attr("principal", &path).as_ref(), &wanted.sort)
            }
            (Root::Resource, false) => {
                parameter(event.scope_attr("resource", &path).as_ref(), &wanted.sort)
            }
        }
    });
    of.collect()
}

impl TemporalEngine for Ours {
    fn prepare(
        &mut self,
        leaves: &[TemporalField],
        schema: &dogwood_language::cedar::Schema,
        events: &[EventSignature],
    ) -> Result<(), Error> {
        self.reference.prepare(leaves, schema, events)?;
        let events = Events::of(events.iter().cloned(), named, &|_, _| false);
        for (leaf, number) in leaves.iter().zip(0_u128..) {
            let own: Vec<String> = leaf
                .target_actions
                .iter()
                .map(|action| {
                    let mut namespace: Vec<String> = Vec::new();
                    if let Some(name) = &action.namespace {
                        namespace.extend(name.split("::").map(str::to_owned));
                    }
                    namespace.push("Action".into());
                    named(&namespace, &action.id)
                })
                .collect();
            let condition = &leaf.condition.condition;
            let program = formula::source(condition, &own, &events, named, &AsLogged)
                .map_err(|error| error.0.to_owned())
                .and_then(|source| {
                    let name = ProgramName(number.to_be_bytes());
                    Program::compile(name, &source).map_err(|error| error.to_string())
                });
            self.leaves.push((leaf.id.clone(), program.map(Arc::new)));
        }
        let programs = self.leaves.iter().filter_map(|(_, program)| program.clone().ok());
        self.programs = ProgramSet::new(programs, BTreeMap::new());
        Ok(())
    }

    fn observe(&mut self, event: &Logged) {
        self.reference.observe(event);
        if let Some(before) = self.newest.replace(event.clone()) {
            let key = self.key(&before);
            let monitors = self.monitors.entry(key).or_default();
            with(&before, |event| monitors.observe(&self.programs, event));
        }
    }

    fn evaluate(&mut self) -> Result<TemporalBindings, String> {
        let expected = self.reference.evaluate()?;
        let newest = self.newest.as_ref().ok_or("nothing happened")?;
        let nothing = Monitors::default();
        let monitors = self.monitors.get(&self.key(newest)).unwrap_or(&nothing);
        let mut bindings = TemporalBindings::new();
        for (id, program) in &self.leaves {
            let answered = program.as_ref().map_err(Clone::clone).and_then(|program| {
                let values = parameters(program, newest);
                with(newest, |event| monitors.answer(&self.programs, program, event, &values))
                    .ok_or_else(|| "a limit was met".to_owned())
            });
            let at = newest.timestamp();
            let tell = |said: &dyn std::fmt::Display| {
                self.log.lock().unwrap().push(format!("leaf {id} at {at}: {said}"));
            };
            match answered {
                Ok(answer) => {
                    if expected.get(id) != Some(&answer) {
                        tell(&answer);
                    }
                    bindings.insert(id.clone(), answer);
                }
                // The authorizer makes a denial of it, which could be what is expected.
                Err(problem) => {
                    tell(&problem);
                    return Err(problem);
                }
            }
        }
        Ok(bindings)
    }

    fn supports_partitioning(&self) -> bool {
        true
    }

    fn set_partition_keys(&mut self, keys: &[PartitionKey]) {
        self.reference.set_partition_keys(keys);
        self.keys = keys.to_vec();
    }
}

struct Case {
    name: String,
    policies: String,
    schema: String,
    events: Option<String>,
    macros: Option<String>,
    traces: Vec<CorpusTrace>,
}

fn parsed(case: &Case) -> Result<(ParsedPolicySet, PolicySchema), String> {
    let mut service = ServiceSchema::builder();
    // Those that bring none are written for events without pins.
    let events = case.events.as_deref().unwrap_or(UNPINNED_EVENT_SCHEMA);
    service = service.event_schema_str(events);
    if let Some(macros) = &case.macros {
        service = service.macros_str(macros);
    }
    let service = service.build().map_err(|error| error.to_string())?;
    let schema = PolicySchema::from_cedarschema_str(&case.schema).map_err(|e| e.to_string())?;
    let parsed = ParsedPolicySet::parse(&case.policies, &service).map_err(|e| e.to_string())?;
    Ok((parsed, schema))
}

fn failures(case: &Case) -> Vec<String> {
    let mut failures = Vec::new();
    let (parsed, schema) = match parsed(case) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("does not parse: {error}")],
    };
    for trace in &case.traces {
        let policies = match parsed.lower(&schema) {
            Ok(policies) => policies,
            Err(error) => return vec![format!("does not lower: {error}")],
        };
        let log = Arc::default();
        let ours = Ours::new(Arc::clone(&log));
        let mut authorizer = Authorizer::builder(policies)
            .temporal_engine(ours)
            .partition_temporal()
            .build()
            .unwrap();
        let mut verdicts = Vec::new();
        let mut errors = Vec::new();
        for (number, event) in parse_trace(&trace.trace_log).unwrap().iter().enumerate() {
            if let Some(response) = authorizer.is_authorized(event) {
                let allowed = response.decision() == Decision::Allow;
                errors.extend(response.diagnostics().errors().map(str::to_owned));
                verdicts.push(format!("@{} (time point {number}): {allowed}", event.timestamp()));
            }
        }
        errors.dedup();
        if verdicts.join("\n").trim() != trace.expected.trim() || !errors.is_empty() {
            failures.push(format!(
                "trace {}:\n{}\nexpected\n{}\nerrors {errors:?}",
                trace.index,
                verdicts.join("\n"),
                trace.expected.trim(),
            ));
        }
        failures.extend(log.lock().unwrap().iter().map(|line| format!("{}: {line}", trace.index)));
    }
    failures
}

#[test]
fn every_verdict_is_what_dogwood_says() {
    let temporal = temporal_cases().into_iter().filter(|case| !case.is_parse_rejected());
    let temporal = temporal.map(|case| Case {
        name: case.name,
        policies: case.policy_src,
        schema: case.schema_src,
        events: case.event_schema_src,
        macros: None,
        traces: case.traces,
    });
    let macros = macro_cases().into_iter().map(|case| Case {
        name: case.name,
        policies: case.policy_src,
        schema: case.schema_src,
        events: case.event_schema_src,
        macros: case.macros_src,
        traces: case.traces,
    });
    // What needs providers, which are not served, is refused: below.
    let mixed = mixed_cases().into_iter().filter(|case| !needs_providers(&case.policy_src));
    let mixed = mixed.map(|case| Case {
        name: case.name,
        policies: case.policy_src,
        schema: case.schema_src,
        events: case.event_schema_src,
        macros: None,
        traces: case.traces,
    });
    let (mut passed, mut failed) = (0, 0);
    for case in temporal.chain(macros).chain(mixed) {
        let failures = failures(&case);
        if failures.is_empty() {
            passed += 1;
        } else {
            failed += 1;
            println!("=== {}\n{}\n{}", case.name, case.policies, failures.join("\n"));
        }
    }
    println!("{passed} cases pass, {failed} fail");
    assert!(passed > 700 && failed == 0, "{passed} pass, {failed} fail");
}

fn needs_providers(policies: &str) -> bool {
    policies.contains("guardrails")
}

/// What our own loading says of policies under a case's schema.
fn loaded(policies: &str, schema: &str) -> Result<(), Vec<String>> {
    let sources = Sources {
        policies: vec![SourceFile::new("p.cedar", policies)],
        schemas: vec![SourceFile::new("case.cedarschema", schema)],
        ..Sources::default()
    };
    let told = |error: LoadError| error.diagnostics.iter().map(ToString::to_string).collect();
    load(&sources).map(|_| ()).map_err(told)
}

/// Where another policy loads under the same schema, it is for the case's own sake.
#[test]
fn what_dogwood_refuses_is_refused() {
    let mut refused = 0;
    for case in temporal_cases().into_iter().filter(|case| case.is_parse_rejected()) {
        let said = loaded(&case.policy_src, &case.schema_src);
        assert!(said.is_err(), "{} is accepted:\n{}", case.name, case.policy_src);
        let other = loaded("permit (principal, action, resource);", &case.schema_src);
        assert_eq!(other, Ok(()), "{}", case.name);
        refused += 1;
    }
    assert!(refused > 250, "{refused} refused");
}

#[test]
fn what_needs_providers_is_refused() {
    let mut refused = 0;
    for case in mixed_cases().into_iter().filter(|case| needs_providers(&case.policy_src)) {
        let said = loaded(&case.policy_src, &case.schema_src).unwrap_err().join("\n");
        assert!(said.contains("(`guardrails`) are not served"), "{}: {said}", case.name);
        refused += 1;
    }
    assert_eq!(refused, 10);
}
