//! Why a token or a set of keys is refused. Nothing here shows a token, a signature or a claim's
//! value; names that a stranger chose are cut and cleaned before they are shown.

use safeconduct_wire::json::{JsonError, JsonProblem};

/// Longest text of a stranger that an error shows, in characters.
const SHOWN_CHARS: usize = 80;

/// A stranger's text, fit to be shown.
pub(super) fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(SHOWN_CHARS).map(clean).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Which part of a token is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The payload.
    Claims,
    /// The signature.
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "set of claims",
            Self::Signature => "signature",
        })
    }
}

/// Why a token is refused: whoever presents it is at fault, or who issued it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// It is too long to be read.
    #[error("the token has more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not three parts with dots between.
    #[error("the token is no signed JWT in compact form")]
    NotCompact,
    /// A part is not base64url without padding.
    #[error("the token's {part} is not base64url")]
    NotBase64 {
        /// Which part.
        part: Part,
    },
    /// A part is no JSON object that can be read in one way only.
    #[error("the token's {part} is no acceptable JSON object: {problem}")]
    Json {
        /// Which part.
        part: Part,
        /// What is wrong.
        problem: JsonProblem,
    },
    /// A part is JSON, but no object.
    #[error("the token's {part} is no JSON object")]
    NotAnObject {
        /// Which part.
        part: Part,
    },
    /// The header has a member that would change how the token is read.
    #[error("the token's header has `{name}`, which is not accepted")]
    HeaderMember {
        /// The member's name.
        name: String,
    },
    /// A member of the header is missing or has the wrong type.
    #[error("the token's header needs `{name}` as text")]
    HeaderType {
        /// The member's name.
        name: &'static str,
    },
    /// The algorithm is not one that was agreed on.
    #[error("the token's algorithm `{found}` is not one that is accepted from its issuer")]
    Algorithm {
        /// What the header says.
        found: String,
    },
    /// This is another kind of token.
    #[error("a token of type `{found}` is not what is wanted here")]
    Typ {
        /// What the header says; empty where it says nothing.
        found: String,
    },
    /// No key fits.
    #[error("no key of the issuer fits the token (key id `{kid}`)")]
    UnknownKey {
        /// What the header says; empty where it says nothing.
        kid: String,
    },
    /// The header names no key and too many could be meant.
    #[error("the token names no key, and its issuer has too many to try")]
    AmbiguousKey,
    /// The signature is not of that key over these bytes.
    #[error("the token's signature does not hold")]
    Signature,
    /// A claim is missing.
    #[error("the token has no claim `{name}`")]
    MissingClaim {
        /// The claim.
        name: String,
    },
    /// A claim is there that a token of this kind must not have.
    #[error("a token of this kind must not have the claim `{name}`")]
    ForbiddenClaim {
        /// The claim.
        name: &'static str,
    },
    /// It was issued too long ago.
    #[error("the token was issued at {at}, more than {limit_s} s ago")]
    IssuedTooLongAgo {
        /// When.
        at: safeconduct_model::Timestamp,
        /// The limit in seconds.
        limit_s: u32,
    },
    /// A claim has the wrong type.
    #[error("the token's claim `{name}` is not {wanted}")]
    ClaimType {
        /// The claim.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// Meant for others.
    #[error("the token is not meant for this audience")]
    Audience,
    /// Meant for others too, where that is not accepted.
    #[error("the token is meant for several audiences, where one alone is accepted")]
    SeveralAudiences,
    /// Over.
    #[error("the token expired at {at}")]
    Expired {
        /// When.
        at: safeconduct_model::Timestamp,
    },
    /// Not begun: `nbf` lies ahead.
    #[error("the token is not valid before {at}")]
    NotYetValid {
        /// When it will be.
        at: safeconduct_model::Timestamp,
    },
    /// `iat` lies ahead.
    #[error("the token says it was issued in the future, at {at}")]
    IssuedInTheFuture {
        /// When.
        at: safeconduct_model::Timestamp,
    },
    /// It ends before it begins.
    #[error("the token ends before it begins")]
    EndsBeforeItBegins,
    /// It lives longer than is accepted.
    #[error("the token lives longer than the {limit_s} s that are accepted")]
    LivesTooLong {
        /// The limit in seconds.
        limit_s: u32,
    },
}

/// Why a set of keys is refused as a whole: whoever publishes it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not the JSON that it must be.
    #[error("the set of keys is no acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// It is no object with a list `keys` of objects.
    #[error("this is no JSON Web Key Set: an object with a list `keys`")]
    NotASet,
    /// It has too many keys.
    #[error("the set has more than {limit} keys")]
    TooManyKeys {
        /// The limit.
        limit: usize,
    },
    /// It has a symmetric key: who can check could also sign.
    #[error("the set has a symmetric key, which is not public: refuse and replace it")]
    Symmetric,
    /// It has a private key, which is then no secret any more.
    #[error("the set has a private key, which is not public: refuse and replace it")]
    Private,
    /// Two keys have one id.
    #[error("the set has two keys with the id `{kid}`")]
    DuplicateKid {
        /// The id.
        kid: String,
    },
}

/// Why one key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// No object, or a member is missing or of the wrong type.
    #[error("a member of the key is missing or malformed")]
    Malformed,
    /// A kind of key that is not known here.
    #[error("its type or curve is not known")]
    Unknown,
    /// A symmetric key.
    #[error("it is a symmetric key")]
    Symmetric,
    /// A private key.
    #[error("it holds private members")]
    Private,
    /// Meant for something else than checking signatures.
    #[error("it is not meant for checking such signatures")]
    OtherUse,
    /// Its `alg` does not fit its type, or is not known.
    #[error("its algorithm is not known, or does not fit its type")]
    Algorithm,
    /// RSA below 2048 or above 8192 bits, or an exponent that is even, below 3 or above 32 bits.
    #[error("its modulus or exponent is out of bounds")]
    Size,
    /// An RSA modulus with the mark of CVE-2017-15361.
    #[error("its modulus can be factored (ROCA)")]
    Roca,
    /// No point of its curve.
    #[error("it is no point of its curve")]
    OffCurve,
    /// No `kid`, where one is needed.
    #[error("it has no key id")]
    NoKid,
}

/// Why a token is not signed: our own configuration or the caller is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// These 32 bytes are no private key of that algorithm; draw others.
    #[error("these bytes are no private key of that algorithm")]
    Unusable,
    /// We sign with ES256 and Ed25519 only.
    #[error("tokens are signed with ES256 or Ed25519 only")]
    Algorithm,
    /// The token would be longer than what is read.
    #[error("the token would have more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The library refuses.
    #[error("the signature could not be made")]
    Failed,
}
