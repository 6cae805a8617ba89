//! Access requests: asking people for what was denied, answering, and rules set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Constraint, EntityId, EntityRef, EntityType, IdentityId, IntentName, KeyedDigest,
    RecordId, RecordedFlow, RecordedReason, TaskId, Tier, Timestamp, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RiskView, Shown};
use crate::document::{Diagnostic, FormError, Place, Word, Written, read_value};
use crate::json;

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

/// An answer to one request: exactly one of `approve` and `refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Yes, so far.
    pub approve: Option<ApproveForm>,
    /// No.
    pub refuse: Option<RefuseForm>,
    /// The request's `digest`, as it was shown: the answer is to that and to nothing else.
    pub digest: Written<KeyedDigest>,
    /// For whom the caller stands in: somebody whose fallback owner they are.
    pub standing_in_for: Option<Written<IdentityId>>,
}

/// How far a yes reaches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveForm {
    /// `once`; `edited`: once, with numbers lowered; `task`: in its task; `until`: until a time.
    pub scope: ExtentWord,
    /// By JSON Pointer, the most that a number may be. Of `edited` they are what is lowered; of
    /// `task` and `until` a number of the call that may differ from use to use. Others stay as
    /// they were asked.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub at_most: BTreeMap<String, serde_json::Number>,
    /// By JSON Pointer, what else an argument may be: of `task` and `until`. What was asked for
    /// must fit it, and no argument stands in both this and `at_most`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub within: BTreeMap<String, BoundForm>,
    /// Which resources: of `task` and `until`. `same` where nothing is said.
    pub resources: Option<ResourcesWord>,
    /// How often: of `task` and `until`.
    #[schemars(range(min = 1, max = 1000))]
    pub uses: Option<u32>,
    /// Until when: of `until`.
    pub until: Option<Written<Timestamp>>,
}

/// What an argument may be: exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundForm {
    /// One of these values, or the one that was asked for.
    OneOf(#[schemars(length(min = 1, max = 64))] Vec<serde_json::Value>),
    /// A path that is this folder or lies in it.
    Under(#[schemars(length(min = 1, max = 4096))] String),
    /// A mail address or URL whose host is this domain or a subdomain of it.
    Domain(#[schemars(length(min = 1, max = 253))] String),
    /// A text of at most so many bytes.
    LongestBytes(u64),
}

/// Which resources an approval reaches that is for more than one use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourcesWord {
    /// Those that were asked for.
    #[default]
    Same,
    /// Any of the types that were asked for.
    OfType,
}

/// How far an approval reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtentWord {
    /// What was asked, once.
    Once,
    /// With some of its numbers lowered, once.
    Edited,
    /// In the same task.
    Task,
    /// Until a time, in whatever task of the same intent.
    Until,
}

/// No.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseForm {
    /// Why, for who asked and for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// An answer, in the model's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedAnswer {
    /// What is said.
    pub word: AnswerWord,
    /// What was shown.
    pub digest: KeyedDigest,
    /// For whom.
    pub standing_in_for: Option<IdentityId>,
}

/// What is said to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerWord {
    /// Yes.
    Approve(Extent),
    /// No, and why.
    Refuse(Arc<str>),
}

/// The most that each of some numbers may be, by JSON Pointer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AtMost(pub Vec<(Arc<str>, Value)>);

/// What may differ from use to use of one approval.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loosened {
    /// Numbers, and the most that they may be.
    pub at_most: AtMost,
    /// Other arguments, by JSON Pointer, and what they may be.
    pub within: Vec<(Arc<str>, Constraint<Value>)>,
    /// Which resources.
    pub resources: ResourcesWord,
}

/// How far a yes reaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Extent {
    /// Once.
    Once,
    /// Once, with numbers lowered.
    Edited(AtMost),
    /// In the task.
    Task {
        /// How often.
        uses: u32,
        /// What may differ.
        loosened: Loosened,
    },
    /// Until a time.
    Until {
        /// How often.
        uses: u32,
        /// Until when.
        until: Timestamp,
        /// What may differ.
        loosened: Loosened,
    },
}

