//! Tasks: single undertakings of intents, and what may end them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{
    Authority, Budget, Digest, IdentityId, Integrity, IntentName, KeyedDigest, RecordId,
    ScheduleName, SessionKey, TaskId, Timestamp, TokenId, Value,
};

/// Most direct children of a task, in its whole life.
pub const CHILDREN_MAX: u64 = 1024;

/// Longest prompt of a task, in bytes.
pub const PROMPT_BYTES_MAX: usize = 64 * 1024;

/// One undertaking of an intent, as the ledger's leaf has it: no parameter's value is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The intent.
    pub intent: IntentName,
    /// The intent's version.
    pub intent_version: u32,
    /// Who acts.
    pub agent: IdentityId,
    /// For whom, where it is for someone.
    pub on_behalf_of: Option<IdentityId>,
    /// Who began it.
    pub begun_by: IdentityId,
    /// What its parameters are worth as a source of instructions.
    pub origin: Origin,
    /// The task that it was delegated from.
    pub parent: Option<TaskId>,
    /// How many tasks stand above it.
    pub depth: u8,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// After how many seconds without a decision it ends by itself.
    pub idle_s: u32,
    /// How much may be done in it.
    pub budget: Arc<Budget>,
    /// Keyed digest of the canonical bytes of its parameters and authority, under its own key.
    pub authority: KeyedDigest,
    /// SHA-256 of the handle by which its agent names it; the handle holds 256 random bits.
    /// Without one the task is attached to the session that its agent began it in, and each of
    /// that session's calls belongs to it; where [`Task::conversation`] is set, only those of that
    /// conversation.
    pub handle: Option<Digest>,
    /// SHA-256 of the id of the conversation with the gateway that it is attached to: two runs
    /// under one credential have one each. The id is random and nobody else's.
    pub conversation: Option<Digest>,
    /// The schedule of which it is a run.
    pub run_of: Option<ScheduleName>,
}

impl Task {
    /// What its parameters and its prompt are worth as a source of instructions: trusted where a
    /// person, an orchestrator or an operator's schedule spoke, never where an agent did.
    pub const fn integrity(&self) -> Integrity {
        match self.origin {
            Origin::Trusted => Integrity::Trusted,
            Origin::Agent(_) => Integrity::Untrusted,
        }
    }
}

/// What the agent was told when its task began, in the words of the one who began it. Kept sealed
/// beside the task's record, and read from there when it is wanted; not in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The words, at most [`PROMPT_BYTES_MAX`] bytes.
    pub text: Arc<str>,
    /// What they are worth: [`Task::integrity`].
    pub integrity: Integrity,
}

/// The words are values, and are not shown.
impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes, {:?})", self.text.len(), self.integrity)
    }
}

/// Who spoke when a task began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A person, an orchestrator, or the operator who wrote a schedule: the parameters are trusted.
    Trusted,
    /// The agent itself, in this session: the parameters are worth what that session is worth,
    /// and what is done in the task counts there too.
    Agent(SessionKey),
}

/// What a task may do, and with which parameters: the values, which are kept sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mandate {
    /// The parameters, checked.
    pub parameters: BTreeMap<Arc<str>, Value>,
    /// What it may do at most.
    pub authority: Authority,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It goes on.
    Active,
    /// It was brought to its end.
    Completed,
    /// Its time, or the time without a decision, was over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Completed, Self::Expired, Self::Revoked];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What the kill switch stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillScope {
    /// Everything that an identity does; it is suspended.
    Identity(IdentityId),
    /// One task, with everything under it.
    Task(TaskId),
    /// One session.
    Session(SessionKey),
    /// Everything, until it is lifted.
    All,
}

impl KillScope {
    /// Whether a task is what it stops, or belongs to it.
    pub fn hits(&self, task: &Task) -> bool {
        match self {
            Self::All => true,
            Self::Identity(identity) => {
                task.agent == *identity || task.on_behalf_of.as_ref() == Some(identity)
            }
            Self::Task(id) => task.id == *id,
            Self::Session(session) => {
                SessionKey::task(task.agent.clone(), task.id.clone()) == *session
                    || task.origin == Origin::Agent(session.clone())
            }
        }
    }

    /// The word for what it stops.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Task(_) => "task",
            Self::Session(_) => "session",
            Self::All => "all",
        }
    }
}

/// A user's standing word that an agent may undertake an intent for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Its id.
    pub id: RecordId,
    /// The user.
    pub user: IdentityId,
    /// The agent.
    pub agent: IdentityId,
    /// The intent.
    pub intent: IntentName,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A token that the token service issued, as it is recorded: never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// Its `jti`.
    pub id: TokenId,
    /// The task that it belongs to.
    pub task: TaskId,
    /// Who may use it.
    pub client: IdentityId,
    /// What it is for: the resource indicator of RFC 8707.
    pub audience: Arc<str>,
    /// How it is bound to its holder.
    pub confirmation: Option<Confirmation>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends; never past its task.
    pub expires_at: Timestamp,
}

/// How a token is bound to its holder (RFC 7800).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// `cnf.jkt`: thumbprint of the DPoP key (RFC 9449), base64url.
    Jkt(Arc<str>),
    /// `cnf.x5t#S256`: digest of the client certificate (RFC 8705), base64url.
    X5t(Arc<str>),
}
