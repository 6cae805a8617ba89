//! A test file, read.

use std::collections::BTreeSet;
use std::path::Path;

use safeconduct_model::signal::{Confidence, Kind};
use safeconduct_model::{ActionName, Entity, Execution, Obligation, Timestamp, Value};
use serde_json::{Map, Value as Json};

use super::fixtures::{self, Fixtures};
use super::form::{ApprovedForm, ExpectForm, OptionsForm, StepForm, SuiteForm, TestForm, ToldForm};
use super::plain::{
    Approved, Definition, Expect, Principal, SessionExpect, Sessions, Step, Suite, Test, Told,
};
use super::{matrix, tasks, world};
use crate::document::{self, Diagnostic, Document, YamlLimits, closest};
use crate::json::from_serde;

/// Largest test file, in bytes.
pub const SUITE_BYTES_MAX: usize = 1024 * 1024;

/// Most questions of one file, matrices spread out.
pub const STEPS_MAX: usize = 20_000;

/// When a step is decided that does not say, and no step before it does: 2026-01-01T00:00:00Z, so
/// that a test gives the same answer every day.
pub const DEFAULT_NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Reads a test file without fixtures from elsewhere.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse(file: &str, text: &str) -> Result<Suite, Vec<Diagnostic>> {
    parse_with(file, text, Path::new(""), &Fixtures::default())
}

/// Reads a test file. `folder` is where its relative paths start; `shared` are the fixtures of
/// `testdata/`, which those of the file go before.
///
/// # Errors
/// Every problem that was found: the author of the file is at fault.
pub fn parse_with(
    file: &str,
    text: &str,
    folder: &Path,
    shared: &Fixtures,
) -> Result<Suite, Vec<Diagnostic>> {
    let document = document::read::<SuiteForm>(file, text, limits())?;
    let form = &document.content;
    let mut fixtures = shared.clone();
    fixtures.principals.extend(fixtures::principals(&document, "/principals", &form.principals)?);
    fixtures
        .resources
        .extend(form.resources.iter().map(|(name, form)| (name.clone(), fixtures::resource(form))));
    let mut reader =
        Reader { document: &document, fixtures, steps_left: STEPS_MAX, problems: Vec::new() };
    let world =
        form.world.as_ref().map(|form| world::world(&document, form, folder, &mut reader.problems));
    let tests: Vec<Test> = (0..)
        .zip(&form.tests)
        .map(|(index, test): (usize, _)| reader.test(&format!("/tests/{index}"), test))
        .collect();
    if !reader.problems.is_empty() {
        let mut problems = reader.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        return Err(problems);
    }
    Ok(Suite {
        file: file.to_owned(),
        name: form.name.clone().unwrap_or_else(|| file.to_owned()),
        skip: skipped(form.skip, form.skip_reason.as_ref()),
        world,
        tests,
    })
}

/// What is read of a test file.
pub(super) fn limits() -> YamlLimits {
    YamlLimits { bytes: SUITE_BYTES_MAX, ..YamlLimits::default() }
}

fn skipped(skip: bool, reason: Option<&String>) -> Option<String> {
    skip.then(|| reason.cloned().unwrap_or_else(|| "no reason given".to_owned()))
}

/// A length of time, in milliseconds: `90s`.
fn milliseconds(text: &str) -> Option<i64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|n| *n < 1_000_000_000)?;
    let of = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(count * of)
}

/// The arguments or context of a form.
pub(super) fn input(map: &Map<String, Json>) -> Value {
    Value::object(map.iter().map(|(name, value)| (name.as_str(), from_serde(value))))
}

fn told(form: &ToldForm) -> Told {
    Told {
        about: form.about.0.clone(),
        kind: form.kind.map_or(Kind::Reported, |word| word.0),
        severity: form.severity.0,
        confidence: form.confidence.map_or(Confidence::CERTAIN, Confidence::percent),
    }
}

