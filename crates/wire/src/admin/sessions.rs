//! Sessions.

use safeconduct_model::{IdentityId, SessionKey, TokenId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Written;

/// The state of a session: what decisions look at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SessionView {
    /// Whose session.
    pub identity: Written<IdentityId>,
    /// Under which credential.
    pub token: Written<TokenId>,
    /// How many decisions it has had.
    pub sequence: u64,
    /// How many of them were permitted.
    pub steps: u64,
    /// How many were denied.
    pub denials: u64,
    /// How many calls it has left.
    pub calls_left: u64,
}

impl SessionView {
    /// The state of a session with nothing counted yet.
    pub fn of(key: &SessionKey) -> Self {
        Self {
            identity: Written(key.identity.clone()),
            token: Written(key.token.clone()),
            sequence: 0,
            steps: 0,
            denials: 0,
            calls_left: 0,
        }
    }
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErasedView {
    /// How many stored values were overwritten.
    pub attachments: u64,
}
