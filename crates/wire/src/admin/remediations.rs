//! Rights that are taken away, and changes of the policies: what is taken, and what is shown.

use std::collections::BTreeMap;

use safeconduct_model::{ActionName, Digest, IdentityId, RecordId, Timestamp};
use safeconduct_review::{CameTo, PolicyProposal, Probe, ProposedTexts, Remediation, RightReplay};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;

/// Rights that are to be taken away: all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleForm {
    /// Which.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub remediations: Vec<RemediationForm>,
    /// Or all that this campaign decided, which was signed off.
    pub campaign: Option<Written<RecordId>>,
    /// Not before that, for those of a campaign; left out, now.
    pub not_before: Option<Written<Timestamp>>,
}

/// One right that is to be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemediationForm {
    /// Whose right.
    pub holder: Written<IdentityId>,
    /// Which, by its id; left out, everything that they may do.
    pub grant: Option<Written<Digest>>,
    /// What is to become of it: `suspend`, `reduce`, `revoke`.
    pub effect: String,
    /// Not before that; left out, now.
    pub not_before: Option<Written<Timestamp>>,
    /// What led to it: a campaign and case, a finding.
    #[schemars(length(min = 1, max = 256))]
    pub cause: Option<String>,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}

/// What is to happen to a remediation.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemediationStepForm {
    /// `quarantine`, `restore`, `apply`, `verify`, `roll_back`.
    pub step: String,
    /// Why: for `restore` and `roll_back`.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: Option<String>,
    /// For `apply`: others that go with it, in one change of the policies.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub with: Vec<Written<RecordId>>,
    /// For `apply` of what shrinks: the files of the policy folder that change, as they are to be.
    pub draft: Option<BTreeMap<String, String>>,
    /// For `verify`: what is asked, and how it has to be answered; none where what was decided by
    /// the right is to prove it alone.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub probes: Vec<ProbeForm>,
}

/// One question of a verification.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeForm {
    /// What is asked about.
    pub action: Written<ActionName>,
    /// The type of what it would be done to.
    #[schemars(length(min = 1, max = 256))]
    pub resource_type: String,
    /// Its id.
    #[schemars(length(min = 1, max = 1024))]
    pub resource_id: String,
    /// The arguments; left out, none.
    #[schemars(with = "serde_json::Value")]
    pub input: Option<serde_json::Value>,
    /// How it has to be answered: `deny` or `permit`.
    pub wanted: String,
}

/// Which remediations: a query string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemediationQueryForm {
    /// In that state: `scheduled`, `quarantined` ….
    pub state: Option<String>,
    /// Of that holder.
    pub holder: Option<String>,
    /// Those after this one.
    pub after: Option<String>,
    /// At most so many: 1 to 1000; left out, 100.
    pub limit: Option<usize>,
}

/// Remediations, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RemediationList {
    /// Those of this page.
    pub remediations: Vec<RemediationView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A right that is taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RemediationView {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: &'static str,
    /// Whose right.
    pub holder: String,
    /// What gives it: `identity`, `statement`, `intent`, `delegation`, `lease`.
    pub right: &'static str,
    /// Its name; absent where it is everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The right's id.
    pub grant: Written<Digest>,
    /// What is to become of it.
    pub effect: &'static str,
    /// Whether it counts for nothing now, and can be restored.
    pub set_aside: bool,
    /// Not before that.
    pub not_before: Written<Timestamp>,
    /// Why.
    pub reason: String,
    /// What led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who wanted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_by: Option<String>,
    /// The change of the policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
    /// When it was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_at: Option<Written<Timestamp>>,
    /// When it was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Written<Timestamp>>,
    /// When denials showed that it was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed_at: Option<Written<Timestamp>>,
    /// What existed only by the right, and was ended with it; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedView>,
    /// What the last verification found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeView>,
    /// What was decided by the right, decided again by the last verification; absent where it did
    /// not look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<RightReplayView>,
    /// By what it was proved that the right is gone: `probe`, `replay`, `probe_and_replay`; absent
    /// where it was not, or by a version that asked probes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proved_by: Option<&'static str>,
    /// What went wrong, or why it was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What was ended with a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EndedView {
    /// Tasks, each with its session, its tokens and its leases.
    pub tasks: u64,
    /// Leases of tasks that go on.
    pub leases: u64,
    /// Tokens: those of tasks that go on, and of somebody who may not act any more.
    pub tokens: u64,
}

