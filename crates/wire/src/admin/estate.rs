//! The estate in six plain questions: what is answered.

use safeconduct_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IdentityView;
use crate::document::Written;

/// Everyone who exists, by id: who is registered, and who appeared and is not. A page has so
/// many of both together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateWho {
    /// The identities of this page.
    pub identities: Vec<EstateIdentity>,
    /// Those who appeared and are not registered.
    pub unregistered: Vec<EstateUnregistered>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Someone who appeared and is not registered.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateUnregistered {
    /// Who, as they appeared.
    pub id: String,
    /// Of what types enforcement points said that they are: `Safeconduct::User`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// As what: `caller` asked for a decision, `subject` was spoken of by an enforcement point,
    /// `turned_away` proved who they are and was refused since the server began.
    #[serde(rename = "as")]
    pub appeared: Vec<&'static str>,
    /// The first time.
    pub first_seen: Written<Timestamp>,
    /// The last time.
    pub last_seen: Written<Timestamp>,
}

/// Someone who exists.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateIdentity {
    /// Who, and when they were seen.
    #[serde(flatten)]
    pub identity: IdentityView,
    /// How many live tasks they act in; at most 1000 are counted.
    pub tasks: u64,
    /// Why nobody answers for them, where nobody does: `no_owner`, `owner_unknown`,
    /// `owner_not_active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<&'static str>,
}

/// Someone who exists, with all that hangs on them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateOne {
    /// Who, and when they were seen.
    #[serde(flatten)]
    pub identity: EstateIdentity,
    /// Live tasks that they act in, or that are done for them.
    pub live_tasks: Vec<EstateTask>,
    /// In how many remembered tasks they acted, by intent.
    pub intents: std::collections::BTreeMap<String, u64>,
    /// How many grants they have.
    pub grants: u64,
    /// The registered tokens that stand; at most 1000.
    pub tokens: Vec<super::TokenView>,
    /// How many passkeys they have.
    pub passkeys: u64,
    /// The leases that are not over of the tasks that they act in.
    pub leases: Vec<EstateLease>,
    /// How many sessions of theirs are in memory.
    pub sessions: u64,
    /// Who else acts by them: agents that have their word, or a task for them, and those that
    /// have the same name where they came from.
    pub shared_by: Vec<String>,
}

/// What somebody answers for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateOwned {
    /// Who answers; absent where the question was who has nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// For whom, and as what.
    pub owned: Vec<EstateOwnedOne>,
    /// Whether there are more.
    pub more: bool,
}

/// Someone who is answered for, or is not.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateOwnedOne {
    /// As what: `owner`, `fallback_owner`, `nobody`.
    #[serde(rename = "as")]
    pub role: &'static str,
    /// For whom.
    #[serde(flatten)]
    pub identity: EstateIdentity,
}

/// What somebody can do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateCan {
    /// Who.
    pub identity: String,
    /// Their status: unless it is `active`, nothing of this is permitted now.
    pub status: &'static str,
    /// Every right that they have.
    pub grants: Vec<EstateGrant>,
    /// How many more there are.
    pub more: u64,
    /// How many statements without effect name them (`@mode("shadow")`).
    pub shadow: u64,
    /// What permits without saying to whom and what, so that it cannot be listed: Rego files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_derivable: Option<String>,
}

/// A right, and what gives it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateGrant {
    /// Its id: equal as long as what gives it says the same, wherever that stands.
    pub id: String,
    /// What gives it: `statement`, `intent`, `delegation`, `lease`.
    pub kind: &'static str,
    /// In words.
    pub words: String,
    /// What gives it, by name: policy, intent, record, lease.
    pub given_by: String,
    /// Where that stands, for a statement: `file:line:column`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The actions that it can be about, where it is a statement: those that nothing forbids
    /// outright. At most 1000.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// How its scope names resources: `any` where it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<String>,
    /// Whether it has a condition.
    pub conditional: bool,
    /// Whether that looks at what happened before.
    pub temporal: bool,
    /// Policies that can narrow it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub narrowed_by: Vec<String>,
    /// When it ends, where it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Written<Timestamp>>,
}

/// What to explain: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EstateWhyForm {
    /// The action.
    pub action: String,
    /// The resource, as policies write it: `Safeconduct::Path::"/cases"`.
    pub resource: Option<String>,
}

