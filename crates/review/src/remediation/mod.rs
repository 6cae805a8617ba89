//! A right that is taken away, in stages: a fold of its steps.
//!
//! ```text
//!             ┌───────── restored ◀───────────┐
//!             │              ▲                │
//! scheduled ──┴─▶ quarantined ┴─▶ applied ──▶ verified ──▶ rolled back
//!      └──────────── reduce ────────▲  │  ▲
//!                     conflict ─────┘  ├▶ failed
//!                                      └▶ still permitted
//! ```
//!
//! Whatever is set aside can be restored by one step. A conflict overwrites nothing: what was set
//! aside stays so until somebody applies again, or restores.

mod replay;
mod right;
mod step;

use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, IdentityStatus, PolicyId, RecordId, Timestamp};
use thiserror::Error;

use crate::Effect;

pub use replay::{CameTo, ProvedBy, REPLAY_POLICIES_MAX, REPLAY_SAMPLES_MAX, RightReplay, Verdict};
pub use right::*;
pub use step::*;

/// How long denials of a right are watched after it was taken away, in milliseconds: 30 days.
pub const WATCH_MS: i64 = 30 * 86_400_000;

/// How many denials of a right that was taken away say that it was needed.
pub const NEEDED_AFTER: u64 = 3;

/// The longest notice before a right is set aside, in milliseconds: 366 days.
pub const NOTICE_MS_MAX: i64 = 366 * 86_400_000;

/// Most bytes of a reason in a person's words.
pub const REMEDIATION_REASON_BYTES_MAX: usize = 1024;

/// Most probes of one verification.
pub const PROBES_MAX: usize = 32;

/// One right that is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remediation {
    /// Its id.
    pub id: RecordId,
    /// What was planned.
    pub plan: RemediationPlan,
    /// When.
    pub scheduled_at: Timestamp,
    /// Who wanted it; nobody where a rule did.
    pub scheduled_by: Option<IdentityId>,
    /// How far it has come.
    pub state: RemediationState,
    /// Whether the right is set aside: it counts for nothing, and can be restored.
    pub set_aside: bool,
    /// The change of the policies that is under way for it, or by which it was applied.
    pub proposal: Option<RecordId>,
    /// What the status was of an identity that is set aside whole, before that.
    pub status_before: Option<IdentityStatus>,
    /// When it was set aside.
    pub quarantined_at: Option<Timestamp>,
    /// When the right was taken away.
    pub applied_at: Option<Timestamp>,
    /// What existed only by the right, and was ended with it.
    pub ended: Ended,
    /// What the last verification found.
    pub probes: Vec<Probe>,
    /// What recorded decisions came to in it; nothing where none were looked at.
    pub replay: Option<Box<RightReplay>>,
    /// By what it proved that the right is gone.
    pub proved_by: Option<ProvedBy>,
    /// When denials first showed that it was needed.
    pub needed_at: Option<Timestamp>,
    /// What went wrong last, or why it was restored or rolled back.
    pub note: Option<Arc<str>>,
    /// How many steps there were.
    pub steps: u64,
}

/// What is to be taken away, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemediationPlan {
    /// Whose right.
    pub holder: IdentityId,
    /// Which: [`crate::Grant::id`]; for a whole identity the digest of its name.
    pub grant: Digest,
    /// What gives it.
    pub right: RightTaken,
    /// What is to become of it: never `keep`.
    pub effect: Effect,
    /// Not before that: until then its people have notice.
    pub not_before: Timestamp,
    /// What led to it: a campaign, a finding.
    pub cause: Option<Arc<str>>,
    /// Why, in words.
    pub reason: Arc<str>,
}

/// How far a remediation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemediationState {
    /// People have notice.
    Scheduled,
    /// The right is denied; one step restores it.
    Quarantined,
    /// The right is gone.
    Applied,
    /// And the enforcement point says so, or the decisions that came of it.
    Verified,
    /// The right is gone, and others give the same: what it permitted is permitted still.
    StillPermitted,
    /// It was given back before it was gone, or never taken.
    Restored,
    /// It was given back after it was gone.
    RolledBack,
    /// It could not be taken away, or the probe was not denied.
    Failed,
    /// The policies have changed meanwhile: nothing was overwritten.
    Conflict,
}

