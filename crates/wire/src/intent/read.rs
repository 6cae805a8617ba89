//! One file, read into one version of an intent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{
    Amount, Budget, DURATION_S_MAX, Intent, PARAMETER_BYTES_MAX, Parameter, ParameterType, Spend,
    Undertakers,
};

use super::envelope::{EnvelopeReader, Source};
use super::form::{BudgetForm, IntentForm, ParameterForm, ParameterWord, SpendForm};
use super::term::Parameters;
use crate::document::{self, Diagnostic, Document, Node, YamlLimits, closest};
use crate::field::listed;

/// Largest file of an intent, in bytes.
pub const INTENT_BYTES_MAX: usize = 256 * 1024;

/// After how many seconds without a decision a task expires where its intent says nothing.
pub const IDLE_S: u32 = 15 * 60;

/// One file of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentFile {
    /// The file, as it was named.
    pub file: String,
    /// What it says; resource types are as they were written.
    pub intent: Intent,
    /// What is odd, yet fits.
    pub warnings: Vec<Diagnostic>,
    /// Where it says so.
    pub(super) root: Node,
}

/// Reads one file; `file` is how messages name it.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse(file: &str, text: &str) -> Result<IntentFile, Vec<Diagnostic>> {
    let limits = YamlLimits { bytes: INTENT_BYTES_MAX, ..YamlLimits::default() };
    read_document(document::read::<IntentForm>(file, text, limits)?)
}

/// Reads a document that fits its form.
///
/// # Errors
/// Every problem that was found.
pub(crate) fn read_document(document: Document<IntentForm>) -> Result<IntentFile, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let parameters = parameters(&document, &mut problems);
    let mut reader = EnvelopeReader {
        source: Source { file: &document.file, root: &document.root },
        forms: &document.content.envelope,
        parameters: Parameters(&parameters),
        problems: std::mem::take(&mut problems),
    };
    let envelope = reader.all();
    let mut problems = reader.problems;
    let form = &document.content;
    let source = Source { file: &document.file, root: &document.root };
    let envelope_of = form.envelope.iter().map(|allowance| allowance.action.0.as_str()).collect();
    let budget = read_budget(source, &form.budget, Some(&envelope_of), &mut problems);
    let (longest_s, idle_s) = times(&document, &mut problems);
    if !problems.is_empty() {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(problems);
    }
    let intent = Intent {
        name: form.intent.0.clone(),
        version: form.version,
        description: form.description.as_str().into(),
        parameters,
        envelope,
        budget,
        on_behalf_of: form.on_behalf_of.0,
        longest_s,
        idle_s,
        tier_max: form.tier_max.0,
        delegation_depth: form.delegation_depth,
        credentials: form
            .credentials
            .iter()
            .map(|(target, grants)| {
                let grants = grants.iter().map(|grant| grant.as_str().into());
                (target.0.clone(), grants.collect())
            })
            .collect(),
        undertakers: Undertakers {
            identities: form.undertaken_by.identities.iter().map(|id| id.0.clone()).collect(),
            groups: form.undertaken_by.groups.clone(),
            kinds: form.undertaken_by.kinds.iter().map(|kind| kind.0).collect(),
        },
        schedules: BTreeMap::new(),
    };
    let schedules = super::schedule::read(&document, &intent, &mut problems);
    if !problems.is_empty() {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(problems);
    }
    let intent = Intent { schedules, ..intent };
    let warnings = warnings(&document, &intent);
    Ok(IntentFile { file: document.file, intent, warnings, root: document.root })
}

fn times(document: &Document<IntentForm>, problems: &mut Vec<Diagnostic>) -> (u32, u32) {
    let form = &document.content;
    let longest_s = form.longest.0.seconds;
    if longest_s > DURATION_S_MAX {
        problems.push(document.problem("/longest", "a task lasts at most 30 days"));
    }
    let idle_s = form.idle.as_ref().map_or(IDLE_S.min(longest_s), |idle| idle.0.seconds);
    if idle_s > longest_s {
        let problem = document.problem("/idle", "this is longer than `longest`");
        problems.push(problem.with_help("shorten it, or leave it out"));
    }
    (longest_s, idle_s)
}

