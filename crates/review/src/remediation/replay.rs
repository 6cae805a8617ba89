//! What the decisions that came of a right come to under the policies that are in force now, and
//! what that proves of its end, together with the probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Decision, Digest, PolicyId, RecordId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Probe, RemediationPlan, RemediationStepError};
use crate::Effect;

/// Most records of one sort that a replay names; it counts all of them.
pub const REPLAY_SAMPLES_MAX: usize = 5;

/// Most policies that a replay names by which decisions are still permitted.
pub const REPLAY_POLICIES_MAX: usize = 8;

/// Most reasons for which decisions could not be replayed that a replay counts apart.
const REASONS_MAX: usize = 16;

/// What became of a recorded permit of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CameTo {
    /// It is denied now, because the right is gone.
    Denied,
    /// It is denied now, by something that has nothing to do with the right.
    DeniedOtherwise,
    /// A policy fails over it. That denies, and proves nothing.
    Error,
    /// It is permitted by what is left of the right: of what shrinks that is as it should be.
    Kept,
    /// What is left of the right permits it, and something else denies it.
    KeptDenied,
    /// The record does not say enough.
    NotReplayable,
    /// It is permitted by something else.
    StillPermitted,
}

impl CameTo {
    /// Every one, in the order of their words.
    pub const ALL: [Self; 7] = [
        Self::Denied,
        Self::DeniedOtherwise,
        Self::Error,
        Self::Kept,
        Self::KeptDenied,
        Self::NotReplayable,
        Self::StillPermitted,
    ];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::DeniedOtherwise => "denied_otherwise",
            Self::Error => "error",
            Self::Kept => "kept",
            Self::KeptDenied => "kept_denied",
            Self::NotReplayable => "not_replayable",
            Self::StillPermitted => "still_permitted",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// The permits that came of a right within a window, decided again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightReplay {
    /// The policy set under which they were decided again.
    pub policies: Digest,
    /// When the window begins.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Whether there were more, which were not looked at: those that were are the newest.
    pub more: bool,
    /// How many came to what. What is not there is none.
    pub counts: BTreeMap<CameTo, u64>,
    /// By which policies they are still permitted, and how many by each: the first that were
    /// found, at most [`REPLAY_POLICIES_MAX`].
    pub by: Vec<(PolicyId, u64)>,
    /// Why some could not be replayed, and how many each time.
    pub why: BTreeMap<Arc<str>, u64>,
    /// The records of the first of each sort: at most [`REPLAY_SAMPLES_MAX`] of each.
    pub samples: Vec<(CameTo, RecordId)>,
}

impl RightReplay {
    /// With nothing in it yet.
    pub const fn new(policies: Digest, since: Timestamp, until: Timestamp) -> Self {
        Self {
            policies,
            since,
            until,
            more: false,
            counts: BTreeMap::new(),
            by: Vec::new(),
            why: BTreeMap::new(),
            samples: Vec::new(),
        }
    }

    /// Counts one decision.
    pub fn take(&mut self, record: &RecordId, came_to: CameTo) {
        *self.counts.entry(came_to).or_default() += 1;
        let named = self.samples.iter().filter(|(sort, _)| *sort == came_to).count();
        if named < REPLAY_SAMPLES_MAX {
            self.samples.push((came_to, record.clone()));
        }
    }

    /// Counts one that is permitted by something else.
    pub fn take_permitted(&mut self, record: &RecordId, by: &[PolicyId]) {
        self.take(record, CameTo::StillPermitted);
        for policy in by {
            if let Some((_, count)) = self.by.iter_mut().find(|(known, _)| known == policy) {
                *count += 1;
            } else if self.by.len() < REPLAY_POLICIES_MAX {
                self.by.push((policy.clone(), 1));
            }
        }
    }

    /// Counts one that cannot be replayed, and why.
    pub fn take_unknown(&mut self, record: &RecordId, why: &str) {
        self.take(record, CameTo::NotReplayable);
        let known = self.why.contains_key(why) || self.why.len() + 1 < REASONS_MAX;
        let why = if known { why } else { "other" };
        *self.why.entry(why.into()).or_default() += 1;
    }

    /// How many came to that.
    pub fn count(&self, of: CameTo) -> u64 {
        self.counts.get(&of).copied().unwrap_or_default()
    }

    /// How many there were: what they came to adds up to it.
    pub fn decisions(&self) -> u64 {
        self.counts.values().copied().fold(0, u64::saturating_add)
    }
}

/// By which of the two it was proved that a right is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProvedBy {
    /// It was asked for, and denied because it is gone. No recorded decision shows it.
    Probe,
    /// What came of it is denied now, because it is gone. It was not asked for.
    Replay,
    /// Both.
    ProbeAndReplay,
}

