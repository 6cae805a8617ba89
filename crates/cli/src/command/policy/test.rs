//! `safeconduct policy test`: test files, through the same pure engine as a server's decisions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_engine::Outcome;
use safeconduct_model::{Decision, Integrity, Label, NameError, PolicyId};
use safeconduct_policy::Verdict;
use safeconduct_session::flow::Origins;
use safeconduct_wire::suite::{self, Expect, Fixtures, SessionExpect, Sessions, Step, Suite, Test};

use super::course::Course;
use super::ground::Ground;
use super::{report, world};
use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::wiring::project::{self, Project};

/// What to run.
pub(super) struct Options {
    /// Files or folders; none is the policy folder's `tests`.
    pub(super) paths: Vec<PathBuf>,
    /// Only tests whose name holds this.
    pub(super) filter: Option<String>,
    /// Whether it is said which policies no test made apply.
    pub(super) coverage: bool,
}

/// What came of all files.
pub(super) struct Run {
    pub(super) suites: Vec<SuiteResult>,
    /// Policies of the project that no question made apply, where that was asked for.
    pub(super) never_applied: Option<BTreeSet<PolicyId>>,
}

/// What came of one file.
pub(super) struct SuiteResult {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) tests: Vec<TestResult>,
}

/// What came of one test.
pub(super) struct TestResult {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) questions: usize,
    pub(super) verdict: TestVerdict,
}

/// How a test ended.
pub(super) enum TestVerdict {
    Passed,
    Failed(Vec<Failure>),
    Skipped(String),
}

/// One question that was not answered as expected.
pub(super) struct Failure {
    pub(super) line: u32,
    pub(super) question: String,
    pub(super) problem: String,
}

/// Runs the tests once.
///
/// # Errors
/// [`CommandError::Invalid`] where the project or a test file is.
pub(super) fn run(shared: &Shared, options: &Options) -> Result<Exit, CommandError> {
    let run = all(shared, options)?;
    report::print(shared, &run)?;
    let failed = run.suites.iter().flat_map(|suite| &suite.tests);
    let failed = failed.filter(|test| matches!(test.verdict, TestVerdict::Failed(_))).count();
    Ok(if failed == 0 { Exit::Ok } else { Exit::TestsFailed })
}

fn all(shared: &Shared, options: &Options) -> Result<Run, CommandError> {
    let files = files(&roots(shared, options)?)?;
    let mut suites = Vec::new();
    let mut problems = Vec::new();
    for file in &files {
        match read(file) {
            Ok(suite) => suites.push(suite),
            Err(CommandError::Invalid(found)) => problems.extend(found),
            Err(other) => return Err(other),
        }
    }
    if !problems.is_empty() {
        return Err(CommandError::Invalid(problems));
    }
    let ground = match suites.iter().any(|suite| suite.world.is_none()) {
        true => Some(Ground::of(&Project::load(&shared.config)?)?),
        false => None,
    };
    let mut applied = options.coverage.then(BTreeSet::new);
    let mut results = Vec::new();
    for suite in &suites {
        results.push(run_suite(suite, ground.as_ref(), options, applied.as_mut())?);
    }
    let policies = ground.iter().flat_map(|ground| ground.policies.iter());
    let never_applied = applied.map(|applied| {
        let ids = policies.map(|info| info.reference.id.clone());
        ids.filter(|id| !applied.contains(id)).collect()
    });
    Ok(Run { suites: results, never_applied })
}

/// Runs the tests of a project's policy folder over rules that need not be in force: how many
/// passed, or what failed.
///
/// # Errors
/// [`CommandError::Invalid`] where a test file is.
pub(crate) fn all_of(project: &Project) -> Result<Result<u64, Vec<String>>, CommandError> {
    let folder = project.config.policies.folder.join("tests");
    let mut found = BTreeSet::new();
    if folder.is_dir() {
        walk(&folder, &mut found)?;
    }
    let ground = Ground::of(project)?;
    let options = Options { paths: Vec::new(), filter: None, coverage: false };
    let (mut passed, mut failures) = (0, Vec::new());
    for file in &found {
        let ran = run_suite(&read(file)?, Some(&ground), &options, None)?;
        for test in ran.tests {
            match test.verdict {
                TestVerdict::Passed => passed += 1,
                TestVerdict::Skipped(_) => {}
                TestVerdict::Failed(found) => failures.extend(found.into_iter().map(|failure| {
                    format!("{}:{}: {}: {}", ran.file, failure.line, test.name, failure.problem)
                })),
            }
        }
    }
    Ok(if failures.is_empty() { Ok(passed) } else { Err(failures) })
}