impl RemediationState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Quarantined,
        Self::Applied,
        Self::Verified,
        Self::StillPermitted,
        Self::Restored,
        Self::RolledBack,
        Self::Failed,
        Self::Conflict,
    ];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Quarantined => "quarantined",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::StillPermitted => "still_permitted",
            Self::Restored => "restored",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether something is still to be done about it: what is verified is done, though it can be
    /// rolled back, and so is what others give, since each of these is a right of its own.
    pub const fn is_open(self) -> bool {
        !self.is_final() && !matches!(self, Self::Verified | Self::StillPermitted)
    }

    /// Whether nothing more happens to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Restored | Self::RolledBack)
    }
}

/// Why a step cannot be taken: the caller is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemediationError {
    /// Not in this state.
    #[error("the remediation is {}, and {what} is not possible then", state.as_str())]
    NotNow {
        /// What was wanted.
        what: &'static str,
        /// How far it is.
        state: RemediationState,
    },
    /// Its time has not come, and nobody asked for it.
    #[error("its people have notice until then")]
    Notice,
    /// What was ended is not restored by us.
    #[error("a {0} that was ended does not come back: it is given anew by whoever gave it")]
    Ended(&'static str),
    /// It is suspended, and not taken away.
    #[error("it is suspended until somebody restores it, and is not taken away")]
    Suspended,
    /// A plan that does nothing, or that cannot be.
    #[error("{0}")]
    Plan(&'static str),
    /// A verification without a probe, or with too many.
    #[error("a verification has 1 to {PROBES_MAX} probes")]
    Probes,
    /// A verification that asks for something else alone.
    #[error(
        "a verification asks at least once for what was taken away, and wants a Deny: {}",
        .0.questions()
    )]
    Beside(Box<RightTaken>),
    /// A verification of which nothing shows that the right is gone.
    #[error(
        "nothing shows that the right is gone: none of {decisions} recorded decisions is denied \
         for want of it; ask for it: {}",
        right.questions()
    )]
    NoEvidence {
        /// How many decisions that came of the right were decided again.
        decisions: u64,
        /// The right.
        right: Box<RightTaken>,
    },
    /// A verification that says that it proves something else than it does.
    #[error("what a verification proves follows from its probes and from recorded decisions")]
    Proof,
    /// No reason, or too long a one.
    #[error("a reason has 1 to {REMEDIATION_REASON_BYTES_MAX} bytes")]
    Reason,
}

impl RemediationPlan {
    /// Whether it is one that can be carried out, planned at that time.
    ///
    /// # Errors
    /// [`RemediationError`] says what does not fit.
    pub fn check(&self, at: Timestamp) -> Result<(), RemediationError> {
        reason(&self.reason)?;
        if self.effect == Effect::Keep {
            return Err(RemediationError::Plan("what is kept needs no remediation"));
        }
        if self.effect == Effect::Reduce && !matches!(self.right, RightTaken::Statement { .. }) {
            return Err(RemediationError::Plan("only a statement of the policies can be reduced"));
        }
        if self.effect == Effect::Suspend && self.right.is_ended() {
            return Err(RemediationError::Plan("a delegation or a lease can only be ended"));
        }
        if at.plus_ms(NOTICE_MS_MAX) < self.not_before {
            return Err(RemediationError::Plan("a notice lasts at most 366 days"));
        }
        Ok(())
    }
}

fn reason(text: &str) -> Result<(), RemediationError> {
    match (1..=REMEDIATION_REASON_BYTES_MAX).contains(&text.len()) {
        true => Ok(()),
        false => Err(RemediationError::Reason),
    }
}

