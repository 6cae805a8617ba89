//! Frameworks about agents: OWASP and CSA.

use super::Capability::{self, *};
use super::{Control, Framework};

const fn control(id: &'static str, label: &'static str, toward: &'static [Capability]) -> Control {
    Control { id, label, toward }
}

pub(super) const OWASP_ASI: Framework = Framework {
    word: "owasp-asi",
    name: "OWASP Top 10 for Agentic Applications",
    version: "2026",
    publisher: "OWASP",
    note: "Titles by OWASP, CC BY-SA 4.0.",
    controls: &[
        control(
            "ASI01",
            "Agent Goal Hijack",
            &[IntentBinding, PerActionAuthz, Monitoring, StepupApproval],
        ),
        control(
            "ASI02",
            "Tool Misuse and Exploitation",
            &[PerActionAuthz, LeastPrivilege, ChainControl, StepupApproval],
        ),
        control(
            "ASI03",
            "Identity and Privilege Abuse",
            &[
                WorkloadAuthn,
                JitLease,
                PerActionAuthz,
                IntentBinding,
                LeastPrivilege,
                ChainControl,
                AccessReview,
                Revocation,
            ],
        ),
        control("ASI04", "Agentic Supply Chain Vulnerabilities", &[ThirdParty, IdentityInventory]),
        control("ASI05", "Unexpected Code Execution (RCE)", &[PerActionAuthz, StepupApproval]),
        control("ASI06", "Memory & Context Poisoning", &[ChainControl, Monitoring]),
        control("ASI07", "Insecure Inter-Agent Communication", &[WorkloadAuthn, ChainControl]),
        control(
            "ASI08",
            "Cascading Failures",
            &[Containment, Revocation, Monitoring, ChainControl],
        ),
        control(
            "ASI09",
            "Human-Agent Trust Exploitation",
            &[StepupApproval, AuditLog, SeparationOfDuties],
        ),
        control(
            "ASI10",
            "Rogue Agents",
            &[IdentityInventory, Ownership, Revocation, Containment, Monitoring, Offboarding],
        ),
    ],
};

pub(super) const OWASP_NHI: Framework = Framework {
    word: "owasp-nhi",
    name: "OWASP Non-Human Identities Top 10",
    version: "2025",
    publisher: "OWASP",
    note: "Titles by OWASP, CC BY-SA 4.0.",
    controls: &[
        control(
            "NHI1:2025",
            "Improper Offboarding",
            &[Offboarding, Ownership, Dormancy, AccessReview],
        ),
        control("NHI2:2025", "Secret Leakage", &[SecretHygiene, JitLease]),
        control("NHI3:2025", "Vulnerable Third-Party NHI", &[ThirdParty, AccessReview]),
        control("NHI4:2025", "Insecure Authentication", &[WorkloadAuthn]),
        control("NHI5:2025", "Overprivileged NHI", &[LeastPrivilege, AccessReview, PerActionAuthz]),
        control(
            "NHI6:2025",
            "Insecure Cloud Deployment Configurations",
            &[WorkloadAuthn, SecretHygiene],
        ),
        control("NHI7:2025", "Long-Lived Secrets", &[JitLease, SecretHygiene, Dormancy]),
        control("NHI8:2025", "Environment Isolation", &[PerActionAuthz, ChainControl]),
        control("NHI9:2025", "NHI Reuse", &[IdentityInventory, WorkloadAuthn, Monitoring]),
        control("NHI10:2025", "Human Use of NHI", &[Monitoring, AuditLog, IdentityInventory]),
    ],
};

pub(super) const OWASP_LLM: Framework = Framework {
    word: "owasp-llm",
    name: "OWASP Top 10 for LLM Applications",
    version: "2025",
    publisher: "OWASP",
    note: "Titles by OWASP, CC BY-SA 4.0.",
    controls: &[
        control("LLM01:2025", "Prompt Injection", &[IntentBinding, PerActionAuthz]),
        control("LLM02:2025", "Sensitive Information Disclosure", &[PerActionAuthz, SecretHygiene]),
        control("LLM03:2025", "Supply Chain", &[ThirdParty]),
        control("LLM05:2025", "Improper Output Handling", &[PerActionAuthz]),
        control(
            "LLM06:2025",
            "Excessive Agency",
            &[LeastPrivilege, PerActionAuthz, StepupApproval, AccessReview],
        ),
        control("LLM07:2025", "System Prompt Leakage", &[SecretHygiene]),
        control("LLM10:2025", "Unbounded Consumption", &[PerActionAuthz, Monitoring]),
    ],
};

