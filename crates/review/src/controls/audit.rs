//! Standards that are audited, and the law.

use super::Capability::{self, *};
use super::{Control, Framework};

const fn control(id: &'static str, label: &'static str, toward: &'static [Capability]) -> Control {
    Control { id, label, toward }
}

pub(super) const ISO_42001: Framework = Framework {
    word: "iso-42001",
    name: "ISO/IEC 42001 Annex A",
    version: "2023",
    publisher: "ISO/IEC",
    note: "A selection; the labels are ours.",
    controls: &[
        control("A.2.2", "Rules for AI set down", &[PolicyChange]),
        control("A.2.4", "Those rules looked at again", &[AccessReview, PolicyChange]),
        control("A.3.2", "Who answers for what", &[Ownership]),
        control("A.3.3", "A way to raise concerns", &[Containment]),
        control("A.4.2", "What is in use, on record", &[IdentityInventory]),
        control("A.4.4", "Tools in use, on record", &[IdentityInventory, ThirdParty]),
        control("A.5.2", "Effects assessed", &[ControlMapping]),
        control("A.6.1.3", "Responsible development", &[PolicyChange]),
        control("A.6.2.4", "Checked before use", &[PolicyChange]),
        control("A.6.2.5", "Put into use in a controlled way", &[PolicyChange]),
        control("A.6.2.6", "Watched in operation", &[Monitoring]),
        control("A.6.2.7", "Technical records", &[ControlMapping]),
        control("A.6.2.8", "Events logged", &[AuditLog, LogIntegrity]),
        control("A.8.4", "Incidents told", &[Containment]),
        control("A.9.2", "Responsible use", &[PerActionAuthz, StepupApproval]),
        control("A.9.3", "Aims of responsible use", &[StepupApproval]),
        control("A.9.4", "Used as intended", &[IntentBinding]),
        control("A.10.2", "Responsibility shared out", &[Ownership]),
        control("A.10.3", "Suppliers looked after", &[ThirdParty]),
    ],
};

pub(super) const SOC2: Framework = Framework {
    word: "soc2",
    name: "SOC 2 Trust Services Criteria",
    version: "2017, revised 2022",
    publisher: "AICPA",
    note: "A selection; the labels are ours.",
    controls: &[
        control("CC4.1", "Ongoing and separate evaluations", &[AccessReview, Monitoring]),
        control("CC5.2", "General controls over technology", &[PolicyChange]),
        control(
            "CC6.1",
            "Logical access security",
            &[PerActionAuthz, WorkloadAuthn, SecretHygiene],
        ),
        control(
            "CC6.2",
            "Registration and authorization before credentials; removal when no longer authorised",
            &[Ownership, JitLease, AccessReview, Offboarding],
        ),
        control(
            "CC6.3",
            "Access by role, least privilege, segregation of duties; modify and remove",
            &[LeastPrivilege, SeparationOfDuties, AccessReview],
        ),
        control("CC6.6", "Protection from outside the boundary", &[PerActionAuthz]),
        control("CC6.7", "Restricted transmission and removal of information", &[PerActionAuthz]),
        control("CC6.8", "Unauthorised or malicious software", &[ThirdParty]),
        control("CC7.2", "Monitoring for anomalies", &[Monitoring]),
        control("CC7.3", "Evaluation of security events", &[Containment]),
        control("CC7.4", "Incident response", &[Containment, Revocation]),
        control("CC8.1", "Change management", &[PolicyChange]),
    ],
};

