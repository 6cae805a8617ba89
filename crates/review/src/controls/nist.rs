//! Frameworks of NIST.

use super::Capability::{self, *};
use super::{Control, Framework};

const fn control(id: &'static str, label: &'static str, toward: &'static [Capability]) -> Control {
    Control { id, label, toward }
}

pub(super) const NIST_AI_RMF: Framework = Framework {
    word: "nist-ai-rmf",
    name: "AI Risk Management Framework",
    version: "1.0",
    publisher: "NIST",
    note: "A selection; statements by NIST, shortened.",
    controls: &[
        control(
            "GOVERN 1.2",
            "The characteristics of trustworthy AI are integrated into organizational policies, processes, procedures …",
            &[PolicyChange, ControlMapping],
        ),
        control(
            "GOVERN 1.4",
            "The risk management process and its outcomes are established through transparent policies, procedures, and …",
            &[PolicyChange, AuditLog],
        ),
        control(
            "GOVERN 1.5",
            "Ongoing monitoring and periodic review of the risk management process and its outcomes are planned and …",
            &[AccessReview],
        ),
        control(
            "GOVERN 1.6",
            "Mechanisms are in place to inventory AI systems and are resourced according to organizational risk priorities",
            &[IdentityInventory],
        ),
        control(
            "GOVERN 1.7",
            "Processes and procedures are in place for decommissioning and phasing out AI systems safely and in a manner …",
            &[Offboarding],
        ),
        control(
            "GOVERN 2.1",
            "Roles and responsibilities and lines of communication related to mapping, measuring, and managing AI risks …",
            &[Ownership],
        ),
        control(
            "GOVERN 2.3",
            "Executive leadership of the organization takes responsibility for decisions about risks associated with AI …",
            &[Ownership],
        ),
        control(
            "GOVERN 3.2",
            "Policies and procedures are in place to define and differentiate roles and responsibilities for human-AI …",
            &[StepupApproval, Ownership],
        ),
        control(
            "GOVERN 4.3",
            "Organizational practices are in place to enable AI testing, identification of incidents, and information …",
            &[Monitoring],
        ),
        control(
            "GOVERN 6.1",
            "Policies and procedures are in place that address AI risks associated with third-party entities, including …",
            &[ThirdParty],
        ),
        control(
            "GOVERN 6.2",
            "Contingency processes are in place to handle failures or incidents in third-party data or AI systems deemed …",
            &[ThirdParty, Containment],
        ),
        control(
            "MAP 1.1",
            "Intended purposes, potentially beneficial uses, contextspecific laws, norms and expectations, and …",
            &[IntentBinding, IdentityInventory],
        ),
        control(
            "MAP 2.1",
            "The specific tasks and methods used to implement the tasks that the AI system will support are defined …",
            &[IntentBinding],
        ),
        control(
            "MAP 3.3",
            "Targeted application scope is specified and documented based on the system's capability, established …",
            &[IntentBinding],
        ),
        control(
            "MAP 3.5",
            "Processes for human oversight are defined, assessed, and documented in accordance with organizational …",
            &[StepupApproval],
        ),
        control(
            "MAP 4.2",
            "Internal risk controls for components of the AI system, including third-party AI technologies, are …",
            &[ThirdParty],
        ),
        control(
            "MEASURE 2.4",
            "The functionality and behavior of the AI system and its components – as identified in the MAP function – …",
            &[Monitoring, AuditLog],
        ),
        control(
            "MEASURE 2.7",
            "AI system security and resilience – as identified in the MAP function – are evaluated and documented",
            &[PerActionAuthz, Monitoring],
        ),
        control(
            "MEASURE 2.8",
            "Risks associated with transparency and accountability – as identified in the MAP function – are examined …",
            &[AuditLog, LogIntegrity],
        ),
        control(
            "MEASURE 3.1",
            "Approaches, personnel, and documentation are in place to regularly identify and track existing …",
            &[Monitoring],
        ),
        control(
            "MANAGE 1.3",
            "Responses to the AI risks deemed high priority, as identified by the MAP function, are developed, planned …",
            &[AccessReview],
        ),
        control(
            "MANAGE 2.3",
            "Procedures are followed to respond to and recover from a previously unknown risk when it is identified",
            &[Containment],
        ),
        control(
            "MANAGE 2.4",
            "Mechanisms are in place and applied, and responsibilities are assigned and understood, to supersede …",
            &[Revocation, Containment],
        ),
        control(
            "MANAGE 3.1",
            "AI risks and benefits from third-party resources are regularly monitored, and risk controls are applied and …",
            &[ThirdParty],
        ),
        control(
            "MANAGE 4.1",
            "Post-deployment AI system monitoring plans are implemented, including mechanisms for capturing and …",
            &[Monitoring, Offboarding],
        ),
        control(
            "MANAGE 4.3",
            "Incidents and errors are communicated to relevant AI actors, including affected communities. Processes for …",
            &[Containment, AuditLog],
        ),
    ],
};

