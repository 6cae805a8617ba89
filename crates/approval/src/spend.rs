//! Using what was approved.

use safeconduct_model::{RecordId, Timestamp};
use thiserror::Error;

use crate::{AccessRequest, Attempt, Change, Event, Mismatch, State};

/// Why nothing is used: the agent's fault, or nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpendError {
    /// Nobody, or not everybody, has answered yet.
    #[error("the request has not been approved yet")]
    Pending,
    /// An approver said no.
    #[error("the request was refused")]
    Refused,
    /// It came too late.
    #[error("the request or its approval has expired: ask again")]
    Expired,
    /// It was used already.
    #[error("the approval was used already: ask again")]
    Spent,
    /// It was taken back.
    #[error("the request or its approval was taken back")]
    Revoked,
    /// Something else was approved.
    #[error("this is not what was approved: the {} differ", .0.as_str())]
    Other(Mismatch),
}

impl AccessRequest {
    /// Whether what is tried may use the approval: what a decision that may yet be a Deny asks.
    ///
    /// # Errors
    /// [`SpendError`] says why not.
    pub fn covers(&self, attempt: &Attempt<'_>, at: Timestamp) -> Result<(), SpendError> {
        match (self.standing(at), self.scope()) {
            (State::Approved, Some(scope)) => {
                scope.admits(&self.opened().binding, attempt).map_err(SpendError::Other)
            }
            (State::Pending | State::Approved, _) => Err(SpendError::Pending),
            (State::Refused, _) => Err(SpendError::Refused),
            (State::Expired, _) => Err(SpendError::Expired),
            (State::Spent, _) => Err(SpendError::Spent),
            (State::Revoked, _) => Err(SpendError::Revoked),
        }
    }

    /// Uses the approval once, for this decision. The change belongs into the same append as the
    /// decision's record: if one is refused, so is the other.
    ///
    /// # Errors
    /// [`SpendError`] says why not.
    pub fn spend(
        &self,
        attempt: &Attempt<'_>,
        decision: RecordId,
        at: Timestamp,
    ) -> Result<Change, SpendError> {
        self.covers(attempt, at)?;
        Ok(self.change(at, Event::Spent { decision }))
    }
}
