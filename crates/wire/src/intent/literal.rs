//! Envelopes and budgets outside of an intent: of one task, where there are no parameters and
//! every value is literal. Their forms are those of intents.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{Absent, Allowance, ArgumentRule, Budget, Term, Value};

use super::envelope::{EnvelopeReader, Source};
use super::form::{AllowanceForm, ArgumentForm, BudgetForm};
use super::read;
use super::term::Parameters;
use super::write;
use crate::document::{Diagnostic, Node};

/// What an envelope says that stands at `/envelope` of a body. Resource types are as they were
/// written.
///
/// # Errors
/// Every problem that was found, a `${name}` among them: the caller is at fault.
pub fn literal_envelope(
    root: &Node,
    forms: &[AllowanceForm],
) -> Result<Vec<Allowance<Value>>, Vec<Diagnostic>> {
    let none = BTreeMap::new();
    let mut reader = EnvelopeReader {
        source: Source { file: "", root },
        forms,
        parameters: Parameters(&none),
        problems: Vec::new(),
    };
    let found = reader.all();
    let problems = reader.problems;
    let literal = |allowance: &Allowance<Term>| {
        allowance.try_map(|term| match term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Parameter(_) | Term::Text(_) => {
                let message = "this envelope has no parameters";
                Err(vec![Source { file: "", root }.problem("/envelope", message)])
            }
        })
    };
    if problems.is_empty() { found.iter().map(literal).collect() } else { Err(problems) }
}

/// Rules for arguments that stand at a pointer of a document, without parameters.
///
/// # Errors
/// Every problem that was found, a `${name}` among them: the author of the document is at fault.
pub(crate) fn literal_rules(
    (file, root): (&str, &Node),
    pointer: &str,
    forms: &BTreeMap<String, ArgumentForm>,
) -> Result<Vec<ArgumentRule<Value>>, Vec<Diagnostic>> {
    let none = BTreeMap::new();
    let source = Source { file, root };
    let (parameters, problems) = (Parameters(&none), Vec::new());
    let mut reader = EnvelopeReader { source, forms: &[], parameters, problems };
    let mut rules = Vec::new();
    for (argument, form) in forms {
        let token = argument.replace('~', "~0").replace('/', "~1");
        let absent = if form.optional { Absent::Allowed } else { Absent::Refused };
        for constraint in reader.argument(&format!("{pointer}/{token}")) {
            let constraint = constraint.try_map(|term| match term {
                Term::Literal(value) => Ok(value.clone()),
                Term::Parameter(_) | Term::Text(_) => {
                    Err(source.problem(pointer, "there are no parameters here"))
                }
            });
            match constraint {
                Ok(constraint) => {
                    let pointer = argument.as_str().into();
                    rules.push(ArgumentRule { pointer, constraint, absent });
                }
                Err(problem) => reader.problems.push(problem),
            }
        }
    }
    if reader.problems.is_empty() { Ok(rules) } else { Err(reader.problems) }
}

/// What a budget says that stands at `/budget` of a body; `envelope` are the actions that it may
/// name, where the body says that too.
///
/// # Errors
/// Every problem that was found: the caller is at fault.
pub fn literal_budget(
    root: &Node,
    form: &BudgetForm,
    envelope: Option<&[AllowanceForm]>,
) -> Result<Budget, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let actions = envelope.map(|forms| {
        forms.iter().map(|allowance| allowance.action.0.as_str()).collect::<BTreeSet<_>>()
    });
    let source = Source { file: "", root };
    let budget = read::read_budget(source, form, actions.as_ref(), &mut problems);
    if problems.is_empty() { Ok(budget) } else { Err(problems) }
}

/// An envelope as [`literal_envelope`] reads it.
pub fn envelope_document(envelope: &[Allowance<Value>]) -> Value {
    let written = |allowance: &Allowance<Value>| {
        let Ok(terms) = allowance
            .try_map(|value| Ok::<_, std::convert::Infallible>(Term::Literal(value.clone())));
        write::allowance(&terms)
    };
    envelope.iter().map(written).collect::<Vec<_>>().into()
}