pub(super) const CSF: Framework = Framework {
    word: "csf",
    name: "Cybersecurity Framework",
    version: "2.0",
    publisher: "NIST",
    note: "A selection; statements by NIST, shortened.",
    controls: &[
        control(
            "GV.OC-03",
            "Legal, regulatory, and contractual requirements regarding cybersecurity - including privacy and civil …",
            &[ControlMapping],
        ),
        control(
            "GV.RR-02",
            "Roles, responsibilities, and authorities related to cybersecurity risk management are established …",
            &[Ownership],
        ),
        control(
            "GV.PO-01",
            "Policy for managing cybersecurity risks is established based on organizational context, cybersecurity …",
            &[PolicyChange],
        ),
        control(
            "GV.PO-02",
            "Policy for managing cybersecurity risks is reviewed, updated, communicated, and enforced to reflect changes …",
            &[PolicyChange, AccessReview],
        ),
        control(
            "GV.OV-03",
            "Organizational cybersecurity risk management performance is evaluated and reviewed for adjustments needed",
            &[AccessReview],
        ),
        control("GV.SC-04", "Suppliers are known and prioritized by criticality", &[ThirdParty]),
        control(
            "GV.SC-07",
            "The risks posed by a supplier, their products and services, and other third parties are understood …",
            &[ThirdParty],
        ),
        control(
            "GV.SC-10",
            "Cybersecurity supply chain risk management plans include provisions for activities that occur after the …",
            &[Offboarding, ThirdParty],
        ),
        control(
            "ID.AM-01",
            "Inventories of hardware managed by the organization are maintained",
            &[IdentityInventory],
        ),
        control(
            "ID.AM-02",
            "Inventories of software, services, and systems managed by the organization are maintained",
            &[IdentityInventory],
        ),
        control(
            "ID.AM-03",
            "Representations of the organization's authorized network communication and internal and external network …",
            &[AuditLog],
        ),
        control(
            "ID.AM-04",
            "Inventories of services provided by suppliers are maintained",
            &[ThirdParty],
        ),
        control(
            "ID.AM-08",
            "Systems, hardware, software, services, and data are managed throughout their life cycles",
            &[Offboarding],
        ),
        control(
            "ID.RA-07",
            "Changes and exceptions are managed, assessed for risk impact, recorded, and tracked",
            &[PolicyChange],
        ),
        control(
            "PR.AA-01",
            "Identities and credentials for authorized users, services, and hardware are managed by the organization",
            &[IdentityInventory, JitLease],
        ),
        control(
            "PR.AA-02",
            "Identities are proofed and bound to credentials based on the context of interactions",
            &[WorkloadAuthn, Ownership],
        ),
        control("PR.AA-03", "Users, services, and hardware are authenticated", &[WorkloadAuthn]),
        control(
            "PR.AA-04",
            "Identity assertions are protected, conveyed, and verified",
            &[WorkloadAuthn, ChainControl],
        ),
        control(
            "PR.AA-05",
            "Access permissions, entitlements, and authorizations are defined in a policy, managed, enforced, and …",
            &[PerActionAuthz, LeastPrivilege, AccessReview, SeparationOfDuties],
        ),
        control(
            "PR.DS-10",
            "The confidentiality, integrity, and availability of data-in-use are protected",
            &[SecretHygiene],
        ),
        control(
            "PR.PS-04",
            "Log records are generated and made available for continuous monitoring",
            &[AuditLog],
        ),
        control(
            "DE.CM-01",
            "Networks and network services are monitored to find potentially adverse events",
            &[Monitoring],
        ),
        control(
            "DE.CM-03",
            "Personnel activity and technology usage are monitored to find potentially adverse events",
            &[Monitoring],
        ),
        control(
            "DE.CM-06",
            "External service provider activities and services are monitored to find potentially adverse events",
            &[ThirdParty, Monitoring],
        ),
        control(
            "DE.CM-09",
            "Computing hardware and software, runtime environments, and their data are monitored to find potentially …",
            &[Monitoring],
        ),
        control(
            "DE.AE-02",
            "Potentially adverse events are analyzed to better understand associated activities",
            &[Monitoring],
        ),
        control("DE.AE-03", "Information is correlated from multiple sources", &[AuditLog]),
        control(
            "DE.AE-06",
            "Information on adverse events is provided to authorized staff and tools",
            &[Monitoring],
        ),
        control(
            "DE.AE-08",
            "Incidents are declared when adverse events meet the defined incident criteria",
            &[Containment],
        ),
        control(
            "RS.MA-01",
            "The incident response plan is executed in coordination with relevant third parties once an incident is …",
            &[Containment],
        ),
        control(
            "RS.AN-03",
            "Analysis is performed to establish what has taken place during an incident and the root cause of the incident",
            &[AuditLog],
        ),
        control(
            "RS.AN-06",
            "Actions performed during an investigation are recorded, and the records' integrity and provenance are …",
            &[AuditLog, LogIntegrity],
        ),
        control(
            "RS.AN-07",
            "Incident data and metadata are collected, and their integrity and provenance are preserved",
            &[LogIntegrity, Retention],
        ),
        control("RS.MI-01", "Incidents are contained", &[Containment, Revocation]),
        control("RS.MI-02", "Incidents are eradicated", &[Revocation, Offboarding]),
    ],
};

