//! The token service: what it issues tokens for, and by what its clients prove themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use safeconduct_model::{IdentityId, IntentName, ServerName, Value};

pub use super::token_service_form::{BindingWord, NonceWord, SigningWord};

/// The token service of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenService {
    /// Its identifier, and the address by which clients reach this server; no slash at its end.
    pub issuer: String,
    /// How long a token lasts, in seconds; 300 where nothing is said, and at most.
    pub ttl_s: u32,
    /// What signs where the resource says nothing.
    pub signing: SigningWord,
    /// Where DPoP proofs need a nonce.
    pub dpop_nonce: NonceWord,
    /// How long a key signs before the next one is made, in seconds; 30 days where nothing is
    /// said.
    pub rotate_every_s: u32,
    /// What is special about clients, by identity.
    pub clients: BTreeMap<IdentityId, TokenClient>,
    /// What tokens are issued for, by resource indicator.
    pub resources: BTreeMap<String, TokenResource>,
}

/// What is special about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClient {
    /// The file of its public keys.
    pub keys_file: Option<PathBuf>,
    /// Its public keys as they stand in the configuration.
    pub keys: Option<Value>,
    /// Its certificates: SHA-256, base64url.
    pub certificates: BTreeSet<String>,
    /// The intent that it undertakes where its request names none.
    pub intent: Option<IntentName>,
}

/// What tokens are issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResource {
    /// The servers whose actions it is; `None` is every action.
    pub servers: Option<BTreeSet<ServerName>>,
    /// Who may introspect its tokens.
    pub readers: BTreeSet<IdentityId>,
    /// What signs its tokens, where it is another than usual.
    pub signing: Option<SigningWord>,
    /// Whether its tokens must be bound.
    pub binding: BindingWord,
}
