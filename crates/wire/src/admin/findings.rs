//! Findings: what is wrong with the estate, and what was said of it.

use std::collections::BTreeMap;

use safeconduct_model::{IdentityId, RecordId, Timestamp};
use safeconduct_review::finding::{Fact, Finding, NotJudged};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// Which findings: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FindingQueryForm {
    /// In that state: `open`, `exempt`, `closed`; left out, those that are not closed.
    pub state: Option<String>,
    /// Of that kind: `unused_grant`, `orphaned_identity` ….
    pub kind: Option<String>,
    /// About that identity.
    pub identity: Option<String>,
    /// At least that bad: `low`, `moderate`, `high`, `critical`.
    pub severity: Option<String>,
    /// Those after this finding.
    pub after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    pub limit: Option<usize>,
}

/// Findings, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FindingList {
    /// The findings of this page.
    pub findings: Vec<FindingView>,
    /// How many fit in all.
    pub total: u64,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The last look of this server; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_look: Option<LookView>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FindingView {
    /// Its id: the same for the same kind about the same thing.
    pub id: String,
    /// What is wrong, as a word.
    pub kind: &'static str,
    /// What is wrong, in words.
    pub title: &'static str,
    /// With what, in words.
    pub about: String,
    /// Whose it is, where it is somebody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What sort of thing it is about.
    pub thing: &'static str,
    /// Which one; absent where it is the identity itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How bad it is.
    pub severity: &'static str,
    /// Where it stands: `open`, `exempt`, `closed`.
    pub state: &'static str,
    /// What it rests on, by name.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub facts: BTreeMap<String, Fact>,
    /// The records that show it, the newest first.
    pub evidence: Vec<String>,
    /// The controls that it concerns: `FRAMEWORK CONTROL`.
    pub controls: Vec<String>,
    /// When it was found first.
    pub opened_at: Written<Timestamp>,
    /// When it was last opened, changed or closed.
    pub changed_at: Written<Timestamp>,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Written<Timestamp>>,
    /// How often it came back.
    pub reopened: u32,
    /// What a person said of it, while that holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemption: Option<ExemptionView>,
}

/// What a person said of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExemptionView {
    /// Its id.
    pub id: String,
    /// What it is for: `break_glass`, `seasonal`, `other`.
    pub kind: &'static str,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: Written<IdentityId>,
    /// When.
    pub at: Written<Timestamp>,
    /// Until when.
    pub until: Written<Timestamp>,
}

/// An exemption to grant. There is none without an end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExemptionRequest {
    /// What it is for: `break_glass`, `seasonal`, `other`.
    pub kind: String,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Until when: in the future, and within 366 days.
    pub until: Written<Timestamp>,
}

/// What a look at the estate saw, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LookView {
    /// When.
    pub at: Written<Timestamp>,
    /// Since when the ledger has been counting.
    pub tracked_since: Written<Timestamp>,
    /// How many identities were looked at.
    pub identities: u64,
    /// How many of their rights.
    pub grants: u64,
    /// How many rights were left out, beyond the most of one identity.
    pub grants_left_out: u64,
    /// How many decisions, the newest.
    pub decisions: u64,
    /// Kinds of records of which only the newest were looked at.
    pub sampled: Vec<&'static str>,
    /// Findings that are new.
    pub opened: u64,
    /// Findings that rest on something else now.
    pub changed: u64,
    /// Findings that came back.
    pub reopened: u64,
    /// Findings that are not so any more.
    pub closed: u64,
    /// Exemptions whose time is over.
    pub expired: u64,
    /// New findings for which there was no room.
    pub left_off: u64,
    /// Some of what could not be judged: less is tracked than the rule needs.
    pub not_judged: Vec<NotJudgedView>,
    /// How much that is in all.
    pub not_judged_count: u64,
}

/// Something that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotJudgedView {
    /// By which rule.
    pub kind: &'static str,
    /// What.
    pub about: String,
    /// How many days the ledger has been counting.
    pub tracked_days: u64,
    /// How many it would have to.
    pub needed_days: u64,
}

impl FindingView {
    /// A finding as it stands then.
    pub fn of(finding: &Finding, now: Timestamp) -> Self {
        let exemption = finding.exemption.as_ref().filter(|exemption| now < exemption.until);
        let subject = &finding.subject;
        Self {
            id: finding.id.to_string(),
            kind: finding.kind.as_str(),
            title: finding.kind.title(),
            about: subject.to_string(),
            identity: subject.whom.as_ref().map(ToString::to_string),
            thing: subject.thing.as_str(),
            name: Some(subject.name.to_string()).filter(|name| !name.is_empty()),
            severity: finding.severity.as_str(),
            state: finding.state(now).as_str(),
            facts: finding
                .facts
                .iter()
                .map(|(name, fact)| (name.to_owned(), fact.clone()))
                .collect(),
            evidence: finding.evidence.iter().map(RecordId::to_string).collect(),
            controls: finding
                .kind
                .controls()
                .iter()
                .map(|named| format!("{} {}", named.framework, named.control))
                .collect(),
            opened_at: Written(finding.opened_at),
            changed_at: Written(finding.changed_at),
            closed_at: finding.closed_at.map(Written),
            reopened: finding.reopened,
            exemption: exemption.map(|exemption| ExemptionView {
                id: exemption.id.to_string(),
                kind: exemption.kind.as_str(),
                reason: exemption.reason.to_string(),
                by: Written(exemption.by.clone()),
                at: Written(exemption.at),
                until: Written(exemption.until),
            }),
        }
    }
}

impl From<&NotJudged> for NotJudgedView {
    fn from(not: &NotJudged) -> Self {
        let days = |ms: i64| u64::try_from(ms / safeconduct_review::finding::DAY_MS).unwrap_or(0);
        Self {
            kind: not.kind.as_str(),
            about: not.subject.to_string(),
            tracked_days: days(not.tracked_ms),
            needed_days: days(not.needed_ms),
        }
    }
}
