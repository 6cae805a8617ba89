//! The kill switch.

use safeconduct_model::{IdentityId, KillScope, SessionKey, SessionScope, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Diagnostic, Place, Written};

/// What to stop, or to let go on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// What.
    pub scope: KillScopeForm,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// What the kill switch stops: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillScopeForm {
    /// Everything that this identity does; it is suspended, and its tasks end.
    pub identity: Option<Written<IdentityId>>,
    /// This task, with everything under it.
    pub task: Option<Written<TaskId>>,
    /// This session, and the tasks that it began.
    pub session: Option<SessionForm>,
    /// Everything, until it is lifted: `true`.
    pub all: Option<bool>,
}

/// Which session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionForm {
    /// Whose.
    pub identity: Written<IdentityId>,
    /// Under which token, by its public id, or of which task.
    pub token: Written<SessionScope>,
}

impl KillScopeForm {
    /// The scope in the model's terms.
    ///
    /// # Errors
    /// Where not exactly one thing is named: the caller is at fault.
    pub fn into_model(self) -> Result<KillScope, Vec<Diagnostic>> {
        let session =
            |form: SessionForm| SessionKey { identity: form.identity.0, scope: form.token.0 };
        match (self.identity, self.task, self.session, self.all) {
            (Some(identity), None, None, None) => Ok(KillScope::Identity(identity.0)),
            (None, Some(task), None, None) => Ok(KillScope::Task(task.0)),
            (None, None, Some(form), None) => Ok(KillScope::Session(session(form))),
            (None, None, None, Some(true)) => Ok(KillScope::All),
            _ => {
                let message = "exactly one of `identity`, `task`, `session` and `all: true` must \
                               be here";
                Err(vec![Diagnostic::new("", Place::default(), "/scope", message)])
            }
        }
    }
}

/// What the kill switch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Killed {
    /// How many tasks ended by it.
    pub tasks: u64,
}