/// One question of a verification, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProbeView {
    /// What was asked about.
    pub action: String,
    /// What it would have been done to.
    pub resource: String,
    /// How it had to be answered.
    pub wanted: &'static str,
    /// How it was.
    pub answer: &'static str,
    /// Why, by code.
    pub reasons: Vec<String>,
    /// Whether that is as it should be.
    pub holds: bool,
    /// The enforcement point whose way it went; absent where the decision point itself was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
}

/// The permits that came of a right within a window, decided again under the policies that were in
/// force. What they came to adds up to all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RightReplayView {
    /// SHA-256 of that policy set.
    pub policies: Written<Digest>,
    /// When the window begins.
    pub since: Written<Timestamp>,
    /// When it ends.
    pub until: Written<Timestamp>,
    /// How many decisions there were.
    pub decisions: u64,
    /// Whether there were more, which were older, and were not looked at.
    pub more: bool,
    /// How many are denied because the right is gone.
    pub denied: u64,
    /// How many are denied by something that has nothing to do with it.
    pub denied_otherwise: u64,
    /// How many are permitted by what is left of the right.
    pub kept: u64,
    /// How many what is left of it permits, and something denies.
    pub kept_denied: u64,
    /// How many are permitted by something else.
    pub still_permitted: u64,
    /// Of how many the record does not say enough.
    pub not_replayable: u64,
    /// Over how many a policy fails.
    pub errors: u64,
    /// By which policies they are permitted still: the first that were found.
    #[schemars(length(max = 8))]
    pub by: Vec<StillPermittedView>,
    /// Why some are not replayable, and how many each time.
    pub why: BTreeMap<String, u64>,
    /// Records of the first of each sort, by the word for what they came to: at most 5 of each.
    pub samples: BTreeMap<&'static str, Vec<String>>,
}

/// A policy by which decisions are permitted still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StillPermittedView {
    /// The policy.
    pub policy: String,
    /// How many.
    pub decisions: u64,
}

/// What was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scheduled {
    /// The remediations, in the order of the request.
    pub ids: Vec<String>,
    /// Of what a campaign decided, what is not planned, and why: the first of them.
    #[schemars(length(max = 100))]
    pub left_out: Vec<NotPlannedView>,
    /// How many there are of them.
    pub left_out_count: u64,
}

/// A right of which something was decided that is not planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotPlannedView {
    /// Who holds it.
    pub holder: String,
    /// Which.
    pub grant: String,
    /// Why not, in words.
    pub why: String,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SteppedRemediation {
    /// How it stands now.
    #[serde(flatten)]
    pub remediation: RemediationView,
    /// The change of the policies that it waits for: somebody else than the caller approves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl RemediationView {
    /// A remediation, as it is shown.
    pub fn of(one: &Remediation) -> Self {
        let text = |id: &RecordId| id.to_string();
        Self {
            id: one.id.to_string(),
            state: one.state.as_str(),
            holder: one.plan.holder.to_string(),
            right: one.plan.right.as_str(),
            name: one.plan.right.name().map(str::to_owned),
            grant: Written(one.plan.grant),
            effect: one.plan.effect.as_str(),
            set_aside: one.set_aside,
            not_before: Written(one.plan.not_before),
            reason: one.plan.reason.to_string(),
            cause: one.plan.cause.as_ref().map(ToString::to_string),
            scheduled_by: one.scheduled_by.as_ref().map(ToString::to_string),
            proposal: one.proposal.as_ref().map(text),
            quarantined_at: one.quarantined_at.map(Written),
            applied_at: one.applied_at.map(Written),
            needed_at: one.needed_at.map(Written),
            ended: (!one.ended.is_nothing()).then_some(EndedView {
                tasks: one.ended.tasks,
                leases: one.ended.leases,
                tokens: one.ended.tokens,
            }),
            probes: one.probes.iter().map(ProbeView::of).collect(),
            replay: one.replay.as_deref().map(RightReplayView::of),
            proved_by: one.proved_by.map(safeconduct_review::ProvedBy::as_str),
            note: one.note.as_ref().map(ToString::to_string),
        }
    }
}