pub(super) const PCI_DSS: Framework = Framework {
    word: "pci-dss",
    name: "PCI DSS",
    version: "4.0.1",
    publisher: "PCI SSC",
    note: "A selection; the labels are ours.",
    controls: &[
        control("7.2.1", "Access control model by need and least privilege", &[LeastPrivilege]),
        control("7.2.2", "Access by job and least privilege", &[LeastPrivilege]),
        control("7.2.3", "Privileges approved by authorised staff", &[StepupApproval, Ownership]),
        control(
            "7.2.4",
            "User access reviewed at least every six months; fixed; management acknowledges",
            &[AccessReview],
        ),
        control(
            "7.2.5",
            "Application/system accounts: least privilege, limited to what needs them",
            &[LeastPrivilege, IdentityInventory],
        ),
        control(
            "7.2.5.1",
            "Application/system account access reviewed at a risk-based frequency; fixed; management acknowledges",
            &[AccessReview, Dormancy],
        ),
        control("7.2.6", "Access to cardholder-data queries restricted", &[PerActionAuthz]),
        control("7.3.1", "Access control system covers all components", &[PerActionAuthz]),
        control("7.3.2", "Access control enforces assigned permissions", &[PerActionAuthz]),
        control("7.3.3", "Deny all by default", &[PerActionAuthz]),
        control("8.2.2", "Shared ids only by exception", &[IdentityInventory]),
        control("8.2.4", "Id lifecycle approved", &[Ownership, AuditLog]),
        control("8.2.5", "Terminated access revoked at once", &[Offboarding, Revocation]),
        control("8.2.6", "Inactive user accounts removed or disabled within 90 days", &[Dormancy]),
        control(
            "8.6.1",
            "Interactive use of application/system accounts prevented or excepted",
            &[Monitoring, IdentityInventory],
        ),
        control("8.6.2", "No hard-coded passwords for such accounts", &[SecretHygiene]),
        control("8.6.3", "Such passwords rotated by risk analysis", &[JitLease, SecretHygiene]),
        control("10.2.1", "Audit logs active", &[AuditLog]),
        control(
            "10.2.1.2",
            "Administrative actions logged, incl. interactive use of system accounts",
            &[AuditLog],
        ),
        control("10.2.1.3", "Access to audit logs logged", &[LogAccess]),
        control("10.2.1.4", "Invalid access attempts logged", &[AuditLog]),
        control("10.2.1.5", "Credential and privilege changes logged", &[AuditLog]),
        control("10.2.1.6", "Start/stop/pause of logs logged", &[LogIntegrity]),
        control("10.2.2", "Required fields of an audit event", &[AuditLog]),
        control("10.3.1", "Log read access limited", &[LogAccess]),
        control("10.3.2", "Logs protected from change", &[LogIntegrity]),
        control(
            "10.3.3",
            "Logs promptly copied to a central, hard-to-alter place",
            &[LogIntegrity],
        ),
        control("10.3.4", "Change detection on logs", &[LogIntegrity]),
        control("10.4.1", "Daily review of security events", &[Monitoring]),
        control("10.4.1.1", "Automated log review", &[Monitoring]),
        control("10.5.1", "12 months kept, 3 months at hand", &[Retention]),
        control(
            "10.7.2",
            "Failures of critical security controls found and fixed",
            &[LogIntegrity, Monitoring],
        ),
        control("12.3.1", "Targeted risk analysis for flexible frequencies", &[AccessReview]),
    ],
};

pub(super) const EU_AI_ACT: Framework = Framework {
    word: "eu-ai-act",
    name: "Regulation (EU) 2024/1689",
    version: "2024",
    publisher: "European Union",
    note: "A selection; the labels are ours.",
    controls: &[
        control("Art.9", "Risk management system", &[ControlMapping]),
        control("Art.12(1)", "Automatic recording of events over the lifetime", &[AuditLog]),
        control(
            "Art.12(2)(a)",
            "Logs identify risk or substantial modification",
            &[AuditLog, Monitoring],
        ),
        control("Art.12(2)(b)", "Logs support post-market monitoring", &[AuditLog]),
        control(
            "Art.12(2)(c)",
            "Logs support deployer monitoring (26(5))",
            &[AuditLog, Monitoring],
        ),
        control(
            "Art.12(3)",
            "Minimum log content for remote biometric identification",
            &[AuditLog],
        ),
        control("Art.13", "Transparency and information to deployers", &[ControlMapping]),
        control("Art.14(1)", "Effective oversight by natural persons", &[StepupApproval]),
        control(
            "Art.14(4)(a)",
            "Overseer understands capacities and limits, can monitor",
            &[Monitoring],
        ),
        control(
            "Art.14(4)(b)",
            "Overseer stays aware of automation bias",
            &[StepupApproval, AccessReview],
        ),
        control("Art.14(4)(c)", "Overseer can interpret output", &[AuditLog]),
        control("Art.14(4)(d)", "Overseer can decide not to use / override", &[StepupApproval]),
        control("Art.14(4)(e)", "Overseer can intervene or stop", &[Revocation, Containment]),
        control("Art.15", "Accuracy, robustness and cybersecurity", &[PerActionAuthz]),
        control("Art.19", "Provider keeps logs (at least six months)", &[Retention]),
        control("Art.26(2)", "Deployer assigns human oversight", &[Ownership, StepupApproval]),
        control("Art.26(5)", "Deployer monitors operation", &[Monitoring]),
        control(
            "Art.26(6)",
            "Deployer keeps logs (at least six months)",
            &[Retention, LogIntegrity],
        ),
        control("Art.72", "Post-market monitoring", &[Monitoring]),
        control("Art.73", "Reporting of serious incidents", &[Containment, AuditLog]),
    ],
};
