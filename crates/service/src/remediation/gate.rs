//! The policy folder, and what a change of it has to pass: in other hands, since it is files.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use safeconduct_policy::Policies;
use safeconduct_review::ProposedTexts;
use thiserror::Error;

use super::RemediateError;
use crate::Service;

/// Why the policy folder does not do what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GateError {
    /// The author's fault: what does not load, or which tests fail.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// Our fault, or the disk's.
    #[error("{0}")]
    Failed(String),
}

/// What the checks of a set of files came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// What is odd about it, without effect.
    pub warnings: Vec<String>,
    /// How many policy tests were run, all of which passed.
    pub tests: u64,
}

/// The wait for something that is done with the folder.
pub struct Gated<'a, T>(pub Pin<Box<dyn Future<Output = Result<T, GateError>> + Send + 'a>>);

impl<T> Future for Gated<'_, T> {
    type Output = Result<T, GateError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// The policy folder: Cedar, Rego and schema files by their paths, with `/` between their parts.
pub trait PolicyGate: Send + Sync + 'static {
    /// The files as they are now.
    fn read(&self) -> Gated<'_, BTreeMap<String, String>>;

    /// Loads a whole set with catalogue and intents as they are, and runs the project's policy
    /// tests over it, without putting it in force.
    fn check(&self, files: BTreeMap<String, String>) -> Gated<'_, Checked>;

    /// Loads a whole set the same way, for a look at what it says; what did not change is taken
    /// from the set that is in force.
    fn draft(
        &self,
        files: BTreeMap<String, String>,
        in_force: Arc<Policies>,
    ) -> Gated<'_, Arc<Policies>>;

    /// Writes the files that change, each whole or not at all, and durably.
    fn write(&self, texts: ProposedTexts) -> Gated<'_, ()>;

    /// Puts in force what lies in the folder.
    fn load<'a>(&'a self, cause: &'a str) -> Gated<'a, ()>;
}

impl Service {
    /// Says where the policies lie. The first word holds; it is not kept from ending.
    pub fn set_policy_gate(&self, gate: &Arc<dyn PolicyGate>) {
        let _ = self.gate.set(Arc::downgrade(gate));
    }

    pub(super) fn policy_gate(&self) -> Result<Arc<dyn PolicyGate>, RemediateError> {
        self.gate.get().and_then(Weak::upgrade).ok_or(RemediateError::NoFolder)
    }
}

impl From<GateError> for RemediateError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Refused(problems) => Self::Refused(problems),
            GateError::Failed(problem) => Self::Folder(problem),
        }
    }
}
