//! From files to a policy set: all of it, or all that is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::{Effect, Template};
use cedar_policy_core::parser;
use safeconduct_model::{PolicyEffect, PolicyId, PolicyRef, Span};

use crate::annotations;
use crate::diagnostic::{Diagnostic, LoadError, Located, Severity};
use crate::evaluate::Condition;
use crate::nesting::{self, Language};
use crate::policies::{Policies, PolicyInfo, Statement, Unit};
use crate::rego::{self, Rego};
use crate::schema::{self, Schema};
use crate::source::{
    DIAGNOSTICS_MAX, EXPRESSION_DEPTH_MAX, FILE_BYTES_MAX, FILES_MAX, POLICIES_MAX, SourceFile,
    Sources,
};
use crate::temporal;
use crate::validate::Checker;

/// A policy set that loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The set.
    pub policies: Policies,
    /// What its author should look at, though nothing is wrong.
    pub warnings: Vec<Diagnostic>,
}

/// Loads a policy set: every policy parses, validates strictly against the schema, and has an id
/// of its own.
///
/// # Errors
/// [`LoadError`] has everything that is wrong; then nothing is loaded.
pub fn load(sources: &Sources) -> Result<Loaded, LoadError> {
    nesting::with_stack(|| load_with(sources, None))
}

/// Loads a policy set, and takes what did not change from the one before: its schema, and files
/// with the same name and text as long as the schema is the same.
///
/// # Errors
/// As [`load`].
pub fn load_reusing(sources: &Sources, previous: &Policies) -> Result<Loaded, LoadError> {
    nesting::with_stack(|| load_with(sources, Some(previous)))
}

fn load_with(sources: &Sources, previous: Option<&Policies>) -> Result<Loaded, LoadError> {
    let mut problems = Vec::new();
    let before = previous;
    let previous = previous.filter(|p| p.schema.digest == schema::digest(sources));
    let schema = match previous {
        Some(previous) => Some(Arc::clone(&previous.schema)),
        None => Schema::build(sources, &mut problems).map(Arc::new),
    };
    let rego = second_engine(sources, before, &mut problems);
    let units = read_all(sources, schema.as_deref(), previous, &mut problems);
    check_ids(&units, rego.is_some(), &mut problems);
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    match schema {
        Some(schema) if !failed => {
            let policies = Policies::of(schema, units, rego);
            let warnings = policies.warnings().cloned().collect();
            Ok(Loaded { policies, warnings })
        }
        _ => Err(LoadError::new(problems)),
    }
}

