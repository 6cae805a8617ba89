//! Kinds of findings: their words, how bad they are at least, and which controls they concern.

use safeconduct_model::signal::Severity;

/// A control of a framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlRef {
    /// The framework: [`crate::controls::Framework::word`].
    pub framework: &'static str,
    /// The control in it: [`crate::controls::Control::id`].
    pub control: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $severity:ident, $title:literal,
        [$(($framework:literal, $control:literal)),* $(,)?];)*) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $($(#[$doc])* $variant),* }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it on every wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The kind of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// How bad one is where its facts do not say that it is worse.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),* }
            }

            /// What it is, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// The controls that it concerns: our judgement, as everything in
            /// [`crate::controls`].
            pub const fn controls(self) -> &'static [ControlRef] {
                match self {
                    $(Self::$variant => &[
                        $(ControlRef { framework: $framework, control: $control }),*
                    ]),*
                }
            }
        }
    };
}

kinds! {
    /// A standing right that was not used for a whole window.
    UnusedGrant = "unused_grant", Low, "a right that nobody uses",
        [("owasp-nhi", "NHI5:2025"), ("owasp-asi", "ASI03"), ("800-53", "AC-6(7)"), ("aicm", "IAM-05")];
    /// A right over more than was ever touched by it.
    OverBroadGrant = "over_broad_grant", Low, "a right over more than it is used for",
        [("owasp-nhi", "NHI5:2025"), ("owasp-asi", "ASI02"), ("owasp-asi", "ASI03"), ("800-53", "AC-6"), ("pci-dss", "7.2.2")];
    /// An identity that has not acted for a whole window.
    DormantIdentity = "dormant_identity", Moderate, "an identity that does nothing any more",
        [("800-53", "AC-2(3)"), ("pci-dss", "8.2.6"), ("aicm", "IAM-08")];
    /// An identity for which nobody answers.
    OrphanedIdentity = "orphaned_identity", High, "an identity whose owner is gone",
        [("owasp-nhi", "NHI1:2025"), ("aicm", "IAM-03"), ("iso-42001", "A.3.2"), ("800-53", "PS-4")];
    /// A token that still stands, of an identity that is gone.
    OrphanedToken = "orphaned_token", High, "a token of an identity that is gone",
        [("owasp-nhi", "NHI1:2025"), ("800-53", "IA-5"), ("pci-dss", "8.2.5")];
    /// A lease that is not over, of a task that is.
    OrphanedLease = "orphaned_lease", High, "a credential at a target whose task is over",
        [("owasp-nhi", "NHI1:2025"), ("800-53", "AC-12"), ("aicm", "IAM-07")];
    /// A right that is counted in use and that no statement explains any more.
    OrphanGrant = "orphan_grant", Low, "a right in use that nothing in force explains",
        [("owasp-nhi", "NHI5:2025"), ("800-53", "AC-6(7)"), ("aicm", "IAM-08")];
    /// One identity that more than one uses.
    SharedIdentity = "shared_identity", Moderate, "an identity that more than one uses",
        [("owasp-nhi", "NHI9:2025"), ("pci-dss", "8.2.2"), ("800-53", "IA-4")];
    /// A credential that lives longer than it should.
    LongLivedCredential = "long_lived_credential", Moderate, "a credential that lives too long",
        [("owasp-nhi", "NHI7:2025"), ("owasp-mcp", "MCP01:2025"), ("pci-dss", "8.6.3"), ("800-53", "IA-5")];
    /// A credential that was used after its task.
    UsedAfterTask = "used_after_task", High, "a credential used after its task had ended",
        [("owasp-nhi", "NHI2:2025"), ("owasp-asi", "ASI03"), ("800-53", "AC-12"), ("pci-dss", "8.2.5")];
    /// A credential at a target that could not be taken back.
    IrrevocableLease = "irrevocable_lease", High, "a credential that could not be taken back",
        [("owasp-nhi", "NHI1:2025"), ("owasp-nhi", "NHI7:2025"), ("800-53", "AC-12"), ("aicm", "IAM-07")];
    /// An identity of a program that a person acts as.
    AgentUsedByPerson = "agent_used_by_person", High, "a program's identity used by a person",
        [("owasp-nhi", "NHI10:2025"), ("800-53", "IA-4(4)"), ("800-53", "AU-10(1)")];
    /// An identity of a person that a program acts as.
    PersonUsedByAgent = "person_used_by_agent", High, "a person's identity used by a program",
        [("owasp-nhi", "NHI9:2025"), ("owasp-asi", "ASI03"), ("800-53", "AU-10(1)")];
    /// Approvals given faster, or by more at once, than anybody reads.
    RubberStamping = "rubber_stamping", Moderate, "approvals given without reading",
        [("eu-ai-act", "Art.14(1)"), ("800-53", "AC-3(2)"), ("pci-dss", "7.2.3"), ("soc2", "CC4.1")];
    /// A policy that permits agents what no intent needs.
    PolicyBeyondIntents = "policy_beyond_intents", Low, "a policy that permits what no intent needs",
        [("owasp-asi", "ASI01"), ("owasp-asi", "ASI02"), ("800-53", "AC-6"), ("iso-42001", "A.9.4")];
    /// What is done under an intent is no longer what was done.
    IntentDrift = "intent_drift", Moderate, "what an agent does under its intent has changed",
        [("owasp-asi", "ASI01"), ("owasp-mcp", "MCP06:2025"), ("iso-42001", "A.9.4"), ("800-53", "SI-4")];
    /// Actions that come with too little context to be decided well.
    MissingCoverage = "missing_coverage", Moderate, "actions that come with too little context",
        [("owasp-mcp", "MCP08:2025"), ("800-53", "AU-3"), ("800-53", "AC-24"), ("aicm", "LOG-08")];
}

impl FindingKind {
    /// Whether one is over once nothing shows it any more. What could not be taken back at a
    /// target stays, however old its record: somebody has to see to it, and to exempt it.
    pub const fn ends_by_itself(self) -> bool {
        !matches!(self, Self::IrrevocableLease)
    }

    /// What is found by records of that kind, so that not all of it is seen where only the newest
    /// of those were looked at.
    pub fn shown_by(record_kind: &str) -> &'static [Self] {
        match record_kind {
            "decision" => &[
                Self::SharedIdentity,
                Self::AgentUsedByPerson,
                Self::PersonUsedByAgent,
                Self::MissingCoverage,
            ],
            // Signals about a task are of whoever acts in it.
            "signal" | "task_began" => &[Self::SharedIdentity, Self::IntentDrift],
            "used_after_end" => &[Self::UsedAfterTask],
            "access_request" | "campaign" => &[Self::RubberStamping, Self::AgentUsedByPerson],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::controls::framework;

    #[test]
    fn words_are_read_back_and_are_words_of_records() {
        let words: BTreeSet<_> = FindingKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), FindingKind::ALL.len());
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::parse(kind.as_str()), Some(*kind));
            assert!(kind.as_str().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
        }
    }

    #[test]
    fn every_kind_concerns_controls_that_there_are() {
        for kind in FindingKind::ALL {
            assert!(!kind.controls().is_empty(), "{kind:?}");
            for named in kind.controls() {
                let framework = framework(named.framework);
                let controls = framework.map_or(&[] as &[_], |framework| framework.controls);
                let known = controls.iter().any(|control| control.id == named.control);
                assert!(known, "{kind:?}: {named:?}");
            }
        }
    }
}
