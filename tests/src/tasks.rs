//! The tasks of a test, begun for the pure engine.

use std::collections::BTreeMap;

use safeconduct_model::SessionKey;
use safeconduct_service::{BeginError, Narrowed, Rehearsal, RehearsedTasks};
use safeconduct_session::Session;
use safeconduct_wire::suite::{TaskCase, Test};

use crate::pure::{Ground, NOW};

/// Who begins every task that is no child, and may.
pub const ORCHESTRATOR: &str = "orchestrator";

/// Begins the tasks of a test, in order; each is refused or not as the test says.
pub fn begun(
    ground: &Ground,
    test: &Test,
    sessions: &mut BTreeMap<SessionKey, Session>,
) -> RehearsedTasks {
    let mut tasks = RehearsedTasks::default();
    for case in &test.tasks {
        let refused = match tasks.begin(rehearsal(ground, case), sessions) {
            Ok(()) => None,
            Err(BeginError::Parameters(_)) => Some("parameters"),
            Err(BeginError::Wider(_)) => Some("wider"),
            Err(other) => panic!("task `{}`: {other}", case.name),
        };
        assert_eq!(refused, case.refused.map(|word| word.as_str()), "task `{}`", case.name);
    }
    tasks
}

fn rehearsal<'a>(ground: &'a Ground, case: &'a TaskCase) -> Rehearsal<'a> {
    Rehearsal {
        name: &case.name,
        intent: ground.intents.version(&case.intent, case.version).unwrap(),
        parameters: &case.parameters,
        agent: case.agent.clone(),
        on_behalf_of: case.on_behalf_of.clone(),
        parent: case.parent.as_deref(),
        narrowed: Narrowed {
            allowances: case.envelope.clone(),
            budget: case.budget.clone(),
            ..Narrowed::default()
        },
        at: NOW,
    }
}
