//! The tasks of a test.

use safeconduct_service::{BeginError, Narrowed, Rehearsal, RehearsedSessions, RehearsedTasks};
use safeconduct_wire::suite::{DEFAULT_NOW, TaskCase, Test};

use super::course;
use super::ground::Ground;
use super::test::Failure;

/// Begins the tasks of a test; one that begins against what the test says, or does not, is a
/// failure.
pub(super) fn begun(
    ground: &Ground,
    test: &Test,
    sessions: &mut RehearsedSessions,
    failures: &mut Vec<Failure>,
) -> RehearsedTasks {
    let mut tasks = RehearsedTasks::default();
    for case in &test.tasks {
        let began = begin(ground, (test, case), &mut tasks, sessions);
        let expected = case.refused.map(|word| word.as_str());
        let problem = match (began, expected) {
            (Ok(()), None) => continue,
            (Ok(()), Some(expected)) => format!("expected `{expected}`, and it began"),
            (Err(error), expected) if word(&error).is_some() && word(&error) == expected => {
                continue;
            }
            (Err(error), _) => format!("it did not begin: {error}"),
        };
        let question = format!("task {}", case.name);
        failures.push(Failure { line: case.line, question, problem });
    }
    tasks
}

fn begin(
    ground: &Ground,
    (test, case): (&Test, &TaskCase),
    tasks: &mut RehearsedTasks,
    sessions: &mut RehearsedSessions,
) -> Result<(), BeginError> {
    let intent = ground.intents.version(&case.intent, case.version);
    let rehearsal = Rehearsal {
        name: &case.name,
        intent: intent.ok_or_else(|| BeginError::UnknownIntent(case.intent.clone()))?,
        parameters: &case.parameters,
        prompt: case.prompt.as_deref(),
        from: course::from(test, case),
        agent: case.agent.clone(),
        on_behalf_of: case.on_behalf_of.clone(),
        parent: case.parent.as_deref(),
        narrowed: Narrowed {
            allowances: case.envelope.clone(),
            budget: case.budget.clone(),
            ..Narrowed::default()
        },
        at: DEFAULT_NOW,
    };
    tasks.begin(rehearsal, sessions)
}

/// The word of test files for an error, where they have one.
const fn word(error: &BeginError) -> Option<&'static str> {
    match error {
        BeginError::Parameters(_) => Some("parameters"),
        BeginError::Wider(_) => Some("wider"),
        _ => None,
    }
}