impl Remediation {
    /// A remediation that was just planned.
    pub fn scheduled(
        id: RecordId,
        plan: RemediationPlan,
        by: Option<IdentityId>,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            plan,
            scheduled_at: at,
            scheduled_by: by,
            state: RemediationState::Scheduled,
            set_aside: false,
            proposal: None,
            status_before: None,
            quarantined_at: None,
            applied_at: None,
            ended: Ended::default(),
            probes: Vec::new(),
            replay: None,
            proved_by: None,
            needed_at: None,
            note: None,
            steps: 1,
        }
    }

    /// Whether it is to be set aside now, without anybody asking. What shrinks waits for the
    /// smaller text: setting it aside would deny what is used.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == RemediationState::Scheduled
            && self.plan.effect != Effect::Reduce
            && now >= self.plan.not_before
    }

    /// Whether denials of the right are watched.
    pub fn is_watched(&self, now: Timestamp) -> bool {
        use RemediationState::{Applied, Quarantined, StillPermitted, Verified};
        let since = self.applied_at.or(self.quarantined_at);
        matches!(self.state, Quarantined | Applied | Verified | StillPermitted)
            && self.needed_at.is_none()
            && since.is_some_and(|since| now < since.plus_ms(WATCH_MS))
    }

    /// Whether a step can be taken now. Who asks is the caller's to see.
    ///
    /// # Errors
    /// [`RemediationError`] says why not.
    pub fn check(&self, step: &RemediationStep, at: Timestamp) -> Result<(), RemediationError> {
        use RemediationState::{
            Applied, Conflict, Failed, Quarantined, Scheduled, StillPermitted, Verified,
        };
        let ended = self.plan.right.is_ended();
        let possible = match step {
            RemediationStep::Scheduled { plan } => {
                plan.check(at)?;
                false
            }
            RemediationStep::Quarantined { asked, .. } => {
                if self.state == Scheduled && !asked && at < self.plan.not_before {
                    return Err(RemediationError::Notice);
                }
                self.state == Scheduled
            }
            RemediationStep::Restored { reason: text } => {
                reason(text)?;
                if ended && self.state != Scheduled {
                    return Err(RemediationError::Ended(self.plan.right.as_str()));
                }
                self.set_aside || matches!(self.state, Scheduled | Conflict)
            }
            RemediationStep::Proposed { .. } | RemediationStep::Withdrawn { .. } => {
                self.must_go()?;
                self.can_apply()
            }
            RemediationStep::Applied { .. } => {
                self.must_go()?;
                self.can_apply()
            }
            // While the change is being put in force, or after something was set aside or taken.
            RemediationStep::Ended(_) => {
                !self.state.is_final()
                    && (self.proposal.is_some()
                        || matches!(
                            self.state,
                            Quarantined | Applied | Verified | StillPermitted | Failed
                        ))
            }
            RemediationStep::Conflict { .. } => self.can_apply() && self.proposal.is_some(),
            RemediationStep::Failed { .. } => {
                matches!(self.state, Quarantined | Applied | Verified | StillPermitted)
            }
            RemediationStep::Verified { probes, replay, proved_by } => {
                self.check_proof(probes, replay.as_deref(), *proved_by)?;
                self.can_verify()
            }
            RemediationStep::RolledBack { reason: text } => {
                reason(text)?;
                if ended {
                    return Err(RemediationError::Ended(self.plan.right.as_str()));
                }
                self.applied_at.is_some()
                    && matches!(self.state, Applied | Verified | StillPermitted | Failed)
            }
            RemediationStep::Needed { .. } => self.is_watched(at),
        };
        let what = step.wanted();
        if possible { Ok(()) } else { Err(RemediationError::NotNow { what, state: self.state }) }
    }

    /// Whether it can be verified now.
    ///
    /// # Errors
    /// [`RemediationError::NotNow`].
    pub fn check_verifiable(&self) -> Result<(), RemediationError> {
        let not = RemediationError::NotNow { what: "a verification", state: self.state };
        if self.can_verify() { Ok(()) } else { Err(not) }
    }

    fn can_verify(&self) -> bool {
        use RemediationState::{Applied, Failed, Quarantined, StillPermitted, Verified};
        let gone = matches!(self.state, Applied | Verified | StillPermitted | Failed);
        let suspended = self.plan.effect == Effect::Suspend && self.state == Quarantined;
        (gone && (self.applied_at.is_some() || self.set_aside)) || suspended
    }

    /// INVARIANT: nothing is proved by answers about other rights, nor by nothing at all.
    fn check_proof(
        &self,
        probes: &[Probe],
        replay: Option<&RightReplay>,
        proved_by: Option<ProvedBy>,
    ) -> Result<(), RemediationError> {
        let least = usize::from(replay.is_none());
        if !(least..=PROBES_MAX).contains(&probes.len()) {
            return Err(RemediationError::Probes);
        }
        let right = || Box::new(self.plan.right.clone());
        let proves = match (self.plan.verdict(probes, replay), replay) {
            (Verdict::Nothing, None) => return Err(RemediationError::Beside(right())),
            (Verdict::Nothing, Some(replay)) => {
                let decisions = replay.decisions();
                return Err(RemediationError::NoEvidence { decisions, right: right() });
            }
            (Verdict::Proved(by), _) => Some(by),
            (Verdict::StillPermitted(_) | Verdict::Failed(_), _) => None,
        };
        if proves == proved_by { Ok(()) } else { Err(RemediationError::Proof) }
    }

    fn must_go(&self) -> Result<(), RemediationError> {
        match self.plan.effect {
            Effect::Suspend | Effect::Keep => Err(RemediationError::Suspended),
            Effect::Reduce | Effect::Revoke => Ok(()),
        }
    }

    const fn can_apply(&self) -> bool {
        use RemediationState::{Conflict, Failed, Quarantined, Scheduled};
        let reduces = matches!(self.plan.effect, Effect::Reduce);
        matches!(self.state, Quarantined | Conflict)
            || (matches!(self.state, Failed) && self.applied_at.is_none())
            || (matches!(self.state, Scheduled) && reduces)
    }

    /// Takes a step in that was checked and recorded.
    pub fn apply(&mut self, step: &RemediationStep, at: Timestamp) {
        use RemediationState as State;
        self.steps += 1;
        match step {
            RemediationStep::Scheduled { .. } => {}
            RemediationStep::Quarantined { before, .. } => {
                self.status_before = *before;
                // What is ended is gone with that, and nothing is left to set aside.
                self.set_aside = !self.plan.right.is_ended();
                self.quarantined_at = Some(at);
                self.state = State::Quarantined;
            }
            RemediationStep::Restored { reason } => {
                self.set_aside = false;
                self.note = Some(Arc::clone(reason));
                self.state = State::Restored;
            }
            RemediationStep::Proposed { proposal } => {
                self.proposal = Some(proposal.clone());
                self.state = if self.set_aside { State::Quarantined } else { State::Scheduled };
            }
            RemediationStep::Withdrawn { why } => {
                self.proposal = None;
                self.note = Some(Arc::clone(why));
            }
            RemediationStep::Ended(more) => self.ended = self.ended.and(*more),
            RemediationStep::Applied { before, .. } => {
                // Whoever stopped them since has the last word.
                self.status_before = before.or(self.status_before);
                self.set_aside = false;
                self.applied_at = Some(at);
                self.state = State::Applied;
            }
            RemediationStep::Conflict { problem } => {
                self.proposal = None;
                self.note = Some(Arc::clone(problem));
                self.state = State::Conflict;
            }
            RemediationStep::Failed { problem } => {
                self.note = Some(Arc::clone(problem));
                self.state = State::Failed;
            }
            RemediationStep::Verified { probes, replay, proved_by } => {
                let verdict = self.plan.verdict(probes, replay.as_deref());
                (self.state, self.note) = match verdict {
                    _ if step.is_proof() => (State::Verified, None),
                    Verdict::StillPermitted(by) => (State::StillPermitted, Some(permitted_by(&by))),
                    Verdict::Failed(why) => (State::Failed, Some(why.into())),
                    Verdict::Proved(_) | Verdict::Nothing => {
                        (State::Failed, Some("nothing shows that the right is gone".into()))
                    }
                };
                self.probes.clone_from(probes);
                (self.replay, self.proved_by) = (replay.clone(), *proved_by);
            }
            RemediationStep::RolledBack { reason } => {
                self.note = Some(Arc::clone(reason));
                self.set_aside = false;
                self.state = State::RolledBack;
            }
            RemediationStep::Needed { .. } => self.needed_at = Some(at),
        }
    }
}

/// still permitted by `a`, `b`
fn permitted_by(policies: &[PolicyId]) -> Arc<str> {
    match policies {
        [] => "still permitted by what nobody names".into(),
        policies => {
            let named: Vec<_> = policies.iter().map(|policy| format!("`{policy}`")).collect();
            format!("still permitted by {}", named.join(", ")).into()
        }
    }
}

#[cfg(test)]
mod tests;
