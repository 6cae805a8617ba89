//! Which session a decision belongs to.

use std::fmt;

use crate::{Authentication, IdentityId, SessionName, TaskId, TokenId};

/// The session of a task, or of a credential that acts in none. A name that a PEP gives does not
/// change it: names subdivide what is shown, never what is counted, so that a new name sheds no
/// label, budget or counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose session.
    pub identity: IdentityId,
    /// What it follows.
    pub scope: SessionScope,
}

/// What a session follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionScope {
    /// One credential, outside of any task.
    Credential(TokenId),
    /// One task, under whatever credentials its agent acts.
    Task(TaskId),
}

impl SessionScope {
    /// The scope of that id.
    ///
    /// # Errors
    /// [`crate::NameError`] where it is no id.
    pub fn parse(id: &str) -> Result<Self, crate::NameError> {
        match id.starts_with("task_") {
            true => TaskId::new(id).map(Self::Task),
            false => TokenId::new(id).map(Self::Credential),
        }
    }

    /// The id of the credential or task. Ids of tasks begin with `task_`, those of credentials
    /// never do.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Credential(token) => token.as_str(),
            Self::Task(task) => task.as_str(),
        }
    }
}

impl SessionKey {
    /// The session of a credential.
    pub const fn credential(identity: IdentityId, token: TokenId) -> Self {
        Self { identity, scope: SessionScope::Credential(token) }
    }

    /// The session of a task of that agent.
    pub const fn task(agent: IdentityId, task: TaskId) -> Self {
        Self { identity: agent, scope: SessionScope::Task(task) }
    }

    /// The session that a proof acts in.
    pub fn of(proof: &Authentication) -> Self {
        match &proof.task {
            Some(task) => Self::task(task.agent.clone(), task.id.clone()),
            None => Self::credential(proof.identity.clone(), proof.token.clone()),
        }
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.identity, self.scope.as_str())
    }
}

/// A session with the part of it that the PEP named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// What counts.
    pub key: SessionKey,
    /// What the PEP calls its part, where it gave a name.
    pub name: Option<SessionName>,
}
