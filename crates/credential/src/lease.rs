//! The life of a lease: what may follow what, how long it may last, and what is tried how often.
//!
//! ```text
//! Planned ──Issued──▶ Issued ──Revoke──▶ Revoking ──Proved──▶ Revoked
//!    └───────────Revoke──────────────────▶    └──────GaveUp──▶ Irrevocable
//! ```
//!
//! Every way to `Revoked` leads through `Revoking`, even for a lease that was perhaps never made:
//! nobody knows that nothing was made before somebody has looked.

use std::sync::Arc;

use safeconduct_model::{
    Lease, LeaseId, LeaseKind, LeaseState, TargetName, Task, TaskState, Timestamp,
};
use thiserror::Error;

/// Longest time that a lease may last before it must be renewed, in milliseconds: one day.
pub const TTL_MS_MAX: i64 = 24 * 3_600_000;

/// Most attempts of a [`Backoff`].
pub const ATTEMPTS_MAX: u32 = 1000;

/// What happens to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseEvent {
    /// The target says that it is made.
    Issued,
    /// It is to be taken back: its task ended, its time is over, or making it failed.
    Revoke,
    /// It was looked for at the target, and it is not there.
    Proved,
    /// It could not be taken back, and nothing more is tried.
    GaveUp,
}

impl LeaseEvent {
    /// Every event.
    pub const ALL: [Self; 4] = [Self::Issued, Self::Revoke, Self::Proved, Self::GaveUp];

    /// What happens, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "be issued",
            Self::Revoke => "be taken back",
            Self::Proved => "be proved gone",
            Self::GaveUp => "be given up",
        }
    }
}

/// Why an event cannot happen to a lease: our fault, or that of a ledger that was tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// Nothing more happens to it.
    #[error("a lease that is {} cannot {}", state.as_str(), event.as_str())]
    Final {
        /// Where it stands.
        state: LeaseState,
        /// What was to happen.
        event: LeaseEvent,
    },
    /// It is already so; a record of it would say nothing.
    #[error("a lease that is {} cannot {} again", state.as_str(), event.as_str())]
    Repeated {
        /// Where it stands.
        state: LeaseState,
        /// What was to happen.
        event: LeaseEvent,
    },
    /// It was taken back while it was being made: what was made must be removed.
    #[error("the lease was taken back while it was being made")]
    Overtaken,
    /// Something else comes first.
    #[error("a lease that is {} cannot {} yet", state.as_str(), event.as_str())]
    TooEarly {
        /// Where it stands.
        state: LeaseState,
        /// What was to happen.
        event: LeaseEvent,
    },
}

/// Where a lease stands after an event.
///
/// # Errors
/// [`TransitionError`]; the lease stands where it stood.
pub const fn advance(state: LeaseState, event: LeaseEvent) -> Result<LeaseState, TransitionError> {
    use {LeaseEvent as E, LeaseState as S};
    match (state, event) {
        (S::Planned, E::Issued) => Ok(S::Issued),
        (S::Planned | S::Issued, E::Revoke) => Ok(S::Revoking),
        (S::Revoking, E::Proved) => Ok(S::Revoked),
        (S::Revoking, E::GaveUp) => Ok(S::Irrevocable),
        (S::Revoked | S::Irrevocable, event) => Err(TransitionError::Final { state, event }),
        (S::Issued, E::Issued) | (S::Revoking, E::Revoke) => {
            Err(TransitionError::Repeated { state, event })
        }
        (S::Revoking, E::Issued) => Err(TransitionError::Overtaken),
        (S::Planned | S::Issued, E::Proved | E::GaveUp) => {
            Err(TransitionError::TooEarly { state, event })
        }
    }
}

/// How long the leases of a target last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// How long one lasts unless it is renewed, in milliseconds; at most [`TTL_MS_MAX`].
    pub ttl_ms: i64,
    /// How long it lasts at most, however often it is renewed, in milliseconds.
    pub ttl_max_ms: i64,
}

/// Why a lease is not planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The caller's fault: what has ended gets nothing.
    #[error("the task is {}", .0.as_str())]
    TaskEnded(TaskState),
    /// Its deadline has passed, whatever its state says.
    #[error("the task's deadline has passed")]
    Late,
    /// The configuration's fault.
    #[error("a lease lasts between 1 ms and {TTL_MS_MAX} ms, and never longer than its most")]
    Terms,
}

/// What is to be leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    /// Its id: nobody can guess it, and it never comes twice.
    pub id: LeaseId,
    /// Where it lets one act.
    pub target: TargetName,
    /// What it is.
    pub kind: LeaseKind,
    /// Its name at the target, which the issuer chose.
    pub name: Arc<str>,
}

