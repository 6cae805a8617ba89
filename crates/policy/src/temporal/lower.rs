//! What Dogwood makes of a file's temporal clauses.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{ActionConstraint, EntityUID, Template};
use dogwood_language::{
    Error, LoweredPolicySet, ParsedPolicySet, ServiceSchema, ValidationError, Validator,
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

/// A temporal clause, ready to be compiled for a session or an identity.
#[derive(Debug)]
pub(super) struct Lowered {
    /// Where it stands.
    at: (usize, usize),
    source: Result<Source, &'static str>,
    always: Option<Always>,
}

/// Most actions of one batch, and most policies: what is checked together is checked for each
/// of these actions.
const BATCH_ACTIONS: usize = 8;
const BATCH_POLICIES: usize = 64;

/// Some policies of a file, with its macros, as a text of their own.
#[derive(Debug, Default)]
struct Batch {
    text: String,
    /// Where its parts start, in it and in the file.
    parts: Vec<(usize, usize)>,
    policies: usize,
    /// The actions that they name; `None` where they may be about any.
    actions: Option<BTreeSet<String>>,
}

impl Batch {
    fn of(located: &Located<'_>, masked: &Masked, actions: Option<BTreeSet<String>>) -> Self {
        let mut batch = Self { actions, ..Self::default() };
        masked.definitions.iter().for_each(|range| batch.add(located, range));
        batch
    }

    fn add(&mut self, located: &Located<'_>, range: &Range<usize>) {
        self.parts.push((self.text.len(), range.start));
        self.text.push_str(located.text.get(range.clone()).unwrap_or_default());
        self.text.push('\n');
    }

    /// Where an offset lies in the file.
    fn place(&self, offset: usize) -> usize {
        let before = self.parts.partition_point(|(start, _)| *start <= offset);
        let part = before.checked_sub(1).and_then(|at| self.parts.get(at));
        part.map_or(offset, |(start, from)| from + (offset - start))
    }
}

/// Puts policies together that name the same few actions.
fn batches(
    located: &Located<'_>,
    masked: &Masked,
    templates: &[Template],
    schema: &Schema,
) -> Vec<Batch> {
    let mut about_any = Batch::of(located, masked, None);
    let mut batches: Vec<Batch> = Vec::new();
    for (range, template) in masked.statements.iter().zip(templates) {
        let clauses = masked.clauses.iter();
        if !clauses.clone().any(|clause| range.contains(&clause.range.start)) {
            continue;
        }
        let Some(named) = actions(located, masked, range, template, schema) else {
            about_any.add(located, range);
            about_any.policies += 1;
            continue;
        };
        let fits = batches.last().and_then(|last| last.actions.as_ref()).is_some_and(|known| {
            known.union(&named).count() <= BATCH_ACTIONS || named.is_subset(known)
        });
        if !fits || batches.last().is_some_and(|last| last.policies >= BATCH_POLICIES) {
            batches.push(Batch::of(located, masked, Some(BTreeSet::new())));
        }
        if let Some(last) = batches.last_mut() {
            last.add(located, range);
            last.policies += 1;
            last.actions.iter_mut().for_each(|known| known.extend(named.iter().cloned()));
        }
    }
    if about_any.policies > 0 {
        batches.push(about_any);
    }
    batches
}

/// The actions that a policy names in its scope, its clauses and the macros that are there;
/// `None` where its scope is about more than it names.
fn actions(
    located: &Located<'_>,
    masked: &Masked,
    range: &Range<usize>,
    template: &Template,
    schema: &Schema,
) -> Option<BTreeSet<String>> {
    let id = |uid: &EntityUID| {
        let id: &str = uid.eid().as_ref();
        schema.actions.contains_key(id).then(|| id.to_owned())
    };
    let mut named: BTreeSet<String> = match template.action_constraint() {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(uid) => std::iter::once(id(uid)).collect::<Option<_>>()?,
        ActionConstraint::In(list) => list.iter().map(|uid| id(uid)).collect::<Option<_>>()?,
    };
    for range in masked.definitions.iter().chain([range]) {
        let text = located.text.get(range.clone()).unwrap_or_default();
        for written in text.split("Action::\"").skip(1) {
            // What is escaped is not looked for: then all actions are there.
            let name = written.split('"').next().unwrap_or_default();
            if name.contains('\\') {
                return None;
            }
            named.insert(name.to_owned());
        }
    }
    Some(named)
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
    for batch in batches(located, masked, templates, schema) {
        lower_batch(located, masked, &batch, schema, &mut found, problems);
    }
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

fn lower_batch(
    located: &Located<'_>,
    masked: &Masked,
    batch: &Batch,
    schema: &Schema,
    found: &mut [Option<Lowered>],
    problems: &mut Vec<Diagnostic>,
) -> Option<()> {
    let parsed = parsed(located, &batch.text, &|offset| batch.place(offset), problems)?;
    let dogwood = match schema.lowering().part(batch.actions.as_ref()) {
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
    clauses(masked, batch, &lowered, found);
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
    batch: &Batch,
    lowered: &LoweredPolicySet,
    found: &mut [Option<Lowered>],
) {
    let events = Events::of(lowered.event_signatures(), named);
    for field in lowered.nonrelativized_temporal_fields() {
        let start = batch.place(field.condition.span.start);
        let mut all = masked.clauses.iter().zip(found.iter_mut());
        let place = all.find(|(clause, _)| clause.body.start <= start && start <= clause.body.end);
        let Some((clause, place)) = place else { continue };
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
    batch: &Batch,
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
