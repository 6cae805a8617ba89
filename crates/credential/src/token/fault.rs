//! What is wrong with a request to the token service, in the registered words.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// An error code of the OAuth Extensions Error registry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultCode {
            $($(#[$doc])* $name,)*
        }

        impl FaultCode {
            /// The registered word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    /// A parameter is missing, repeated or malformed; or, in a token exchange, a token is not
    /// acceptable (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
    InvalidRequest = "invalid_request";
    /// The client did not prove who it is (RFC 6749 section 5.2).
    InvalidClient = "invalid_client";
    /// The assertion does not hold (RFC 7523 section 3.1).
    InvalidGrant = "invalid_grant";
    /// The client may not do this.
    UnauthorizedClient = "unauthorized_client";
    /// No such grant type is served.
    UnsupportedGrantType = "unsupported_grant_type";
    /// A scope is unknown or would widen.
    InvalidScope = "invalid_scope";
    /// The resource is unknown, or nothing is granted for it (RFC 8707 section 2).
    InvalidTarget = "invalid_target";
    /// The details are unknown, malformed or would widen (RFC 9396 section 5).
    InvalidAuthorizationDetails = "invalid_authorization_details";
    /// The proof of possession does not hold (RFC 9449 section 5).
    InvalidDpopProof = "invalid_dpop_proof";
    /// The proof needs our nonce (RFC 9449 section 8).
    UseDpopNonce = "use_dpop_nonce";
    /// Policies say no (RFC 8628 section 3.5).
    AccessDenied = "access_denied";
    /// Such a token cannot be taken back here (RFC 7009 section 2.2.1).
    UnsupportedTokenType = "unsupported_token_type";
    /// Our fault, and perhaps not for long.
    TemporarilyUnavailable = "temporarily_unavailable";
}

/// Why a request to the token service is refused. Shows nothing of a token or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The registered word for it.
    pub code: FaultCode,
    says: String,
}

impl Fault {
    /// A fault in words. What `error_description` may not hold (RFC 6749 section 5.2) is replaced.
    pub fn new(code: FaultCode, says: impl AsRef<str>) -> Self {
        let plain = |c: char| match c {
            '"' | '\\' => '`',
            ' '..='~' => c,
            _ => '?',
        };
        Self { code, says: says.as_ref().chars().take(SAYS_CHARS_MAX).map(plain).collect() }
    }

    /// What it says: printable ASCII without quotes and backslashes.
    pub fn says(&self) -> &str {
        &self.says
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.says)
    }
}

/// Longest description, in characters.
const SAYS_CHARS_MAX: usize = 400;
