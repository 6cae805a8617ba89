//! Campaigns of access reviews: what is asked, and what is shown.

use safeconduct_model::{Digest, IdentityId, Timestamp};
use safeconduct_review::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::EstateLatest;
use crate::document::{Word, Written};

/// A campaign to begin, or to keep until its time comes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignStartForm {
    /// The definition, in the form of `reviews/*.yaml`.
    #[schemars(extend("type" = "object"))]
    pub definition: Json,
    /// Whether it begins now (`now`), or is only kept for its schedule and its events
    /// (`standing`). Where nothing is said, a definition with a schedule or events is kept, and
    /// any other begins.
    pub begin: Option<BeginWord>,
}

/// When a campaign begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeginWord {
    /// Now.
    Now,
    /// By its schedule, and by its events.
    Standing,
}

/// Which campaigns: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CampaignListForm {
    /// Those that are not over alone: `open`; `all` where nothing is said.
    pub state: Option<String>,
    /// Those that began before this one: `next` of the page before.
    pub after: Option<String>,
    /// How many are looked at: 1 to 1000; left out, 100.
    pub limit: Option<usize>,
}

/// Campaigns, the newest first, and those that begin by themselves.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignList {
    /// The campaigns in which the caller has a part, or all with the right to read them.
    pub campaigns: Vec<CampaignView>,
    /// The definitions that are kept, by name; for those with the right to read all.
    pub standing: Vec<StandingView>,
    /// Where the next page starts: `after` of the next request. Absent at the end. A page has
    /// fewer than were looked at where the caller has no part in some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A definition that is kept.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StandingView {
    /// Its name.
    pub name: String,
    /// Since when it is kept.
    pub since: Written<Timestamp>,
    /// Who put it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it begins next by its schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Written<Timestamp>>,
    /// By which events it begins.
    pub on: Vec<&'static str>,
}

/// What came of beginning one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignStarted {
    /// Its id, where it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// How many rights it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cases: Option<u64>,
    /// SHA-256 over them and where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population: Option<Written<Digest>>,
    /// When it begins by its schedule, where it is only kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Written<Timestamp>>,
}

/// A campaign.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who signs it off.
    pub owner: String,
    /// Where it stands: `created`, `in_stage`, `stage_done`, `reviewed`, `signed_off`,
    /// `cancelled`.
    pub state: &'static str,
    /// The stage under way: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Which one that is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_number: Option<u64>,
    /// How many stages there are.
    pub stages: u64,
    /// Until when reviewers can answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Written<Timestamp>>,
    /// How often cases were put to reviewers again.
    pub iteration: u32,
    /// When it began.
    pub began: Written<Timestamp>,
    /// Who began it; absent where its schedule or an event did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The records of the events because of which it began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Expressions that had no answer since the stage under way opened, each in a sentence: they
    /// name nobody, and others are asked.
    pub unanswered: Vec<String>,
    /// How many rights it is about.
    pub cases: u64,
    /// SHA-256 over them and where they were read.
    pub population: Written<Digest>,
    /// Where they were read.
    pub sources: Vec<CampaignSource>,
    /// How many cases the stage under way is about.
    pub open: u64,
    /// Of how many of those everyone who was asked has answered.
    pub answered: u64,
    /// How many have which outcome so far; those under way count by the answers up to now.
    pub outcomes: std::collections::BTreeMap<&'static str, u64>,
    /// What becomes of how many, as it stands.
    pub effects: std::collections::BTreeMap<&'static str, u64>,
    /// How many of them wait for the caller.
    pub yours: u64,
    /// Whether what is decided is carried out: `automatic` or `report_only`.
    pub remediation: &'static str,
    /// The risk analysis that says how often, by the id that it has elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_analysis: Option<String>,
    /// SHA-256 over the population and every answer, outcome and effect: what is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Written<Digest>>,
}

/// Where a population was read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignSource {
    /// Which source.
    pub name: String,
    /// How far: a digest, a number.
    pub cursor: String,
}

/// Which cases: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CampaignItemsForm {
    /// Those that wait for the caller (`mine`), or `all`. `mine` where nothing is said.
    pub of: Option<String>,
    /// Those after that cursor.
    pub after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    pub limit: Option<usize>,
}

/// Cases, the riskiest and smallest first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignItems {
    /// The cases of this page.
    pub items: Vec<CampaignItemSummary>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A case in a list. Nothing in it says how to answer: for that it must be looked at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignItemSummary {
    /// Its number.
    pub case: u32,
    /// Who holds the right.
    pub holder: String,
    /// The highest tier of what it permits.
    pub tier: &'static str,
    /// What gives it: `statement`, `intent`, `delegation`, `lease`.
    pub kind: &'static str,
    /// Which one.
    pub name: String,
    /// Where that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What it permits.
    pub words: String,
    /// How many actions that is.
    pub actions: u32,
    /// Who gave it, where that is known: they are not asked about it.
    pub given_by: Vec<String>,
    /// Who is asked, in the stage under way.
    pub reviewers: Vec<String>,
    /// Who of them has not answered.
    pub waits_for: Vec<String>,
    /// What came of the stages that are over.
    pub outcomes: Vec<&'static str>,
    /// What became of it, where it goes no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<&'static str>,
}

