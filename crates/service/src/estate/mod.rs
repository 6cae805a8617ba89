//! Use-case: the estate, in six plain questions: who is there, who answers for them, what can they
//! do, why, what have they done, how are they stopped. Nothing here changes anything, and nothing
//! is recorded.

mod can;
mod inventory;
mod search;
mod stop;
mod weigh;
mod why;

pub use can::*;
pub use inventory::*;
pub use search::*;
pub use stop::*;
pub use weigh::*;
pub use why::*;

use safeconduct_model::IdentityId;
use safeconduct_policy::QuestionError;
use thiserror::Error;

/// Why a question about the estate has no answer: the caller is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EstateError {
    /// Nobody is registered under that id.
    #[error("nobody is registered as `{0}`")]
    UnknownIdentity(IdentityId),
    /// The policies know no such action, or nothing of that type.
    #[error(transparent)]
    Question(#[from] QuestionError),
}
