//! What the browser says of a ceremony (section 5.8.1): which kind, for which challenge, on which
//! page.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use safeconduct_model::{CLIENT_DATA_BYTES_MAX, Value};
use safeconduct_wire::json::{self, Limits};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

/// Why the browser's words do not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientDataError {
    /// The caller's fault: it is no JSON object, or a member is missing or double.
    #[error("the browser's data cannot be read")]
    Unreadable,
    /// An answer of another kind: a registration for a use, or the other way round.
    #[error("the browser's data is of another kind of ceremony")]
    Kind,
    /// Not the challenge that was given: late, replayed, or made for something else.
    #[error("the browser's data answers another challenge")]
    Challenge,
    /// The ceremony was on a page that is not ours.
    #[error("the ceremony was on another page than ours")]
    Origin,
    /// Our page was inside another's.
    #[error("the ceremony was inside a page of others")]
    Framed,
}

/// Holds the browser's words against what they must be.
pub(super) fn check(
    bytes: &[u8],
    kind: &str,
    challenge: &[u8; 32],
    origin: &str,
) -> Result<(), ClientDataError> {
    let limits = Limits { bytes: CLIENT_DATA_BYTES_MAX, depth: 8 };
    let data = json::parse_within(bytes, limits).map_err(|_| ClientDataError::Unreadable)?;
    let text = |name| data.member(name).and_then(Value::as_str).ok_or(ClientDataError::Unreadable);
    if text("type")? != kind {
        return Err(ClientDataError::Kind);
    }
    let answered = BASE64_URL_SAFE_NO_PAD.decode(text("challenge")?);
    let answered = answered.map_err(|_| ClientDataError::Challenge)?;
    if !bool::from(answered.as_slice().ct_eq(challenge)) {
        return Err(ClientDataError::Challenge);
    }
    if text("origin")? != origin {
        return Err(ClientDataError::Origin);
    }
    // Absent is what browsers before Level 2 say of a page that is not framed.
    let framed = match data.member("crossOrigin") {
        None | Some(Value::Bool(false)) => data.member("topOrigin").is_some(),
        Some(_) => true,
    };
    if framed { Err(ClientDataError::Framed) } else { Ok(()) }
}