/// A lease for a task: it ends with the task's deadline at the latest.
///
/// # Errors
/// [`PlanError`]; nothing is planned.
pub fn plan(
    new: NewLease,
    task: &Task,
    state: TaskState,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Lease, PlanError> {
    if !(1..=TTL_MS_MAX).contains(&terms.ttl_ms) || terms.ttl_max_ms < terms.ttl_ms {
        return Err(PlanError::Terms);
    }
    if state != TaskState::Active {
        return Err(PlanError::TaskEnded(state));
    }
    if now >= task.deadline {
        return Err(PlanError::Late);
    }
    let last_at = now.plus_ms(terms.ttl_max_ms).min(task.deadline);
    Ok(Lease {
        id: new.id,
        task: task.id.clone(),
        target: new.target,
        kind: new.kind,
        name: new.name,
        planned_at: now,
        expires_at: now.plus_ms(terms.ttl_ms).min(last_at),
        last_at,
    })
}

/// Why a lease is not renewed: it then ends when it was to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RenewalError {
    /// Only what exists is renewed.
    #[error("a lease that is {} is not renewed", .0.as_str())]
    NotIssued(LeaseState),
    /// It ends with its task.
    #[error("the task is {}", .0.as_str())]
    TaskEnded(TaskState),
    /// It has ended: a new one is needed.
    #[error("the lease has expired")]
    Expired,
    /// It cannot last longer than it does.
    #[error("the lease lasts as long as it may")]
    Spent,
}

/// Until when a lease lasts if it is renewed now: later than before, and never beyond its
/// `last_at`.
///
/// # Errors
/// [`RenewalError`]; nothing changes.
pub fn renewal(
    lease: &Lease,
    state: LeaseState,
    task: TaskState,
    terms: LeaseTerms,
    now: Timestamp,
) -> Result<Timestamp, RenewalError> {
    if state != LeaseState::Issued {
        return Err(RenewalError::NotIssued(state));
    }
    if task != TaskState::Active {
        return Err(RenewalError::TaskEnded(task));
    }
    if now >= lease.expires_at || now >= lease.last_at {
        return Err(RenewalError::Expired);
    }
    let until = now.plus_ms(terms.ttl_ms.clamp(1, TTL_MS_MAX)).min(lease.last_at);
    if until > lease.expires_at { Ok(until) } else { Err(RenewalError::Spent) }
}

/// What is to be done about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing more, ever.
    Nothing,
    /// Nothing until then; it is taken back at that time at the latest.
    Watch(Timestamp),
    /// It is taken back: [`LeaseEvent::Revoke`] is recorded first where it is not yet
    /// `Revoking`, then the target is looked at.
    TakeBack,
}

/// What is to be done about a lease while the process that made it lives.
pub fn duty(lease: &Lease, state: LeaseState, task: TaskState, now: Timestamp) -> Duty {
    let over = task != TaskState::Active || now >= lease.expires_at || now >= lease.last_at;
    match state {
        LeaseState::Revoked | LeaseState::Irrevocable => Duty::Nothing,
        LeaseState::Revoking => Duty::TakeBack,
        LeaseState::Planned | LeaseState::Issued if over => Duty::TakeBack,
        LeaseState::Planned | LeaseState::Issued => {
            Duty::Watch(lease.expires_at.min(lease.last_at))
        }
    }
}

/// What is to be done about a lease that the ledger tells of when the server starts. One that was
/// only planned is taken back whatever the time: whoever was making it is gone, and nobody ever
/// got its secret.
pub fn duty_at_start(lease: &Lease, state: LeaseState, task: TaskState, now: Timestamp) -> Duty {
    match state {
        LeaseState::Planned => Duty::TakeBack,
        state => duty(lease, state, task, now),
    }
}

/// How often, and how far apart, it is tried to take a lease back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds.
    pub first_ms: u32,
    /// The longest wait, in milliseconds.
    pub cap_ms: u32,
    /// After so many failures nothing more is tried; at most [`ATTEMPTS_MAX`].
    pub attempts: u32,
}

impl Default for Backoff {
    /// From 200 ms to a minute, 20 times: within 12 minutes in all.
    fn default() -> Self {
        Self { first_ms: 200, cap_ms: 60_000, attempts: 20 }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Another one at that time.
    At(Timestamp),
    /// Nothing: [`LeaseEvent::GaveUp`].
    GiveUp,
}

impl Backoff {
    /// What follows the `failed`th failure (from 1). The waits double up to the cap; a half of
    /// each is left to `random`, so that many leases of one target do not come back at once.
    pub fn after(&self, failed: u32, now: Timestamp, random: u32) -> Retry {
        if failed >= self.attempts.min(ATTEMPTS_MAX) {
            return Retry::GiveUp;
        }
        let doublings = failed.saturating_sub(1).min(32);
        let full = u64::from(self.first_ms) << doublings;
        let full = full.clamp(1, u64::from(self.cap_ms.max(1)));
        let drawn = (full.div_ceil(2) * u64::from(random)) >> 32;
        let wait = full / 2 + drawn;
        Retry::At(now.plus_ms(i64::try_from(wait.max(1)).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests;
