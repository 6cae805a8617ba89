//! Leases: asking for one, and seeing them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use safeconduct_model::{Lease, LeaseId, LeaseState, TargetName, TaskId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// Where a lease is wanted, for the task that the caller acts in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// A target of the configuration.
    pub target: Written<TargetName>,
    /// Which of the grants that the task's intent names; all of them where nothing is said.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    pub grants: Option<BTreeSet<String>>,
}

/// A lease that was issued. Its secret is in this answer and never again.
#[derive(Serialize, JsonSchema)]
pub struct LeaseIssued<'a> {
    /// The lease.
    pub lease: LeaseView,
    /// Its secret; absent where the gateway adds it to calls and nobody else gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'a str>,
    /// What else one needs to know to use it, such as host and port.
    pub address: BTreeMap<String, String>,
}

/// Nothing of the secret.
impl fmt::Debug for LeaseIssued<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseIssued").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeaseView {
    /// Its id.
    pub id: Written<LeaseId>,
    /// The task that it ends with.
    pub task: Written<TaskId>,
    /// Where it lets one act.
    pub target: Written<TargetName>,
    /// What it is: `postgres_role`, `static_secret`, `minted_token`.
    pub kind: String,
    /// What it is called at the target.
    pub name: String,
    /// Where it stands: `planned`, `issued`, `revoking`, `revoked`, `irrevocable`.
    pub state: String,
    /// When it ends unless it is renewed.
    pub expires_at: Written<Timestamp>,
    /// Beyond this it is never renewed.
    pub last_at: Written<Timestamp>,
}

impl LeaseView {
    /// A lease where it stands.
    pub fn new(lease: &Lease, state: LeaseState) -> Self {
        Self {
            id: Written(lease.id.clone()),
            task: Written(lease.task.clone()),
            target: Written(lease.target.clone()),
            kind: lease.kind.as_str().to_owned(),
            name: lease.name.to_string(),
            state: state.as_str().to_owned(),
            expires_at: Written(lease.expires_at),
            last_at: Written(lease.last_at),
        }
    }
}

/// The leases that are not over.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LeaseList {
    /// By id, at most 100,000.
    pub leases: Vec<LeaseView>,
}
