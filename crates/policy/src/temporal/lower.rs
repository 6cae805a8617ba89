//! What Dogwood makes of a file's temporal clauses.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::validator::{RawName, json_schema::Fragment};
use dogwood_language::{
    Error, LoweredPolicySet, ParsedPolicySet, PolicySchema, ServiceSchema, ValidationError,
    Validator,
};
use safeconduct_session::monitor::{Always, Program, ProgramName, Source, always};
use sha2::{Digest as _, Sha256};

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

/// The schema as Dogwood wants it; made where the first temporal clause is read.
#[derive(Debug)]
pub(crate) struct LoweringSchema(Result<PolicySchema, String>);

impl LoweringSchema {
    /// Of a schema that Cedar found to be right.
    pub(crate) fn of(fragment: &Fragment<RawName>) -> Self {
        let text = fragment.to_cedarschema().map_err(|error| error.to_string());
        let schema = text.and_then(|text| {
            PolicySchema::from_cedarschema_str(&text).map_err(|error| error.to_string())
        });
        Self(schema)
    }
}

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
    schema: &Schema,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Lowered>> {
    if masked.clauses.is_empty() {
        return Some(Vec::new());
    }
    let parsed = parsed(located, problems)?;
    let general = |problem: &str| {
        let message = format!("the schema cannot be used with temporal clauses: {problem}");
        Diagnostic::in_file(Severity::Error, located.file, message)
    };
    let dogwood = match &schema.lowering().0 {
        Ok(dogwood) => dogwood,
        Err(problem) => {
            problems.push(general(problem));
            return None;
        }
    };
    let lowered = match parsed.lower(dogwood) {
        Ok(lowered) => lowered,
        Err(error) => {
            tell(located, &error, problems);
            return None;
        }
    };
    let before = problems.len();
    validate(located, &lowered, problems);
    if problems.len() > before {
        return None;
    }
    clauses(located, masked, &lowered, problems)
}

fn parsed(located: &Located<'_>, problems: &mut Vec<Diagnostic>) -> Option<ParsedPolicySet> {
    let service = match &*SERVICE {
        Ok(service) => service,
        Err(problem) => {
            problems.push(Diagnostic::in_file(Severity::Error, located.file, problem.clone()));
            return None;
        }
    };
    match ParsedPolicySet::parse(located.text, service) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            tell(located, &error, problems);
            None
        }
    }
}

/// The policies of a file as their macros expand.
pub(super) fn expanded(
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let parsed = parsed(located, problems)?;
    Some(parsed.policies().map(|policy| policy.expanded_source()).collect())
}

fn clauses(
    located: &Located<'_>,
    masked: &Masked,
    lowered: &LoweredPolicySet,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Lowered>> {
    let events = Events::of(lowered.event_signatures(), named);
    let fields: Vec<_> = lowered.nonrelativized_temporal_fields().collect();
    let mut clauses = Vec::with_capacity(masked.clauses.len());
    for clause in &masked.clauses {
        let at = (clause.range.start, clause.range.len());
        let field = fields.iter().find(|field| {
            let start = field.condition.span.start;
            clause.body.start <= start && start <= clause.body.end
        });
        let Some(field) = field else {
            let message = "the temporal clause cannot stand here";
            problems.push(located.problem(Severity::Error, at, message));
            return None;
        };
        let own: Vec<String> = field.target_actions.iter().map(|a| a.id.clone()).collect();
        let condition = &field.condition.condition;
        let source = formula::source(condition, &own, &events, named, &Shipped);
        let actions: BTreeSet<Arc<str>> = own.iter().map(|id| id.as_str().into()).collect();
        let always = source
            .as_ref()
            .ok()
            .and_then(|source| always(&source.formula, &actions, &source.parameters));
        clauses.push(Lowered { at, source: source.map_err(|error| error.0), always });
    }
    Some(clauses)
}

/// Actions are named by their id alone: no two have the same.
fn named(_: &[String], action: &str) -> String {
    action.to_owned()
}

/// What Dogwood's checks say of the clauses; what they say of the rest, Cedar's say too.
fn validate(located: &Located<'_>, lowered: &LoweredPolicySet, problems: &mut Vec<Diagnostic>) {
    for error in Validator::new().validate(lowered).validation_errors() {
        if let ValidationError::Extension { message, span, help, .. } = error {
            let at = (span.offset(), span.len());
            let problem = located.problem(Severity::Error, at, message.clone());
            problems.push(Diagnostic { help: help.clone(), ..problem });
        }
    }
}

fn tell(located: &Located<'_>, error: &Error, problems: &mut Vec<Diagnostic>) {
    let mut at = |span: Option<miette::SourceSpan>, message: String| {
        problems.push(match span {
            Some(span) => located.problem(Severity::Error, (span.offset(), span.len()), message),
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
