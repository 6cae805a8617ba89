//! Recorded decisions under another policy set: what a draft would have said.
//!
//! A record has no arguments, and of the session it has what its decision rested on. So nothing is
//! evaluated again that the record cannot answer: what a statement said then is read from its
//! reasons, wherever the draft has a statement with the same condition; conditions over what is
//! recorded are evaluated; and where neither helps, a decision is replayable only if the
//! statements that could matter are the same. Each decision stands as if all before it had gone as
//! recorded, and what other stages ask beside the policies (tiers, budgets, envelopes, rights that
//! are set aside) stays as it was.

mod classes;
mod memo;
mod told;
mod view;
mod weigh;

use std::fmt;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Decided, Digest, Entity, EntityRef, IdentityId, PolicyId, RecordId, Timestamp,
};

use crate::policies::Policies;
use crate::situation::ActionSituation;
use classes::Classes;
use memo::Memo;

/// Most decisions of one sort that a replay names; it counts all of them.
pub const REPLAY_LISTED_MAX: usize = 1_000;

/// One recorded decision.
#[derive(Debug, Clone, Copy)]
pub struct RecordedDecision<'a> {
    /// Its id.
    pub id: &'a RecordId,
    /// When it was made.
    pub at: Timestamp,
    /// Its record.
    pub decided: &'a Decided,
}

/// What is known beside the record, as it was at the time of the decision: `None` where nobody
/// knows, which makes decisions that depend on it not replayable.
pub trait Surroundings {
    /// The principal of a decision with what it belongs to.
    fn principal(&self, uid: &EntityRef) -> Option<Entity>;

    /// The user for whom a task acts, the same way.
    fn user(&self, id: &IdentityId) -> Option<Entity>;

    /// What an action touched, with what it belongs to.
    fn resource(&self, action: &ActionName, uid: &EntityRef) -> Option<Entity>;

    /// What the catalogue of that digest says of an action.
    fn action(&self, action: &ActionName, catalogue: Digest) -> Option<ActionSituation>;
}

/// What a draft would have said to recorded decisions. The counts add up to all that were taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// Decisions that would have been the same.
    pub same: u64,
    /// Decisions that permitted what the draft denies.
    pub newly_denied: Changes,
    /// Decisions that denied what the draft permits, as far as policies go.
    pub newly_permitted: Changes,
    /// Decisions of which the record does not say enough.
    pub not_replayable: Unknowns,
}

/// Decisions that would have been others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// How many.
    pub count: u64,
    /// The first of them, at most [`REPLAY_LISTED_MAX`].
    pub listed: Vec<Change>,
}

/// A decision that would have been another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its record.
    pub id: RecordId,
    /// When it was made.
    pub at: Timestamp,
    /// Who wanted to act.
    pub principal: EntityRef,
    /// What they wanted to do.
    pub action: ActionName,
    /// What they wanted to do it to.
    pub resources: Vec<EntityRef>,
    /// The policies of the draft that forbid or permit it; where it is denied because nothing
    /// permits it, the policies that permitted it then.
    pub because: Arc<[PolicyId]>,
}

/// Decisions that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unknowns {
    /// How many.
    pub count: u64,
    /// The first of them with the reason, at most [`REPLAY_LISTED_MAX`].
    pub listed: Vec<(RecordId, NotReplayable)>,
    /// How many for each reason, the policies aside.
    pub why: std::collections::BTreeMap<&'static str, u64>,
}

/// Why a decision cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReplayable {
    /// Another policy set decided it, and the draft's statement looks at what is not recorded.
    OtherSet(PolicyId),
    /// A statement of the draft looks at what is not recorded: arguments, the session.
    NotRecorded(PolicyId),
    /// What the principal or a resource belonged to is not known, and a scope asks for it.
    Membership(PolicyId),
    /// What the record says does not fit what is said to surround it.
    DoesNotFit(PolicyId),
    /// It was denied after policies had permitted it, for what the enforcement point knows or
    /// because of a right that was set aside, and that may be otherwise under the draft.
    OtherStage,
    /// It was in a task for a user of whom nothing is known.
    UnknownUser,
    /// It would be permitted too, under other obligations or under obligations that nobody knows.
    OtherObligations,
    /// Rego has a say, which is not evaluated again.
    Rego,
}

impl NotReplayable {
    /// The word for it on every wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::OtherSet(_) => "other_policy_set",
            Self::NotRecorded(_) => "not_recorded",
            Self::Membership(_) => "membership_unknown",
            Self::DoesNotFit(_) => "does_not_fit",
            Self::OtherStage => "other_stage",
            Self::UnknownUser => "unknown_user",
            Self::OtherObligations => "other_obligations",
            Self::Rego => "rego",
        }
    }

    /// The policy because of which it cannot.
    pub const fn policy(&self) -> Option<&PolicyId> {
        match self {
            Self::OtherSet(policy)
            | Self::NotRecorded(policy)
            | Self::Membership(policy)
            | Self::DoesNotFit(policy) => Some(policy),
            Self::OtherStage | Self::UnknownUser | Self::OtherObligations | Self::Rego => None,
        }
    }
}

