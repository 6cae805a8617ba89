//! The compact form: header, payload and signature, with dots between (RFC 7515 section 7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::Value;
use safeconduct_wire::json::{self, Limits};

use super::algorithm::Algorithm;
use super::error::{JoseError, Part, shown};
use super::{NESTING_MAX, TOKEN_BYTES_MAX};

/// Header members that would change how a token is read or whose key is believed. None is ever
/// followed, so none may stand there to be believed by another reader.
const REFUSED: [&str; 8] = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"];

/// A token in its parts, of which nothing is believed yet.
pub(super) struct Compact<'a> {
    /// What is signed: header and payload as they stand.
    pub(super) signed: &'a str,
    pub(super) header: Value,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// The header, once it is known to be harmless.
pub(super) struct Header<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<&'a str>,
    pub(super) typ: Option<&'a str>,
}

pub(super) fn split(token: &str) -> Result<Compact<'_>, JoseError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(JoseError::TooLong { limit: TOKEN_BYTES_MAX });
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JoseError::NotCompact)?;
    let (header, payload) = signed.split_once('.').ok_or(JoseError::NotCompact)?;
    if header.is_empty() || signature.is_empty() || payload.contains('.') {
        return Err(JoseError::NotCompact);
    }
    let bytes =
        |text: &str, part| URL_SAFE_NO_PAD.decode(text).map_err(|_| JoseError::NotBase64 { part });
    Ok(Compact {
        signed,
        header: object(&bytes(header, Part::Header)?, Part::Header)?,
        payload: bytes(payload, Part::Claims)?,
        signature: bytes(signature, Part::Signature)?,
    })
}

/// Strict JSON, and an object.
pub(super) fn object(bytes: &[u8], part: Part) -> Result<Value, JoseError> {
    let limits = Limits { bytes: TOKEN_BYTES_MAX, depth: NESTING_MAX };
    let value = json::parse_within(bytes, limits)
        .map_err(|error| JoseError::Json { part, problem: error.problem })?;
    if value.as_object().is_none() {
        return Err(JoseError::NotAnObject { part });
    }
    Ok(value)
}

impl Compact<'_> {
    /// The header's checked members; `but` is a member that may stand there after all.
    pub(super) fn header(&self, but: Option<&str>) -> Result<Header<'_>, JoseError> {
        let text = |name: &'static str| match self.header.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(&**text)),
            Some(_) => Err(JoseError::HeaderType { name }),
        };
        for name in REFUSED {
            if Some(name) != but && self.header.member(name).is_some() {
                return Err(JoseError::HeaderMember { name: name.to_owned() });
            }
        }
        let name = text("alg")?.ok_or(JoseError::HeaderType { name: "alg" })?;
        let algorithm =
            Algorithm::parse(name).ok_or_else(|| JoseError::Algorithm { found: shown(name) })?;
        Ok(Header { algorithm, kid: text("kid")?, typ: text("typ")? })
    }
}
