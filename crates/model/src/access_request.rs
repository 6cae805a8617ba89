//! Access requests, as they are recorded: what somebody asked for after a Deny, and what people
//! said. Crate `approval` makes the steps and folds them; nothing here holds an argument's value.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{
    ActionName, Assurance, EntityRef, IdentityId, IntentName, KeyedDigest, Method, RecordId,
    TaskId, Timestamp,
};

/// The one thing that was denied, and that an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Who wants to act, as policies name them.
    pub principal: EntityRef,
    /// Who acts, and who delegated to them, outwards: the first is the one who acts. At least
    /// one, and at most one more than [`crate::DEPTH_MAX`].
    pub actors: Vec<IdentityId>,
    /// For whom, where it is for someone.
    pub on_behalf_of: Option<IdentityId>,
    /// In which task, where it is in one.
    pub task: Option<TaskId>,
    /// Under which intent.
    pub intent: Option<IntentName>,
    /// What is done.
    pub action: ActionName,
    /// What it is done to; at most [`crate::RESOURCES_MAX`].
    pub resources: BTreeSet<EntityRef>,
    /// Keyed digest of the canonical bytes of the arguments (RFC 8785: neither the order of
    /// members nor the form of a number counts, every character of a text does), and of what the
    /// enforcement point says beside them. The key must live as long as the request.
    pub arguments: KeyedDigest,
}

/// Whether deputies may stand in for approvers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deputies {
    /// They may.
    Allowed,
    /// They may not.
    Refused,
}

impl Deputies {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Allowed, Self::Refused];

    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }
}

/// Whether an approval may be for more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Allowed,
    /// Each use is approved by itself.
    Refused,
}

impl Standing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Allowed, Self::Refused];

    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }
}

/// One step in the life of an access request, as it is recorded. When it happened is the time of
/// its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessChange {
    /// Which request: the id of the record by which it was made.
    pub request: RecordId,
    /// How many steps came before.
    pub sequence: u32,
    /// What happened.
    pub event: AccessEvent,
}

/// What happened to an access request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessEvent {
    /// It was made; the arguments are in the attachment.
    Requested(Box<AccessRequested>),
    /// Somebody answered; the bounds of what they approved are in the attachment.
    Answered(Box<AccessAnswered>),
    /// Those of the escalation may answer too.
    Escalated,
    /// People were told that it waits for them, after those who were told when it was made.
    Asked {
        /// Those.
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
        /// By whom; nobody where its task ended.
        by: Option<IdentityId>,
        /// Why, in a short fixed word or their words.
        reason: Arc<str>,
    },
}

impl AccessEvent {
    /// The stable word for this kind of event.
    pub const fn as_str(&self) -> &'static str {
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

/// A request, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequested {
    /// What it is about.
    pub binding: Binding,
    /// Who asks.
    pub asked_by: IdentityId,
    /// Who has a part in it beside [`Binding::on_behalf_of`].
    pub interested: BTreeSet<IdentityId>,
    /// Who may answer, in the words of the policy.
    pub approvers: Arc<str>,
    /// How many different people must approve in each stage.
    pub quorum: u32,
    /// How long what is approved lasts, in seconds.
    pub ttl_s: u32,
    /// How well an approver must have proved who they are.
    pub assurance: Assurance,
    /// Whether deputies may stand in.
    pub deputies: Deputies,
    /// Whether more than one single use may be approved.
    pub standing: Standing,
    /// Keyed digest by which requests that are but reworded are found.
    pub likeness: KeyedDigest,
    /// Until when it waits for answers.
    pub answer_by: Timestamp,
    /// When whatever it gives ends at the latest.
    pub ends_at: Option<Timestamp>,
    /// Who was told of it.
    pub asked: BTreeSet<IdentityId>,
}

/// An answer, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAnswered {
    /// Who answered.
    pub by: IdentityId,
    /// How they proved it.
    pub method: Method,
    /// For whom they stood in.
    pub standing_in_for: Option<IdentityId>,
    /// By which term of the policy they might, in its words.
    pub term: Arc<str>,
    /// In which stage, from 0.
    pub stage: u8,
    /// What they said.
    pub answer: AccessAnswer,
}

/// What an approver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessAnswer {
    /// Yes, so far; bounds aside, which hold values.
    Approve {
        /// `once`, `edited`, `task` or `until`.
        scope: Arc<str>,
        /// How often.
        uses: u32,
        /// Until when, where they said so.
        until: Option<Timestamp>,
    },
    /// No.
    Refuse {
        /// Why, in their words.
        reason: Arc<str>,
    },
}

/// Rules that ask for an approval were set aside for somebody, for a time, by a person with that
/// right. Its name is the id of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenGlass {
    /// For whom.
    pub agent: IdentityId,
    /// In which task alone, where it is for one.
    pub task: Option<TaskId>,
    /// Who did it.
    pub by: IdentityId,
    /// How they proved it.
    pub method: Method,
    /// Why, in their words.
    pub reason: Arc<str>,
    /// Until when.
    pub until: Timestamp,
}

/// What somebody found who looked at what was done in an emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueVerdict {
    /// It was right to do.
    Justified,
    /// It was not.
    Unjustified,
}

impl DueVerdict {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Justified, Self::Unjustified];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::Unjustified => "unjustified",
        }
    }

    /// The verdict of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }
}