/// Where tests are looked for.
///
/// # Errors
/// The configuration is invalid.
pub(super) fn roots(shared: &Shared, options: &Options) -> Result<Vec<PathBuf>, CommandError> {
    if !options.paths.is_empty() {
        return Ok(options.paths.clone());
    }
    let folder = project::read_config(&shared.config)?.policies.folder.join("tests");
    // Shown as it would be typed.
    let here = std::env::current_dir().unwrap_or_default();
    let short = folder.strip_prefix(&here).map(Path::to_owned).unwrap_or(folder);
    Ok(vec![short])
}

fn files(roots: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut found = BTreeSet::new();
    for root in roots {
        if root.is_dir() {
            walk(root, &mut found)?;
        } else if root.exists() {
            found.insert(root.clone());
        } else {
            return Err(CommandError::Failed(format!(
                "`{}` is not there; tests are files whose names end in `_test.yaml`",
                root.display()
            )));
        }
    }
    if found.is_empty() {
        let shown: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        return Err(CommandError::Failed(format!(
            "no tests in `{}`: names end in `_test.yaml`",
            shown.join("`, `")
        )));
    }
    Ok(found.into_iter().collect())
}

fn walk(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), CommandError> {
    let shown = folder.display().to_string();
    for entry in fs::read_dir(folder).map_err(|error| failed(&shown, error))? {
        let path = entry.map_err(|error| failed(&shown, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "testdata" {
            walk(&path, found)?;
        } else if name.ends_with("_test.yaml") || name.ends_with("_test.yml") {
            found.insert(path);
        }
    }
    Ok(())
}

/// Reads a test file, with the fixtures beside it.
///
/// # Errors
/// [`CommandError::Invalid`] where it is.
pub(super) fn read(file: &Path) -> Result<Suite, CommandError> {
    let shown = file.display().to_string();
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let mut fixtures = Fixtures::default();
    let testdata = folder.join("testdata");
    if let Some((name, text)) = optional(&testdata.join("principals.yaml"))? {
        fixtures.principals = suite::parse_principals(&name, &text).map_err(invalid)?;
    }
    if let Some((name, text)) = optional(&testdata.join("resources.yaml"))? {
        fixtures.resources = suite::parse_resources(&name, &text).map_err(invalid)?;
    }
    let text = fs::read_to_string(file).map_err(|error| failed(&shown, error))?;
    suite::parse_with(&shown, &text, &folder, &fixtures).map_err(invalid)
}

fn optional(file: &Path) -> Result<Option<(String, String)>, CommandError> {
    let shown = file.display().to_string();
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some((shown, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&shown, error)),
    }
}

fn run_suite(
    suite: &Suite,
    project: Option<&Ground>,
    options: &Options,
    mut applied: Option<&mut BTreeSet<PolicyId>>,
) -> Result<SuiteResult, CommandError> {
    let own = match &suite.world {
        Some(world) => Some(world::ground(suite, world)?),
        None => None,
    };
    let mut tests = Vec::new();
    for test in &suite.tests {
        let wanted = options.filter.as_ref().is_none_or(|text| test.name.contains(text.as_str()));
        let Some(ground) = own.as_ref().or(project).filter(|_| wanted) else { continue };
        let verdict = match suite.skip.as_ref().or(test.skip.as_ref()) {
            Some(reason) => TestVerdict::Skipped(reason.clone()),
            None => {
                // Coverage speaks of the project's policies, not of a world's.
                let applied = applied.as_deref_mut().filter(|_| own.is_none());
                run_test(ground, test, applied).map_err(|error| failed(&suite.file, error))?
            }
        };
        let questions = test.steps.len();
        tests.push(TestResult { name: test.name.clone(), line: test.line, questions, verdict });
    }
    Ok(SuiteResult { file: suite.file.clone(), name: suite.name.clone(), tests })
}

fn run_test(
    ground: &Ground,
    test: &Test,
    mut applied: Option<&mut BTreeSet<PolicyId>>,
) -> Result<TestVerdict, NameError> {
    let mut failures = Vec::new();
    let mut course = Course::begin(ground, test, &mut failures);
    for (step, number) in test.steps.iter().zip(1_usize..) {
        let posed = course.pose(step, number)?;
        let outcome = course.decide(step, &posed);
        if let Some(applied) = applied.as_deref_mut() {
            let explained = course.explain(step, &posed).unwrap_or_default();
            let all = explained.into_iter().flat_map(|one| one.policies);
            let those = all.filter(|one| one.verdict == Verdict::Applies);
            applied.extend(those.map(|one| one.policy.reference.id.clone()));
        }
        let mut problems = problems(&step.expect, &outcome);
        if !step.expect.flow.is_empty() {
            problems.extend(flow_problems(&step.expect, course.origins(step, &posed).as_ref()));
        }
        let label = course.sessions.label(posed.session());
        problems.extend(session_problems(&step.expect.session, label));
        failures.extend(problems.into_iter().map(|problem| Failure {
            line: step.expect.line,
            question: question(test, step, number),
            problem,
        }));
        course.decided(&posed, &outcome);
        if let Err(error) = course.answered(step, &posed) {
            failures.push(Failure {
                line: step.expect.line,
                question: question(test, step, number),
                problem: format!("people could not approve it: {error}"),
            });
        }
        course.happened(step, &posed, &outcome);
    }
    let passed = failures.is_empty();
    Ok(if passed { TestVerdict::Passed } else { TestVerdict::Failed(failures) })
}

fn question(test: &Test, step: &Step, number: usize) -> String {
    let resource = step.resource_name.as_ref().map(|name| format!(" on {name}"));
    let what = format!("{} {}{}", step.principal_name, step.action, resource.unwrap_or_default());
    match test.sessions {
        Sessions::Apart => what,
        Sessions::Shared => format!("step {number}: {what}"),
    }
}

/// What is not as expected.
fn problems(expect: &Expect, outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    let reasons: BTreeSet<String> = outcome
        .reasons
        .iter()
        .map(|reason| match reason.policy() {
            Some(policy) => policy.id.to_string(),
            None => reason.code().to_owned(),
        })
        .collect();
    let why = || {
        let told: Vec<String> = super::question::lines(&outcome.reasons);
        if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
    };
    if outcome.decision != expect.decision {
        problems.push(format!("expected {}, got {}{}", expect.decision, outcome.decision, why()));
    }
    if let Some(expected) = expect.reasons.as_ref().filter(|expected| **expected != reasons) {
        problems.push(format!("expected reasons {}, got {}", list(expected), list(&reasons)));
    }
    let obligations: BTreeSet<_> = outcome.obligations.iter().cloned().collect();
    if let Some(expected) = expect.obligations.as_ref().filter(|one| **one != obligations) {
        problems.push(format!(
            "expected obligations {}, got {}",
            list(expected),
            list(&obligations)
        ));
    }
    let requestable = outcome.requestable.is_some();
    if expect.requestable.is_some_and(|expected| expected != requestable) {
        let words = |yes| if yes { "requestable" } else { "not requestable" };
        problems.push(format!(
            "expected a {} that is {}, got one that is {}",
            Decision::Deny,
            words(!requestable),
            words(requestable),
        ));
    }
    problems
}

/// Which arguments do not come from where they are expected to. Without origins, nothing was ever
/// read.
fn flow_problems(expect: &Expect, origins: Option<&Origins>) -> Vec<String> {
    let mut problems = Vec::new();
    for (pointer, expected) in &expect.flow {
        let expected: BTreeSet<&str> = expected.iter().map(|word| word.as_str()).collect();
        let leaf = origins.map(|origins| origins.at(pointer));
        let seen: BTreeSet<&str> = match leaf {
            None => ["unseen"].into(),
            Some(Some(leaf)) => leaf.seen.iter().map(|seen| seen.as_str()).collect(),
            Some(None) => {
                problems.push(format!("no argument with a provenance is at `{pointer}`"));
                continue;
            }
        };
        if seen != expected {
            let (expected, seen) = (list(&expected), list(&seen));
            problems.push(format!("expected `{pointer}` to be {expected}, it is {seen}"));
        }
    }
    problems
}

/// What of a session's label is not as expected.
fn session_problems(expect: &SessionExpect, label: &Label) -> Vec<String> {
    let mut problems = Vec::new();
    let untrusted = label.integrity == Integrity::Untrusted;
    if expect.untrusted.is_some_and(|expected| expected != untrusted) {
        let words = |yes| if yes { "untrusted" } else { "trusted" };
        let (expected, got) = (words(!untrusted), words(untrusted));
        problems.push(format!("expected a session that has read {expected} data, got {got}"));
    }
    if let Some(expected) = expect.sensitivity.filter(|one| *one != label.confidentiality) {
        let (expected, got) = (expected.as_str(), label.confidentiality.as_str());
        problems.push(format!("expected the sensitivity {expected}, got {got}"));
    }
    if let Some(expected) = expect.categories.as_ref().filter(|one| **one != label.categories) {
        let (expected, got) = (list(expected), list(&label.categories));
        problems.push(format!("expected the categories {expected}, got {got}"));
    }
    problems
}

fn list(items: &BTreeSet<impl ToString>) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { "none".into() } else { format!("[{}]", items.join(", ")) }
}
