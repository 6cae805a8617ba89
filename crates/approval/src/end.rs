//! What time and others do to a request.

use std::sync::Arc;

use safeconduct_model::{IdentityId, Timestamp};
use thiserror::Error;

use crate::{AccessRequest, Change, Event, REASON_BYTES_MAX, State};

/// Why a request cannot be taken back: the fault of who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RevokeError {
    /// Nothing is left to take back.
    #[error("the request is {} and cannot be taken back", .0.as_str())]
    Final(State),
    /// Too many words.
    #[error("the reason is longer than {REASON_BYTES_MAX} bytes")]
    Reason,
}

impl AccessRequest {
    /// What is due at that time, if anything: its expiry, or its escalation.
    pub fn due(&self, at: Timestamp) -> Option<Change> {
        match self.standing(at) {
            State::Expired if !self.state().is_final() => Some(self.change(at, Event::Expired)),
            State::Pending if self.escalation_due(at) => Some(self.change(at, Event::Escalated)),
            _ => None,
        }
    }

    /// When something is due next: the time at which to ask [`AccessRequest::due`] again.
    pub fn due_at(&self) -> Option<Timestamp> {
        let opened = self.opened();
        match self.state() {
            State::Pending => {
                let escalation = opened.terms.approvers.escalation();
                let escalates = escalation.map(|to| opened.at.plus_ms(to.after_ms));
                let ahead = escalates.filter(|_| !self.escalation_happened());
                Some(ahead.map_or(opened.answer_by, |at| at.min(opened.answer_by)))
            }
            State::Approved => self.grant().map(|grant| grant.until),
            _ => None,
        }
    }

    /// Takes it back, before or after its approval. Whether they may is the caller's to see:
    /// those who may answer, operators, who asked, and the end of the task.
    ///
    /// # Errors
    /// [`RevokeError`] where nothing is left to take back.
    pub fn revoke(
        &self,
        by: Option<IdentityId>,
        reason: Arc<str>,
        at: Timestamp,
    ) -> Result<Change, RevokeError> {
        let state = self.standing(at);
        if state.is_final() {
            return Err(RevokeError::Final(state));
        }
        if reason.len() > REASON_BYTES_MAX {
            return Err(RevokeError::Reason);
        }
        Ok(self.change(at, Event::Revoked { by, reason }))
    }
}
