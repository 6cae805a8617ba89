//! A matrix, spread out into its questions.

use std::collections::BTreeSet;

use std::collections::BTreeMap;

use safeconduct_model::{ActionName, Decision, Execution};

use super::form::{ExpectForm, MatrixExpectForm, TestForm};
use super::plain::{Expect, Step};
use super::read::{Reader, input};

/// Principal, resource and action of a cell, by name.
type Cell<'a> = (&'a str, Option<&'a str>, &'a ActionName);

/// The questions of a matrix: every cell once, in the order of the file.
pub(super) fn steps(reader: &mut Reader<'_>, at: &str, test: &TestForm, line: u32) -> Vec<Step> {
    let expected = expected(reader, at, test);
    let resources: Vec<Option<&str>> = match test.resources.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut steps = Vec::new();
    for (p, name) in test.principals.iter().enumerate() {
        let Some(principal) = reader.principal(name, &format!("{at}/principals/{p}")) else {
            continue;
        };
        for (r, resource_name) in resources.iter().enumerate() {
            let resource =
                resource_name.map(|name| reader.resource(name, &format!("{at}/resources/{r}")));
            let Some(resource) = resource.map_or(Some(None), |found| found.map(Some)) else {
                continue;
            };
            for action in &test.actions {
                if !reader.one_more(at) {
                    return steps;
                }
                let cell = (name.as_str(), *resource_name, &action.0);
                let unlisted = || Expect::of(Decision::Deny, line);
                steps.push(Step {
                    principal_name: name.clone(),
                    principal: principal.clone(),
                    credential: None,
                    session: None,
                    in_task: None,
                    after_end_of: BTreeSet::new(),
                    signals: Vec::new(),
                    approved: None,
                    action: action.0.clone(),
                    resource_name: resource_name.map(str::to_owned),
                    resource: resource.clone(),
                    input: input(&test.input),
                    context: test.context.as_ref().map(input),
                    now: reader.now(&test.options),
                    definition: reader.definition(&test.options, &action.0),
                    understands: reader.understands(&test.options),
                    expect: expected.get(&cell).cloned().unwrap_or_else(unlisted),
                    outcome: Execution::Succeeded,
                    result: None,
                });
            }
        }
    }
    steps
}

/// What is expected of each cell that is listed; a listing that names no cell is a problem.
fn expected<'a>(
    reader: &mut Reader<'_>,
    at: &str,
    test: &'a TestForm,
) -> BTreeMap<Cell<'a>, Expect> {
    let mut expected = BTreeMap::new();
    for (index, form) in test.expect.iter().enumerate() {
        let at = format!("{at}/expect/{index}");
        if !in_matrix(reader, &at, test, form) {
            continue;
        }
        for (action, expect) in &form.actions {
            let at =
                format!("{at}/actions/{}", action.0.as_str().replace('~', "~0").replace('/', "~1"));
            if !test.actions.contains(action) {
                reader.problem(&at, format!("`{action}` is no action of this test"));
                continue;
            }
            let cell = (form.principal.as_str(), form.resource.as_deref(), &action.0);
            let expect = reader.expect(&at, expect);
            if expected.insert(cell, expect).is_some() {
                reader.problem(&at, format!("`{action}` is expected twice here"));
            }
        }
    }
    expected
}

fn in_matrix(reader: &mut Reader<'_>, at: &str, test: &TestForm, form: &MatrixExpectForm) -> bool {
    if !test.principals.contains(&form.principal) {
        let message = format!("`{}` is no principal of this test", form.principal);
        reader.problem(&format!("{at}/principal"), message);
        return false;
    }
    match &form.resource {
        Some(resource) if !test.resources.contains(resource) => {
            let message = format!("`{resource}` is no resource of this test");
            reader.problem(&format!("{at}/resource"), message);
            false
        }
        None if !test.resources.is_empty() => {
            reader.problem(at, "missing key `resource`".to_owned());
            false
        }
        _ => true,
    }
}

/// Keeps the two forms of an expectation in one place.
pub(super) fn decision(form: &ExpectForm) -> Decision {
    match form {
        ExpectForm::Decision(word) => word.0,
        ExpectForm::Full(full) => full.decision.0,
    }
}