/// One sentence for people.
impl fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSet(policy) => write!(
                f,
                "another policy set decided it, and `{policy}` looks at what is not recorded"
            ),
            Self::NotRecorded(policy) => {
                write!(f, "`{policy}` looks at what is not recorded: arguments, or the session")
            }
            Self::Membership(policy) => {
                write!(f, "nobody knows whether what `{policy}` names was concerned")
            }
            Self::DoesNotFit(policy) => {
                write!(f, "`{policy}` decided it, whose scope does not match by what is known now")
            }
            Self::OtherStage => f.write_str("it was denied after policies had permitted it"),
            Self::UnknownUser => f.write_str("nothing is known of the user for whom it was"),
            Self::OtherObligations => {
                f.write_str("it is permitted too, but not surely under the same obligations")
            }
            Self::Rego => f.write_str("Rego is not evaluated again"),
        }
    }
}

/// What became of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    Denied(Arc<[PolicyId]>),
    Permitted(Arc<[PolicyId]>),
    Unknown(NotReplayable),
}

/// Replays recorded decisions under a draft, one after the other.
#[derive(Debug)]
pub struct Replayer<'p> {
    old: &'p Policies,
    new: &'p Policies,
    classes: Classes,
    memo: Memo,
    replay: Replay,
}

impl<'p> Replayer<'p> {
    /// For decisions of one set, under another. Decisions of further sets are replayed as far as
    /// their records answer the draft by themselves.
    pub fn new(old: &'p Policies, new: &'p Policies) -> Self {
        let classes = Classes::of(old, new);
        Self { old, new, classes, memo: Memo::default(), replay: Replay::default() }
    }

    /// Takes the next decision in.
    pub fn take(&mut self, recorded: &RecordedDecision<'_>, around: &dyn Surroundings) {
        let ours = recorded.decided.policies == self.old.digest();
        let verdict = match self.memo.find(recorded.decided, ours) {
            Some(known) => known,
            None => {
                let weighed = weigh::weigh(self.old, self.new, &self.classes, recorded, around);
                if weighed.timeless {
                    self.memo.keep(recorded.decided, ours, weighed.verdict.clone());
                }
                weighed.verdict
            }
        };
        self.replay.take(recorded, verdict);
    }

    /// What surrounds decisions has changed: from now on everything is looked up again.
    pub fn surroundings_changed(&mut self) {
        self.memo = Memo::default();
    }

    /// What the draft would have said.
    pub fn finish(self) -> Replay {
        self.replay
    }
}

/// Replays recorded decisions of one policy set under another.
pub fn replay<'a>(
    decisions: impl IntoIterator<Item = RecordedDecision<'a>>,
    old: &Policies,
    new: &Policies,
    around: &dyn Surroundings,
) -> Replay {
    let mut replayer = Replayer::new(old, new);
    for decision in decisions {
        replayer.take(&decision, around);
    }
    replayer.finish()
}

impl Replay {
    /// How many decisions were taken.
    pub const fn total(&self) -> u64 {
        let changed = self.newly_denied.count + self.newly_permitted.count;
        self.same + changed + self.not_replayable.count
    }

    fn take(&mut self, recorded: &RecordedDecision<'_>, verdict: Verdict) {
        let changes = match &verdict {
            Verdict::Same => {
                self.same += 1;
                return;
            }
            Verdict::Unknown(why) => {
                self.not_replayable.take(recorded.id, why);
                return;
            }
            Verdict::Denied(_) => &mut self.newly_denied,
            Verdict::Permitted(_) => &mut self.newly_permitted,
        };
        changes.count += 1;
        if changes.listed.len() < REPLAY_LISTED_MAX
            && let Verdict::Denied(because) | Verdict::Permitted(because) = verdict
        {
            changes.listed.push(Change {
                id: recorded.id.clone(),
                at: recorded.at,
                principal: recorded.decided.principal.clone(),
                action: recorded.decided.action.clone(),
                resources: recorded.decided.resources.clone(),
                because,
            });
        }
    }
}

impl Unknowns {
    fn take(&mut self, id: &RecordId, why: &NotReplayable) {
        self.count += 1;
        *self.why.entry(why.as_str()).or_default() += 1;
        if self.listed.len() < REPLAY_LISTED_MAX {
            self.listed.push((id.clone(), why.clone()));
        }
    }
}
