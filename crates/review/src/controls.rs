//! Which records are evidence toward which control of which framework.
//!
//! That a record is evidence toward a control says nothing of whether the control is met: that is
//! for an assessor to say. Which records belong to a control is our judgement; no framework's
//! owner has published it. Where a framework's text is not free, the labels are ours, and only its
//! numbers are its own.

mod agents;
mod audit;
mod nist;

use safeconduct_model::{
    AccessEvent, Body, Decision, IdentityStatus, Record, ReviewedThing, TaskState,
};

use Capability as C;

/// A framework with the controls of it that records can be evidence toward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framework {
    /// The word for it on the command line.
    pub word: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Who publishes it.
    pub publisher: &'static str,
    /// Whose words the labels are, and what is left out.
    pub note: &'static str,
    /// Its controls, in its order.
    pub controls: &'static [Control],
}

/// One control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Its number in the framework.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub label: &'static str,
    /// What of Safeconduct works toward it.
    pub toward: &'static [Capability],
}

impl Control {
    /// The sorts of records that are evidence toward it, each once.
    pub fn sorts(&self) -> Vec<&'static str> {
        let mut sorts: Vec<&'static str> = Vec::new();
        for sort in self.toward.iter().flat_map(|capability| capability.sorts()) {
            if !sorts.contains(sort) {
                sorts.push(sort);
            }
        }
        sorts
    }

    /// Whether a `@control` annotation means this control: its number, or the number without the
    /// year that a list of OWASP carries.
    pub fn is_named(&self, annotation: &str) -> bool {
        let bare = |id: &'_ str| id.split_once(':').map_or(id.to_owned(), |(id, _)| id.to_owned());
        let annotation = annotation.trim();
        annotation == self.id || (!annotation.contains(':') && annotation == bare(self.id))
    }
}

/// What of Safeconduct works toward a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Who exists.
    IdentityInventory,
    /// Who answers for whom.
    Ownership,
    /// Proof of who acts.
    WorkloadAuthn,
    /// Credentials that end with their task.
    JitLease,
    /// A decision on each action.
    PerActionAuthz,
    /// What is done is bound to what was wanted.
    IntentBinding,
    /// No more rights than are used.
    LeastPrivilege,
    /// A person's answer to the exact action.
    StepupApproval,
    /// Who asks, answers and reviews are different people.
    SeparationOfDuties,
    /// Rights taken back while they are used.
    Revocation,
    /// Rights looked at again.
    AccessReview,
    /// What is not used any more.
    Dormancy,
    /// Secrets kept short and out of sight.
    SecretHygiene,
    /// What was decided and what came of it.
    AuditLog,
    /// A log that cannot be changed unseen.
    LogIntegrity,
    /// Who reads the log.
    LogAccess,
    /// How long the log is kept.
    Retention,
    /// What was noticed.
    Monitoring,
    /// What was stopped.
    Containment,
    /// Delegation that only narrows.
    ChainControl,
    /// Tools of others, and whether they are still what was approved.
    ThirdParty,
    /// What ended, and was taken away.
    Offboarding,
    /// Rules, and how they changed.
    PolicyChange,
    /// This mapping.
    ControlMapping,
}

impl Capability {
    /// The sorts of records that show it at work, as [`sorts_of`] names them; none where records
    /// cannot show it.
    pub const fn sorts(self) -> &'static [&'static str] {
        match self {
            C::IdentityInventory => &["identity_changed", "token_issued", "import"],
            C::Ownership => &["identity_changed"],
            C::WorkloadAuthn => &["trust_loaded", "token_minted"],
            C::JitLease => &["lease_changed", "token_minted"],
            C::PerActionAuthz => &["decision/permit", "decision/deny"],
            C::IntentBinding => &["task_began", "decision/in_task"],
            C::LeastPrivilege => &["decision/permit", "decision/deny", "finding", "remediation"],
            C::StepupApproval => &["access_request", "decision/approved", "passkey_used"],
            C::SeparationOfDuties => &["access_request/answered", "policy_proposal/answered"],
            C::Revocation => {
                &["killed", "token_revoked", "token_withdrawn", "delegation_ended", "task_revoked"]
            }
            C::AccessReview => &[
                "campaign",
                "campaign/decided",
                "campaign/signed_off",
                "remediation",
                "review_due",
            ],
            C::SecretHygiene => &["lease_changed", "token_keys_rotated", "token_key_dropped"],
            C::AuditLog => &["decision/permit", "decision/deny", "outcome"],
            C::LogIntegrity => &["server_started"],
            C::LogAccess => &["decision/log_read"],
            C::Monitoring => &["signal", "definition_seen", "used_after_end", "finding"],
            C::Containment => &["killed", "task_revoked", "signal"],
            C::ChainControl => &["decision/delegated", "task_began/below"],
            C::ThirdParty => &["catalogue_loaded", "definition_seen"],
            C::Offboarding => &["identity_retired", "task_ended", "token_revoked", "remediation"],
            C::PolicyChange => &[
                "policies_loaded",
                "policies_refused",
                "catalogue_loaded",
                "intents_loaded",
                "policy_proposal",
            ],
            C::Dormancy => &["finding", "exemption"],
            C::Retention | C::ControlMapping => &[],
        }
    }
}