impl AnswerRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`FormError`] names every field that does not fit.
    pub fn read(body: &[u8]) -> Result<RequestedAnswer, FormError> {
        let value = json::parse(body)?;
        let form: Self = read_value(&value)?;
        let word = match (form.approve, form.refuse) {
            (Some(approve), None) => AnswerWord::Approve(approve.extent(&value)?),
            (None, Some(refuse)) => AnswerWord::Refuse(refuse.reason.into()),
            _ => return Err(wrong("", "exactly one of `approve` and `refuse` must be here").into()),
        };
        let standing_in_for = form.standing_in_for.map(|of| of.0);
        Ok(RequestedAnswer { word, digest: form.digest.0, standing_in_for })
    }
}

impl ApproveForm {
    fn extent(self, value: &Value) -> Result<Extent, Vec<Diagnostic>> {
        let listed = value.pointer("/approve/at_most").and_then(Value::as_object);
        let listed = listed.into_iter().flatten();
        let at_most = AtMost(listed.map(|(at, most)| (Arc::clone(at), most.clone())).collect());
        let uses = || self.uses.ok_or_else(|| wrong("/approve/uses", "is missing: how often"));
        let until = || {
            let until = self.until.as_ref().map(|until| until.0);
            until.ok_or_else(|| wrong("/approve/until", "is missing: until when"))
        };
        let no = |there: bool, name: &str| match there {
            true => Err(wrong(&format!("/approve/{name}"), "does not go with this scope")),
            false => Ok(()),
        };
        Ok(match self.scope {
            ExtentWord::Once | ExtentWord::Edited => {
                no(self.uses.is_some(), "uses")?;
                no(self.until.is_some(), "until")?;
                no(!self.within.is_empty(), "within")?;
                no(self.resources.is_some(), "resources")?;
                match (self.scope, at_most.0.is_empty()) {
                    (ExtentWord::Once, true) => Extent::Once,
                    (ExtentWord::Once, false) => {
                        let message = "numbers are lowered with the scope `edited`";
                        return Err(wrong("/approve/at_most", message));
                    }
                    (_, true) => return Err(wrong("/approve/at_most", "says what is lowered")),
                    (_, false) => Extent::Edited(at_most),
                }
            }
            ExtentWord::Task => {
                no(self.until.is_some(), "until")?;
                Extent::Task { uses: uses()?, loosened: self.loosened(at_most, value)? }
            }
            ExtentWord::Until => Extent::Until {
                uses: uses()?,
                until: until()?,
                loosened: self.loosened(at_most, value)?,
            },
        })
    }

    fn loosened(&self, at_most: AtMost, value: &Value) -> Result<Loosened, Vec<Diagnostic>> {
        let raw = value.pointer("/approve/within");
        let text = |text: &String| Value::from(text.as_str());
        let mut within = Vec::new();
        for (at, bound) in &self.within {
            if self.at_most.contains_key(at) {
                let message = format!("`{at}` stands in `at_most` too");
                return Err(wrong("/approve/within", &message));
            }
            let constraint = match bound {
                // The values themselves: their numbers are exact as they were written.
                BoundForm::OneOf(_) => {
                    let all = raw.and_then(|raw| raw.member(at)?.member("one_of")?.as_array());
                    Constraint::OneOf(all.map(<[_]>::to_vec).unwrap_or_default())
                }
                BoundForm::Under(folder) => Constraint::Under(text(folder)),
                BoundForm::Domain(domain) => Constraint::Domain(text(domain)),
                BoundForm::LongestBytes(most) => Constraint::LongestBytes(*most),
            };
            within.push((at.as_str().into(), constraint));
        }
        Ok(Loosened { at_most, within, resources: self.resources.unwrap_or_default() })
    }
}

fn wrong(pointer: &str, message: &str) -> Vec<Diagnostic> {
    vec![Diagnostic::new("", Place::default(), pointer, message)]
}

