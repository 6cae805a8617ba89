//! Steps of remediations, as they are recorded: a word, and a detail that is canonical JSON.

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Decision, Digest, EntityRef, IdentityId, IdentityStatus, IntentName, LeaseId,
    PolicyId, RecordId, ScheduleName, TargetName, Timestamp,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::replay::{ReplayForm, proved_by};
use super::{Ended, Probe, ProvedBy, RemediationPlan, RightReplay, RightTaken, Verdict, Word};
use crate::Effect;

/// What happened to a remediation: plain data, of which it is a fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemediationStep {
    /// It was planned.
    Scheduled {
        /// What.
        plan: Box<RemediationPlan>,
    },
    /// The right counts for nothing; a delegation or a lease was ended.
    Quarantined {
        /// Whether a person asked for it before its time.
        asked: bool,
        /// What the status of the identity was, where that is set aside whole.
        before: Option<IdentityStatus>,
    },
    /// It counts again, or was never taken.
    Restored {
        /// Why.
        reason: Arc<str>,
    },
    /// A change of the policies was proposed for it.
    Proposed {
        /// Which.
        proposal: RecordId,
    },
    /// That change was rejected.
    Withdrawn {
        /// Why.
        why: Arc<str>,
    },
    /// The right is gone.
    Applied {
        /// The change of the policies, where there was one.
        proposal: Option<RecordId>,
        /// What the status of the identity was, where somebody has changed it since that was set
        /// aside: it is that again where the right comes back.
        before: Option<IdentityStatus>,
    },
    /// What existed only by the right has ended.
    Ended(Ended),
    /// The policies have changed meanwhile: nothing was overwritten.
    Conflict {
        /// What differs.
        problem: Arc<str>,
    },
    /// It could not be taken away.
    Failed {
        /// What went wrong.
        problem: Arc<str>,
    },
    /// The enforcement point was asked, and what was decided by the right was decided again.
    Verified {
        /// What it said.
        probes: Vec<Probe>,
        /// What recorded decisions came to; nothing where none were looked at.
        replay: Option<Box<RightReplay>>,
        /// By what it was proved that the right is gone; nothing where it was not. Versions before
        /// this one did not say it, and proved it by the probes.
        proved_by: Option<ProvedBy>,
    },
    /// It was given back after it was gone.
    RolledBack {
        /// Why.
        reason: Arc<str>,
    },
    /// Denials show that it was needed.
    Needed {
        /// How many there were.
        denials: u64,
    },
}

/// Why a record is no step: whoever wrote it is at fault, or a version after this one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemediationStepError {
    /// No step has that word.
    #[error("no step of a remediation is called `{0}`")]
    Unknown(Arc<str>),
    /// Its detail is not what it must be.
    #[error("the detail of a step of a remediation does not fit: {0}")]
    Detail(String),
    /// A name in it is none.
    #[error("`{0}` of a step of a remediation is missing or does not fit")]
    Member(&'static str),
}

/// The detail of every step: what it does not have is left out. Fields stand in the order of
/// their names, so that what is written is canonical (RFC 8785).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Detail {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denials: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leases: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    probes: Vec<ProbeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proposal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proved_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    right: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    says: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tasks: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeForm {
    action: String,
    answer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    reasons: Vec<String>,
    resource_id: String,
    resource_type: String,
    wanted: String,
}

impl RemediationStep {
    /// A verification of what was planned: what it proves follows from the rest.
    pub fn verified(
        plan: &RemediationPlan,
        probes: Vec<Probe>,
        replay: Option<Box<RightReplay>>,
    ) -> Self {
        let proved_by = match plan.verdict(&probes, replay.as_deref()) {
            Verdict::Proved(by) => Some(by),
            Verdict::StillPermitted(_) | Verdict::Failed(_) | Verdict::Nothing => None,
        };
        Self::Verified { probes, replay, proved_by }
    }

    /// Whether it is a verification that proves that a right is gone.
    pub fn is_proof(&self) -> bool {
        match self {
            Self::Verified { probes, replay: None, proved_by: None } => {
                !probes.is_empty() && probes.iter().all(Probe::holds)
            }
            Self::Verified { proved_by, .. } => proved_by.is_some(),
            _ => false,
        }
    }