fn approved(form: &ApprovedForm) -> Approved {
    let at_most = form
        .at_most
        .iter()
        .map(|(at, most)| (at.as_str().into(), from_serde(&Json::Number(most.clone()))));
    Approved {
        by: form.by.iter().map(|by| by.0.clone()).collect(),
        at_most: at_most.collect(),
        uses: form.uses,
        for_s: form.for_s,
    }
}

/// A file on its way into tests, with the problems found so far.
pub(super) struct Reader<'a> {
    pub(super) document: &'a Document<SuiteForm>,
    fixtures: Fixtures,
    steps_left: usize,
    pub(super) problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn test(&mut self, at: &str, test: &TestForm) -> Test {
        let line = self.document.root.nearest(at).place.line;
        let asks = !(test.principals.is_empty() || test.actions.is_empty());
        let in_matrix = asks || !test.expect.is_empty() || !test.resources.is_empty();
        let (sessions, steps) = match (in_matrix, test.steps.is_empty()) {
            (true, false) => {
                self.problem(at, "a test is either a matrix or `steps`, not both".to_owned());
                (Sessions::Shared, Vec::new())
            }
            (_, true) if !asks => {
                let message = "a test needs `principals` and `actions`, or `steps`";
                self.problem(at, message.to_owned());
                (Sessions::Apart, Vec::new())
            }
            (_, true) => (Sessions::Apart, matrix::steps(self, at, test, line)),
            (false, false) => (Sessions::Shared, self.steps(at, test)),
        };
        let skip = skipped(test.skip, test.skip_reason.as_ref());
        let tasks = tasks::of(self, at, test);
        Test { name: test.name.clone(), line, skip, sessions, tasks, steps }
    }

    fn steps(&mut self, at: &str, test: &TestForm) -> Vec<Step> {
        let mut steps = Vec::with_capacity(test.steps.len());
        let mut clock = self.now(&test.options);
        for (index, form) in test.steps.iter().enumerate() {
            let at = format!("{at}/steps/{index}");
            if !self.one_more(&at) {
                break;
            }
            clock = self.moved(&at, form, clock);
            let principal = self.principal(&form.principal, &format!("{at}/principal"));
            let resource =
                form.resource.as_ref().map(|name| self.resource(name, &format!("{at}/resource")));
            let expect = self.expect(&format!("{at}/expect"), &form.expect);
            let (Some(principal), Some(resource)) =
                (principal, resource.map_or(Some(None), |found| found.map(Some)))
            else {
                continue;
            };
            steps.push(Step {
                principal_name: form.principal.clone(),
                principal,
                credential: form.credential.clone(),
                session: form.session.clone().map(|name| name.0),
                in_task: form.in_task.clone(),
                after_end_of: form.after_end_of.clone(),
                signals: form.signals.iter().map(told).collect(),
                approved: form.approved.as_ref().map(approved),
                action: form.action.0.clone(),
                resource_name: form.resource.clone(),
                resource,
                input: input(&form.input),
                context: form.context.as_ref().map(input),
                now: clock,
                definition: self.definition(&test.options, &form.action.0),
                understands: self.understands(&test.options),
                expect,
                outcome: form.outcome.map_or(Execution::Succeeded, |word| word.0),
                result: form.result.as_ref().map(from_serde),
            });
        }
        steps
    }

    /// The time of a test, or else of its file.
    pub(super) fn now(&self, test: &OptionsForm) -> Option<Timestamp> {
        let file = &self.document.content.options;
        test.now.as_ref().or(file.now.as_ref()).map(|now| now.0)
    }

    /// The time of a step, by that of the one before.
    fn moved(&mut self, at: &str, step: &StepForm, clock: Option<Timestamp>) -> Option<Timestamp> {
        match (&step.now, &step.after) {
            (None, None) => clock,
            (Some(now), None) => Some(now.0),
            (Some(_), Some(_)) => {
                self.problem(at, "a step has either `now` or `after`, not both".to_owned());
                clock
            }
            (None, Some(text)) => match milliseconds(text) {
                Some(after) => Some(clock.unwrap_or(DEFAULT_NOW).plus_ms(after)),
                None => {
                    let message = format!("`{text}` is no length of time");
                    let problem = self.document.problem(&format!("{at}/after"), message);
                    self.problems.push(problem.with_help("write it as `90s`, `5m`, `2h` or `7d`"));
                    clock
                }
            },
        }
    }

    /// Whether an action is among the quarantined ones of its test, or else of its file.
    pub(super) fn definition(&self, test: &OptionsForm, action: &ActionName) -> Definition {
        let file = &self.document.content.options;
        let listed = test.quarantined.as_ref().or(file.quarantined.as_ref());
        match listed.is_some_and(|actions| actions.iter().any(|listed| listed.0 == *action)) {
            true => Definition::Quarantined,
            false => Definition::Approved,
        }
    }

    /// What the enforcement point of a test, or else of its file, can carry out.
    pub(super) fn understands(&self, test: &OptionsForm) -> Option<BTreeSet<String>> {
        let file = &self.document.content.options;
        test.understands.as_ref().or(file.understands.as_ref()).cloned()
    }

    pub(super) fn expect(&self, at: &str, form: &ExpectForm) -> Expect {
        let full = match form {
            ExpectForm::Decision(_) => None,
            ExpectForm::Full(full) => Some(full),
        };
        Expect {
            line: self.document.root.nearest(at).place.line,
            decision: matrix::decision(form),
            reasons: full.and_then(|full| full.reason.clone()),
            obligations: full
                .and_then(|full| full.obligations.as_ref())
                .map(|texts| texts.iter().map(|text| Obligation::parse(text)).collect()),
            requestable: full.and_then(|full| full.requestable),
            flow: full.and_then(|full| full.flow.clone()).unwrap_or_default(),
            session: full
                .and_then(|full| full.session.as_ref())
                .map(|session| SessionExpect {
                    untrusted: session.untrusted,
                    sensitivity: session.sensitivity.map(|word| word.0),
                    categories: session
                        .categories
                        .as_ref()
                        .map(|names| names.iter().map(|name| name.0.clone()).collect()),
                })
                .unwrap_or_default(),
        }
    }

    pub(super) fn principal(&mut self, name: &str, at: &str) -> Option<Principal> {
        let found = self.fixtures.principals.get(name).cloned();
        if found.is_none() {
            let meant = closest(name, self.fixtures.principals.keys().map(String::as_str));
            let help = meant.map(str::to_owned);
            self.unknown(at, "principal", name, help);
        }
        found
    }

    pub(super) fn resource(&mut self, name: &str, at: &str) -> Option<Entity> {
        let found = self.fixtures.resources.get(name).cloned();
        if found.is_none() {
            let meant = closest(name, self.fixtures.resources.keys().map(String::as_str));
            let help = meant.map(str::to_owned);
            self.unknown(at, "resource", name, help);
        }
        found
    }

    fn unknown(&mut self, at: &str, what: &str, name: &str, meant: Option<String>) {
        let problem = self.document.problem(at, format!("no {what} is called `{name}`"));
        self.problems.push(match meant {
            Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
            None => problem.with_help(format!("list it under `{what}s`")),
        });
    }

    /// Counts a question; the first one too many is a problem.
    pub(super) fn one_more(&mut self, at: &str) -> bool {
        match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                true
            }
            None => {
                if !self.problems.iter().any(|problem| problem.message.contains("questions")) {
                    self.problem(at, format!("the file asks more than {STEPS_MAX} questions"));
                }
                false
            }
        }
    }

    pub(super) fn problem(&mut self, at: &str, message: String) {
        self.problems.push(self.document.problem(at, message));
    }
}