pub(super) const SP_800_53: Framework = Framework {
    word: "800-53",
    name: "SP 800-53",
    version: "Rev. 5",
    publisher: "NIST",
    note: "A selection; titles by NIST.",
    controls: &[
        control(
            "AC-2",
            "Account Management",
            &[IdentityInventory, Ownership, AccessReview, Offboarding],
        ),
        control(
            "AC-2(1)",
            "Account Management | Automated System Account Management",
            &[IdentityInventory],
        ),
        control(
            "AC-2(2)",
            "Account Management | Automated Temporary and Emergency Account Management",
            &[JitLease, Offboarding],
        ),
        control("AC-2(3)", "Account Management | Disable Accounts", &[Dormancy, Offboarding]),
        control("AC-2(4)", "Account Management | Automated Audit Actions", &[AuditLog]),
        control(
            "AC-2(6)",
            "Account Management | Dynamic Privilege Management",
            &[PerActionAuthz, JitLease],
        ),
        control("AC-2(7)", "Account Management | Privileged User Accounts", &[LeastPrivilege]),
        control("AC-2(8)", "Account Management | Dynamic Account Management", &[JitLease]),
        control(
            "AC-2(9)",
            "Account Management | Restrictions on Use of Shared and Group Accounts",
            &[IdentityInventory],
        ),
        control("AC-2(11)", "Account Management | Usage Conditions", &[PerActionAuthz]),
        control(
            "AC-2(12)",
            "Account Management | Account Monitoring for Atypical Usage",
            &[Monitoring],
        ),
        control(
            "AC-2(13)",
            "Account Management | Disable Accounts for High-risk Individuals",
            &[Revocation, Containment],
        ),
        control("AC-3", "Access Enforcement", &[PerActionAuthz]),
        control("AC-3(2)", "Access Enforcement | Dual Authorization", &[StepupApproval]),
        control(
            "AC-3(8)",
            "Access Enforcement | Revocation of Access Authorizations",
            &[Revocation],
        ),
        control(
            "AC-3(10)",
            "Access Enforcement | Audited Override of Access Control Mechanisms",
            &[AuditLog, StepupApproval],
        ),
        control(
            "AC-3(12)",
            "Access Enforcement | Assert and Enforce Application Access",
            &[PerActionAuthz],
        ),
        control(
            "AC-3(13)",
            "Access Enforcement | Attribute-based Access Control",
            &[PerActionAuthz],
        ),
        control("AC-4", "Information Flow Enforcement", &[ChainControl]),
        control("AC-5", "Separation of Duties", &[SeparationOfDuties]),
        control("AC-6", "Least Privilege", &[LeastPrivilege]),
        control(
            "AC-6(1)",
            "Least Privilege | Authorize Access to Security Functions",
            &[LeastPrivilege],
        ),
        control("AC-6(5)", "Least Privilege | Privileged Accounts", &[LeastPrivilege]),
        control("AC-6(7)", "Least Privilege | Review of User Privileges", &[AccessReview]),
        control("AC-6(9)", "Least Privilege | Log Use of Privileged Functions", &[AuditLog]),
        control(
            "AC-6(10)",
            "Least Privilege | Prohibit Non-privileged Users from Executing Privileged Functions",
            &[PerActionAuthz],
        ),
        control("AC-12", "Session Termination", &[Containment, JitLease]),
        control("AC-16", "Security and Privacy Attributes", &[PerActionAuthz]),
        control("AC-24", "Access Control Decisions", &[PerActionAuthz]),
        control("AC-25", "Reference Monitor", &[PerActionAuthz]),
        control("AU-2", "Event Logging", &[AuditLog]),
        control("AU-3", "Content of Audit Records", &[AuditLog]),
        control("AU-5", "Response to Audit Logging Process Failures", &[LogIntegrity]),
        control(
            "AU-5(4)",
            "Response to Audit Logging Process Failures | Shutdown on Failure",
            &[LogIntegrity],
        ),
        control("AU-6", "Audit Record Review, Analysis, and Reporting", &[Monitoring]),
        control("AU-9", "Protection of Audit Information", &[LogIntegrity, LogAccess]),
        control(
            "AU-9(2)",
            "Protection of Audit Information | Store on Separate Physical Systems or Components",
            &[LogIntegrity, Retention],
        ),
        control(
            "AU-9(3)",
            "Protection of Audit Information | Cryptographic Protection",
            &[LogIntegrity],
        ),
        control(
            "AU-9(4)",
            "Protection of Audit Information | Access by Subset of Privileged Users",
            &[LogAccess],
        ),
        control(
            "AU-9(5)",
            "Protection of Audit Information | Dual Authorization",
            &[LogIntegrity, SeparationOfDuties],
        ),
        control("AU-9(6)", "Protection of Audit Information | Read-only Access", &[LogAccess]),
        control("AU-10", "Non-repudiation", &[LogIntegrity, AuditLog]),
        control("AU-10(1)", "Non-repudiation | Association of Identities", &[AuditLog]),
        control(
            "AU-10(2)",
            "Non-repudiation | Validate Binding of Information Producer Identity",
            &[LogIntegrity],
        ),
        control("AU-10(3)", "Non-repudiation | Chain of Custody", &[AuditLog]),
        control("AU-11", "Audit Record Retention", &[Retention]),
        control("AU-12", "Audit Record Generation", &[AuditLog]),
        control(
            "AU-12(1)",
            "Audit Record Generation | System-wide and Time-correlated Audit Trail",
            &[AuditLog],
        ),
        control("AU-14", "Session Audit", &[AuditLog]),
        control("CA-7", "Continuous Monitoring", &[Monitoring, ControlMapping]),
        control(
            "CM-5(4)",
            "Access Restrictions for Change | Dual Authorization",
            &[StepupApproval, PolicyChange],
        ),
        control("CM-3", "Configuration Change Control", &[PolicyChange]),
        control("IA-4", "Identifier Management", &[IdentityInventory]),
        control("IA-4(4)", "Identifier Management | Identify User Status", &[IdentityInventory]),
        control(
            "IA-4(8)",
            "Identifier Management | Pairwise Pseudonymous Identifiers",
            &[IdentityInventory],
        ),
        control(
            "IA-4(9)",
            "Identifier Management | Attribute Maintenance and Protection",
            &[IdentityInventory],
        ),
        control("IA-5", "Authenticator Management", &[SecretHygiene, JitLease]),
        control(
            "IA-5(7)",
            "Authenticator Management | No Embedded Unencrypted Static Authenticators",
            &[SecretHygiene],
        ),
        control("IA-5(10)", "Authenticator Management | Dynamic Credential Binding", &[JitLease]),
        control(
            "IA-5(13)",
            "Authenticator Management | Expiration of Cached Authenticators",
            &[JitLease],
        ),
        control("IA-9", "Service Identification and Authentication", &[WorkloadAuthn]),
        control("IA-11", "Re-authentication", &[StepupApproval]),
        control("IR-4", "Incident Handling", &[Containment]),
        control("PM-5", "System Inventory", &[IdentityInventory]),
        control("PS-4", "Personnel Termination", &[Offboarding]),
        control("PS-5", "Personnel Transfer", &[Offboarding, AccessReview]),
        control("SC-23", "Session Authenticity", &[JitLease]),
        control("SI-4", "System Monitoring", &[Monitoring]),
        control("SR-3", "Supply Chain Controls and Processes", &[ThirdParty]),
    ],
};
