//! Proof that the presenter of a token holds a key: DPoP (RFC 9449).
//!
//! Only what follows from the request itself is checked here. Whether a proof was seen before is
//! for a cache that all nodes share: see [`DpopProof::replay_until`].

use std::collections::BTreeSet;

use safeconduct_model::{Timestamp, Value};
use url::Url;

use super::algorithm::Algorithm;
use super::compact;
use super::error::{JoseError, KeyProblem, Part};
use super::key::{KeyUse, PublicKey, Thumbprint};
use super::key_set::KeySet;
use super::signature;
use super::verify::{ClockSkew, Typ, time};

/// Oldest proof that is taken, in seconds.
pub const PROOF_AGE_MAX_S: u32 = 60;

/// Longest `jti` of a proof, in bytes: it is kept in a cache.
const JTI_BYTES_MAX: usize = 256;

/// What a proof must be about.
#[derive(Debug, Clone)]
pub struct DpopExpect<'a> {
    /// Algorithms that are taken; they are published in our metadata.
    pub algorithms: &'a [Algorithm],
    /// The request's method, as it was sent.
    pub method: &'a str,
    /// The request's URL, under our configured public address: never from `Host` or
    /// `X-Forwarded-*`, which the presenter or a proxy chooses.
    pub url: &'a str,
    /// The access token that is presented along, where there is one.
    pub access_token: Option<&'a str>,
    /// The nonces that hold now; empty where none is asked for.
    pub nonces: &'a BTreeSet<String>,
    /// How far the client's clock may be ahead.
    pub skew: ClockSkew,
}

/// A proof that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopProof {
    /// The thumbprint of the key that signed it: what `cnf.jkt` must be.
    pub jkt: Thumbprint,
    /// Its id, unique for its key.
    pub jti: String,
    /// Until when the pair of `jkt` and `jti` must be remembered: a second one is a replay.
    pub replay_until: Timestamp,
}

/// Why a proof is refused: the client is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// Not exactly one `DPoP` header.
    #[error("exactly one `DPoP` header is needed, {found} came")]
    Count {
        /// How many came.
        found: usize,
    },
    /// It is no such token.
    #[error("the DPoP proof does not hold: {0}")]
    Token(#[from] JoseError),
    /// Its key cannot be used.
    #[error("the key of the DPoP proof cannot be used: {0}")]
    Key(#[from] KeyProblem),
    /// It has no key.
    #[error("the DPoP proof carries no key")]
    NoKey,
    /// For another method or URL.
    #[error("the DPoP proof is for another {what}")]
    OtherRequest {
        /// `method` or `URL`.
        what: &'static str,
    },
    /// Too old, or of the future.
    #[error("the DPoP proof is not of the last {PROOF_AGE_MAX_S} s")]
    Stale,
    /// For another access token, or for none.
    #[error("the DPoP proof is not for the access token that came with it")]
    OtherToken,
    /// A nonce is needed; answer with `use_dpop_nonce` and a new one.
    #[error("the DPoP proof needs the server's nonce")]
    Nonce,
}

/// Checks the values of all `DPoP` headers of a request (RFC 9449 section 4.3).
///
/// # Errors
/// [`DpopError`] names the first thing that is wrong.
pub fn check_dpop(
    headers: &[&str],
    expect: &DpopExpect<'_>,
    now: Timestamp,
) -> Result<DpopProof, DpopError> {
    let [proof] = headers else { return Err(DpopError::Count { found: headers.len() }) };
    let token = compact::split(proof)?;
    let header = token.header(Some("jwk"))?;
    Typ::one_of(["dpop+jwt"]).check(header.typ)?;
    let jwk = token.header.member("jwk").ok_or(DpopError::NoKey)?;
    let key = PublicKey::from_jwk(jwk, KeyUse::Signature)?;
    let jkt = key.thumbprint();
    // The key that it carries is the only one it can be of; that makes it a proof of possession.
    let header = compact::Header { kid: None, ..header };
    let keys = KeySet::of([key]).map_err(|_| DpopError::NoKey)?;
    signature::check(&token, &header, expect.algorithms, &keys)?;
    let claims = compact::object(&token.payload, Part::Claims)?;
    let text = |name: &'static str| {
        let value = claims.member(name);
        let value = value.ok_or_else(|| JoseError::MissingClaim { name: name.to_owned() })?;
        value.as_str().ok_or(JoseError::ClaimType { name, wanted: "a text" })
    };
    if text("htm")? != expect.method {
        return Err(DpopError::OtherRequest { what: "method" });
    }
    match (target(text("htu")?), target(expect.url)) {
        (Some(said), Some(ours)) if said == ours => {}
        _ => return Err(DpopError::OtherRequest { what: "URL" }),
    }
    let missing = || JoseError::MissingClaim { name: "iat".into() };
    let issued_at = time(&claims, "iat")?.ok_or_else(missing)?;
    let oldest = i64::from(PROOF_AGE_MAX_S) * 1000;
    if issued_at > now.plus_ms(expect.skew.ms()) || now.ms_since(issued_at) > oldest {
        return Err(DpopError::Stale);
    }
    check_token_hash(&claims, expect.access_token)?;
    if !expect.nonces.is_empty() {
        let nonce = claims.member("nonce").and_then(Value::as_str);
        if !nonce.is_some_and(|nonce| expect.nonces.contains(nonce)) {
            return Err(DpopError::Nonce);
        }
    }
    let jti = text("jti")?;
    if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
        return Err(JoseError::ClaimType { name: "jti", wanted: "a text of 1 to 256 bytes" }.into());
    }
    Ok(DpopProof { jkt, jti: jti.to_owned(), replay_until: issued_at.plus_ms(oldest + 1) })
}

fn check_token_hash(claims: &Value, access_token: Option<&str>) -> Result<(), DpopError> {
    let said = claims.member("ath");
    match (access_token, said) {
        (None, _) => Ok(()),
        (Some(token), Some(Value::String(said)))
            if Thumbprint::parse(said) == Some(Thumbprint::of(token.as_bytes())) =>
        {
            Ok(())
        }
        (Some(_), _) => Err(DpopError::OtherToken),
    }
}

/// A URL without query and fragment, in the one form that equal URLs share (RFC 3986 section
/// 6.2.2 and 6.2.3): case of scheme and host, default ports and dot segments are the parser's;
/// octets that need no escape are written plainly here.
fn target(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let named = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !named || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    Some(unescape(url.as_str()))
}

/// Percent-escapes of unreserved characters undone, all others in capitals.
fn unescape(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let escape = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escape, piece.get(2..)) {
            (Some(octet), Some(rest)) => {
                let octet_is_plain = octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
                if octet_is_plain {
                    plain.push(char::from(octet));
                } else {
                    plain.push_str(&format!("%{octet:02X}"));
                }
                plain.push_str(rest);
            }
            _ => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    plain
}
