//! What Dogwood makes of a file's temporal clauses.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::Template;
use dogwood_language::{
    Error, LoweredPolicySet, ParsedPolicySet, PolicySchema, ServiceSchema, ValidationError,
    Validator,
};
use safeconduct_session::monitor::{Always, Program, ProgramName, Source, always};
use sha2::{Digest as _, Sha256};

use super::batch::{self, Batch};
use super::formula::{self, Events, Shipped};
use super::leaves::{History, Leaf};
use super::mask::Masked;
use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::schema::Schema;

/// The events that temporal clauses speak of. There is no pin to a session or an identity: what
/// remembers them belongs to one, and sees no other's events.
const EVENTS: &str = "
    max_window = 366d
    decision event <A>::request {
        ...inputs(A),
        callerPrincipal: principalType(A),
        callerResource: resourceType(A),
        decision: String,
    }
    event <A>::response {
        ...inputs(A),
        ...outputs(A),
        callerPrincipal: principalType(A),
        callerResource: resourceType(A),
    }
    event <A>::error {
        ...inputs(A),
        callerPrincipal: principalType(A),
        callerResource: resourceType(A),
    }
";

static SERVICE: LazyLock<Result<ServiceSchema, String>> = LazyLock::new(|| {
    ServiceSchema::builder().event_schema_str(EVENTS).build().map_err(|error| error.to_string())
});

/// A temporal clause, ready to be compiled for a session or an identity.
#[derive(Debug)]
pub(super) struct Lowered {
    /// Where it stands.
    at: (usize, usize),
    source: Result<Source, &'static str>,
    always: Option<Always>,
}

/// The clauses of a file, in the order of their places. `None` where something is wrong, which
/// is told.
pub(super) fn lower(
    located: &Located<'_>,
    masked: &Masked,
    templates: &[Template],
    schema: &Schema,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Lowered>> {
    let before = problems.len();
    let mut found: Vec<Option<Lowered>> = Vec::new();
    found.resize_with(masked.clauses.len(), || None);
    let policies = batch::spoken(located, masked, templates, schema);
    for batch in batch::batches(located, masked, &policies, batch::LEAST) {
        if lower_least(located, masked, &batch, schema, &mut found).is_some() {
            continue;
        }
        // What is wrong is told by all that the schema says.
        let policies = batch.policies.iter().copied();
        for batch in batch::batches(located, masked, policies, batch::WHOLE) {
            let dogwood = schema.lowering().part(batch.actions.as_ref());
            lower_batch(located, masked, &batch, schema, dogwood, &mut found, problems);
        }
    }
    let mut told = problems.split_off(before);
    told.sort_by_key(|problem| (problem.line, problem.column));
    problems.append(&mut told);
    if problems.len() > before {
        return None;
    }
    let all = masked.clauses.iter().zip(found).map(|(clause, found)| {
        if found.is_none() {
            let at = (clause.range.start, clause.range.len());
            let message = "the temporal clause cannot stand here";
            problems.push(located.problem(Severity::Error, at, message));
        }
        found
    });
    all.collect::<Vec<_>>().into_iter().collect()
}

/// Lowers some policies with no more of the schema than their clauses need; `None` where anything
/// is said of it.
///
/// Dogwood has the same to say of the whole schema, or less: what is left out of the least part
/// can make it refuse, and nothing in it says what the whole does not. So where it is content
/// nothing else needs to be asked. What it finds is the same either way, but for the types of who
/// acts and what is touched, which [`clauses`] takes from the whole.
pub(super) fn lower_least(
    located: &Located<'_>,
    masked: &Masked,
    batch: &Batch<'_>,
    schema: &Schema,
    found: &mut [Option<Lowered>],
) -> Option<()> {
    // A name that is written with an escape would not be seen to be there.
    if batch.text.contains('\\') {
        return None;
    }
    let dogwood = schema.lowering().least(batch, schema);
    let mut problems = Vec::new();
    lower_batch(located, masked, batch, schema, dogwood, found, &mut problems)?;
    problems.is_empty().then_some(())
}

pub(super) fn lower_batch(
    located: &Located<'_>,
    masked: &Masked,
    batch: &Batch<'_>,
    schema: &Schema,
    dogwood: Result<PolicySchema, String>,
    found: &mut [Option<Lowered>],
    problems: &mut Vec<Diagnostic>,
) -> Option<()> {
    let parsed = parsed(located, &batch.text, &|offset| batch.place(offset), problems)?;
    let dogwood = match dogwood {
        Ok(dogwood) => dogwood,
        Err(problem) => {
            let message = format!("the schema cannot be used with temporal clauses: {problem}");
            problems.push(Diagnostic::in_file(Severity::Error, located.file, message));
            return None;
        }
    };
    let lowered = match parsed.lower(&dogwood) {
        Ok(lowered) => lowered,
        Err(error) => {
            tell(located, &error, &|offset| batch.place(offset), problems);
            return None;
        }
    };
    validate(located, batch, &lowered, problems);
    clauses(masked, batch, &lowered, schema, found);
    Some(())
}

fn parsed(
    located: &Located<'_>,
    text: &str,
    place: &dyn Fn(usize) -> usize,
    problems: &mut Vec<Diagnostic>,
) -> Option<ParsedPolicySet> {
    let service = match &*SERVICE {
        Ok(service) => service,
        Err(problem) => {
            problems.push(Diagnostic::in_file(Severity::Error, located.file, problem.clone()));
            return None;
        }
    };
    match ParsedPolicySet::parse(text, service) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            tell(located, &error, place, problems);
            None
        }
    }
}

