//! What happened: the events of CAEP 1.0, RISC 1.0 and of the stream itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Timestamp, Value};

use super::set::{by_language, claim_text, optional_text, optional_time, over};
use crate::field::{FieldError, FieldProblem, Fields, shown};

/// What the URIs of CAEP's events begin with (CAEP 1.0 section 3).
pub const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";

/// What the URIs of RISC's events begin with (RISC 1.0 section 2).
pub const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";

/// What the URIs of the stream's own events begin with (Shared Signals Framework 1.0 section 8).
pub const STREAM: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// Most claims that one event says have changed.
pub const CHANGED_CLAIMS_MAX: usize = 64;

/// One event of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub uri: Arc<str>,
    /// `event_timestamp`: when it happened.
    pub at: Option<Timestamp>,
    /// `initiating_entity`: who began it.
    pub initiator: Option<Initiator>,
    /// `reason_admin`, by language: for operators.
    pub reason_admin: BTreeMap<Arc<str>, Arc<str>>,
    /// `reason_user`, by language: for the one it happened to.
    pub reason_user: BTreeMap<Arc<str>, Arc<str>>,
    /// What happened.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// CAEP `session-revoked`, RISC `sessions-revoked`.
    SessionRevoked,
    /// CAEP `token-claims-change`: their values as they now are.
    TokenClaimsChanged {
        /// By name; at most [`CHANGED_CLAIMS_MAX`].
        claims: BTreeMap<Arc<str>, Value>,
    },
    /// CAEP `credential-change`.
    CredentialChanged {
        /// Which kind: `password`, `x509`, `fido2-roaming`, or what the transmitter calls it.
        credential: Arc<str>,
        /// What was done to it.
        change: CredentialChange,
        /// What its holder calls it.
        name: Option<Arc<str>>,
    },
    /// CAEP `assurance-level-change`.
    AssuranceLevelChanged {
        /// What the levels are levels of: `NIST-AAL`.
        namespace: Arc<str>,
        /// The level from now on.
        current: Arc<str>,
        /// The level before.
        previous: Option<Arc<str>>,
        /// Whether it rose or fell, where that was said.
        direction: Option<Direction>,
    },
    /// CAEP `device-compliance-change`.
    DeviceComplianceChanged {
        /// Before.
        previous: Compliance,
        /// From now on.
        current: Compliance,
    },
    /// CAEP `session-established`.
    SessionEstablished,
    /// CAEP `session-presented`.
    SessionPresented,
    /// CAEP `risk-level-change`.
    RiskLevelChanged {
        /// What is at risk: `USER`, `DEVICE`, `SESSION`, `TENANT`, `ORG_UNIT`, `GROUP`.
        principal: Arc<str>,
        /// From now on.
        current: RiskWord,
        /// Before.
        previous: Option<RiskWord>,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// RISC `account-credential-change-required`.
    CredentialChangeRequired,
    /// RISC `account-purged`.
    AccountPurged,
    /// RISC `account-disabled`.
    AccountDisabled {
        /// `hijacking`, `bulk-account`, or what the transmitter says.
        reason: Option<Arc<str>>,
    },
    /// RISC `account-enabled`.
    AccountEnabled,
    /// RISC `identifier-changed`.
    IdentifierChanged,
    /// RISC `identifier-recycled`: it now is somebody else's.
    IdentifierRecycled,
    /// RISC `credential-compromise`.
    CredentialCompromised {
        /// Which kind.
        credential: Arc<str>,
    },
    /// RISC `opt-in`, `opt-out-initiated`, `opt-out-cancelled`, `opt-out-effective`: whether the
    /// subject takes part in the exchange.
    Participation,
    /// RISC `recovery-activated`.
    RecoveryActivated,
    /// RISC `recovery-information-changed`.
    RecoveryInformationChanged,
    /// `verification`: the stream is alive; its subject is the stream.
    Verification {
        /// What the receiver asked to be sent back.
        state: Option<Arc<str>>,
    },
    /// `stream-updated`: the transmitter changed the stream's status; its subject is the stream.
    StreamUpdated {
        /// The status from now on.
        status: StreamStatus,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// A type that nobody here knows.
    Unknown,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$each])* $variant),* }

        impl $name {
            /// The word for it in events.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            pub(super) fn read(
                fields: &mut Fields,
                name: &str,
            ) -> Result<Option<Self>, FieldError> {
                let Some(word) = optional_text(fields, name)? else { return Ok(None) };
                match &*word {
                    $($word => Ok(Some(Self::$variant)),)*
                    other => Err(FieldError::new(
                        fields.pointer(name),
                        FieldProblem::UnknownWord { found: shown(other), allowed: &[$($word),*] },
                    )),
                }
            }
        }
    )*};
}

