//! Delegations: users' standing words that agents may undertake intents for them.

use safeconduct_model::{Delegation, IdentityId, IntentName, RecordId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// How long a delegation stands where nothing is said, in seconds: 30 days.
pub const DELEGATION_S_DEFAULT: u32 = 30 * 86_400;

/// Longest time that a delegation stands, in seconds: 366 days.
pub const DELEGATION_S_MAX: u32 = 366 * 86_400;

/// A delegation to make, by the user whose word it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegationRequest {
    /// Who may act for the caller.
    pub agent: Written<IdentityId>,
    /// Under which intent.
    pub intent: Written<IntentName>,
    /// For how many seconds; 30 days where nothing is said, at most 366.
    #[serde(default = "thirty_days")]
    #[schemars(range(min = 1, max = DELEGATION_S_MAX))]
    pub seconds: u32,
}

const fn thirty_days() -> u32 {
    DELEGATION_S_DEFAULT
}

/// Delegations, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DelegationList {
    /// The delegations of this page.
    pub delegations: Vec<DelegationView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DelegationView {
    /// What it is called.
    pub id: Written<RecordId>,
    /// Whose word it is.
    pub user: Written<IdentityId>,
    /// Who may act for the user.
    pub agent: Written<IdentityId>,
    /// Under which intent.
    pub intent: Written<IntentName>,
    /// When it ends.
    pub expires_at: Written<Timestamp>,
}

impl From<&Delegation> for DelegationView {
    fn from(delegation: &Delegation) -> Self {
        Self {
            id: Written(delegation.id.clone()),
            user: Written(delegation.user.clone()),
            agent: Written(delegation.agent.clone()),
            intent: Written(delegation.intent.clone()),
            expires_at: Written(delegation.expires_at),
        }
    }
}