/// The sorts that a record is of: its kind, and what is counted apart.
pub fn sorts_of(record: &Record) -> Vec<&'static str> {
    let mut sorts = vec![record.body.kind()];
    let mut also = |applies: bool, sort| sorts.extend(applies.then_some(sort));
    match &record.body {
        Body::Decided(decided) => {
            also(decided.decision == Decision::Permit, "decision/permit");
            also(decided.decision == Decision::Deny, "decision/deny");
            also(decided.task.is_some(), "decision/in_task");
            also(decided.approval.is_some(), "decision/approved");
            let chain = decided.task.as_ref().map_or(0, |task| task.actors.len());
            also(chain > 1, "decision/delegated");
            let action = decided.action.as_str();
            let log = ["administration/records.", "administration/log."];
            also(log.iter().any(|prefix| action.starts_with(prefix)), "decision/log_read");
        }
        Body::AccessRequestChanged(change) => {
            also(matches!(change.event, AccessEvent::Answered(_)), "access_request/answered");
        }
        Body::IdentityChanged { identity, .. } => {
            also(identity.status == IdentityStatus::Retired, "identity_retired");
        }
        Body::ReviewChanged(change) => {
            let step = |event: &str| &*change.event == event;
            let campaign = change.what == ReviewedThing::Campaign;
            also(campaign && step("decided"), "campaign/decided");
            also(campaign && step("signed_off"), "campaign/signed_off");
            let answered = step("approved") || step("rejected");
            let proposal = change.what == ReviewedThing::PolicyProposal;
            also(proposal && answered, "policy_proposal/answered");
        }
        Body::TaskBegan(task) => also(task.parent.is_some(), "task_began/below"),
        Body::TaskEnded { state, .. } => also(*state == TaskState::Revoked, "task_revoked"),
        _ => {}
    }
    sorts
}

/// Every framework that is known.
pub const FRAMEWORKS: [&Framework; 13] = [
    &agents::OWASP_ASI,
    &agents::OWASP_NHI,
    &agents::OWASP_LLM,
    &agents::OWASP_MCP,
    &agents::MAESTRO,
    &agents::AICM,
    &nist::NIST_AI_RMF,
    &nist::CSF,
    &nist::SP_800_53,
    &audit::ISO_42001,
    &audit::SOC2,
    &audit::PCI_DSS,
    &audit::EU_AI_ACT,
];

/// The framework of that word.
pub fn framework(word: &str) -> Option<&'static Framework> {
    FRAMEWORKS.into_iter().find(|framework| framework.word == word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_and_numbers_are_unique() {
        let words: BTreeSet<&str> = FRAMEWORKS.iter().map(|framework| framework.word).collect();
        assert_eq!(words.len(), FRAMEWORKS.len());
        for framework in FRAMEWORKS {
            let ids: BTreeSet<&str> = framework.controls.iter().map(|control| control.id).collect();
            assert_eq!(ids.len(), framework.controls.len(), "{}", framework.word);
            assert!(framework.controls.iter().all(|control| !control.label.is_empty()));
            assert_eq!(super::framework(framework.word), Some(framework));
        }
    }

    /// Nobody but an assessor says that something is met.
    #[test]
    fn nothing_claims_to_be_met() {
        for framework in FRAMEWORKS {
            let labels = framework.controls.iter().map(|control| control.label);
            for text in labels.chain([framework.note, framework.name]) {
                let text = text.to_lowercase();
                assert!(!text.contains("compliant") && !text.contains("certified"), "{text}");
            }
        }
    }

    #[test]
    fn an_annotation_names_a_control_with_or_without_the_year() {
        let control = |word: &str, id: &str| {
            let controls = framework(word).unwrap().controls;
            *controls.iter().find(|control| control.id == id).unwrap()
        };
        assert!(control("owasp-asi", "ASI02").is_named("ASI02"));
        assert!(control("owasp-nhi", "NHI5:2025").is_named("NHI5:2025"));
        assert!(control("owasp-nhi", "NHI5:2025").is_named(" NHI5 "));
        assert!(!control("owasp-nhi", "NHI5:2025").is_named("NHI5:2026"));
        assert!(control("800-53", "AC-4").is_named("AC-4"));
        assert!(!control("800-53", "AC-4").is_named("AC-4(1)"));
    }
}
