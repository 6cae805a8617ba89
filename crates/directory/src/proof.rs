//! What is presented, what it proves, and why it is refused.

use rustls::pki_types::CertificateDer;
use safeconduct_credential::jose::{Confirmation, JoseError, Thumbprint};
use safeconduct_model::{Assurance, IdentityId, Timestamp, TokenId, Value};
use safeconduct_wire::config::TrustKind;

use crate::api_key::ApiKeyError;
use crate::spiffe::{SpiffeIdError, X509Error};

/// A credential, as an edge received it.
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A JWT of `Authorization: Bearer` or `DPoP`, with what else the client proved to hold.
    Jwt {
        /// The token.
        token: &'a str,
        /// What else.
        held: Held<'a>,
    },
    /// The certificates of a TLS client, leaf first, as DER. The edge has seen, in the handshake,
    /// that the client holds the leaf's key; nothing else need have been checked.
    ClientCertificate {
        /// The chain.
        chain: &'a [CertificateDer<'a>],
    },
    /// An API key.
    ApiKey {
        /// Its text.
        key: &'a str,
    },
}

/// What a client proved to hold besides its token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held<'a> {
    /// The key of a DPoP proof that was checked ([`safeconduct_credential::jose::check_dpop`]) against this very token.
    pub jkt: Option<Thumbprint>,
    /// The leaf certificate of the TLS connection, as DER.
    pub certificate: Option<&'a [u8]>,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofMethod {
    /// A JWT-SVID.
    JwtSvid,
    /// An X.509-SVID over mutual TLS.
    X509Svid,
    /// A token of an OpenID or OAuth issuer.
    Oidc,
    /// A service account token of Kubernetes.
    Kubernetes,
    /// A token of GitHub Actions.
    GithubActions,
    /// A token of a person's OpenID provider.
    Person,
    /// An API key.
    ApiKey,
}

impl ProofMethod {
    /// The word for it in policies and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JwtSvid => "jwt_svid",
            Self::X509Svid => "x509_svid",
            Self::Oidc => "oidc",
            Self::Kubernetes => "kubernetes",
            Self::GithubActions => "github_actions",
            Self::Person => "person",
            Self::ApiKey => "api_key",
        }
    }
}

/// How a token of that kind of issuer proves.
impl From<TrustKind> for ProofMethod {
    fn from(kind: TrustKind) -> Self {
        match kind {
            TrustKind::Spiffe => Self::JwtSvid,
            TrustKind::Oidc => Self::Oidc,
            TrustKind::Kubernetes => Self::Kubernetes,
            TrustKind::GithubActions => Self::GithubActions,
            TrustKind::People => Self::Person,
        }
    }
}

/// Who it is, by whose word, and until when. Whether that identity exists and may act is for the
/// service to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The trust record that it rests on; `api_key` for API keys.
    pub trust: String,
    /// Who vouches: an issuer's URL, a trust domain as `spiffe://domain`, or `safeconduct`.
    pub issuer: String,
    /// Whom the issuer calls it.
    pub subject: String,
    /// Whom we call it.
    pub identity: IdentityId,
    /// How it was proved.
    pub method: ProofMethod,
    /// What the proof is worth.
    pub assurance: Assurance,
    /// When the subject authenticated, as far as the credential says: `auth_time`, `iat`, the
    /// begin of a certificate; else now.
    pub authenticated_at: Timestamp,
    /// When the credential ends. Nothing that rests on it may last longer.
    pub expires_at: Timestamp,
    /// The credential's id: its `jti`, or a digest. A credential may be presented again and again
    /// until it ends; an endpoint that takes each only once remembers (issuer, this) until then.
    pub token: TokenId,
    /// What the credential is bound to; it was held against what the client proved to hold. For a
    /// client certificate, that certificate.
    pub confirmation: Confirmation,
    /// Whether this issuer's word counts for the user that an agent acts for.
    pub may_speak_for_users: bool,
    /// The claims that the identity rests on, by name; an object.
    pub claims: Value,
    /// What [`crate::Directory::vouching`] counted before the credential was checked; 0 for API
    /// keys.
    pub generation: u64,
}

/// Why nobody was proved. Nothing of the credential is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no token that could be read: the caller is at fault.
    #[error("{0}")]
    Unreadable(JoseError),
    /// No trust record has this issuer: the caller, or the configuration.
    #[error("no trust record has the issuer `{issuer}`")]
    UnknownIssuer {
        /// What the token says; cut, and empty where it says nothing.
        issuer: String,
    },
    /// No trust record has this trust domain: the caller, or the configuration.
    #[error("no trust record has the trust domain `{trust_domain}`")]
    UnknownTrustDomain {
        /// What the credential says.
        trust_domain: String,
    },
    /// The token does not hold: the caller, or its issuer.
    #[error("by trust record `{trust}`: {error}")]
    Token {
        /// The record.
        trust: String,
        /// What is wrong.
        error: JoseError,
    },
    /// The client's certificate does not hold: the caller, or its issuer.
    #[error("the client certificate does not hold: {0}")]
    Certificate(#[from] X509Error),
    /// The token's `sub` is no SPIFFE ID of a workload: its issuer.
    #[error("the token's subject is not acceptable: {0}")]
    SpiffeId(#[from] SpiffeIdError),
    /// There are no keys to check it with: the issuer cannot be reached, or nobody is asked.
    #[error("the keys of trust record `{trust}` are not available, or too old")]
    NoKeys {
        /// The record.
        trust: String,
    },
    /// The trust domain has taken back all of its keys.
    #[error("everything of trust record `{trust}` is revoked")]
    Revoked {
        /// The record.
        trust: String,
    },
    /// A claim that the trust record demands is missing or another.
    #[error("by trust record `{trust}` the token's claim `{claim}` is not as demanded")]
    Claim {
        /// The record.
        trust: String,
        /// The claim.
        claim: String,
    },
    /// The claims make no identity: the configuration has none for them.
    #[error("by trust record `{trust}` the token makes no identity")]
    Unmapped {
        /// The record.
        trust: String,
    },
    /// The claims make several identities: the configuration is ambiguous.
    #[error("by trust record `{trust}` the token makes several identities")]
    Ambiguous {
        /// The record.
        trust: String,
    },
    /// The token is bound to a key or certificate that the client did not prove to hold.
    #[error("the token is bound to a key or certificate that was not proved")]
    NotHeld,
    /// The name that the claims make is none.
    #[error("by trust record `{trust}` the token's subject makes no name: {error}")]
    Name {
        /// The record.
        trust: String,
        /// What is wrong.
        error: safeconduct_model::NameError,
    },
    /// It is no API key of ours: the caller.
    #[error("{0}")]
    NoApiKey(#[from] ApiKeyError),
    /// The API key is not known, ended, or was taken back. Which of them is not told.
    #[error("the API key does not hold: unknown, expired or revoked")]
    ApiKey,
}
