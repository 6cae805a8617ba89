//! What a remediation takes away, and what it is probed by.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Decision, Digest, EntityRef, IdentityId, IntentName, LeaseId, PolicyId, RecordId,
    ScheduleName, TargetName,
};

use crate::{Effect, Grant, GrantSource};

/// Most actions of a right that are kept with its remediation: those that are watched.
pub const ACTIONS_WATCHED_MAX: usize = 128;

/// Most of its actions that are named where a verification asks for none of them.
const QUESTIONS_SHOWN: usize = 8;

/// What gives the right that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RightTaken {
    /// Everything: the identity may not act at all.
    Identity,
    /// A statement of the policies.
    Statement {
        /// The policy.
        policy: PolicyId,
        /// SHA-256 of what it said when this was planned.
        says: Digest,
        /// What it can be about for the holder: at most [`ACTIONS_WATCHED_MAX`].
        actions: Vec<ActionName>,
    },
    /// An intent.
    Intent {
        /// Which.
        intent: IntentName,
        /// The schedule that gives it, where that does.
        schedule: Option<ScheduleName>,
    },
    /// A user's standing word.
    Delegation {
        /// Its record.
        id: RecordId,
        /// What it says: what rests on it is told from that once the word itself is gone. Plans of
        /// versions before this one do not say it.
        word: Option<Word>,
    },
    /// A credential at a target.
    Lease {
        /// Which.
        lease: LeaseId,
        /// Where.
        target: TargetName,
    },
}

/// Whose standing word it is, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Whose.
    pub user: IdentityId,
    /// For which intent.
    pub intent: IntentName,
}

impl RightTaken {
    /// What gives a grant.
    pub fn of(grant: &Grant) -> Self {
        match &grant.source {
            GrantSource::Statement(statement) => Self::Statement {
                policy: statement.policy.clone(),
                says: statement.says,
                actions: statement.actions.iter().take(ACTIONS_WATCHED_MAX).cloned().collect(),
            },
            GrantSource::Intent { intent, schedule, .. } => {
                Self::Intent { intent: intent.clone(), schedule: schedule.clone() }
            }
            GrantSource::Delegation { id, user, intent } => {
                let word = Some(Word { user: user.clone(), intent: intent.clone() });
                Self::Delegation { id: id.clone(), word }
            }
            GrantSource::Lease { lease, target, .. } => {
                Self::Lease { lease: lease.clone(), target: target.clone() }
            }
        }
    }

    /// The word for its kind.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Statement { .. } => "statement",
            Self::Intent { .. } => "intent",
            Self::Delegation { .. } => "delegation",
            Self::Lease { .. } => "lease",
        }
    }

    /// Its name: a policy, an intent, a record, a lease.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Identity => None,
            Self::Statement { policy, .. } => Some(policy.as_str()),
            Self::Intent { intent, .. } => Some(intent.as_str()),
            Self::Delegation { id, .. } => Some(id.as_str()),
            Self::Lease { lease, .. } => Some(lease.as_str()),
        }
    }

    /// What comes of a decision about it: the mildest that can be carried out and takes at least as
    /// much. A delegation or a lease can only be ended; where no text can shrink, the right is
    /// suspended until somebody restores it, or decides otherwise.
    pub const fn carried_out(&self, decided: Effect) -> Effect {
        match (self, decided) {
            (Self::Delegation { .. } | Self::Lease { .. }, Effect::Suspend | Effect::Reduce) => {
                Effect::Revoke
            }
            (Self::Intent { .. } | Self::Identity, Effect::Reduce) => Effect::Suspend,
            (_, decided) => decided,
        }
    }

    /// Whether it is ended where others are set aside: it cannot be given back by us.
    pub const fn is_ended(&self) -> bool {
        matches!(self, Self::Delegation { .. } | Self::Lease { .. })
    }

    /// Whether a question is about it, so that its answer says something of it: one of the
    /// actions of a statement, the undertaking of an intent, whatever somebody does who may do
    /// nothing; of what was ended, the thing itself.
    pub fn is_about(&self, action: &ActionName, resource: &EntityRef) -> bool {
        let named = |ty: &str, id: &str| {
            resource.ty.as_str().rsplit("::").next() == Some(ty) && resource.id.as_str() == id
        };
        match self {
            Self::Identity => true,
            // Of one that is about more it is not known which.
            Self::Statement { actions, .. } => {
                actions.len() >= ACTIONS_WATCHED_MAX || actions.contains(action)
            }
            Self::Intent { intent, .. } => named("Intent", intent.as_str()),
            Self::Delegation { id, .. } => named("Delegation", id.as_str()),
            Self::Lease { lease, .. } => named("Lease", lease.as_str()),
        }
    }

    /// The questions that are about it, in words.
    pub(super) fn questions(&self) -> String {
        match self {
            Self::Identity => "anything that they did".to_owned(),
            Self::Statement { actions, .. } => {
                let mut words: Vec<_> =
                    actions.iter().take(QUESTIONS_SHOWN).map(|one| format!("`{one}`")).collect();
                if actions.len() > QUESTIONS_SHOWN {
                    words.push(format!("or one of {} more", actions.len() - QUESTIONS_SHOWN));
                }
                words.join(", ")
            }
            Self::Intent { intent, .. } => format!("`undertake on Intent::\"{intent}\"`"),
            Self::Delegation { .. } | Self::Lease { .. } => "the server does that".to_owned(),
        }
    }

    /// Whether taking it away is a change of the policies.
    pub const fn is_of_policies(&self) -> bool {
        matches!(self, Self::Statement { .. } | Self::Intent { .. })
    }
}

/// One question to the enforcement point, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was asked about.
    pub action: ActionName,
    /// What it would have been done to.
    pub resource: EntityRef,
    /// What the answer has to be.
    pub wanted: Decision,
    /// What it was.
    pub answer: Decision,
    /// The codes of its reasons.
    pub reasons: Vec<Arc<str>>,
    /// The decision's record, where the enforcement point recorded one.
    pub evidence: Option<RecordId>,
    /// The enforcement point whose way the question went: `gateway:files`. `None` where it was put
    /// to the decision point itself, since no enforcement point of this process serves the action.
    pub point: Option<IdentityId>,
}

impl Probe {
    /// Whether it was answered as it should be.
    pub fn holds(&self) -> bool {
        self.wanted == self.answer
    }
}

/// What existed only by a right that was taken away, and was ended with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Tasks, each with its session, its tokens, its leases and the tasks under it.
    pub tasks: u64,
    /// Leases of tasks that go on.
    pub leases: u64,
    /// Tokens: those of tasks that go on, and where somebody may not act at all any more their own.
    pub tokens: u64,
}

impl Ended {
    /// Whether nothing was.
    pub const fn is_nothing(&self) -> bool {
        self.tasks == 0 && self.leases == 0 && self.tokens == 0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            tasks: self.tasks.saturating_add(other.tasks),
            leases: self.leases.saturating_add(other.leases),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
}
