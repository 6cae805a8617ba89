//! Identities and their tokens.

use safeconduct_model::{Identity, IdentityId, Timestamp, Token, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Written;
use crate::identity::IdentityForm;

/// Identities, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IdentityList {
    /// The identities of this page.
    pub identities: Vec<IdentityForm>,
    /// Where the next page starts: `after` of the next request. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Written<IdentityId>>,
}

impl IdentityList {
    /// A page of identities.
    pub fn of<'a>(page: impl IntoIterator<Item = &'a Identity>, next: Option<IdentityId>) -> Self {
        let identities = page.into_iter().map(IdentityForm::from).collect();
        Self { identities, next: next.map(Written) }
    }
}

/// A token to issue.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// How long it holds, in seconds; 30 days where nothing is said, at most a year.
    #[serde(default = "thirty_days")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub ttl_s: u32,
}

const fn thirty_days() -> u32 {
    30 * 86_400
}

/// A token that was just issued: the only time that it is shown. Its `Debug` does not show it.
#[derive(Clone, Serialize, JsonSchema)]
pub struct TokenIssued {
    /// The token itself. It is kept nowhere.
    pub token: String,
    /// What it is called in lists and records.
    pub id: Written<TokenId>,
    /// Whose it is.
    pub identity: Written<IdentityId>,
    /// When it ends.
    pub expires_at: Written<Timestamp>,
}

impl std::fmt::Debug for TokenIssued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssued").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Tokens, by id.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TokenList {
    /// The tokens, never as text.
    pub tokens: Vec<TokenView>,
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
}

impl From<&Token> for TokenView {
    fn from(token: &Token) -> Self {
        Self {
            id: Written(token.id.clone()),
            identity: Written(token.identity.clone()),
            issued_at: Written(token.issued_at),
            expires_at: Written(token.expires_at),
            revoked: token.revoked,
        }
    }
}

/// Who a caller is, and what they may do here.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhoamiView {
    /// The caller.
    pub identity: IdentityForm,
    /// The token that proved it.
    pub token: Written<TokenId>,
    /// The operations of this API that the caller may use.
    pub operations: Vec<String>,
}
