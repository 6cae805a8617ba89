//! Identities, and how sure we are of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::{Digest, EntityType, IdentityId, Timestamp, TokenId};

/// What kind of thing acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityKind {
    /// A program that chooses its actions by a model.
    Agent,
    /// A program that does not.
    Workload,
    /// An account that programs share.
    ServiceAccount,
    /// A person.
    User,
}

impl IdentityKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Workload, Self::ServiceAccount, Self::User];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Workload => "workload",
            Self::ServiceAccount => "service_account",
            Self::User => "user",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The name of its entity type, without namespace.
    pub const fn entity_type(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::Workload => "Workload",
            Self::ServiceAccount => "ServiceAccount",
            Self::User => "User",
        }
    }
}

/// Whether an identity may act at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityStatus {
    /// It may.
    Active,
    /// Stopped for now by a person.
    Suspended,
    /// Stopped for now by a finding.
    Quarantined,
    /// Stopped for good.
    Retired,
}

impl IdentityStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Quarantined, Self::Retired];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Who: one agent, workload, service account or person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub id: IdentityId,
    /// Its kind.
    pub kind: IdentityKind,
    /// Whether it may act.
    pub status: IdentityStatus,
    /// The person accountable for it.
    pub owner: Option<IdentityId>,
    /// The one accountable where the owner is gone.
    pub fallback_owner: Option<IdentityId>,
    /// The person for whose purpose it exists.
    pub sponsor: Option<IdentityId>,
    /// Where it runs: `production`, `test`, or what the deployment calls it.
    pub environment: Option<String>,
    /// Groups that it belongs to, by plain name: `clerks` is what policies call
    /// `Safeconduct::Group::"clerks"`.
    pub groups: BTreeSet<String>,
    /// What it may do as an enforcement point, where it is one.
    pub pep: Option<PepRegistration>,
    /// What it may do in the administration of Safeconduct.
    pub roles: BTreeSet<Role>,
    /// Where it came from, where others keep it.
    pub imported: Option<Box<Imported>>,
}

/// Where an identity came from that others keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// How it came.
    pub from: ImportSource,
    /// Its own name there: what a directory, an orchestrator or an authorization server calls it.
    pub external_id: Option<Arc<str>>,
    /// What a person signs in as there.
    pub user_name: Option<Arc<str>>,
    /// What people call it.
    pub display_name: Option<Arc<str>>,
    /// Whether it is suspended because it is so there. What was suspended here for another reason
    /// is not made active from there.
    pub suspended: bool,
}

impl Imported {
    /// From there, and nothing else known of it.
    pub const fn of(from: ImportSource) -> Self {
        let (external_id, user_name, display_name) = (None, None, None);
        Self { from, external_id, user_name, display_name, suspended: false }
    }
}

/// How an identity came that others keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImportSource {
    /// A file of comma-separated values.
    Csv,
    /// Pushed by a directory (SCIM 2.0).
    Scim,
    /// Registration entries of a SPIRE server.
    Spire,
    /// Manifests of Kubernetes.
    Kubernetes,
    /// Clients of an authorization server.
    Oauth,
}

impl ImportSource {
    /// Every value.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Scim, Self::Spire, Self::Kubernetes, Self::Oauth];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Scim => "scim",
            Self::Spire => "spire",
            Self::Kubernetes => "kubernetes",
            Self::Oauth => "oauth",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// What an enforcement point may say of others when it asks for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PepRegistration {
    /// The types of subject that it may speak for.
    pub subjects: BTreeSet<EntityType>,
    /// The types of resource that it may ask about; empty means every type.
    pub resources: BTreeSet<EntityType>,
    /// Whether properties that it sends of subjects, resources and actions count as facts.
    pub properties: bool,
    /// When a session carries what is read by a permit of its.
    pub label_at: LabelAt,
}

