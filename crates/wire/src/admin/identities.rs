//! Identities and their tokens.

use safeconduct_model::{Assurance, Identity, IdentityId, Method, Timestamp, Token, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::{Word, Written};
use crate::identity::IdentityForm;

/// How long a token lives where nothing is said, in seconds: 30 days.
pub const TOKEN_TTL_S_DEFAULT: i64 = 30 * 86_400;

/// Longest life of a token, in seconds: 366 days.
pub const TOKEN_TTL_S_MAX: i64 = 366 * 86_400;

/// Identities, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IdentityList {
    /// The identities of this page.
    pub identities: Vec<IdentityView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl IdentityList {
    /// A page of identities.
    pub fn of(page: impl IntoIterator<Item = IdentityView>, next: Option<String>) -> Self {
        Self { identities: page.into_iter().collect(), next }
    }
}

/// An identity, and when it was seen to act.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IdentityView {
    /// The identity.
    #[serde(flatten)]
    pub identity: IdentityForm,
    /// When it first asked for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Written<Timestamp>>,
    /// When it last did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Written<Timestamp>>,
}

impl IdentityView {
    /// An identity, and the first and the last time that it was seen.
    pub fn new(identity: &Identity, seen: Option<(Timestamp, Timestamp)>) -> Self {
        let (first, last) = seen.unzip();
        Self {
            identity: identity.into(),
            first_seen: first.map(Written),
            last_seen: last.map(Written),
        }
    }
}

/// A token to issue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose it will be.
    pub identity: Written<IdentityId>,
    /// How long it lives, in seconds; 30 days where nothing is said, at most 366.
    #[serde(default = "thirty_days")]
    #[schemars(range(min = 1, max = TOKEN_TTL_S_MAX))]
    pub ttl_s: i64,
}

const fn thirty_days() -> i64 {
    TOKEN_TTL_S_DEFAULT
}

/// A token as it is issued: the one time that it is shown. Its `Debug` does not show it.
#[derive(Clone, Serialize, JsonSchema)]
pub struct TokenIssued<'a> {
    /// The token itself. It is not kept and cannot be shown again.
    pub token: &'a str,
    /// What lists show of it.
    #[serde(flatten)]
    pub registered: TokenView,
}

impl std::fmt::Debug for TokenIssued<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssued").field("id", &self.registered.id).finish_non_exhaustive()
    }
}

/// Tokens, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenList {
    /// The tokens of this page, never as text.
    pub tokens: Vec<TokenView>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A token: what it is called and whether it holds, never its text nor its digest.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenView {
    /// What it is called.
    pub id: Written<TokenId>,
    /// Whose it is.
    pub identity: Written<IdentityId>,
    /// When it was issued.
    pub issued_at: Written<Timestamp>,
    /// When it ends.
    pub expires_at: Written<Timestamp>,
    /// Whether it was taken back.
    pub revoked: bool,
    /// What a proof by it is worth: it is a secret that can be copied.
    pub assurance: &'static str,
    /// When a decision was last asked for by it, outside of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Written<Timestamp>>,
}

impl TokenView {
    /// The same, with when it was last used.
    #[must_use]
    pub fn last_used(self, at: Option<Timestamp>) -> Self {
        Self { last_used: at.map(Written), ..self }
    }
}

impl From<&Token> for TokenView {
    fn from(token: &Token) -> Self {
        Self {
            id: Written(token.id.clone()),
            identity: Written(token.identity.clone()),
            issued_at: Written(token.issued_at),
            expires_at: Written(token.expires_at),
            revoked: token.revoked,
            assurance: Assurance::Low.as_str(),
            last_used: None,
        }
    }
}

/// Who a caller is, and what they may do here.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhoamiView {
    /// The caller.
    pub identity: IdentityForm,
    /// By which token.
    pub token: Written<TokenId>,
    /// How the caller proved who it is.
    pub method: Word<Method>,
    /// The operations of this API that the caller may use.
    pub operations: Vec<&'static str>,
}