fn parameters(
    document: &Document<IntentForm>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<Arc<str>, Parameter> {
    let mut found = BTreeMap::new();
    for (name, form) in &document.content.parameters {
        let pointer = format!("/parameters/{name}");
        problems.extend(misplaced(document, &pointer, form));
        let Some(ty) = parameter_type(document, &pointer, form, problems) else {
            continue;
        };
        let default = form
            .default
            .as_ref()
            .map(|_| document.root.nearest(&format!("{pointer}/default")).to_value());
        if let Some(problem) = default.as_ref().and_then(|default| ty.problem(default)) {
            problems.push(document.problem(&format!("{pointer}/default"), problem));
        }
        let description = form.description.as_deref().map(Arc::from);
        found.insert(name.as_str().into(), Parameter { ty, default, description });
    }
    found
}

fn parameter_type(
    document: &Document<IntentForm>,
    pointer: &str,
    form: &ParameterForm,
    problems: &mut Vec<Diagnostic>,
) -> Option<ParameterType> {
    Some(match form.ty {
        ParameterWord::Text => ParameterType::Text {
            bytes_max: form
                .bytes_max
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(PARAMETER_BYTES_MAX),
        },
        ParameterWord::Identifier => ParameterType::Identifier,
        ParameterWord::Integer => {
            let (min, max) = (form.min.unwrap_or(i64::MIN), form.max.unwrap_or(i64::MAX));
            if min > max {
                let message = format!("no integer lies between {min} and {max}");
                problems.push(document.problem(&format!("{pointer}/max"), message));
            }
            ParameterType::Integer { min, max }
        }
        ParameterWord::Number => ParameterType::Number,
        ParameterWord::Boolean => ParameterType::Boolean,
        ParameterWord::OneOf => match &form.choices {
            Some(choices) => {
                ParameterType::OneOf(choices.iter().map(|choice| choice.as_str().into()).collect())
            }
            None => {
                let problem = document.problem(pointer, "a parameter of `one_of` has `choices`");
                problems.push(problem.with_help("write `choices: [a, b]`"));
                return None;
            }
        },
    })
}

/// What is said of a parameter that its type knows nothing of.
fn misplaced(
    document: &Document<IntentForm>,
    pointer: &str,
    form: &ParameterForm,
) -> Vec<Diagnostic> {
    let said = [
        ("bytes_max", form.bytes_max.is_some(), ParameterWord::Text, "text"),
        ("min", form.min.is_some(), ParameterWord::Integer, "integer"),
        ("max", form.max.is_some(), ParameterWord::Integer, "integer"),
        ("choices", form.choices.is_some(), ParameterWord::OneOf, "one_of"),
    ];
    said.into_iter()
        .filter(|(_, said, ty, _)| *said && form.ty != *ty)
        .map(|(key, _, _, ty)| {
            let message = format!("only a parameter of type `{ty}` has `{key}`");
            document.problem(&format!("{pointer}/{key}"), message)
        })
        .collect()
}

/// What a budget says, that of `/budget`; `envelope` are the actions that it may name, where
/// that is known.
pub(super) fn read_budget(
    source: Source<'_>,
    form: &BudgetForm,
    envelope: Option<&BTreeSet<&str>>,
    problems: &mut Vec<Diagnostic>,
) -> Budget {
    let spend = form.spend.as_ref();
    let amounts = spend.map(|spend| &spend.amounts).into_iter().flatten();
    let named = form.calls_of.keys().map(|action| ("/budget/calls_of", action));
    let named = named.chain(amounts.map(|(action, _)| ("/budget/spend/amounts", action)));
    if let Some(envelope) = envelope {
        let strange = named.filter(|(_, action)| !envelope.contains(action.0.as_str()));
        problems.extend(strange.map(|(pointer, action)| {
            let names: Vec<&str> = envelope.iter().copied().collect();
            let message = format!("action `{action}` is not in the envelope");
            let problem = at_key(source.file, source.root, pointer, action.0.as_str(), message);
            match closest(action.0.as_str(), names.iter().copied()) {
                Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
                None => problem.with_help(format!("there are {}", listed(&names))),
            }
        }));
    }
    Budget {
        calls: form.calls,
        calls_of: form.calls_of.iter().map(|(action, calls)| (action.0.clone(), *calls)).collect(),
        spend: spend.and_then(|form| read_spend(source, form, problems)),
        distinct_resources: form.distinct_resources,
        bytes_out: form.bytes_out,
    }
}

fn read_spend(
    source: Source<'_>,
    form: &SpendForm,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spend> {
    let limit = source.root.nearest("/budget/spend/limit").to_value();
    let limit = match &limit {
        safeconduct_model::Value::String(text) => Amount::parse(text),
        number => Amount::of(number),
    };
    if limit.is_none() {
        let message = "this is no amount: not negative, with at most four decimal places";
        problems.push(source.problem("/budget/spend/limit", message));
    }
    for (action, _) in form.amounts.iter().filter(|(_, amount)| amount.split('/').any(|t| t == "*"))
    {
        let token = action.0.as_str().replace('~', "~0").replace('/', "~1");
        let pointer = format!("/budget/spend/amounts/{token}");
        problems.push(source.problem(&pointer, "an amount stands in one place: no `*`"));
    }
    let amounts = form.amounts.iter();
    let amounts = amounts.map(|(action, amount)| (action.0.clone(), amount.as_str().into()));
    Some(Spend { limit: limit?, amounts: amounts.collect() })
}

/// A problem with a key of the map at a pointer.
pub(super) fn at_key(
    file: &str,
    root: &Node,
    pointer: &str,
    key: &str,
    message: String,
) -> Diagnostic {
    let map = root.nearest(pointer);
    let place = map.entry(key).map_or(map.place, |entry| entry.key_place);
    let token = key.replace('~', "~0").replace('/', "~1");
    Diagnostic::new(file, place, format!("{pointer}/{token}"), message)
}

fn warnings(document: &Document<IntentForm>, intent: &Intent) -> Vec<Diagnostic> {
    let mut used = BTreeSet::new();
    for allowance in &intent.envelope {
        let ids = allowance.resources.iter().filter_map(|rule| rule.id.as_ref());
        let constraints = ids.chain(allowance.arguments.iter().map(|rule| &rule.constraint));
        for constraint in constraints {
            // Nothing is changed: the terms are only looked at.
            let _ = constraint.try_map(|term| {
                used.extend(term.parameters().into_iter().cloned());
                Ok::<_, std::convert::Infallible>(())
            });
        }
    }
    let unused = intent.parameters.keys().filter(|name| !used.contains(*name));
    let mut found: Vec<Diagnostic> = unused
        .map(|name| {
            let message =
                format!("parameter `{name}` is not used: the envelope is as wide without it");
            let problem = at_key(&document.file, &document.root, "/parameters", name, message);
            problem.with_help(format!("hold an argument or a resource against `${{{name}}}`"))
        })
        .collect();
    if intent.undertakers == Undertakers::default() {
        found.push(document.problem("/undertaken_by", "nobody may undertake this intent"));
    }
    found
}