words! {
    /// Who began it (CAEP 1.0 section 2).
    Initiator {
        /// An administrator.
        Admin = "admin",
        /// The subject.
        User = "user",
        /// A policy.
        Policy = "policy",
        /// A system.
        System = "system",
    }
    /// What was done to a credential (CAEP 1.0 section 3.3).
    CredentialChange {
        /// It is new.
        Create = "create",
        /// It was taken back.
        Revoke = "revoke",
        /// It is another.
        Update = "update",
        /// It is gone.
        Delete = "delete",
    }
    /// Where a level went (CAEP 1.0 section 3.4).
    Direction {
        /// Up.
        Increase = "increase",
        /// Down.
        Decrease = "decrease",
    }
    /// Whether a device is as it must be (CAEP 1.0 section 3.5).
    Compliance {
        /// It is.
        Compliant = "compliant",
        /// It is not.
        NotCompliant = "not-compliant",
    }
    /// How much is at risk in the transmitter's eyes (CAEP 1.0 section 3.8).
    RiskWord {
        /// Little.
        Low = "LOW",
        /// Some.
        Medium = "MEDIUM",
        /// Much.
        High = "HIGH",
    }
    /// Where a stream stands (Shared Signals Framework 1.0 section 8.1.2).
    StreamStatus {
        /// Events come.
        Enabled = "enabled",
        /// Events are held.
        Paused = "paused",
        /// Events are dropped.
        Disabled = "disabled",
    }
}

impl Event {
    /// Reads the payload of one event. Members that its type does not know are left alone: both
    /// profiles let transmitters add to them.
    pub(super) fn read(uri: Arc<str>, mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self {
            at: optional_time(&mut fields, "event_timestamp")?,
            initiator: Initiator::read(&mut fields, "initiating_entity")?,
            reason_admin: by_language(&mut fields, "reason_admin")?,
            reason_user: by_language(&mut fields, "reason_user")?,
            what: happening(&uri, fields)?,
            uri,
        })
    }
}

fn happening(uri: &str, fields: Fields) -> Result<Happening, FieldError> {
    if let Some(word) = uri.strip_prefix(CAEP) {
        return caep(word, fields);
    }
    if let Some(word) = uri.strip_prefix(RISC) {
        return risc(word, fields);
    }
    match uri.strip_prefix(STREAM) {
        Some(word) => stream(word, fields),
        None => Ok(Happening::Unknown),
    }
}

fn caep(word: &str, mut fields: Fields) -> Result<Happening, FieldError> {
    let fields = &mut fields;
    Ok(match word {
        "session-revoked" => Happening::SessionRevoked,
        "token-claims-change" => Happening::TokenClaimsChanged { claims: claims(fields)? },
        "credential-change" => Happening::CredentialChanged {
            credential: claim_text(fields, "credential_type")?,
            change: needed(CredentialChange::read(fields, "change_type")?, fields, "change_type")?,
            name: optional_text(fields, "friendly_name")?,
        },
        "assurance-level-change" => Happening::AssuranceLevelChanged {
            namespace: claim_text(fields, "namespace")?,
            current: claim_text(fields, "current_level")?,
            previous: optional_text(fields, "previous_level")?,
            direction: Direction::read(fields, "change_direction")?,
        },
        "device-compliance-change" => Happening::DeviceComplianceChanged {
            previous: needed(
                Compliance::read(fields, "previous_status")?,
                fields,
                "previous_status",
            )?,
            current: needed(Compliance::read(fields, "current_status")?, fields, "current_status")?,
        },
        "session-established" => Happening::SessionEstablished,
        "session-presented" => Happening::SessionPresented,
        "risk-level-change" => Happening::RiskLevelChanged {
            principal: claim_text(fields, "principal")?,
            current: needed(RiskWord::read(fields, "current_level")?, fields, "current_level")?,
            previous: RiskWord::read(fields, "previous_level")?,
            reason: optional_text(fields, "risk_reason")?,
        },
        _ => Happening::Unknown,
    })
}

fn risc(word: &str, mut fields: Fields) -> Result<Happening, FieldError> {
    let fields = &mut fields;
    Ok(match word {
        "account-credential-change-required" => Happening::CredentialChangeRequired,
        "account-purged" => Happening::AccountPurged,
        "account-disabled" => {
            Happening::AccountDisabled { reason: optional_text(fields, "reason")? }
        }
        "account-enabled" => Happening::AccountEnabled,
        "identifier-changed" => Happening::IdentifierChanged,
        "identifier-recycled" => Happening::IdentifierRecycled,
        "credential-compromise" => {
            Happening::CredentialCompromised { credential: claim_text(fields, "credential_type")? }
        }
        "opt-in" | "opt-out-initiated" | "opt-out-cancelled" | "opt-out-effective" => {
            Happening::Participation
        }
        "recovery-activated" => Happening::RecoveryActivated,
        "recovery-information-changed" => Happening::RecoveryInformationChanged,
        // Deprecated for CAEP's, and still sent.
        "sessions-revoked" => Happening::SessionRevoked,
        _ => Happening::Unknown,
    })
}

fn stream(word: &str, mut fields: Fields) -> Result<Happening, FieldError> {
    let fields = &mut fields;
    Ok(match word {
        "verification" => Happening::Verification { state: optional_text(fields, "state")? },
        "stream-updated" => Happening::StreamUpdated {
            status: needed(StreamStatus::read(fields, "status")?, fields, "status")?,
            reason: optional_text(fields, "reason")?,
        },
        _ => Happening::Unknown,
    })
}

fn claims(fields: &mut Fields) -> Result<BTreeMap<Arc<str>, Value>, FieldError> {
    let claims = fields.object("claims")?.ok_or_else(|| fields.missing("claims"))?;
    over(&fields.pointer("claims"), "claims", claims.len(), CHANGED_CLAIMS_MAX)?;
    Ok(claims)
}

fn needed<T>(read: Option<T>, fields: &Fields, name: &str) -> Result<T, FieldError> {
    read.ok_or_else(|| fields.missing(name))
}
