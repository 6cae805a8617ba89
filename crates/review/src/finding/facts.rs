//! Plain facts about the estate, as rules want them. Whoever gathers them says what is so; whether
//! it is wrong is for the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::{
    ActionName, Digest, IdentityId, IdentityKind, IdentityStatus, IntentName, LeaseId, LeaseState,
    PolicyId, RecordId, TargetName, TaskId, Tier, Timestamp, TokenId,
};

/// A standing right of somebody, and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFacts {
    /// Whose right.
    pub holder: IdentityId,
    /// Its id: [`crate::Grant::id`].
    pub grant: Digest,
    /// What gives it, by kind: [`crate::GrantSource::as_str`].
    pub source: &'static str,
    /// What gives it, by name: a policy, an intent, a user and an intent.
    pub name: Arc<str>,
    /// Where that stands, where it is a statement.
    pub place: Option<Arc<str>>,
    /// Since when it has been held, as far as anybody knows.
    pub since: Timestamp,
    /// The actions that it can be about, where it is a statement.
    pub actions: BTreeMap<ActionName, ActionFacts>,
    /// Whether its scope names no action.
    pub any_action: bool,
    /// Whether its scope names no resource and no condition narrows it.
    pub any_resource: bool,
    /// What was done with it within the window.
    pub used: UseFacts,
    /// The records that gave it, where there are any.
    pub evidence: Vec<RecordId>,
}

/// What is known of an action that a right is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionFacts {
    /// How much harm it can do.
    pub tier: Tier,
    /// The types of what it is done to.
    pub classes: BTreeSet<Arc<str>>,
}

/// What was done with a right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UseFacts {
    /// Permits.
    pub permitted: u64,
    /// The last one ever, also before the window.
    pub last: Option<Timestamp>,
    /// The actions that were permitted by it.
    pub actions: BTreeSet<ActionName>,
    /// How many different resources.
    pub resources: u64,
    /// Whether there may be more of those.
    pub resources_more: bool,
    /// The latest permits.
    pub evidence: Vec<RecordId>,
}

/// A right that is counted in use, of a policy that gives its holder nothing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexplainedFacts {
    /// Who used it.
    pub holder: IdentityId,
    /// The policy that permitted it.
    pub policy: Arc<str>,
    /// Whether a policy of that name is still in force.
    pub in_force: bool,
    /// What was done.
    pub used: UseFacts,
}

/// An identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFacts {
    /// Who.
    pub id: IdentityId,
    /// What kind of thing.
    pub kind: IdentityKind,
    /// Whether it may act.
    pub status: IdentityStatus,
    /// Its owner, and how they stand.
    pub owner: Accountable,
    /// Its fallback owner.
    pub fallback: Accountable,
    /// When it was registered, as far as anybody knows.
    pub registered_at: Timestamp,
    /// When it last acted.
    pub last_seen: Option<Timestamp>,
    /// The records of its registration, the newest first.
    pub evidence: Vec<RecordId>,
}

/// Somebody who should answer for an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accountable {
    /// Nobody is named.
    Nobody,
    /// Somebody is named who is not registered.
    Unknown(IdentityId),
    /// Somebody is named who may not act.
    Gone(IdentityId, IdentityStatus),
    /// Somebody who can answer.
    Stands(IdentityId),
}

impl Accountable {
    /// Why they cannot answer, in a short fixed word; `None` where they can.
    pub const fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Nobody => Some("no_owner"),
            Self::Unknown(_) => Some("owner_unknown"),
            Self::Gone(_, IdentityStatus::Suspended) => Some("owner_suspended"),
            Self::Gone(..) => Some("owner_gone"),
            Self::Stands(_) => None,
        }
    }

    /// Who it is.
    pub const fn who(&self) -> Option<&IdentityId> {
        match self {
            Self::Nobody => None,
            Self::Unknown(id) | Self::Gone(id, _) | Self::Stands(id) => Some(id),
        }
    }
}

/// A registered token that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Which.
    pub id: TokenId,
    /// Whose.
    pub identity: IdentityId,
    /// How they stand; nothing where nobody is registered under that id.
    pub status: Option<IdentityStatus>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was last used outside of tasks.
    pub last_used: Option<Timestamp>,
    /// The record of its issue.
    pub evidence: Vec<RecordId>,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseFacts {
    /// Which.
    pub id: LeaseId,
    /// Where.
    pub target: TargetName,
    /// Its name there.
    pub name: Arc<str>,
    /// The task that it is for.
    pub task: TaskId,
    /// Who acts in that task, where it is known.
    pub agent: Option<IdentityId>,
    /// Where it stands.
    pub state: LeaseState,
    /// When the task ended; `None` while it goes on.
    pub task_ended: Option<Timestamp>,
    /// What was said when it could not be taken back; never a secret.
    pub detail: Option<Arc<str>>,
    /// The records of its changes, the newest first.
    pub evidence: Vec<RecordId>,
}