/// A case as its reviewer sees it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignItemView {
    /// The campaign.
    pub campaign: String,
    /// The case.
    #[serde(flatten)]
    pub item: CampaignItemSummary,
    /// Whom the caller could answer for: themselves, or the person whose deputy they are. Absent
    /// where they are not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub you_answer_for: Option<String>,
    /// When it was first shown to them, where they are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Written<Timestamp>>,
    /// What is known of the right.
    pub evidence: CampaignEvidence,
    /// SHA-256 over that, as canonical JSON (RFC 8785): it is recorded with an answer.
    pub evidence_digest: Written<Digest>,
    /// What was answered so far.
    pub answers: Vec<CampaignAnswerView>,
}

/// What is known of a right under review.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignEvidence {
    /// Whether the holder has the right still; `false` where it is gone since the campaign began.
    pub held: bool,
    /// Whether the holder may act: `active`, `suspended`, `quarantined`, `retired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_status: Option<&'static str>,
    /// Who answers for the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who does where that person is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_owner: Option<String>,
    /// Where the holder runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The actions that it is about, at most 100.
    pub actions: Vec<String>,
    /// Policies that can narrow it.
    pub narrowed_by: Vec<String>,
    /// Since when use is looked at.
    pub since: Written<Timestamp>,
    /// Since when there are records at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_since: Option<Written<Timestamp>>,
    /// Use, by action, intent and kind of task.
    pub uses: Vec<CampaignUse>,
    /// The last three uses, with what came of each.
    pub latest: Vec<EstateLatest>,
    /// How often the holder was denied what the right is about.
    pub denials: u64,
    /// The records of the last three of those.
    pub latest_denials: Vec<String>,
    /// Others of the campaign who hold the same.
    pub peers: CampaignPeers,
    /// How risky the holder is now: 0 to 100.
    pub risk: u8,
    /// What is recommended.
    pub recommendation: CampaignRecommendation,
    /// The open findings about the holder.
    pub findings: Vec<CampaignFinding>,
}

impl CampaignEvidence {
    /// All of it as a value: what its digest is over.
    pub fn to_value(&self) -> safeconduct_model::Value {
        // Texts, numbers and lists are always JSON.
        crate::json::from_serde(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// Use of a right.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignUse {
    /// The action.
    pub action: String,
    /// The intent, where it was in a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// In what kind of task: `taskless`, `own`, `on_behalf`, `delegated`, `through_agent`.
    pub task: &'static str,
    /// Permits.
    pub permitted: u64,
    /// Those that an approval made possible.
    pub approved: u64,
    /// Actions that were done.
    pub succeeded: u64,
    /// Actions that failed.
    pub failed: u64,
    /// How many different resources.
    pub resources: u64,
    /// The last permit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Written<Timestamp>>,
}

/// Others who hold the same.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct CampaignPeers {
    /// How many.
    pub holders: u64,
    /// How many of those have used it since then; at least, where more uses are not looked at.
    pub using: u64,
}

/// What is recommended, and why. It is advice: nothing is answered by it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignRecommendation {
    /// `accept`, `reduce`, `revoke`; absent where too little is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<&'static str>,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// An open finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignFinding {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: String,
    /// How bad.
    pub severity: String,
}

/// An answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignAnswerView {
    /// Who answered.
    pub by: String,
    /// For whom they stood in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acting_for: Option<String>,
    /// What.
    pub response: &'static str,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Written<Timestamp>,
    /// How long they had it before them, in milliseconds.
    pub took_ms: i64,
    /// How many cases they answered at once.
    pub batch: u32,
    /// Digest of what they were shown.
    pub evidence: Written<Digest>,
}

/// Answers about cases: 1 to 100.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignDecideForm {
    /// The answers. Each is taken or refused by itself.
    #[schemars(length(min = 1, max = 100))]
    pub decisions: Vec<CampaignDecisionForm>,
}

/// One answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignDecisionForm {
    /// The case's number.
    pub case: u32,
    /// `accept`, `revoke`, `reduce` or `not_decided`.
    pub response: Word<Response>,
    /// Why; it is recorded. Only `not_decided` needs none.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// For whom the caller stands in; left out, whoever's deputy they are where they are not
    /// asked themselves.
    pub acting_for: Option<Written<IdentityId>>,
}

/// What came of each answer, in their order.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignDecided {
    /// Answer by answer.
    pub results: Vec<CampaignDecidedOne>,
}

/// What came of one answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CampaignDecidedOne {
    /// The case.
    pub case: u32,
    /// `recorded` or `refused`.
    pub status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A case to hand on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignReassignForm {
    /// The case's number.
    pub case: u32,
    /// To whom.
    pub to: Written<IdentityId>,
    /// Whose case it is; the caller's own where nothing is said.
    pub from: Option<Written<IdentityId>>,
}

/// A signature.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignSignForm {
    /// The digest that the campaign shows: what is signed.
    pub over: Written<Digest>,
}
