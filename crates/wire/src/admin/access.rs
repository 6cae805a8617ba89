//! Access requests: asking people for what was denied, answering, and rules set aside.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, EntityId, EntityRef, EntityType, IdentityId, IntentName, KeyedDigest, RecordId,
    RecordedFlow, RecordedReason, TaskId, Tier, Timestamp, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RiskView, Shown};
use crate::document::{FormError, Word, Written, read_value};
use crate::json;

mod answer;

pub use answer::{
    AnswerAllRequest, AnswerRequest, AnswerWord, ApproveForm, AtMost, BoundForm, Extent,
    ExtentWord, Loosened, RefuseForm, RequestedAnswer, ResourcesWord, ShownRequest,
};

/// A call of one's own that was denied, to ask people for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    /// What is to be done.
    pub action: Written<ActionName>,
    /// Its arguments, exactly as the call has them. None where nothing is said.
    #[serde(default)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// What it is done to; left out, what the catalogue maps.
    pub resource: Option<EntityForm>,
    /// Why, in the words of who asks: people see them as what they are.
    #[schemars(length(min = 1, max = 1024))]
    pub justification: Option<String>,
}

/// An entity by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntityForm {
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
    /// Its id.
    pub id: Written<EntityId>,
}

impl From<&EntityRef> for EntityForm {
    fn from(of: &EntityRef) -> Self {
        Self { ty: Written(of.ty.clone()), id: Written(of.id.clone()) }
    }
}

/// What somebody asks for, in the model's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedAccess {
    /// What is to be done.
    pub action: ActionName,
    /// Its arguments; numbers are exact.
    pub arguments: Value,
    /// What it is done to.
    pub resource: Option<EntityRef>,
    /// Why.
    pub justification: Option<Arc<str>>,
}

impl AskRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`FormError`] names every field that does not fit.
    pub fn read(body: &[u8]) -> Result<RequestedAccess, FormError> {
        let value = json::parse(body)?;
        let form: Self = read_value(&value)?;
        let arguments = value.member("arguments").cloned();
        Ok(RequestedAccess {
            action: form.action.0,
            arguments: arguments.unwrap_or_else(|| Value::object::<&str>([])),
            resource: form.resource.map(|of| EntityRef { ty: of.ty.0, id: of.id.0 }),
            justification: form.justification.map(Arc::from),
        })
    }
}

/// Taking a request back, or what it gave.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRequest {
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// Which requests are wanted: a query string. All that fit every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessQueryForm {
    /// In that state: pending, approved, refused, expired, spent, revoked.
    pub state: Option<String>,
    /// Of that agent.
    pub agent: Option<Written<IdentityId>>,
    /// In that task.
    pub task: Option<Written<TaskId>>,
    /// `true`: those alone that wait for an answer which the caller may give now.
    pub answerable: Option<bool>,
    /// Those after this id.
    pub after: Option<String>,
    /// At most so many: 1 to 200; 100 where nothing is said.
    pub limit: Option<usize>,
}

/// How a wait is wanted: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitForm {
    /// Where the caller believes that it stands; `pending` where nothing is said. It is answered
    /// once it stands otherwise.
    pub state: Option<String>,
    /// For at most so many seconds: 1 to 60; 30 where nothing is said.
    pub seconds: Option<u64>,
}

/// Requests, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AccessRequestList {
    /// The requests of this page; fewer than were wanted where many had to be looked at.
    pub requests: Vec<AccessRequestSummary>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A request without its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessRequestSummary {
    /// Its id.
    pub id: Written<RecordId>,
    /// Where it stands: `pending`, `approved`, `refused`, `expired`, `spent`, `revoked`.
    pub state: String,
    /// What is to be done.
    pub action: Written<ActionName>,
    /// What it is done to.
    pub resources: Vec<EntityForm>,
    /// Who acts.
    pub agent: Written<IdentityId>,
    /// Who acts, and who delegated to them, outwards.
    pub actors: Vec<Written<IdentityId>>,
    /// Who wants to act, as policies name them.
    pub principal: EntityForm,
    /// On whose behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Written<IdentityId>>,
    /// In which task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Written<TaskId>>,
    /// Under which intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Written<IntentName>>,
    /// Who asked.
    pub asked_by: Written<IdentityId>,
    /// When it was made.
    pub opened_at: Written<Timestamp>,
    /// Until when somebody may answer. No answer by then is a Deny.
    pub answer_by: Written<Timestamp>,
    /// The digest that answers are bound to: of the arguments, under a key of the agent's own.
    pub digest: Written<KeyedDigest>,
    /// Who may answer, in the policy's words.
    pub approvers: String,
    /// How many must approve in each stage.
    pub quorum: u32,
    /// How well they must prove who they are: `low`, `substantial`, `high`. `high` is a passkey.
    pub assurance: String,
    /// Whether more than one single use may be approved.
    pub more_than_once: bool,
    /// Who may answer now, in the policy's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_to: Vec<String>,
    /// The answers so far.
    pub answers: Vec<AccessAnswerView>,
    /// What was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
    /// The page on which people answer it; left out where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApprovalView {
    /// How far it reaches: `once`, `edited`, `task`, `until`.
    pub scope: String,
    /// Since when.
    pub from: Written<Timestamp>,
    /// Until when it may be used.
    pub until: Written<Timestamp>,
    /// How many uses are left.
    pub uses_left: u32,
}