/// Why somebody can or cannot do something.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateWhy {
    /// Who.
    pub identity: String,
    /// What they would do.
    pub action: String,
    /// Statements that speak of it: those that permit, those that forbid, those without effect.
    pub statements: Vec<EstateStatement>,
    /// How many more there are.
    pub more: u64,
    /// Intents that they may undertake, and whose tasks may do it.
    pub intents: Vec<String>,
    /// What permits without saying to whom and what: Rego files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_derivable: Option<String>,
    /// What is decided now, where a resource was named. It is advice, and not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<EstateNow>,
}

/// A statement of the policies.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateStatement {
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// The policy.
    pub policy: String,
    /// Where it stands: `file:line:column`.
    pub at: String,
    /// How its scope names principals.
    pub principals: String,
    /// How its scope names actions.
    pub actions: String,
    /// How its scope names resources.
    pub resources: String,
    /// Whether it has a condition.
    pub conditional: bool,
    /// Whether that looks at what happened before.
    pub temporal: bool,
    /// Whether people can be asked to let it go.
    pub requestable: bool,
    /// `enforce`, or `shadow` where it has no effect.
    pub mode: &'static str,
    /// Since when it is in force without a break, under that id and saying the same; absent where
    /// that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Written<Timestamp>>,
    /// Since when it may be, where it is not known what the sets before held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perhaps_since: Option<Written<Timestamp>>,
}

/// What is decided now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateNow {
    /// `permit` or `deny`.
    pub decision: &'static str,
    /// Why.
    pub reasons: Vec<EstateReason>,
}

/// One reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateReason {
    /// Its stable code.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// The policy, where it is one's: its id and where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Since when: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EstateDidForm {
    /// On the day of that moment or later, in UTC; left out, ever.
    pub since: Option<Written<Timestamp>>,
}

/// What somebody has done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateDid {
    /// Who.
    pub identity: String,
    /// Each right's use, and each rule's that stood in the way, by policy, action and intent.
    pub uses: Vec<EstateUse>,
    /// Whether there is more.
    pub more: bool,
    /// How many records of the ledger had been read.
    pub read_up_to: u64,
}

/// The use of a right.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateUse {
    /// The policy; absent where none applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The action.
    pub action: String,
    /// The intent, where it was in a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// In what kind of task: `taskless`, `own`, `on_behalf`, `delegated`, `through_agent`.
    pub task: &'static str,
    /// Permits.
    pub permitted: u64,
    /// Permits that an approval made possible.
    pub approved: u64,
    /// Denials.
    pub denied: u64,
    /// Denials that were only observed.
    pub observed: u64,
    /// Actions that were done.
    pub succeeded: u64,
    /// Actions that failed.
    pub failed: u64,
    /// Actions that were not tried.
    pub not_executed: u64,
    /// Actions of which nobody knows what came.
    pub unknown: u64,
    /// The first decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Written<Timestamp>>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Written<Timestamp>>,
    /// How many different resources permits were about.
    pub resources: u64,
    /// Whether there may be more of those: as many are not counted.
    pub resources_more: bool,
    /// The most bytes that one permit sent out.
    pub largest_bytes_out: u64,
    /// The last three permits.
    pub latest: Vec<EstateLatest>,
    /// The records of the last three denials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latest_denied: Vec<String>,
}

/// One of the last uses of a right.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateLatest {
    /// When.
    pub at: Written<Timestamp>,
    /// The decision's record.
    pub decision: String,
    /// What came of it; absent while nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// What the kill switch would stop of somebody.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateStop {
    /// Who.
    pub identity: String,
    /// Their status now; the kill switch makes it `suspended`.
    pub status: &'static str,
    /// The tasks that would end, with everything under them.
    pub tasks: Vec<EstateTask>,
    /// How many more.
    pub more_tasks: u64,
    /// The leases that would be taken back.
    pub leases: Vec<EstateLease>,
    /// The registered tokens that would prove nothing.
    pub tokens: Vec<String>,
    /// How many access tokens would be worth nothing.
    pub access_tokens: u64,
    /// In how many sessions in memory nothing more would be permitted.
    pub sessions: u64,
}

/// A task that would end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateTask {
    /// Its id.
    pub id: String,
    /// Its intent.
    pub intent: String,
    /// Who acts in it.
    pub agent: String,
    /// For whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

/// A lease that would be taken back.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EstateLease {
    /// Its id.
    pub id: String,
    /// The target.
    pub target: String,
    /// The task.
    pub task: String,
}
