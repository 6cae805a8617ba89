//! What administration can do that lies in other hands: the policy loader and the upstreams.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use safeconduct_model::{IdentityId, Timestamp};
use safeconduct_wire::admin::UpstreamView;
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

/// What administration can do that lies in other hands.
pub trait Controls: Send + Sync + 'static {
    /// How the loading of policies stands.
    fn policies(&self) -> PolicyStatus;

    /// Loads policies and catalogue again from where they lie, whole or not at all. `by` asked
    /// for it and is named in the record.
    fn reload<'a>(&'a self, by: &'a IdentityId) -> Reloading<'a>;

    /// How the upstreams stand, by name.
    fn upstreams(&self) -> Vec<UpstreamView>;
}
