//! The port to what issues leases: a database, a store of secrets. Crate `broker` implements it.
//!
//! The order is always the same: a name is chosen, the plan with that name becomes durable, and
//! only then is the target touched. So whatever a crash leaves at a target is named in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_model::{Lease, LeaseId, LeaseKind, TargetName, Timestamp};
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Most grants of one lease.
pub const GRANTS_MAX: usize = 32;

/// A secret: wiped when it is dropped, and never shown. It has no `Debug`, so that nothing that
/// holds one can be printed by accident.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Hides a text.
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What an intent asks for at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSpec {
    /// Names of grants that the target's configuration describes: sets of privileges of a
    /// database, or the one secret of a store. At least one, at most [`GRANTS_MAX`].
    pub grants: BTreeSet<Arc<str>>,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prospect {
    /// It may pass by itself: a network, a restart, a lock.
    Passing,
    /// A person has to change something first.
    Lasting,
}

impl Prospect {
    /// The word for it in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Lasting => "lasting",
        }
    }
}

/// What a target did not do, and why. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetFault {
    /// It cannot be reached, or went away.
    #[error("target `{target}` cannot be reached: {problem}")]
    Unreachable {
        /// Which one.
        target: TargetName,
        /// What happened.
        problem: String,
    },
    /// It did not answer in time; what it was doing may still happen.
    #[error("target `{target}` did not answer within {limit_ms} ms")]
    Slow {
        /// Which one.
        target: TargetName,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// It said no.
    #[error("target `{target}` refuses {step}: {problem}")]
    Refused {
        /// Which one.
        target: TargetName,
        /// What it was to do.
        step: &'static str,
        /// What it said: a code and a message.
        problem: String,
        /// Whether trying again can help.
        prospect: Prospect,
    },
    /// The configuration's fault, or that of files that it names.
    #[error("target `{target}` is not set up: {problem}")]
    Setup {
        /// Which one.
        target: TargetName,
        /// What is wrong.
        problem: String,
    },
    /// Our fault: the operating system gave no randomness.
    #[error("no randomness from the operating system")]
    NoRandomness,
}

impl TargetFault {
    /// Whether trying again can help.
    pub const fn prospect(&self) -> Prospect {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } | Self::NoRandomness => Prospect::Passing,
            Self::Refused { prospect, .. } => *prospect,
            Self::Setup { .. } => Prospect::Lasting,
        }
    }
}

/// Why there is no name for a lease: nothing is planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NamingError {
    /// The fault of the intent's author: the target has no such grant.
    #[error("target `{target}` has no grant `{grant}`")]
    UnknownGrant {
        /// The target.
        target: TargetName,
        /// What was asked for.
        grant: Arc<str>,
    },
    /// The fault of the intent's author: too many grants, or none, for this target.
    #[error("target `{target}` gives between 1 and {limit} grants to a lease, not {asked}")]
    Count {
        /// The target.
        target: TargetName,
        /// How many it gives at most.
        limit: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// Our fault: the id of the lease cannot be part of a name at this target.
    #[error("`{id}` cannot be part of a name at target `{target}`")]
    Id {
        /// The target.
        target: TargetName,
        /// The lease's id.
        id: LeaseId,
    },
}

/// Why a lease was not issued. Whatever it says, something may have been made: the lease is
/// taken back, never issued a second time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The lease does not bear the name that this issuer would give it.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// Our fault: the lease is of another target or kind, or bears another name.
    #[error("lease `{0}` is not one of this issuer's")]
    Foreign(LeaseId),
    /// There is no such secret.
    #[error("target `{target}` has no secret `{name}`")]
    NoSuchSecret {
        /// The target.
        target: TargetName,
        /// The secret's name.
        name: Arc<str>,
    },
    /// The target's fault.
    #[error(transparent)]
    Target(#[from] TargetFault),
}

impl IssueError {
    /// Whether another lease, asked for later, may be issued.
    pub const fn prospect(&self) -> Prospect {
        match self {
            Self::Target(fault) => fault.prospect(),
            Self::Naming(_) | Self::Foreign(_) | Self::NoSuchSecret { .. } => Prospect::Lasting,
        }
    }
}

