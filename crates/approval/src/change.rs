//! What happens to a request: plain data, of which its state is a fold.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, KeyedDigest, RecordId, Timestamp};

use crate::{Approver, Binding, Scope, Terms};

/// One step in the life of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which request.
    pub request: RecordId,
    /// How many steps came before: whoever made this one had seen all of them.
    pub sequence: u32,
    /// When. Never before the step before: a clock that stepped back stands still here.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made.
    Requested(Box<Opened>),
    /// Somebody answered.
    Answered(Box<Answered>),
    /// Those of the escalation may answer too.
    Escalated,
    /// People were told that it waits for them: those of a later stage or of the escalation, and
    /// those of the first one where a group of requests had asked them and is answered.
    Asked {
        /// Those; at most [`crate::ASKED_MAX`], none who was told of this stage before.
        people: BTreeSet<IdentityId>,
    },
    /// Its time was over.
    Expired,
    /// What was approved was used once.
    Spent {
        /// The decision that used it.
        decision: RecordId,
    },
    /// It was taken back.
    Revoked {
        /// By whom; nobody where its task ended or a signal came.
        by: Option<IdentityId>,
        /// Why, in a short fixed word or their words; at most [`crate::REASON_BYTES_MAX`].
        reason: Arc<str>,
    },
}

impl Event {
    /// The stable word for this kind of event.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Requested(_) => "requested",
            Self::Answered(_) => "answered",
            Self::Escalated => "escalated",
            Self::Asked { .. } => "asked",
            Self::Expired => "expired",
            Self::Spent { .. } => "spent",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// A request, as it was made. No argument's value is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its id, which nobody can guess.
    pub id: RecordId,
    /// When it was made.
    pub at: Timestamp,
    /// What it is about.
    pub binding: Binding,
    /// Who asks: never an approver of it.
    pub asked_by: IdentityId,
    /// Who has a part in it beside [`Binding::on_behalf_of`]: who began the task, and the owners
    /// of all who act. At most [`crate::INTERESTED_MAX`].
    pub interested: BTreeSet<IdentityId>,
    /// On which terms it is answered.
    pub terms: Terms,
    /// Keyed digest of [`crate::likeness`], under a key that all requests share.
    pub likeness: KeyedDigest,
    /// Until when it waits; after `at`, at most [`crate::WAIT_MS_MAX`].
    pub answer_by: Timestamp,
    /// When whatever it gives ends at the latest: its task's deadline.
    pub ends_at: Option<Timestamp>,
    /// Who is told of it; nobody, where it joins a group that waits. At most [`crate::ASKED_MAX`].
    pub asked: BTreeSet<IdentityId>,
}

/// An answer, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Who answered.
    pub by: IdentityId,
    /// For whom they stood in.
    pub standing_in_for: Option<IdentityId>,
    /// By which term of the policy they might.
    pub term: Approver,
    /// In which stage, from 0.
    pub stage: u8,
    /// What they said.
    pub answer: Answer,
}

/// What an approver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, so far. Its bounds hold values of arguments, which are kept sealed.
    Approve(Scope),
    /// No: one is enough.
    Refuse {
        /// Why, in their words; at most [`crate::REASON_BYTES_MAX`].
        reason: Arc<str>,
    },
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It waits for answers.
    Pending,
    /// It may be used.
    Approved,
    /// Somebody said no.
    Refused,
    /// Its time was over: for an answer, or for its use.
    Expired,
    /// It was used as often as was approved.
    Spent,
    /// It was taken back.
    Revoked,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Approved, Self::Refused, Self::Expired, Self::Spent, Self::Revoked];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Spent => "spent",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more happens to it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved)
    }
}