/// One answer for several requests that are listed together under `group`: each is approved once
/// and exactly as it was shown, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerAllRequest {
    /// The requests with the digest of what was shown of each.
    #[schemars(length(min = 1, max = 32))]
    pub requests: Vec<ShownRequest>,
    /// Why not; left out, they are approved.
    pub refuse: Option<RefuseForm>,
    /// For whom the caller stands in.
    pub standing_in_for: Option<Written<IdentityId>>,
}

/// A request as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShownRequest {
    /// Which.
    pub id: Written<RecordId>,
    /// Its `digest`.
    pub digest: Written<KeyedDigest>,
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

    const DIGEST: &str =
        "hmac-sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn read(approve: &str) -> Result<AnswerWord, String> {
        let body = format!(r#"{{"approve": {approve}, "digest": "{DIGEST}"}}"#);
        AnswerRequest::read(body.as_bytes())
            .map(|answer| answer.word)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_extent_says_what_it_needs_and_nothing_else() {
        let number = |n: i64| Value::Integer(n);
        let at_most = |n| AtMost(vec![("/amount".into(), number(n))]);
        assert_eq!(read(r#"{"scope": "once"}"#), Ok(AnswerWord::Approve(Extent::Once)));
        assert_eq!(
            read(r#"{"scope": "edited", "at_most": {"/amount": 100}}"#),
            Ok(AnswerWord::Approve(Extent::Edited(at_most(100))))
        );
        assert_eq!(
            read(r#"{"scope": "task", "uses": 3}"#),
            Ok(AnswerWord::Approve(Extent::Task { uses: 3, loosened: Loosened::default() }))
        );
        let loosened = Loosened {
            at_most: at_most(100),
            within: vec![
                ("/currency".into(), Constraint::OneOf(vec![Value::from("EUR"), number(1)])),
                ("/path".into(), Constraint::Under(Value::from("/srv"))),
            ],
            resources: ResourcesWord::OfType,
        };
        assert_eq!(
            read(
                r#"{"scope": "task", "uses": 3, "at_most": {"/amount": 100}, "resources": "of_type",
                    "within": {"/path": {"under": "/srv"}, "/currency": {"one_of": ["EUR", 1]}}}"#
            ),
            Ok(AnswerWord::Approve(Extent::Task { uses: 3, loosened }))
        );
        for wrong in [
            r#"{"scope": "once", "uses": 2}"#,
            r#"{"scope": "once", "at_most": {"/amount": 1}}"#,
            r#"{"scope": "edited"}"#,
            r#"{"scope": "task"}"#,
            r#"{"scope": "task", "uses": 2, "until": "2026-01-01T00:00:00Z"}"#,
            r#"{"scope": "until", "uses": 2}"#,
            r#"{"scope": "until", "until": "2026-01-01T00:00:00Z"}"#,
            r#"{"scope": "task", "uses": 0}"#,
            r#"{"scope": "once", "resources": "of_type"}"#,
            r#"{"scope": "once", "within": {"/path": {"under": "/srv"}}}"#,
            r#"{"scope": "task", "uses": 2, "resources": "all"}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"under": ""}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"one_of": []}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/path": {"like": "/srv"}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/a": {"under": "/b", "domain": "c"}}}"#,
            r#"{"scope": "task", "uses": 2, "within": {"/a": {"under": "/b"}}, "at_most": {"/a": 1}}"#,
            r#"{"scope": "for ever"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_one_word_to_what_was_shown() {
        let both = format!(
            r#"{{"approve": {{"scope": "once"}}, "refuse": {{"reason": "no"}}, "digest": "{DIGEST}"}}"#
        );
        assert!(AnswerRequest::read(both.as_bytes()).is_err());
        assert!(AnswerRequest::read(br#"{"approve": {"scope": "once"}}"#).is_err());
        let no = format!(r#"{{"refuse": {{"reason": "no"}}, "digest": "{DIGEST}"}}"#);
        let no = AnswerRequest::read(no.as_bytes()).unwrap();
        assert_eq!(no.word, AnswerWord::Refuse("no".into()));
    }

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