/// Compiles the Rego files, where there are some; those of the set before, where they are equal.
fn second_engine(
    sources: &Sources,
    previous: Option<&Policies>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Arc<Rego>> {
    let mut files: Vec<&SourceFile> =
        sources.policies.iter().filter(|file| rego::is_rego(&file.name)).collect();
    if files.is_empty() {
        return None;
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    match previous.and_then(|previous| previous.rego.as_ref()).filter(|rego| rego.is_of(&files)) {
        Some(known) => Some(Arc::clone(known)),
        None => rego::load(&files, problems).map(Arc::new),
    }
}

fn read_all(
    sources: &Sources,
    schema: Option<&Schema>,
    previous: Option<&Policies>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<Arc<str>, Arc<Unit>> {
    let mut units = BTreeMap::new();
    if sources.policies.len() > FILES_MAX {
        let message = format!("there are more than the limit of {FILES_MAX} policy files");
        problems.push(Diagnostic::general(Severity::Error, message));
        return units;
    }
    let checker = schema.map(|schema| Checker::new(&schema.validator));
    let mut count = 0;
    for file in &sources.policies {
        let known = previous.and_then(|p| p.units.get(&file.name)).filter(|u| u.text == file.text);
        let unit = match known {
            Some(known) => Some(Arc::clone(known)),
            // Compiled with the others of its kind, it is here for its text alone.
            None if rego::is_rego(&file.name) => {
                let text = Arc::clone(&file.text);
                Some(Arc::new(Unit { text, statements: Vec::new(), warnings: Vec::new() }))
            }
            None => read(file, schema, checker.as_ref(), problems).map(Arc::new),
        };
        let Some(unit) = unit else { continue };
        count += unit.statements.len();
        if units.insert(Arc::clone(&file.name), unit).is_some() {
            let message = "a file of that name is there twice";
            problems.push(Diagnostic::in_file(Severity::Error, &file.name, message));
        }
        if count > POLICIES_MAX {
            let message = format!("there are more than the limit of {POLICIES_MAX} policies");
            problems.push(Diagnostic::general(Severity::Error, message));
            return units;
        }
    }
    units
}

/// Reads one file. `None` where it has no policies that could be counted.
fn read(
    file: &SourceFile,
    schema: Option<&Schema>,
    checker: Option<&Checker<'_>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Unit> {
    let located = Located::new(&file.name, &file.text);
    let before = problems.len();
    let written = if temporal::may_concern(&file.text) && fits(&located, problems)? {
        temporal::read(&located, schema, problems)
    } else {
        None
    };
    let parsed;
    let templates = match &written {
        Some(written) => &written.templates,
        None => {
            parsed = parse(&located, problems)?;
            &parsed
        }
    };
    let mut statements = Vec::with_capacity(templates.len());
    for (template, number) in templates.iter().zip(1..) {
        let (statement, checked) =
            statement(template, number, written.as_ref(), &located, problems);
        if let Some(checker) = checker {
            checker.check(&checked, statement.condition.needs(), &located, problems);
        }
        statements.push(Arc::new(statement));
    }
    let warnings = problems.iter().skip(before).filter(|p| p.severity == Severity::Warning);
    let warnings = warnings.cloned().collect();
    Some(Unit { text: Arc::clone(&file.text), statements, warnings })
}

/// The policies of a file, in their order.
pub(crate) fn parse(
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Template>> {
    fits(located, problems)?;
    parse_text(located, located.text, problems)
}

/// Whether a file is no larger than a parser may see.
fn fits(located: &Located<'_>, problems: &mut Vec<Diagnostic>) -> Option<bool> {
    if located.text.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes, more than the limit of {FILE_BYTES_MAX}",
            located.text.len()
        );
        problems.push(Diagnostic::in_file(Severity::Error, located.file, message));
        return None;
    }
    if let Err(deep) = nesting::check(located.text, Language::Policies) {
        problems.push(located.problem(Severity::Error, (deep.offset, 1), deep.message));
        return None;
    }
    Some(true)
}

/// The policies of a text whose places are those of a file.
pub(crate) fn parse_text(
    located: &Located<'_>,
    text: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Template>> {
    let set = match parser::parse_policyset(text) {
        Ok(set) => set,
        Err(errors) => {
            let told = errors.iter().take(DIAGNOSTICS_MAX);
            problems.extend(told.map(|e| located.cedar(Severity::Error, e, (0, 0))));
            return None;
        }
    };
    let mut templates: Vec<Template> = set.all_templates().cloned().collect();
    templates.sort_by_key(|template| template.loc().map_or(0, parser::Loc::start));
    let before = problems.len();
    for template in &templates {
        let at = span(template);
        if template.slots().next().is_some() {
            problems.push(
                located
                    .problem(Severity::Error, at, "the policy is a template, which nothing fills")
                    .with_help("write the entity where the slot stands"),
            );
        }
        let depth = Condition::of(template.non_scope_constraints()).depth();
        if depth > EXPRESSION_DEPTH_MAX {
            let message = format!(
                "the condition nests {depth} deep, more than the limit of {EXPRESSION_DEPTH_MAX}"
            );
            problems.push(
                located.problem(Severity::Error, at, message).with_help(
                    "use `[…].contains(…)` for a long chain of `||`, or split the policy",
                ),
            );
        }
    }
    (problems.len() == before).then_some(templates)
}

fn span(template: &Template) -> (usize, usize) {
    template.loc().map_or((0, 0), |loc| (loc.start(), loc.end().saturating_sub(loc.start())))
}

fn statement(
    template: &Template,
    number: usize,
    written: Option<&temporal::Written>,
    located: &Located<'_>,
    problems: &mut Vec<Diagnostic>,
) -> (Statement, Template) {
    let effect = match template.effect() {
        Effect::Permit => PolicyEffect::Permit,
        Effect::Forbid => PolicyEffect::Forbid,
    };
    let annotations = annotations::read(template, effect, located, problems);
    let (checked, condition, leaves) = match written {
        Some(written) => written.policy(template, annotations.history, located, problems),
        None => (template.clone(), template.non_scope_constraints().cloned(), Vec::new()),
    };
    let (start, length) = span(template);
    let (line, column) = located.position(start);
    let reference = PolicyRef {
        id: annotations.id.unwrap_or_else(|| fallback_id(located.file, number)),
        effect,
        span: Span {
            file: Arc::clone(located.file),
            line,
            column,
            end_line: located.end_line(start, length),
        },
        message: annotations.message,
    };
    let statement = Statement {
        info: Arc::new(PolicyInfo {
            reference: Arc::new(reference),
            requestable: annotations.requestable,
            obligations: annotations.obligations,
            controls: annotations.controls,
            mode: annotations.mode,
        }),
        principal: template.principal_constraint().as_inner().clone(),
        actions: template.action_constraint().clone(),
        resource: template.resource_constraint().as_inner().clone(),
        condition: Condition::of(condition.as_ref()),
        leaves,
        range: start..start + length,
    };
    (statement, checked)
}

/// `cases.cedar#3`; a file name that no id can hold is shortened to what fits.
fn fallback_id(file: &Arc<str>, number: usize) -> PolicyId {
    let name: String = file.chars().filter(|c| !c.is_control()).take(100).collect();
    PolicyId::new(format!("{name}#{number}")).unwrap_or_else(|_| numbered(number))
}

#[expect(clippy::expect_used, reason = "a number sign and digits are always a name")]
fn numbered(number: usize) -> PolicyId {
    PolicyId::new(format!("#{number}")).expect("a number sign and digits are a name")
}

/// Ids are what records and approvals name a policy by: each is there once.
fn check_ids(
    units: &BTreeMap<Arc<str>, Arc<Unit>>,
    with_rego: bool,
    problems: &mut Vec<Diagnostic>,
) {
    let mut seen: HashMap<&PolicyId, &Span> = HashMap::new();
    for statement in units.values().flat_map(|unit| &unit.statements) {
        let PolicyRef { id, span, .. } = &*statement.info.reference;
        let message = if let Some(first) = seen.insert(id, span) {
            format!("policy id `{id}` is there twice, first at {first}")
        } else if with_rego && id.as_str().starts_with("rego:") {
            format!("policy id `{id}` is one of those that name what Rego files say")
        } else {
            continue;
        };
        let problem = Diagnostic {
            file: Arc::clone(&span.file),
            line: span.line,
            column: span.column,
            end_line: span.end_line,
            text: id.to_string(),
            ..Diagnostic::general(Severity::Error, message)
        };
        problems.push(problem.with_help("give each policy an `@id` of its own"));
    }
}
