//! The terms on which a request is answered: those of the policy, with what the tier adds.

use safeconduct_model::{Assurance, Requestable, Tier, Timestamp};
use thiserror::Error;

pub use safeconduct_model::{Deputies, Standing};

use crate::{Approvers, ApproversError};

/// Most approvals that a stage may need.
pub const QUORUM_MAX: u32 = 10;

/// Longest life of an approval, in seconds: seven days.
pub const TTL_S_MAX: u32 = 7 * 24 * 3600;

/// On which terms a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who may answer, in which order.
    pub approvers: Approvers,
    /// How many different people must approve in each stage; 1 to [`QUORUM_MAX`].
    pub quorum: u32,
    /// How long what is approved lasts, in seconds; 1 to [`TTL_S_MAX`].
    pub ttl_s: u32,
    /// How well an approver must have proved who they are.
    pub assurance: Assurance,
    /// Whether deputies may stand in.
    pub deputies: Deputies,
    /// Whether more than one single use may be approved.
    pub standing: Standing,
}

/// Why terms cannot be had: the policy author's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TermsError {
    /// Nobody is named who could answer.
    #[error(transparent)]
    Approvers(#[from] ApproversError),
    /// A number that cannot be met.
    #[error("the quorum is {0}, and must be between 1 and {QUORUM_MAX}")]
    Quorum(u32),
    /// An approval that nobody could use, or for too long.
    #[error("the approval lasts {0} seconds, and must last between 1 and {TTL_S_MAX}")]
    Ttl(u32),
}

impl Terms {
    /// The terms of a policy, for an action of no particular tier: any proof, deputies and
    /// standing approvals allowed. Whoever knows the tier narrows them.
    ///
    /// # Errors
    /// [`TermsError`] where the policy's words cannot be carried out.
    pub fn read(requestable: &Requestable) -> Result<Self, TermsError> {
        let terms = Self {
            approvers: Approvers::parse(&requestable.approvers)?,
            quorum: requestable.quorum,
            ttl_s: requestable.ttl_s,
            assurance: Assurance::Low,
            deputies: Deputies::Allowed,
            standing: Standing::Allowed,
        };
        terms.check().map(|()| terms)
    }

    /// These terms, as the tier of the action narrows them: from high on, approvers prove who they
    /// are as well as can be; what is critical, they answer in person and each use by itself.
    #[must_use]
    pub const fn of_tier(mut self, tier: Tier) -> Self {
        if matches!(tier, Tier::High | Tier::Critical) {
            self.assurance = Assurance::High;
        }
        if matches!(tier, Tier::Critical) {
            self.deputies = Deputies::Refused;
            self.standing = Standing::Refused;
        }
        self
    }

    /// Until when what is approved at that time lasts, at most.
    pub const fn lasts_until(&self, approved_at: Timestamp) -> Timestamp {
        approved_at.plus_ms(self.ttl_s as i64 * 1000)
    }

    /// Checks the numbers, which anyone can set.
    ///
    /// # Errors
    /// [`TermsError`] names the first that is out of bounds.
    pub(crate) fn check(&self) -> Result<(), TermsError> {
        if !(1..=QUORUM_MAX).contains(&self.quorum) {
            return Err(TermsError::Quorum(self.quorum));
        }
        if !(1..=TTL_S_MAX).contains(&self.ttl_s) {
            return Err(TermsError::Ttl(self.ttl_s));
        }
        Ok(())
    }
}