/// When a session carries the label of what is read by a permit that an enforcement point
/// elsewhere was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelAt {
    /// With the permit: nobody knows when the result is handed on, so the session is at once as
    /// if it had read the worst that such a result can hold.
    #[default]
    Permit,
    /// With the report of the outcome, which this enforcement point gives before it hands the
    /// result on.
    Report,
}

impl LabelAt {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Permit, Self::Report];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Report => "report",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

/// What a person or program may do in the administration of Safeconduct itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything below.
    Administrator,
    /// Change policies, catalogue, identities and tokens.
    Operator,
    /// Read all of it, and the ledger.
    Auditor,
    /// Begin tasks of agents, with parameters that count as trusted, and end them.
    Orchestrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] =
        [Self::Administrator, Self::Operator, Self::Auditor, Self::Orchestrator];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Orchestrator => "orchestrator",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A registered bearer token: never the token, only what recognises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its public id, shown in lists and records.
    pub id: TokenId,
    /// Whose it is.
    pub identity: IdentityId,
    /// SHA-256 of the token; the token holds 256 random bits, so a plain digest suffices.
    pub digest: Digest,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// How an identity proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A registered bearer token.
    ApiKey,
    /// The operating system's word for the peer of a Unix socket.
    LocalPeer,
    /// The word of a registered enforcement point.
    PepAssertion,
    /// A SPIFFE JWT-SVID.
    JwtSvid,
    /// A SPIFFE X.509-SVID over mutual TLS.
    X509Svid,
    /// A token of an OpenID provider or another issuer of workload tokens.
    Oidc,
    /// An access token of our own token service.
    AccessToken,
    /// A key of its own that is registered: by a JWT that it signed (RFC 7523), or in TLS
    /// (RFC 8705).
    ClientKey,
    /// A passkey, with the person verified by their authenticator.
    Passkey,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 9] = [
        Self::ApiKey,
        Self::LocalPeer,
        Self::PepAssertion,
        Self::JwtSvid,
        Self::X509Svid,
        Self::Oidc,
        Self::AccessToken,
        Self::ClientKey,
        Self::Passkey,
    ];

    /// The word for it in policies and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::LocalPeer => "local_peer",
            Self::PepAssertion => "pep_assertion",
            Self::JwtSvid => "jwt_svid",
            Self::X509Svid => "x509_svid",
            Self::Oidc => "oidc",
            Self::AccessToken => "access_token",
            Self::ClientKey => "client_key",
            Self::Passkey => "passkey",
        }
    }

    /// Whether whoever vouched looked at the workload itself before it did, as those do who hand
    /// out SVIDs: what policies see as `context.identity.attested`.
    pub const fn is_attested(self) -> bool {
        matches!(self, Self::JwtSvid | Self::X509Svid)
    }
}

/// How much a proof is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// A secret that can be copied.
    Low,
    /// Bound to a machine or a channel.
    Substantial,
    /// Bound to hardware or an attested workload.
    High,
}

impl Assurance {
    /// The word for it in policies and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Substantial => "substantial",
            Self::High => "high",
        }
    }
}

/// A proof of identity that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Who.
    pub identity: IdentityId,
    /// By which credential.
    pub token: TokenId,
    /// How.
    pub method: Method,
    /// How sure.
    pub assurance: Assurance,
    /// When the credential was issued or the peer connected.
    pub at: Timestamp,
    /// When the credential ends, where it says so itself: nothing that rests on it lasts longer.
    /// `None` for registered tokens, whose end is looked up, and for peers.
    pub expires_at: Option<Timestamp>,
    /// The task that its holder acts in, which the service has found to be theirs.
    pub task: Option<TaskRef>,
}

impl Authentication {
    /// Whether the credential has ended by its own word.
    pub fn has_expired(&self, at: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| at >= expires_at)
    }
}

/// A task, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskRef {
    /// Which task.
    pub id: crate::TaskId,
    /// Who acts in it.
    pub agent: IdentityId,
}
