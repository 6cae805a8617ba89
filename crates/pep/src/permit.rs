//! The permit.

use safeconduct_model::{Authentication, Decision, Obligation, Reason, RecordId, Timestamp};
use safeconduct_service::{Recorded, Ruling, Service};
use thiserror::Error;

/// The right to perform one action once. Its fields are private, and only this crate makes one,
/// from a recorded decision that goes ahead.
#[derive(Debug)]
#[must_use = "a permit that is dropped leaves its outcome unknown"]
pub struct Permit<T> {
    cargo: T,
    decision: RecordId,
    obligations: Vec<Obligation>,
    answer: Decision,
    reasons: Vec<Reason>,
    authentication: Authentication,
    expires_at: Timestamp,
}

/// Why a permit no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lapsed {
    /// It was not performed in time.
    #[error("the permit has expired")]
    Expired,
    /// The credential was revoked, its identity may no longer act, or its task has ended.
    #[error("the credential no longer stands, or its task has ended")]
    Revoked,
}

impl<T> Permit<T> {
    // INVARIANT: `recorded` goes ahead and was decided from `cargo`'s own question.
    pub(crate) fn new(cargo: T, recorded: Recorded<Ruling>) -> Self {
        let ruling = recorded.into_value();
        Self {
            cargo,
            obligations: ruling.outcome.for_enforcement().cloned().collect(),
            decision: ruling.outcome.record.id,
            answer: ruling.outcome.decision,
            reasons: ruling.outcome.reasons,
            authentication: ruling.request.subject.authentication().clone(),
            expires_at: ruling.expires_at,
        }
    }

    /// The decision that it rests on.
    pub const fn decision(&self) -> &RecordId {
        &self.decision
    }

    /// What must be done for it to hold.
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// What was decided: a Deny where that is only observed.
    pub const fn answer(&self) -> Decision {
        self.answer
    }

    /// Why, so that nobody who counts or logs works it out again.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// Uses it up, where it still holds.
    pub(crate) fn redeem(self, service: &Service) -> Result<Redeemed<T>, (Lapsed, RecordId)> {
        let now = service.now();
        if now >= self.expires_at {
            return Err((Lapsed::Expired, self.decision));
        }
        if !service.stands(&self.authentication, now) {
            return Err((Lapsed::Revoked, self.decision));
        }
        let Self { cargo, decision, obligations, .. } = self;
        Ok(Redeemed { cargo, decision, obligations })
    }
}

/// A permit that was used up: perform its cargo now, and report what happened.
#[derive(Debug)]
pub struct Redeemed<T> {
    cargo: T,
    decision: RecordId,
    obligations: Vec<Obligation>,
}

impl<T> Redeemed<T> {
    /// The decision that it rests on.
    pub const fn decision(&self) -> &RecordId {
        &self.decision
    }

    /// What must be done for it to hold.
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// What was decided.
    pub const fn cargo(&self) -> &T {
        &self.cargo
    }

    /// What was decided, and the decision's id and obligations.
    pub fn into_parts(self) -> (T, RecordId, Vec<Obligation>) {
        (self.cargo, self.decision, self.obligations)
    }
}