    /// The word for it in its record.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Scheduled { .. } => "scheduled",
            Self::Quarantined { .. } => "quarantined",
            Self::Restored { .. } => "restored",
            Self::Proposed { .. } => "proposed",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Applied { .. } => "applied",
            Self::Ended(_) => "ended",
            Self::Conflict { .. } => "conflict",
            Self::Failed { .. } => "failed",
            Self::Verified { .. } => "verified",
            Self::RolledBack { .. } => "rolled_back",
            Self::Needed { .. } => "needed",
        }
    }

    /// What somebody wants who takes it, in words.
    pub(crate) const fn wanted(&self) -> &'static str {
        match self {
            Self::Scheduled { .. } => "scheduling it again",
            Self::Quarantined { .. } => "a quarantine",
            Self::Restored { .. } => "restoring",
            Self::Proposed { .. } | Self::Withdrawn { .. } | Self::Applied { .. } => "applying",
            Self::Ended(_) => "ending what rests on it",
            Self::Conflict { .. } => "a conflict",
            Self::Failed { .. } => "a failure",
            Self::Verified { .. } => "a verification",
            Self::RolledBack { .. } => "rolling back",
            Self::Needed { .. } => "watching",
        }
    }

    /// What its record says beside that, as canonical JSON.
    pub fn detail(&self) -> String {
        let owned = |text: &Arc<str>| Some(text.to_string());
        let form = match self {
            Self::Scheduled { plan } => of_plan(plan),
            Self::Quarantined { asked, before } => {
                let before = before.map(|status| status.as_str().to_owned());
                Detail { asked: Some(*asked), before, ..Detail::default() }
            }
            Self::Restored { reason } | Self::RolledBack { reason } => {
                Detail { reason: owned(reason), ..Detail::default() }
            }
            Self::Proposed { proposal } => {
                Detail { proposal: Some(proposal.to_string()), ..Detail::default() }
            }
            Self::Withdrawn { why } => Detail { reason: owned(why), ..Detail::default() },
            Self::Applied { proposal, before } => Detail {
                proposal: proposal.as_ref().map(ToString::to_string),
                before: before.map(|status| status.as_str().to_owned()),
                ..Detail::default()
            },
            Self::Ended(Ended { tasks, leases, tokens }) => Detail {
                tasks: Some(*tasks),
                leases: Some(*leases),
                tokens: Some(*tokens),
                ..Detail::default()
            },
            Self::Conflict { problem } | Self::Failed { problem } => {
                Detail { problem: owned(problem), ..Detail::default() }
            }
            Self::Verified { probes, replay, proved_by } => Detail {
                probes: probes.iter().map(of_probe).collect(),
                replay: replay.as_deref().map(ReplayForm::of),
                proved_by: proved_by.map(|by| by.as_str().to_owned()),
                ..Detail::default()
            },
            Self::Needed { denials } => Detail { denials: Some(*denials), ..Detail::default() },
        };
        // Texts and integers are always JSON.
        serde_json::to_string(&form).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The step of a record.
    ///
    /// # Errors
    /// [`RemediationStepError`] says what does not fit.
    pub fn read(event: &str, detail: &str) -> Result<Self, RemediationStepError> {
        let form: Detail = serde_json::from_str(detail)
            .map_err(|error| RemediationStepError::Detail(error.to_string()))?;
        let text = |member: Option<String>, name| {
            member.map(Arc::<str>::from).ok_or(RemediationStepError::Member(name))
        };
        Ok(match event {
            "scheduled" => Self::Scheduled { plan: Box::new(plan_of(form)?) },
            "quarantined" => {
                let asked = form.asked.unwrap_or_default();
                Self::Quarantined { asked, before: status_of(form.before)? }
            }
            "restored" => Self::Restored { reason: text(form.reason, "reason")? },
            "rolled_back" => Self::RolledBack { reason: text(form.reason, "reason")? },
            "proposed" => {
                let proposal = named(form.proposal, "proposal", RecordId::new)?;
                Self::Proposed { proposal }
            }
            "withdrawn" => Self::Withdrawn { why: text(form.reason, "reason")? },
            "applied" => {
                let proposal = form.proposal.map(|id| named(Some(id), "proposal", RecordId::new));
                Self::Applied { proposal: proposal.transpose()?, before: status_of(form.before)? }
            }
            "ended" => {
                let count = |of: Option<u64>, name| of.ok_or(RemediationStepError::Member(name));
                Self::Ended(Ended {
                    tasks: count(form.tasks, "tasks")?,
                    leases: count(form.leases, "leases")?,
                    tokens: count(form.tokens, "tokens")?,
                })
            }
            "conflict" => Self::Conflict { problem: text(form.problem, "problem")? },
            "failed" => Self::Failed { problem: text(form.problem, "problem")? },
            "verified" => Self::Verified {
                probes: form.probes.into_iter().map(probe_of).collect::<Result<_, _>>()?,
                replay: form.replay.map(|form| form.read().map(Box::new)).transpose()?,
                proved_by: proved_by(form.proved_by)?,
            },
            "needed" => Self::Needed {
                denials: form.denials.ok_or(RemediationStepError::Member("denials"))?,
            },
            other => return Err(RemediationStepError::Unknown(other.into())),
        })
    }
}

fn named<T, E>(
    text: Option<String>,
    name: &'static str,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<T, RemediationStepError> {
    let missing = RemediationStepError::Member(name);
    text.and_then(|text| parse(text).ok()).ok_or(missing)
}