/// How far a yes reaches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReachView {
    /// `once`, `edited`, `task`, `until`.
    pub scope: String,
    /// How often it may be used in all.
    pub uses: u32,
    /// Until when, where a time was named: the soonest of those that approvers named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Written<Timestamp>>,
    /// What it may touch, of `task` and `until`: each resource fits one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceReach>,
    /// What stands in the arguments, of `task` and `until`; of `edited`, what was lowered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<ArgumentReach>,
}

/// Resources that an approval reaches.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ResourceReach {
    /// Their type.
    #[serde(rename = "type")]
    pub ty: Written<EntityType>,
    /// What their id must be. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<BoundView>,
}

/// An argument as an approval lets it be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ArgumentReach {
    /// JSON Pointer to it.
    pub pointer: String,
    /// What it must be.
    #[serde(flatten)]
    pub must: BoundView,
}

/// What a value must be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BoundView {
    /// `equals`, `one_of`, `at_most`, `at_least`, `under`, `domain`, `longest_bytes`.
    pub rule: String,
    /// What it is held against, exactly.
    pub value: Shown,
    /// The same for people, with all that deceives made visible.
    pub shown: Vec<ShownLeaf>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessAnswerView {
    /// Who.
    pub by: Written<IdentityId>,
    /// For whom they stood in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing_in_for: Option<Written<IdentityId>>,
    /// By which term of the policy.
    pub term: String,
    /// In which stage, from 1.
    pub stage: u32,
    /// How they proved who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// `approve` or `refuse`.
    pub answer: String,
    /// Why not, in their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A request with everything that whoever answers must see. Who asked sees what they asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AccessRequestDetail {
    /// The request.
    #[serde(flatten)]
    pub request: AccessRequestSummary,
    /// What was asked for. Absent where it was erased: then it can only be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedForView>,
    /// How far what was approved reaches, from the first yes on: others must say the same. Absent
    /// where the arguments were erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaches: Option<ReachView>,
    /// What there is to judge it by. Who asked is not shown it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceView>,
    /// Whether the caller may answer now, were they to prove who they are as well as it takes.
    pub may_answer: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_not_because: Option<String>,
    /// What happens if nobody answers.
    pub if_unanswered: String,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AskedForView {
    /// The arguments, exactly: what the digest is of.
    pub arguments: Shown,
    /// What is said beside them: by the enforcement point, with the properties of `subject` and
    /// `resource` that count, and, of a task that would begin, what it would be (`task`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asserted: Option<Shown>,
    /// The same for people, leaf by leaf, with all that deceives made visible.
    pub shown: Vec<ShownLeaf>,
    /// The same of what is said beside them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown_beside: Vec<ShownLeaf>,
    /// How many more leaves there are.
    pub more: u64,
    /// Why, in the words of who asks, which nobody has checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<ShownLeaf>,
    /// The tier of the action.
    pub tier: Word<Tier>,
}

/// A value for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShownLeaf {
    /// JSON Pointer to it.
    pub pointer: String,
    /// What it is: `string`, `number` and so on.
    pub kind: String,
    /// What it says, line by line.
    pub lines: Vec<String>,
    /// Why somebody should look twice: `control`, `hidden`, `direction`, `mixed_scripts`,
    /// `looks_latin`, `not_normal`, `cut`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// How many characters in its middle are not shown.
    pub left_out: u64,
}

/// What there is to judge a request by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EvidenceView {
    /// The decision that denied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<Written<RecordId>>,
    /// Why it was denied.
    pub reasons: Vec<AccessReason>,
    /// Where arguments came from that something is known of.
    pub flow: Vec<ArgumentOrigin>,
    /// How risky it was when it was denied, 0 to 100.
    pub risk_then: u8,
    /// How risky it is now, and why.
    pub risk: RiskView,
    /// What became of earlier requests of this agent for the same action.
    pub earlier: EarlierView,
    /// The requests that one answer can settle together with this one, itself included.
    pub group: Vec<Written<RecordId>>,
}

