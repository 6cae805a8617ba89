//! What came of tests: for people, programs and CI.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::test::{Run, SuiteResult, TestResult, TestVerdict};
use crate::args::Shared;
use crate::exit::CommandError;
use crate::output::{self, Format};
use crate::problem;

/// How many tests ended how.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn of<'a>(tests: impl Iterator<Item = &'a TestResult>) -> Self {
        let mut counts = Self::default();
        for test in tests {
            match test.verdict {
                TestVerdict::Passed => counts.passed += 1,
                TestVerdict::Failed(_) => counts.failed += 1,
                TestVerdict::Skipped(_) => counts.skipped += 1,
            }
        }
        counts
    }
}

/// Prints it in the form that was asked for.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(shared: &Shared, run: &Run) -> Result<(), CommandError> {
    let text = match shared.output {
        Format::Json | Format::Yaml => output::document(shared.output, &document(run))?,
        Format::Junit => junit(run),
        Format::Github => github(run),
        Format::Table | Format::Sarif | Format::Dot | Format::Mermaid => {
            table(run, shared.color.wanted())
        }
    };
    output::print(&text)
}

fn table(run: &Run, colored: bool) -> String {
    let paint = |code: &str, word: &str| match colored {
        true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
        false => word.to_owned(),
    };
    let mut text = String::new();
    for suite in &run.suites {
        let _ = writeln!(text, "{}", suite.file);
        for test in &suite.tests {
            let _ = match &test.verdict {
                TestVerdict::Passed => {
                    let questions = output::counted(test.questions, "question", "questions");
                    writeln!(text, "  {} {} ({questions})", paint("32", "PASS"), test.name)
                }
                TestVerdict::Skipped(reason) => {
                    writeln!(text, "  {} {} ({reason})", paint("33", "SKIP"), test.name)
                }
                TestVerdict::Failed(failures) => {
                    let _ = writeln!(text, "  {} {}", paint("31", "FAIL"), test.name);
                    for one in failures {
                        let _ = writeln!(
                            text,
                            "       {}:{}: {}: {}",
                            suite.file, one.line, one.question, one.problem
                        );
                    }
                    Ok(())
                }
            };
        }
    }
    let counts = counts(run);
    let _ = writeln!(
        text,
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    );
    if let Some(never) = &run.never_applied {
        match never.is_empty() {
            true => text.push_str("every policy applied in some test\n"),
            false => text.push_str("policies that applied in no test:\n"),
        }
        for id in never {
            let _ = writeln!(text, "  {id}");
        }
    }
    text
}

fn counts(run: &Run) -> Counts {
    Counts::of(run.suites.iter().flat_map(|suite| &suite.tests))
}

fn document(run: &Run) -> Json {
    let counts = counts(run);
    let suites: Vec<Json> = run
        .suites
        .iter()
        .map(|suite| {
            let tests: Vec<Json> = suite.tests.iter().map(test).collect();
            json!({"file": suite.file, "name": suite.name, "tests": tests})
        })
        .collect();
    let mut document = json!({
        "passed": counts.passed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "suites": suites,
    });
    if let (Some(never), Some(members)) = (&run.never_applied, document.as_object_mut()) {
        let ids: Vec<&str> = never.iter().map(|id| id.as_str()).collect();
        members.insert("never_applied".into(), json!(ids));
    }
    document
}

fn test(test: &TestResult) -> Json {
    let (verdict, reason, failures) = match &test.verdict {
        TestVerdict::Passed => ("passed", None, Vec::new()),
        TestVerdict::Skipped(reason) => ("skipped", Some(reason), Vec::new()),
        TestVerdict::Failed(failures) => {
            let failures = failures.iter().map(
                |one| json!({"line": one.line, "question": one.question, "problem": one.problem}),
            );
            ("failed", None, failures.collect())
        }
    };
    json!({
        "name": test.name,
        "line": test.line,
        "questions": test.questions,
        "verdict": verdict,
        "skip_reason": reason,
        "failures": failures,
    })
}

fn junit(run: &Run) -> String {
    let all = counts(run);
    let total = all.passed + all.failed + all.skipped;
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{total}\" failures=\"{}\" skipped=\"{}\">\n",
        all.failed, all.skipped
    );
    for suite in &run.suites {
        junit_suite(suite, &mut text);
    }
    text.push_str("</testsuites>\n");
    text
}

fn junit_suite(suite: &SuiteResult, text: &mut String) {
    let counts = Counts::of(suite.tests.iter());
    let _ = writeln!(
        text,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
        xml(&suite.name),
        suite.tests.len(),
        counts.failed,
        counts.skipped
    );
    for test in &suite.tests {
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{0}\" line=\"{}\"",
            xml(&suite.file),
            xml(&test.name),
            test.line
        );
        let _ = match &test.verdict {
            TestVerdict::Passed => writeln!(text, "{head}/>"),
            TestVerdict::Skipped(reason) => {
                writeln!(text, "{head}><skipped message=\"{}\"/></testcase>", xml(reason))
            }
            TestVerdict::Failed(failures) => {
                let told: Vec<String> = failures
                    .iter()
                    .map(|f| format!("{}:{}: {}: {}", suite.file, f.line, f.question, f.problem))
                    .collect();
                let first = failures.first().map_or("", |failure| &failure.problem);
                writeln!(
                    text,
                    "{head}><failure message=\"{}\">{}</failure></testcase>",
                    xml(first),
                    xml(&told.join("\n"))
                )
            }
        };
    }
    text.push_str("  </testsuite>\n");
}

/// A text as XML holds it; control characters, which it cannot hold, become a question mark.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn github(run: &Run) -> String {
    let mut text = String::new();
    for suite in &run.suites {
        for test in &suite.tests {
            let TestVerdict::Failed(failures) = &test.verdict else { continue };
            for one in failures {
                let message = format!("{}: {}", one.question, one.problem);
                let place = (suite.file.as_str(), one.line, 1);
                text.push_str(&problem::annotation("error", place, &test.name, &message));
            }
        }
    }
    let counts = counts(run);
    let _ = writeln!(
        text,
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::policy::test::Failure;

    #[test]
    fn junit_holds_what_was_said_and_stays_xml() {
        let failure = Failure {
            line: 7,
            question: "step 1: agent a<b".into(),
            problem: "expected \"permit\" & got\u{1} deny".into(),
        };
        let test = TestResult {
            name: "reads".into(),
            line: 5,
            questions: 1,
            verdict: TestVerdict::Failed(vec![failure]),
        };
        let suite = SuiteResult { file: "a_test.yaml".into(), name: "a".into(), tests: vec![test] };
        let text = junit(&Run { suites: vec![suite], never_applied: None });
        assert!(text.contains("tests=\"1\" failures=\"1\" skipped=\"0\""), "{text}");
        assert!(text.contains("a&lt;b: expected &quot;permit&quot; &amp; got? deny"), "{text}");
    }
}