pub(super) const OWASP_MCP: Framework = Framework {
    word: "owasp-mcp",
    name: "OWASP MCP Top 10",
    version: "2025 beta",
    publisher: "OWASP",
    note: "Titles by OWASP, CC BY-SA 4.0; the list is a beta and may move.",
    controls: &[
        control("MCP01:2025", "Token Mismanagement & Secret Exposure", &[SecretHygiene, JitLease]),
        control(
            "MCP02:2025",
            "Privilege Escalation via Scope Creep",
            &[LeastPrivilege, AccessReview],
        ),
        control("MCP03:2025", "Tool Poisoning", &[ThirdParty]),
        control(
            "MCP04:2025",
            "Software Supply Chain Attacks & Dependency Tampering",
            &[ThirdParty],
        ),
        control("MCP05:2025", "Command Injection & Execution", &[PerActionAuthz]),
        control("MCP06:2025", "Intent Flow Subversion", &[IntentBinding]),
        control(
            "MCP07:2025",
            "Insufficient Authentication & Authorization",
            &[WorkloadAuthn, PerActionAuthz],
        ),
        control("MCP08:2025", "Lack of Audit and Telemetry", &[AuditLog, LogIntegrity]),
        control("MCP09:2025", "Shadow MCP Servers", &[IdentityInventory, ThirdParty]),
        control("MCP10:2025", "Context Injection & Over-Sharing", &[ChainControl]),
    ],
};

pub(super) const MAESTRO: Framework = Framework {
    word: "maestro",
    name: "MAESTRO",
    version: "1",
    publisher: "Cloud Security Alliance",
    note: "Layers, not controls; the labels are ours.",
    controls: &[
        control(
            "L3",
            "How agents are built and call tools",
            &[PerActionAuthz, ChainControl, IntentBinding],
        ),
        control("L4", "Where agents run, and what they run with", &[WorkloadAuthn, JitLease]),
        control("L5", "Watching and testing agents", &[AuditLog, Monitoring, LogIntegrity]),
        control(
            "L6",
            "Security and accountability across all layers",
            &[AccessReview, ControlMapping, LeastPrivilege, Ownership],
        ),
        control(
            "L7",
            "Agents among other agents and services",
            &[ThirdParty, IdentityInventory, ChainControl],
        ),
    ],
};

pub(super) const AICM: Framework = Framework {
    word: "aicm",
    name: "AI Controls Matrix",
    version: "1.0",
    publisher: "Cloud Security Alliance",
    note: "A selection; the labels are ours.",
    controls: &[
        control("IAM-01", "Rules for identities and access", &[PolicyChange]),
        control("IAM-03", "List of identities", &[IdentityInventory, Ownership]),
        control("IAM-04", "Duties kept apart", &[SeparationOfDuties]),
        control("IAM-05", "No more rights than are needed", &[LeastPrivilege, PerActionAuthz]),
        control("IAM-06", "How access is given", &[JitLease]),
        control("IAM-07", "How access is changed and taken back", &[Revocation, Offboarding]),
        control("IAM-08", "Access looked at again", &[AccessReview]),
        control("IAM-09", "Privileged roles kept apart", &[SeparationOfDuties]),
        control(
            "IAM-10",
            "Privileged roles limited in time and approved",
            &[JitLease, StepupApproval],
        ),
        control("IAM-16", "How it is checked who may do what", &[PerActionAuthz]),
        control(
            "IAM-19",
            "What agents may reach",
            &[PerActionAuthz, IntentBinding, LeastPrivilege],
        ),
        control("AIS-10", "Interfaces protected", &[PerActionAuthz]),
        control("AIS-11", "Bounds of what agents do", &[ChainControl, PerActionAuthz]),
        control("LOG-02", "Logs protected", &[LogIntegrity]),
        control("LOG-03", "Security events watched", &[Monitoring]),
        control("LOG-04", "Who reads logs", &[LogAccess]),
        control("LOG-05", "Logs watched and acted upon", &[Monitoring]),
        control("LOG-07", "What is logged", &[AuditLog]),
        control("LOG-08", "What a log record holds", &[AuditLog]),
        control("LOG-09", "Logs kept from change", &[LogIntegrity]),
        control("LOG-13", "Failures and oddities reported", &[Monitoring, LogIntegrity]),
        control("TVM-11", "Guardrails", &[PerActionAuthz]),
    ],
};