/// Why a call was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessReason {
    /// A stable word.
    pub code: String,
    /// The policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// In a sentence.
    pub message: String,
}

impl From<&RecordedReason> for AccessReason {
    fn from(reason: &RecordedReason) -> Self {
        Self {
            code: reason.code.to_string(),
            policy: reason.policy.as_ref().map(|policy| policy.id.to_string()),
            message: reason.message.to_string(),
        }
    }
}

/// Where an argument came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ArgumentOrigin {
    /// JSON Pointer to it.
    pub pointer: String,
    /// What it decides.
    pub role: String,
    /// Where it was seen: `task`, `trusted`, `untrusted`; nowhere where there is nothing.
    pub origins: Vec<String>,
    /// What it is worth: `trusted` or `untrusted`.
    pub integrity: String,
    /// How secret it is.
    pub confidentiality: String,
    /// The decisions in whose results it was seen, the newest first.
    pub sources: Vec<Written<RecordId>>,
}

impl From<&RecordedFlow> for ArgumentOrigin {
    fn from(flow: &RecordedFlow) -> Self {
        Self {
            pointer: flow.pointer.to_string(),
            role: flow.role.as_str().to_owned(),
            origins: flow.origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
            integrity: flow.label.integrity.as_str().to_owned(),
            confidentiality: flow.label.confidentiality.as_str().to_owned(),
            sources: flow.sources.iter().cloned().map(Written).collect(),
        }
    }
}

/// What became of earlier requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EarlierView {
    /// Approved, used or not.
    pub approved: u32,
    /// Refused.
    pub refused: u32,
    /// Not answered in time.
    pub unanswered: u32,
}

/// A request that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessAskedView {
    /// Its id.
    pub id: Written<RecordId>,
    /// Where it stands.
    pub state: String,
    /// Until when somebody may answer. No answer by then is a Deny.
    pub answer_by: Written<Timestamp>,
    /// The Deny that it asks about, which was made anew.
    pub decision_id: Written<RecordId>,
    /// The page on which people answer it; left out where there are no pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Where a request stands after an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessSettledView {
    /// Which.
    pub id: Written<RecordId>,
    /// Where it stands: `pending` where others must approve too.
    pub state: String,
}

/// What came of one answer to several requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AllSettledView {
    /// Of each, in their order.
    pub requests: Vec<OneSettledView>,
}

/// What came of an answer to one of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OneSettledView {
    /// Which.
    pub id: Written<RecordId>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why the answer does not count for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Rules that ask for an approval, to set aside for a time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlassRequest {
    /// For whom.
    pub agent: Written<IdentityId>,
    /// In which of its tasks alone, where it is for one.
    pub task: Option<Written<TaskId>>,
    /// Why: it is reviewed.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// For how many seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub seconds: u32,
}

/// Rules that are set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BrokenGlassView {
    /// The record of it.
    pub id: Written<RecordId>,
    /// For whom.
    pub agent: Written<IdentityId>,
    /// In which task alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Written<TaskId>>,
    /// Who did it.
    pub by: Written<IdentityId>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Written<Timestamp>,
    /// Until when.
    pub until: Written<Timestamp>,
}

/// Rules that are set aside now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BrokenGlassList {
    /// By id.
    pub broken: Vec<BrokenGlassView>,
}

/// A review that is due of what somebody did in an emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DueReviewView {
    /// The record of what happened.
    pub of: Written<RecordId>,
    /// Who did it: somebody else reviews it.
    pub about: Written<IdentityId>,
    /// Why: `break_glass`.
    pub cause: String,
    /// Since when it is due.
    pub since: Written<Timestamp>,
    /// From when on it is late.
    pub late_from: Written<Timestamp>,
    /// Whether it is.
    pub late: bool,
}

/// Reviews that are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DueReviewList {
    /// Those first that have been due for longest.
    pub due: Vec<DueReviewView>,
}

/// What somebody found who has looked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DueReviewRequest {
    /// `justified` or `unjustified`.
    pub verdict: String,
    /// What they say of it.
    #[schemars(length(min = 1, max = 1024))]
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_exact() {
        let ask = AskRequest::read(br#"{"action": "crm.pay", "arguments": {"n": 1.50}}"#).unwrap();
        assert_eq!(
            json::to_bytes(&ask.arguments),
            json::to_bytes(&json::parse(br#"{"n":1.50}"#).unwrap())
        );
        assert!(AskRequest::read(br#"{"action": "crm.pay", "arguments": [1]}"#).is_err());
    }
}