impl ProvedBy {
    const ALL: [Self; 3] = [Self::Probe, Self::Replay, Self::ProbeAndReplay];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Replay => "replay",
            Self::ProbeAndReplay => "probe_and_replay",
        }
    }
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The right is gone, and by what that was proved.
    Proved(ProvedBy),
    /// The right is gone; what it gave, others give.
    StillPermitted(Vec<PolicyId>),
    /// The right is not gone, or what is used is.
    Failed(&'static str),
    /// Nothing of it says anything of the right.
    Nothing,
}

impl RemediationPlan {
    /// What probes and recorded decisions say together.
    ///
    /// INVARIANT: a right is proved gone by a Deny that comes of that, and by nothing else.
    pub fn verdict(&self, probes: &[Probe], replay: Option<&RightReplay>) -> Verdict {
        let count = |of| replay.map_or(0, |replay| replay.count(of));
        let is_about = |probe: &Probe| {
            probe.wanted == Decision::Deny && self.right.is_about(&probe.action, &probe.resource)
        };
        if self.effect != Effect::Reduce && count(CameTo::Kept) > 0 {
            return Verdict::Failed("the right itself still permits what was decided by it");
        }
        if count(CameTo::KeptDenied) > 0 {
            return Verdict::Failed(
                "what is left of the right permits it, and something denies it",
            );
        }
        let others = || {
            let by = replay.into_iter().flat_map(|replay| &replay.by);
            Verdict::StillPermitted(by.map(|(policy, _)| policy.clone()).collect())
        };
        let still = count(CameTo::StillPermitted) > 0;
        let covered = |probe: &Probe| {
            is_about(probe) && !probe.reasons.iter().any(|code| &**code == "observed_only")
        };
        let mut missed = probes.iter().filter(|probe| !probe.holds()).peekable();
        if missed.peek().is_some() {
            return match still && missed.all(covered) {
                true => others(),
                false => Verdict::Failed("a probe was not answered as it should be"),
            };
        }
        if still {
            return others();
        }
        match (probes.iter().any(is_about), count(CameTo::Denied) > 0) {
            (true, true) => Verdict::Proved(ProvedBy::ProbeAndReplay),
            (true, false) => Verdict::Proved(ProvedBy::Probe),
            (false, true) => Verdict::Proved(ProvedBy::Replay),
            (false, false) => Verdict::Nothing,
        }
    }
}

/// A replay as its record has it; fields in the order of their names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by: Vec<ByForm>,
    counts: BTreeMap<String, u64>,
    decisions: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    policies: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    samples: BTreeMap<String, Vec<String>>,
    since: i64,
    until: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    why: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByForm {
    decisions: u64,
    policy: String,
}

impl ReplayForm {
    pub(super) fn of(replay: &RightReplay) -> Self {
        let mut samples = BTreeMap::<String, Vec<String>>::new();
        for (sort, record) in &replay.samples {
            samples.entry(sort.as_str().to_owned()).or_default().push(record.to_string());
        }
        let by = replay.by.iter();
        let counts = replay.counts.iter();
        Self {
            by: by
                .map(|(policy, decisions)| ByForm {
                    decisions: *decisions,
                    policy: policy.to_string(),
                })
                .collect(),
            counts: counts.map(|(sort, count)| (sort.as_str().to_owned(), *count)).collect(),
            decisions: replay.decisions(),
            more: replay.more,
            policies: replay.policies.to_string(),
            samples,
            since: replay.since.as_millis(),
            until: replay.until.as_millis(),
            why: replay.why.iter().map(|(why, count)| (why.to_string(), *count)).collect(),
        }
    }

    /// INVARIANT: its counts add up.
    pub(super) fn read(self) -> Result<RightReplay, RemediationStepError> {
        let no = || RemediationStepError::Member("replay");
        let sort = |word: &str| CameTo::parse(word).ok_or_else(no);
        let policies = Digest::parse(&self.policies).ok_or_else(no)?;
        let (since, until) =
            (Timestamp::from_millis(self.since), Timestamp::from_millis(self.until));
        let mut replay =
            RightReplay { more: self.more, ..RightReplay::new(policies, since, until) };
        for (word, count) in &self.counts {
            replay.counts.insert(sort(word)?, *count);
        }
        for one in self.by {
            replay.by.push((PolicyId::new(one.policy).map_err(|_| no())?, one.decisions));
        }
        for (word, records) in self.samples {
            for record in records {
                replay.samples.push((sort(&word)?, RecordId::new(record).map_err(|_| no())?));
            }
        }
        replay.why = self.why.into_iter().map(|(why, count)| (why.into(), count)).collect();
        match replay.decisions() == self.decisions {
            true => Ok(replay),
            false => Err(no()),
        }
    }
}

pub(super) fn proved_by(word: Option<String>) -> Result<Option<ProvedBy>, RemediationStepError> {
    let Some(word) = word else { return Ok(None) };
    let found = ProvedBy::ALL.into_iter().find(|one| one.as_str() == word);
    found.map(Some).ok_or(RemediationStepError::Member("proved_by"))
}
