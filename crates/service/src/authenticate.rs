//! Use-case: who presents this bearer token.

use safeconduct_model::{
    ActionName, Assurance, Authentication, Digest, IdentityStatus, Method, Timestamp, TokenId,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::Service;

/// Longest bearer token, in bytes. A longer one is unknown.
pub const BEARER_BYTES_MAX: usize = 4096;

/// Why a bearer token proves nothing. The holder learns no more than that.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthenticateError {
    /// Nobody holds that token.
    #[error("the token is unknown")]
    Unknown,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its identity may not act.
    #[error("the identity is not active")]
    NotActive,
    /// A trust record vouches for an identity that nobody has registered: the operator is to.
    #[error("`{0}` is proved, but no such identity is registered")]
    NotRegistered(safeconduct_model::IdentityId),
}

/// SHA-256 of a token's text: what is stored of it.
pub fn token_digest(bearer: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(bearer.as_bytes()).into())
}

impl Service {
    /// Checks a bearer token. It is looked up by its digest, so that no comparison with the text
    /// takes a time that tells anything.
    ///
    /// # Errors
    /// [`AuthenticateError`] where it proves nothing.
    pub fn authenticate(&self, bearer: &str) -> Result<Authentication, AuthenticateError> {
        if bearer.len() > BEARER_BYTES_MAX {
            return Err(AuthenticateError::Unknown);
        }
        let world = self.world();
        let token = world.tokens.get(&token_digest(bearer)).ok_or(AuthenticateError::Unknown)?;
        if token.revoked {
            return Err(AuthenticateError::Revoked);
        }
        if self.clock.now() >= token.expires_at {
            return Err(AuthenticateError::Expired);
        }
        let identity = world.identity(&token.identity).ok_or(AuthenticateError::Unknown)?;
        if identity.status != IdentityStatus::Active {
            return Err(AuthenticateError::NotActive);
        }
        Ok(Authentication {
            identity: token.identity.clone(),
            token: token.id.clone(),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            at: token.issued_at,
            expires_at: None,
            task: None,
        })
    }

    /// What the operating system's word about the peer of a Unix socket proves: the peer runs
    /// as the server's own user and is taken for that identity.
    pub fn local_peer(
        identity: safeconduct_model::IdentityId,
        token: TokenId,
        at: Timestamp,
    ) -> Authentication {
        let (method, assurance) = (Method::LocalPeer, Assurance::Substantial);
        Authentication { identity, token, method, assurance, at, expires_at: None, task: None }
    }

    /// Whether policies could permit this identity the action at all: what lists may show. It
    /// never varies with the state of a session.
    pub fn may_see(&self, authentication: &Authentication, action: &ActionName) -> bool {
        let world = self.world();
        let known = world.identities.get(&authentication.identity);
        // Of a task only what its mandate names; that never changes while it lives.
        let in_mandate = authentication.task.as_ref().is_none_or(|task| {
            self.mandate(&task.id).is_some_and(|mandate| {
                mandate.authority.allowances.iter().any(|allowance| allowance.action == *action)
            })
        });
        in_mandate
            && known.is_some_and(|known| {
                known.identity.status == IdentityStatus::Active
                    && world.catalogue.entry(action).is_some()
                    && world.quarantined(action).is_none()
                    && world.policies.may_permit(&known.entity, action)
            })
    }
}