/// A credential of a task that was used after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateUseFacts {
    /// Whose.
    pub identity: IdentityId,
    /// The task that had ended.
    pub task: TaskId,
    /// The credentials.
    pub tokens: BTreeSet<TokenId>,
    /// What they were to do, where that was said.
    pub actions: BTreeSet<ActionName>,
    /// The last time.
    pub last: Timestamp,
    /// The records of it, the newest first.
    pub evidence: Vec<RecordId>,
}

/// Signs that more than one use an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharingFacts {
    /// Which identity.
    pub identity: IdentityId,
    /// Whether one session of it went on from two networks, and how sure and bad that was.
    pub two_places: Option<Severity>,
    /// The credentials that were used in turns, where some were.
    pub in_turns: BTreeSet<Arc<str>>,
    /// How often it was returned to one that was used before.
    pub returns: u64,
    /// The last sign.
    pub last: Timestamp,
    /// The records that show it, the newest first.
    pub evidence: Vec<RecordId>,
}

/// Signs that a program's identity is used by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonFacts {
    /// Which identity.
    pub identity: IdentityId,
    /// What kind of thing it is.
    pub kind: IdentityKind,
    /// Whether passkeys are registered for it.
    pub passkeys: u64,
    /// How often it acted on the proof of a passkey.
    pub by_passkey: u64,
    /// How often it answered what people are asked.
    pub answers: u64,
    /// The last sign, where there is a time of it.
    pub last: Option<Timestamp>,
    /// The records that show it.
    pub evidence: Vec<RecordId>,
}

/// How a person's identity acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaceFacts {
    /// Which identity.
    pub identity: IdentityId,
    /// The most calls within one minute.
    pub calls_a_minute: u64,
    /// The most different hours of one day (UTC).
    pub hours_a_day: u32,
    /// When it last acted so.
    pub last: Timestamp,
    /// Records of then.
    pub evidence: Vec<RecordId>,
}

/// How somebody answers what people are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFacts {
    /// Who.
    pub by: IdentityId,
    /// Access requests.
    pub requests: AnswerCounts,
    /// Cases of campaigns.
    pub cases: AnswerCounts,
    /// The latest answers.
    pub evidence: Vec<RecordId>,
}

/// Answers of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerCounts {
    /// How many.
    pub answers: u64,
    /// How many of them were yes: approvals, or acceptances.
    pub yes: u64,
    /// The median time that they took, in milliseconds: from the request, or from the first look
    /// at the case.
    pub median_ms: i64,
    /// The most in one go.
    pub batch: u64,
}

/// What a policy permits agents, and what their intents need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFacts {
    /// Which policy.
    pub policy: PolicyId,
    /// Where it stands.
    pub place: Arc<str>,
    /// How many agents have a right by it.
    pub holders: u64,
    /// The actions that it permits some agent and that no intent's envelope holds.
    pub beyond: BTreeMap<ActionName, Tier>,
    /// The records by which the policies, and the intents, came into force.
    pub evidence: Vec<RecordId>,
}

/// What is done under an intent has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftFacts {
    /// Who does it.
    pub identity: IdentityId,
    /// Under which intent; nothing where it was in no task.
    pub intent: Option<IntentName>,
    /// How bad it is.
    pub severity: Severity,
    /// The last time that it was seen.
    pub last: Timestamp,
    /// The signals, and the decisions that they are about, the newest first.
    pub evidence: Vec<RecordId>,
}

/// What one enforcement point says of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageFacts {
    /// The enforcement point.
    pub pep: IdentityId,
    /// The action.
    pub action: ActionName,
    /// How many decisions were looked at.
    pub decisions: u64,
    /// In how many of them it was in a task.
    pub in_task: u64,
    /// In how many of them a resource was named that is not the server itself.
    pub with_resource: u64,
    /// Whether an intent's envelope holds the action.
    pub wants_task: bool,
    /// Whether the catalogue says which arguments name its resources.
    pub wants_resource: bool,
    /// Whether the catalogue knows it, other than by a guess.
    pub known: bool,
    /// Some of those decisions, the newest first.
    pub evidence: Vec<RecordId>,
}