/// Why a lease still ends when it was to end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenewError {
    /// Our fault: the lease is of another target or kind, or bears another name.
    #[error("lease `{0}` is not one of this issuer's")]
    Foreign(LeaseId),
    /// It is not there any more, or can no longer be used.
    #[error("lease `{0}` is gone from its target")]
    Gone(LeaseId),
    /// The target's fault.
    #[error(transparent)]
    Target(#[from] TargetFault),
}

impl RenewError {
    /// Whether trying again can help.
    pub const fn prospect(&self) -> Prospect {
        match self {
            Self::Target(fault) => fault.prospect(),
            Self::Foreign(_) | Self::Gone(_) => Prospect::Lasting,
        }
    }
}

/// Why a lease is not proved gone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RevokeError {
    /// Our fault: the lease is of another target or kind, or bears another name.
    #[error("lease `{0}` is not one of this issuer's")]
    Foreign(LeaseId),
    /// It was removed, and yet a look at the target finds it.
    #[error("lease `{id}` is still at its target: {found}")]
    StillThere {
        /// The lease.
        id: LeaseId,
        /// What was found.
        found: &'static str,
    },
    /// The target's fault.
    #[error(transparent)]
    Target(#[from] TargetFault),
}

impl RevokeError {
    /// Whether trying again can help.
    pub const fn prospect(&self) -> Prospect {
        match self {
            Self::Target(fault) => fault.prospect(),
            Self::StillThere { .. } => Prospect::Passing,
            Self::Foreign(_) => Prospect::Lasting,
        }
    }
}

/// One thing that was looked at, at the target, after a lease was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen {
    /// The target no longer lists it.
    NotListed,
    /// A login with its name was refused.
    LoginRefused,
    /// Nothing that was begun with it goes on.
    NoSessions,
    /// It was never given to anyone but the gateway, and this issuer keeps nothing of it.
    NotKept,
}

impl Seen {
    /// Everything that can be seen.
    pub const ALL: [Self; 4] =
        [Self::NotListed, Self::LoginRefused, Self::NoSessions, Self::NotKept];

    /// The word for it in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::LoginRefused => "login_refused",
            Self::NoSessions => "no_sessions",
            Self::NotKept => "not_kept",
        }
    }
}

/// That a lease is gone: what was looked at, all of which said so. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What was looked at.
    pub seen: BTreeSet<Seen>,
}

/// An answer that is waited for.
pub struct Awaited<'a, T>(pub Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<'a, T> Awaited<'a, T> {
    /// Of a future.
    pub fn of(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Box::pin(future))
    }
}

impl<T> Future for Awaited<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for Awaited<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Awaited")
    }
}

/// What issues the leases of one target. Every call ends within a limit of its own.
pub trait Issuer: Send + Sync + 'static {
    /// What its leases are.
    fn kind(&self) -> LeaseKind;

    /// The name that a lease has at the target. Touches nothing, and always says the same.
    ///
    /// # Errors
    /// [`NamingError`]; nothing may be planned.
    fn name(&self, id: &LeaseId, grant: &GrantSpec) -> Result<Arc<str>, NamingError>;

    /// What the holder needs to know beside name and secret, such as host and port; nothing
    /// secret.
    fn address(&self) -> BTreeMap<&'static str, String>;

    /// Makes the lease at the target, to end at its `expires_at`. Only once its plan is durable,
    /// and only once for a lease. Whoever then takes it back first waits for this to end, or drops
    /// it: what is still on its way to the target could otherwise arrive behind the proof.
    fn issue<'a>(
        &'a self,
        lease: &'a Lease,
        grant: &'a GrantSpec,
    ) -> Awaited<'a, Result<Secret, IssueError>>;

    /// Makes the lease end at `until` instead.
    fn renew<'a>(
        &'a self,
        lease: &'a Lease,
        until: Timestamp,
    ) -> Awaited<'a, Result<(), RenewError>>;

    /// Takes the lease back and proves it. One that is not there, or only half made, is proved
    /// gone just the same; so it may be called again and again.
    fn revoke<'a>(&'a self, lease: &'a Lease) -> Awaited<'a, Result<Proof, RevokeError>>;
}
