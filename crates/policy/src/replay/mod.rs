//! Recorded decisions under another policy set: what a draft would have said.
//!
//! A record has no arguments, and of the session it has what its decision rested on. What a
//! statement said then is read from its reasons, wherever the draft has a statement with the same
//! condition; conditions over what is recorded are evaluated. Only where neither answers is more
//! recalled ([`Surroundings::recall`]): arguments that lie sealed beside the record, and what
//! follows from the records before it. What was recalled is believed once the set that decided
//! then says the same of it again; otherwise, and where something is not known, the decision is
//! not replayable, and it is said for what. Each decision stands as if all before it had gone as
//! recorded, and what other stages ask beside the policies (tiers, budgets, envelopes, rights that
//! are set aside) stays as it was.

mod again;
mod classes;
mod era;
mod memo;
mod recalled;
mod redecide;
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
use era::{Era, Eras};
use memo::Memo;
use weigh::Weighed;

pub use era::ERAS_MAX;
pub use recalled::{Fact, Lacking, Missing, Recalled, RecalledSession, RecalledTask};
pub use redecide::{OfHolder, Redecided, Redenied};

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

    /// Whether anything can be recalled beside the records.
    fn recalls(&self) -> bool {
        false
    }

    /// What is known of the moment of a decision beside its record. Asked only of decisions whose
    /// records alone do not answer. `then` is the set that decided.
    fn recall(&self, recorded: &RecordedDecision<'_>, then: &Policies) -> Recalled {
        let _ = (recorded, then);
        Recalled::default()
    }
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
    /// A policy set decided it that is not at hand, and the draft's statement looks at what is not
    /// recorded.
    OtherSet(PolicyId),
    /// A statement of the draft looks at what nobody knows: this, and perhaps more.
    NotRecorded(PolicyId, Lacking),
    /// What was recalled of its moment is not all: under it this statement of the set that decided
    /// says something else than it said then.
    ContextIncomplete(PolicyId),
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
            Self::NotRecorded(_, Lacking { why: Missing::Erased, .. }) => "erased",
            Self::NotRecorded(..) => "not_recorded",
            Self::ContextIncomplete(_) => "context_incomplete",
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
            | Self::NotRecorded(policy, _)
            | Self::ContextIncomplete(policy)
            | Self::Membership(policy)
            | Self::DoesNotFit(policy) => Some(policy),
            Self::OtherStage | Self::UnknownUser | Self::OtherObligations | Self::Rego => None,
        }
    }

    /// What that policy looks at and nobody knows.
    pub const fn lacking(&self) -> Option<&Lacking> {
        match self {
            Self::NotRecorded(_, lacking) => Some(lacking),
            _ => None,
        }
    }
}

/// One sentence for people.
impl fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSet(policy) => write!(
                f,
                "a policy set decided it that is not at hand, and `{policy}` looks at what is not \
                 recorded"
            ),
            Self::NotRecorded(policy, lacking) => write!(f, "`{policy}` looks at {lacking}"),
            Self::ContextIncomplete(policy) => write!(
                f,
                "what is known of its moment is not all: with that, `{policy}` would have said \
                 something else than it did"
            ),
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
    new: &'p Policies,
    old: Era<'p>,
    eras: Eras<'p>,
    /// Verdicts on decisions of sets that are not at hand.
    foreign: Memo,
    replay: Replay,
}

impl<'p> Replayer<'p> {
    /// For decisions of one set, under another. Decisions of further sets are replayed as far as
    /// their records answer the draft by themselves, unless those sets are told too.
    pub fn new(old: &'p Policies, new: &'p Policies) -> Self {
        let (eras, foreign) = (Eras::default(), Memo::default());
        Self { new, old: Era::given(old, new), eras, foreign, replay: Replay::default() }
    }

    /// Whether decisions of that set are replayed from what it said.
    pub fn knows(&self, set: Digest) -> bool {
        self.old.policies().digest() == set || self.eras.has(set)
    }

    /// Whether any condition of the draft looks at what no record says by itself. Where none does,
    /// nothing has to be recalled.
    pub fn looks_beyond_records(&self) -> bool {
        self.new.entries().any(again::looks_beyond_records)
    }

    /// Takes a further set in, under which recorded decisions were made. Of [`ERAS_MAX`] such sets
    /// the one makes room whose decisions are the longest ago.
    pub fn enter(&mut self, policies: Arc<Policies>) {
        if self.old.policies().digest() != policies.digest() {
            self.eras.enter(policies, self.new);
        }
    }

    /// Takes the next decision in.
    pub fn take(&mut self, recorded: &RecordedDecision<'_>, around: &dyn Surroundings) {
        let set = recorded.decided.policies;
        let era = match self.old.policies().digest() == set {
            true => Some(&mut self.old),
            false => self.eras.of(set),
        };
        let verdict = match era {
            Some(era) => era.verdict(self.new, recorded, around),
            None => match self.foreign.find(recorded.decided, false) {
                Some(known) => known,
                None => {
                    let Weighed { verdict, timeless } =
                        weigh::weigh(&self.old, self.new, false, recorded, around);
                    if timeless {
                        self.foreign.keep(recorded.decided, false, verdict.clone());
                    }
                    verdict
                }
            },
        };
        self.replay.take(recorded, verdict);
    }

    /// Decides a recorded permit again, by itself: nothing of it is counted here. What is set aside
    /// of its holder gives them nothing. Obligations are not compared.
    pub fn redecide(
        &mut self,
        recorded: &RecordedDecision<'_>,
        around: &dyn Surroundings,
        of: &OfHolder<'_>,
    ) -> Redecided {
        let set = recorded.decided.policies;
        let (era, ours) = match self.old.policies().digest() == set {
            true => (&self.old, true),
            false => match self.eras.of(set) {
                Some(era) => (&*era, true),
                None => (&self.old, false),
            },
        };
        redecide::redecide((era, self.new, ours), recorded, around, of)
    }

    /// The set of that digest, where decisions of it are replayed from what it said.
    pub fn set(&mut self, set: Digest) -> Option<&Policies> {
        match self.old.policies().digest() == set {
            true => Some(self.old.policies()),
            false => self.eras.of(set).map(|era| era.policies()),
        }
    }

    /// What surrounds decisions has changed: from now on everything is looked up again.
    pub fn surroundings_changed(&mut self) {
        (self.old.memo, self.foreign) = (Memo::default(), Memo::default());
        self.eras.forget_verdicts();
    }

    /// What the draft would have said.
    pub fn finish(self) -> Replay {
        self.replay
    }
}

impl Era<'_> {
    fn verdict(
        &mut self,
        new: &Policies,
        recorded: &RecordedDecision<'_>,
        around: &dyn Surroundings,
    ) -> Verdict {
        if let Some(known) = self.memo.find(recorded.decided, true) {
            return known;
        }
        let Weighed { verdict, timeless } = weigh::weigh(self, new, true, recorded, around);
        if timeless {
            self.memo.keep(recorded.decided, true, verdict.clone());
        }
        verdict
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
