//! The form of `token_service:`.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{IdentityId, IntentName, ServerName};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Span, Written};

/// The token service: an OAuth authorization server that issues short-lived access tokens for
/// tasks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenServiceForm {
    /// Its identifier, exactly, and the address by which clients reach this server:
    /// `https://HOST`, with a port where it is not the usual one. `http:` is for this very machine.
    #[schemars(extend("format" = "http-url"))]
    pub issuer: String,
    /// How long a token lasts; at most five minutes, and never longer than its task.
    #[serde(default = "ttl")]
    pub ttl: Written<Span>,
    /// What signs tokens.
    #[serde(default)]
    pub signing: SigningWord,
    /// Where DPoP proofs need a nonce of the server.
    #[serde(default)]
    pub dpop_nonce: NonceWord,
    /// How long a key signs before the next one is made; at least an hour.
    #[serde(default = "rotate_every")]
    pub rotate_every: Written<Span>,
    /// What is special about a client, by identity: keys of its own, the intent that it usually
    /// undertakes. Clients without keys here use their registered token, or what a record of
    /// `trust` vouches for.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "identity-id"},
        "maxProperties" = 100_000
    ))]
    pub clients: BTreeMap<Written<IdentityId>, TokenClientForm>,
    /// What tokens are issued for, by resource indicator (RFC 8707): an absolute URI.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000))]
    pub resources: BTreeMap<String, TokenResourceForm>,
}

/// What is special about a client.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenClientForm {
    /// The file of its public keys: a JWK Set.
    #[schemars(length(min = 1))]
    pub keys_file: Option<String>,
    /// Its public keys: a JWK Set.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub keys: Option<serde_json::Value>,
    /// The certificates that it uses in TLS: SHA-256 of the DER, in base64url.
    #[schemars(length(max = 16), inner(length(min = 43, max = 43)))]
    pub certificates: BTreeSet<String>,
    /// The intent, without parameters that must be given, that it undertakes where its request by
    /// `client_credentials` names none.
    pub intent: Option<Written<IntentName>>,
}

/// What tokens are issued for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenResourceForm {
    /// The servers whose actions it is. Left out, every action of a task.
    #[schemars(extend("items" = {"type": "string", "format": "server-name"}))]
    pub servers: Option<BTreeSet<Written<ServerName>>>,
    /// Who may introspect its tokens: the identity of whoever serves it.
    #[schemars(length(max = 256))]
    pub readers: BTreeSet<Written<IdentityId>>,
    /// What signs its tokens, where it is another than usual.
    pub signing: Option<SigningWord>,
    /// Whether its tokens must be bound to a key of the client's (DPoP) or to its certificate.
    pub binding: BindingWord,
}

/// What signs tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum SigningWord {
    /// ECDSA on P-256.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningWord {
    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where DPoP proofs need a nonce of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NonceWord {
    /// At the token endpoint.
    #[default]
    Needed,
    /// There, and with every request that presents a bound token.
    Everywhere,
    /// Nowhere.
    NotNeeded,
}

/// Whether tokens must be bound to their holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BindingWord {
    /// Where the client proves possession of something.
    #[default]
    AsProved,
    /// Always.
    Needed,
}

const fn ttl() -> Written<Span> {
    Written(Span { seconds: 300 })
}

const fn rotate_every() -> Written<Span> {
    Written(Span { seconds: 30 * 86_400 })
}
