//! Events of our own making, one of each type that means something: each becomes what it says and
//! stops whom it says, whatever form its subject has.

use safeconduct_risk::{Kind, Severity};
use safeconduct_service::Received;
use safeconduct_wire::json;

use super::streams::{ISSUER, NOW, stage};
use super::*;

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

/// Its profile and type, what it says, and what that is here.
const EVENTS: &[(&str, &str, &str, Kind, Severity)] = &[
    (
        CAEP,
        "session-revoked",
        r#"{"initiating_entity":"policy"}"#,
        Kind::SessionRevoked,
        Severity::Critical,
    ),
    (
        CAEP,
        "credential-change",
        r#"{"credential_type":"password","change_type":"update"}"#,
        Kind::CredentialChanged,
        Severity::Low,
    ),
    (
        CAEP,
        "credential-change",
        r#"{"credential_type":"x509","change_type":"revoke","friendly_name":"build key"}"#,
        Kind::CredentialChanged,
        Severity::Moderate,
    ),
    (
        CAEP,
        "assurance-level-change",
        r#"{"namespace":"NIST-AAL","current_level":"nist-aal1","previous_level":"nist-aal2","change_direction":"decrease"}"#,
        Kind::AssuranceLevel,
        Severity::Moderate,
    ),
    (
        CAEP,
        "device-compliance-change",
        r#"{"previous_status":"compliant","current_status":"not-compliant"}"#,
        Kind::DeviceCompliance,
        Severity::High,
    ),
    (
        CAEP,
        "token-claims-change",
        r#"{"claims":{"role":"reader"}}"#,
        Kind::ClaimsChanged,
        Severity::Low,
    ),
    (
        CAEP,
        "risk-level-change",
        r#"{"principal":"USER","current_level":"HIGH","previous_level":"LOW","risk_reason":"impossible travel"}"#,
        Kind::RiskLevel,
        Severity::High,
    ),
    (
        RISC,
        "account-disabled",
        r#"{"reason":"hijacking"}"#,
        Kind::AccountDisabled,
        Severity::Critical,
    ),
    (RISC, "account-purged", "{}", Kind::AccountPurged, Severity::Critical),
    (RISC, "account-enabled", "{}", Kind::AccountEnabled, Severity::Info),
    (
        RISC,
        "account-credential-change-required",
        "{}",
        Kind::CredentialChangeRequired,
        Severity::Moderate,
    ),
    (
        RISC,
        "credential-compromise",
        r#"{"credential_type":"password"}"#,
        Kind::CredentialCompromised,
        Severity::High,
    ),
    (RISC, "identifier-changed", "{}", Kind::IdentifierChanged, Severity::Low),
    (RISC, "identifier-recycled", "{}", Kind::IdentifierChanged, Severity::High),
    (RISC, "recovery-activated", "{}", Kind::Recovery, Severity::Moderate),
    (RISC, "recovery-information-changed", "{}", Kind::Recovery, Severity::Low),
];

/// Forms of subject that mean the agent of that stage.
const SUBJECTS: &[&str] = &[
    r#"{"format":"opaque","id":"agent"}"#,
    r#"{"format":"complex","user":{"format":"opaque","id":"agent"},"device":{"format":"opaque","id":"laptop-7"}}"#,
    r#"{"format":"aliases","identifiers":[{"format":"email","email":"a@example.com"},{"format":"opaque","id":"agent"}]}"#,
];

#[tokio::test]
async fn an_event_of_each_type_becomes_what_it_says() {
    for (subject, form) in SUBJECTS.iter().enumerate() {
        for (n, (profile, word, says, kind, severity)) in EVENTS.iter().enumerate() {
            let stage = stage("").await;
            let at = NOW.as_millis() / 1000;
            let set = format!(
                r#"{{"iss":"{ISSUER}","aud":"us","iat":{at},"jti":"own-{subject}-{n}",
                "sub_id":{form},"events":{{"{profile}{word}":{says}}}}}"#
            );
            let received = stage.push(&json::parse(set.as_bytes()).unwrap()).await;
            assert!(
                matches!(received, Ok(Received::Taken { .. })),
                "{word} of {form}: {received:?}"
            );
            let signals = stage.signals();
            assert!(!signals.is_empty() && signals.iter().all(|one| *one == (*kind, *severity)));
            let stops = kind.is_revoking();
            assert_eq!(stage.status() != IdentityStatus::Active, stops, "{word} of {form}");
        }
    }
}