fn status_of(word: Option<String>) -> Result<Option<IdentityStatus>, RemediationStepError> {
    let status = |word: String| IdentityStatus::parse(&word).ok_or(());
    word.map(|word| named(Some(word), "before", status)).transpose()
}

fn of_plan(plan: &RemediationPlan) -> Detail {
    let mut form = Detail {
        holder: Some(plan.holder.to_string()),
        grant: Some(plan.grant.to_string()),
        effect: Some(plan.effect.as_str().to_owned()),
        not_before: Some(plan.not_before.as_millis()),
        cause: plan.cause.as_ref().map(ToString::to_string),
        reason: Some(plan.reason.to_string()),
        right: Some(plan.right.as_str().to_owned()),
        name: plan.right.name().map(str::to_owned),
        ..Detail::default()
    };
    match &plan.right {
        RightTaken::Statement { says, actions, .. } => {
            form.says = Some(says.to_string());
            form.actions = actions.iter().map(ToString::to_string).collect();
        }
        RightTaken::Intent { schedule, .. } => {
            form.schedule = schedule.as_ref().map(ToString::to_string);
        }
        RightTaken::Lease { target, .. } => form.target = Some(target.to_string()),
        RightTaken::Delegation { word, .. } => {
            form.user = word.as_ref().map(|word| word.user.to_string());
            form.intent = word.as_ref().map(|word| word.intent.to_string());
        }
        RightTaken::Identity => {}
    }
    form
}

fn plan_of(form: Detail) -> Result<RemediationPlan, RemediationStepError> {
    let digest = |text: String| Digest::parse(&text).ok_or(());
    let right = match form.right.as_deref() {
        Some("identity") => RightTaken::Identity,
        Some("statement") => RightTaken::Statement {
            policy: named(form.name, "name", PolicyId::new)?,
            says: named(form.says, "says", digest)?,
            actions: form
                .actions
                .into_iter()
                .map(|action| named(Some(action), "actions", ActionName::new))
                .collect::<Result<_, _>>()?,
        },
        Some("intent") => {
            let schedule = form.schedule.map(|n| named(Some(n), "schedule", ScheduleName::new));
            RightTaken::Intent {
                intent: named(form.name, "name", IntentName::new)?,
                schedule: schedule.transpose()?,
            }
        }
        Some("delegation") => {
            let word = match (form.user, form.intent) {
                (None, None) => None,
                (user, intent) => Some(Word {
                    user: named(user, "user", IdentityId::new)?,
                    intent: named(intent, "intent", IntentName::new)?,
                }),
            };
            RightTaken::Delegation { id: named(form.name, "name", RecordId::new)?, word }
        }
        Some("lease") => RightTaken::Lease {
            lease: named(form.name, "name", LeaseId::new)?,
            target: named(form.target, "target", TargetName::new)?,
        },
        _ => return Err(RemediationStepError::Member("right")),
    };
    let effect =
        |word: String| Effect::ALL.into_iter().find(|effect| effect.as_str() == word).ok_or(());
    let not_before = form.not_before.ok_or(RemediationStepError::Member("not_before"))?;
    Ok(RemediationPlan {
        holder: named(form.holder, "holder", IdentityId::new)?,
        grant: named(form.grant, "grant", digest)?,
        right,
        effect: named(form.effect, "effect", effect)?,
        not_before: Timestamp::from_millis(not_before),
        cause: form.cause.map(Into::into),
        reason: form.reason.ok_or(RemediationStepError::Member("reason"))?.into(),
    })
}

fn of_probe(probe: &Probe) -> ProbeForm {
    ProbeForm {
        action: probe.action.to_string(),
        answer: probe.answer.as_str().to_owned(),
        evidence: probe.evidence.as_ref().map(ToString::to_string),
        point: probe.point.as_ref().map(ToString::to_string),
        reasons: probe.reasons.iter().map(ToString::to_string).collect(),
        resource_id: probe.resource.id.to_string(),
        resource_type: probe.resource.ty.to_string(),
        wanted: probe.wanted.as_str().to_owned(),
    }
}

fn probe_of(form: ProbeForm) -> Result<Probe, RemediationStepError> {
    let decision = |word: String| {
        let all = [Decision::Permit, Decision::Deny];
        all.into_iter().find(|decision| decision.as_str() == word).ok_or(())
    };
    let resource = EntityRef::new(form.resource_type, form.resource_id);
    let evidence = form.evidence.map(|id| named(Some(id), "evidence", RecordId::new));
    let point = form.point.map(|id| named(Some(id), "point", IdentityId::new));
    Ok(Probe {
        action: named(Some(form.action), "action", ActionName::new)?,
        resource: resource.map_err(|_| RemediationStepError::Member("resource"))?,
        wanted: named(Some(form.wanted), "wanted", decision)?,
        answer: named(Some(form.answer), "answer", decision)?,
        reasons: form.reasons.into_iter().map(Into::into).collect(),
        evidence: evidence.transpose()?,
        point: point.transpose()?,
    })
}
