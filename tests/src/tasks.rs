//! The tasks of a test, begun for the pure engine.

use safeconduct_model::{SessionKey, TokenId};
use safeconduct_service::{BeginError, Narrowed, Rehearsal, RehearsedSessions, RehearsedTasks};
use safeconduct_wire::suite::{BegunBy, DEFAULT_NOW, Step, TaskCase, Test};

use crate::pure::{Ground, credential};

/// Who begins every task that is no child, and may.
pub const ORCHESTRATOR: &str = "orchestrator";

/// Begins the tasks of a test, in order; each is refused or not as the test says.
pub fn begun(ground: &Ground, test: &Test, sessions: &mut RehearsedSessions) -> RehearsedTasks {
    let mut tasks = RehearsedTasks::default();
    for case in &test.tasks {
        let refused = match tasks.begin(rehearsal(ground, test, case), sessions) {
            Ok(()) => None,
            Err(BeginError::Parameters(_)) => Some("parameters"),
            Err(BeginError::Wider(_)) => Some("wider"),
            Err(other) => panic!("task `{}`: {other}", case.name),
        };
        assert_eq!(refused, case.refused.map(|word| word.as_str()), "task `{}`", case.name);
    }
    tasks
}

fn rehearsal<'a>(ground: &'a Ground, test: &Test, case: &'a TaskCase) -> Rehearsal<'a> {
    Rehearsal {
        name: &case.name,
        intent: ground.intents.version(&case.intent, case.version).unwrap(),
        parameters: &case.parameters,
        prompt: case.prompt.as_deref(),
        from: beginner(test, case).map(|step| {
            let token = TokenId::new(credential(step)).unwrap();
            SessionKey::credential(case.agent.clone(), token)
        }),
        agent: case.agent.clone(),
        on_behalf_of: case.on_behalf_of.clone(),
        parent: case.parent.as_deref(),
        narrowed: Narrowed {
            allowances: case.envelope.clone(),
            budget: case.budget.clone(),
            ..Narrowed::default()
        },
        at: DEFAULT_NOW,
    }
}

/// The step under whose credential the agent itself begins a task: the first one in it. `None`
/// where somebody else does, or the task has one above it.
pub fn beginner<'t>(test: &'t Test, case: &TaskCase) -> Option<&'t Step> {
    let own = case.begun_by == BegunBy::Agent && case.parent.is_none();
    let mut steps = test.steps.iter().filter(|_| own);
    let first = steps.find(|step| step.in_task.as_deref() == Some(&case.name));
    assert_eq!(own, first.is_some(), "no step is in the task `{}`", case.name);
    first
}