/// The policies of a file as their macros expand.
pub(super) fn expanded(
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let parsed = parsed(located, located.text, &|offset| offset, problems)?;
    Some(parsed.policies().map(|policy| policy.expanded_source()).collect())
}

fn clauses(
    masked: &Masked,
    batch: &Batch<'_>,
    lowered: &LoweredPolicySet,
    schema: &Schema,
    found: &mut [Option<Lowered>],
) {
    let several = |action: &str, field: &[String]| {
        let (principals, resources) = schema.lowering().applied_to(action);
        let types = match field.first().map(String::as_str) {
            Some("callerPrincipal") => principals,
            _ => resources,
        };
        types > 1
    };
    let events = Events::of(lowered.event_signatures(), named, &several);
    for field in lowered.nonrelativized_temporal_fields() {
        let start = batch.place(field.condition.span.start);
        let at = masked.clauses.partition_point(|clause| clause.body.end < start);
        let Some((clause, place)) = masked.clauses.get(at).zip(found.get_mut(at)) else { continue };
        if start < clause.body.start {
            continue;
        }
        let own: Vec<String> = field.target_actions.iter().map(|a| a.id.clone()).collect();
        let condition = &field.condition.condition;
        let source = formula::source(condition, &own, &events, named, &Shipped);
        let actions: BTreeSet<Arc<str>> = own.iter().map(|id| id.as_str().into()).collect();
        let always = source
            .as_ref()
            .ok()
            .and_then(|source| always(&source.formula, &actions, &source.parameters));
        let at = (clause.range.start, clause.range.len());
        *place = Some(Lowered { at, source: source.map_err(|error| error.0), always });
    }
}

/// Actions are named by their id alone: no two have the same.
fn named(_: &[String], action: &str) -> String {
    action.to_owned()
}

/// What Dogwood's checks say of the clauses; what they say of the rest, Cedar's say too.
fn validate(
    located: &Located<'_>,
    batch: &Batch<'_>,
    lowered: &LoweredPolicySet,
    problems: &mut Vec<Diagnostic>,
) {
    for error in Validator::new().validate(lowered).validation_errors() {
        if let ValidationError::Extension { message, span, help, .. } = error {
            let at = (batch.place(span.offset()), span.len());
            let problem = located.problem(Severity::Error, at, message.clone());
            problems.push(Diagnostic { help: help.clone(), ..problem });
        }
    }
}

fn tell(
    located: &Located<'_>,
    error: &Error,
    place: &dyn Fn(usize) -> usize,
    problems: &mut Vec<Diagnostic>,
) {
    let mut at = |span: Option<miette::SourceSpan>, message: String| {
        problems.push(match span {
            Some(span) => {
                located.problem(Severity::Error, (place(span.offset()), span.len()), message)
            }
            None => Diagnostic::in_file(Severity::Error, located.file, message),
        });
    };
    match error {
        Error::Parse(errors) => {
            errors.iter().for_each(|e| at(Some(e.location().span()), e.to_string()));
        }
        Error::Macro(error) => at(Some(error.location().span()), error.to_string()),
        Error::Cedarify(error) => {
            at(error.location().map(|location| location.span()), error.to_string());
        }
        other => at(None, other.to_string()),
    }
}

impl Lowered {
    /// The clause compiled.
    pub(super) fn leaf(
        &self,
        history: History,
        located: &Located<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Arc<Leaf>> {
        if let Some(always) = self.always {
            let (message, help) = match always {
                Always::Holds => (
                    "the temporal clause always holds",
                    "a request is part of its own history: ask for another event, or leave the \
                     clause out",
                ),
                Always::Fails => (
                    "the temporal clause never holds",
                    "a request is the newest event of its history: check which action and which \
                     kind of event the clause asks for",
                ),
            };
            let warning = located.problem(Severity::Warning, self.at, message).with_help(help);
            if !problems.contains(&warning) {
                problems.push(warning);
            }
        }
        let compiled = self.source.as_ref().map_err(|problem| (*problem).to_owned());
        let compiled = compiled.and_then(|source| {
            Program::compile(name(history, source), source).map_err(|error| error.to_string())
        });
        match compiled {
            Ok(program) => Some(Arc::new(Leaf::of(program, history))),
            Err(message) => {
                let problem = located.problem(Severity::Error, self.at, message);
                problems.push(problem.with_help(
                    "match the value with a field of an event under the same operator, or ask \
                     for it outside of the operator",
                ));
                None
            }
        }
    }
}

/// The name of a condition: a digest of all that it says, and where it lives.
fn name(history: History, source: &Source) -> ProgramName {
    let mut hash = Sha256::new();
    hash.update(history.as_str());
    hash.update([0]);
    // What is printed of plain data says all of it.
    hash.update(format!("{source:?}"));
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = <[u8; 32]>::from(hash.finalize());
    ProgramName([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}
