//! Every decision case, through the pure engine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use safeconduct_tests::case;
use safeconduct_tests::pure::Ground;

#[test]
fn the_pure_engine_answers_every_case_as_expected() {
    let cases = case::all();
    assert!(cases.len() >= 25, "only {} cases", cases.len());
    let mut problems = Vec::new();
    for case in &cases {
        let ground = Ground::of(case);
        for test in case.suite.tests.iter().filter(|test| test.skip.is_none()) {
            for (number, (step, answer)) in test.steps.iter().zip(ground.run(test)).enumerate() {
                for problem in answer.unlike(&step.expect) {
                    problems.push(format!(
                        "{}:{}: {}, step {}: {problem}",
                        case.file.display(),
                        step.expect.line,
                        test.name,
                        number + 1,
                    ));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
