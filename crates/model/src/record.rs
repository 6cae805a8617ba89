//! Records: what the ledger holds. All state is a fold of them.
//!
//! Argument and result values are never in a record: keyed digests are. Crate `ledger` gives
//! records their bytes.

use std::sync::Arc;

use crate::{
    ActionName, Decision, Digest, EntityRef, Identity, IdentityId, KeyedDigest, Method, Mode,
    Obligation, PolicyEffect, PolicyId, RecordId, Requestable, ServerName, SessionKey, SessionName,
    Span, Timestamp, Token, TokenId, TraceId,
};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id; for a decision, the decision's id.
    pub id: RecordId,
    /// When it was made.
    pub at: Timestamp,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
    /// The record that caused it.
    pub parent: Option<RecordId>,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A server process took the ledger over.
    ServerStarted {
        /// The version of Safeconduct.
        version: String,
    },
    /// A policy set came into force.
    PoliciesLoaded {
        /// Its digest.
        digest: Digest,
        /// How many policies it has.
        policies: u64,
        /// Who or what caused it: `start`, `change`, `signal`, or an identity.
        cause: String,
    },
    /// A policy set was refused; the one before it stays in force.
    PoliciesRefused {
        /// The digest of what was refused, where it could be read at all.
        digest: Option<Digest>,
        /// The first problem: file, line, column and message.
        problem: String,
    },
    /// A catalogue came into force.
    CatalogueLoaded {
        /// Its digest.
        digest: Digest,
        /// How many actions it has.
        actions: u64,
    },
    /// An identity was added or changed; this is all of it.
    IdentityChanged {
        /// The identity as it now is.
        identity: Identity,
        /// Who did it.
        by: IdentityId,
    },
    /// A token was issued.
    TokenIssued {
        /// The token, as its digest.
        token: Token,
        /// Who did it.
        by: IdentityId,
    },
    /// A token was taken back.
    TokenRevoked {
        /// Which one.
        token: TokenId,
        /// Who did it.
        by: IdentityId,
    },
    /// A session's first decision is about to follow; its keys are in the attachment.
    SessionBegan {
        /// Which session.
        session: SessionKey,
    },
    /// A decision.
    Decided(Box<Decided>),
    /// What then happened.
    Executed(Executed),
    /// The values and keys of a session were erased.
    ValuesErased {
        /// Which session.
        session: SessionKey,
        /// Who did it.
        by: IdentityId,
        /// How many attachments were overwritten.
        attachments: u64,
    },
    /// A tool's live definition is not the approved one, or is again.
    DefinitionSeen {
        /// The action.
        action: ActionName,
        /// The server that offers it.
        server: ServerName,
        /// The approved definition.
        pinned: Digest,
        /// The definition that was seen.
        seen: Digest,
    },
}

impl Body {
    /// The stable word for this kind of record.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ServerStarted { .. } => "server_started",
            Self::PoliciesLoaded { .. } => "policies_loaded",
            Self::PoliciesRefused { .. } => "policies_refused",
            Self::CatalogueLoaded { .. } => "catalogue_loaded",
            Self::IdentityChanged { .. } => "identity_changed",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRevoked { .. } => "token_revoked",
            Self::SessionBegan { .. } => "session_began",
            Self::Decided(_) => "decision",
            Self::Executed(_) => "outcome",
            Self::ValuesErased { .. } => "values_erased",
            Self::DefinitionSeen { .. } => "definition_seen",
        }
    }
}

/// A decision, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The session, and the part of it that the PEP named.
    pub session: SessionKey,
    /// The part's name.
    pub session_name: Option<SessionName>,
    /// The decision's place in the session, from 1 without gaps.
    pub sequence: u64,
    /// The enforcement point that asked.
    pub pep: IdentityId,
    /// How the caller proved itself.
    pub method: Method,
    /// Who wants to act, as policies name them.
    pub principal: EntityRef,
    /// What they want to do.
    pub action: ActionName,
    /// What they want to do it to.
    pub resources: Vec<EntityRef>,
    /// Keyed digest of the canonical arguments.
    pub input_digest: KeyedDigest,
    /// The answer.
    pub decision: Decision,
    /// Whether a Deny was carried out.
    pub mode: Mode,
    /// Why.
    pub reasons: Vec<RecordedReason>,
    /// What shadow policies would have said; without effect.
    pub shadow: Vec<RecordedReason>,
    /// What the enforcement point must do.
    pub obligations: Vec<Obligation>,
    /// Whether and how it may be asked for.
    pub requestable: Option<Requestable>,
    /// The policy set that decided.
    pub policies: Digest,
    /// The catalogue that was read.
    pub catalogue: Digest,
}

/// A reason, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedReason {
    /// [`crate::Reason::code`].
    pub code: Arc<str>,
    /// The policy, where there is one.
    pub policy: Option<RecordedPolicy>,
    /// What an agent is told.
    pub message: Arc<str>,
    /// What only operators are told: the evaluator's error, the storage's error.
    pub detail: Option<Arc<str>>,
}

/// A policy, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPolicy {
    /// Its stable name.
    pub id: PolicyId,
    /// What it says.
    pub effect: PolicyEffect,
    /// Where it stands in the set of that digest.
    pub span: Span,
}

/// What then happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Execution {
    /// It was done.
    Succeeded,
    /// It was tried and failed.
    Failed,
    /// It was not tried.
    NotExecuted,
    /// Nobody knows: the answer never came.
    Unknown,
}

impl Execution {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::NotExecuted, Self::Unknown];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotExecuted => "not_executed",
            Self::Unknown => "unknown",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

/// The outcome of a permitted action, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The decision that permitted it.
    pub decision: RecordId,
    /// The session that it belongs to.
    pub session: SessionKey,
    /// What happened.
    pub execution: Execution,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Keyed digest of the result's canonical bytes.
    pub result_digest: Option<KeyedDigest>,
    /// Size of the result in bytes.
    pub result_bytes: u64,
    /// Why it failed or is unknown, in a short fixed word: `upstream_error`, `timeout`,
    /// `upstream_gone`, `client_gone`, `too_large`, `malformed`, `never_reported`, `restart`.
    pub detail: Option<Arc<str>>,
    /// Obligations that were carried out, with what they touched.
    pub edits: Vec<Edit>,
}

/// An edit that an obligation made to a message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The obligation.
    pub obligation: Obligation,
    /// How many values it changed.
    pub values: u64,
}