impl RightReplayView {
    fn of(replay: &RightReplay) -> Self {
        let mut samples = BTreeMap::<_, Vec<_>>::new();
        for (sort, record) in &replay.samples {
            samples.entry(sort.as_str()).or_default().push(record.to_string());
        }
        let by = replay.by.iter();
        Self {
            policies: Written(replay.policies),
            since: Written(replay.since),
            until: Written(replay.until),
            decisions: replay.decisions(),
            more: replay.more,
            denied: replay.count(CameTo::Denied),
            denied_otherwise: replay.count(CameTo::DeniedOtherwise),
            kept: replay.count(CameTo::Kept),
            kept_denied: replay.count(CameTo::KeptDenied),
            still_permitted: replay.count(CameTo::StillPermitted),
            not_replayable: replay.count(CameTo::NotReplayable),
            errors: replay.count(CameTo::Error),
            by: by
                .map(|(policy, decisions)| StillPermittedView {
                    policy: policy.to_string(),
                    decisions: *decisions,
                })
                .collect(),
            why: replay.why.iter().map(|(why, count)| (why.to_string(), *count)).collect(),
            samples,
        }
    }
}

impl ProbeView {
    fn of(probe: &Probe) -> Self {
        Self {
            action: probe.action.to_string(),
            resource: probe.resource.to_string(),
            wanted: probe.wanted.as_str(),
            answer: probe.answer.as_str(),
            reasons: probe.reasons.iter().map(ToString::to_string).collect(),
            holds: probe.holds(),
            point: probe.point.as_ref().map(ToString::to_string),
        }
    }
}

/// A change of the policies that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeForm {
    /// All Cedar, Rego and schema files of the policy folder by their paths, as they are to be.
    pub files: BTreeMap<String, String>,
    /// Digest of the folder that was edited: what `GET /v1/policy-folder` gave. Where the folder is
    /// another by now, nothing is proposed, and both changes are shown.
    pub from: Written<Digest>,
    /// Why, for the record.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: String,
}

/// The policy folder as it is: what a change is edited from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyFolderView {
    /// Its digest.
    pub digest: Written<Digest>,
    /// All its Cedar, Rego and schema files, by their paths.
    pub files: BTreeMap<String, String>,
}

/// The answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalAnswerForm {
    /// `approve` or `reject`.
    pub answer: String,
    /// Why: for `reject`.
    #[schemars(length(min = 1, max = 4096))]
    pub reason: Option<String>,
}

/// Proposals, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProposalList {
    /// All of them.
    pub proposals: Vec<ProposalView>,
}

/// A change of the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProposalView {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: &'static str,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: Written<Timestamp>,
    /// Why.
    pub reason: String,
    /// The files that change.
    pub files: Vec<String>,
    /// How many policy tests were run, and passed.
    pub tests: u64,
    /// What the checks said, without effect.
    pub warnings: Vec<String>,
    /// The remediations that it carries out.
    pub remediations: Vec<String>,
    /// Whether it gives back what those took away.
    pub back: bool,
    /// Digest of the folder that it was written for.
    pub from: String,
    /// Digest of the folder afterwards.
    pub to: String,
    /// Who approved or rejected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Why it was rejected, or what stood in its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A change of the policies, with its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProposalWithTexts {
    /// The proposal.
    #[serde(flatten)]
    pub proposal: ProposalView,
    /// Each file as it was, and as it is to be.
    pub texts: BTreeMap<String, ProposedFileView>,
}

/// A file of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProposedFileView {
    /// Its text when the change was proposed; absent where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its text afterwards; absent where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl ProposalView {
    /// A proposal, as it is shown.
    pub fn of(one: &PolicyProposal) -> Self {
        let change = &one.change;
        Self {
            id: one.id.to_string(),
            state: one.state.as_str(),
            author: one.author.to_string(),
            at: Written(one.at),
            reason: change.reason.clone(),
            files: change.files.clone(),
            tests: change.tests,
            warnings: change.warnings.clone(),
            remediations: change.remediations.clone(),
            back: change.back,
            from: change.from.clone(),
            to: change.to.clone(),
            answered_by: one.answered_by.as_ref().map(ToString::to_string),
            note: one.note.as_ref().map(ToString::to_string),
        }
    }
}

impl ProposalWithTexts {
    /// A proposal with its texts.
    pub fn of(one: &PolicyProposal, texts: ProposedTexts) -> Self {
        let files = texts.files.into_iter();
        let view = |file: safeconduct_review::ProposedFile| ProposedFileView {
            before: file.before,
            after: file.after,
        };
        Self {
            proposal: ProposalView::of(one),
            texts: files.map(|(name, file)| (name, view(file))).collect(),
        }
    }
}
