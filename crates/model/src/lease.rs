//! Leases: what lets a task act at a target, and where each stands.

use std::sync::Arc;

use crate::{LeaseId, TargetName, TaskId, Timestamp};

/// One credential at a target, tied to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The task that it ends with.
    pub task: TaskId,
    /// Where it lets one act: a target of the configuration.
    pub target: TargetName,
    /// What it is.
    pub kind: LeaseKind,
    /// The name of it at the target, chosen before the target is touched, so that a crash leaves
    /// something to look for: a role's name, a token's `jti`, the name of a secret.
    pub name: Arc<str>,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// Beyond this it is never renewed; never past the task's deadline.
    pub last_at: Timestamp,
}

/// What a lease is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseKind {
    /// A role in a PostgreSQL database.
    PostgresRole,
    /// A secret that the gateway adds to calls; the agent never sees it.
    StaticSecret,
    /// A token of our own token service.
    MintedToken,
}

impl LeaseKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::PostgresRole, Self::StaticSecret, Self::MintedToken];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PostgresRole => "postgres_role",
            Self::StaticSecret => "static_secret",
            Self::MintedToken => "minted_token",
        }
    }
}

/// Where a lease stands. Every change is a record; the first comes before the target is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// It is about to be made; whether it exists is not known.
    Planned,
    /// It exists.
    Issued,
    /// It is being taken back.
    Revoking,
    /// It does not exist, and that was seen at the target.
    Revoked,
    /// It could not be taken back: a finding.
    Irrevocable,
}

impl LeaseState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Planned, Self::Issued, Self::Revoking, Self::Revoked, Self::Irrevocable];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Issued => "issued",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
            Self::Irrevocable => "irrevocable",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Revoked | Self::Irrevocable)
    }
}
