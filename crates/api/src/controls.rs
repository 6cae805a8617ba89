//! What administration can do that lies in other hands: the policy loader and the upstreams.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use safeconduct_model::{IdentityId, ServerName, Timestamp};
use thiserror::Error;

/// How the loading of policies stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyStatus {
    /// When the set in force was loaded; `None` while none has ever been.
    pub loaded_at: Option<Timestamp>,
    /// Why the last attempt since then was refused: file, line, column and message.
    pub refused: Option<String>,
}

/// Why policies were not reloaded. The set before stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReloadError {
    /// The policy author's fault: file, line, column and message.
    #[error("{0}")]
    Refused(String),
    /// Our fault, or the disk's.
    #[error("{0}")]
    Failed(String),
}

/// The wait for a reload.
pub struct Reloading<'a>(
    pub Pin<Box<dyn Future<Output = Result<PolicyStatus, ReloadError>> + Send + 'a>>,
);

impl Future for Reloading<'_> {
    type Output = Result<PolicyStatus, ReloadError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// Whether an upstream can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    /// It is being started or reached.
    Starting,
    /// It can.
    Ready,
    /// It cannot, and is tried again.
    Failed,
}

impl UpstreamState {
    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// How one upstream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: ServerName,
    /// How it is reached: `stdio` or `http`.
    pub transport: &'static str,
    /// Whether its denials are carried out: `enforce` or `observe`.
    pub mode: safeconduct_model::Mode,
    /// Whether it can be called.
    pub state: UpstreamState,
    /// Why not.
    pub problem: Option<String>,
}

/// What administration can do that lies in other hands.
pub trait Controls: Send + Sync + 'static {
    /// How the loading of policies stands.
    fn policies(&self) -> PolicyStatus;

    /// Loads policies and catalogue again from where they lie, whole or not at all. `by` asked
    /// for it and is named in the record.
    fn reload<'a>(&'a self, by: &'a IdentityId) -> Reloading<'a>;

    /// How the upstreams stand, by name.
    fn upstreams(&self) -> Vec<UpstreamStatus>;
}
