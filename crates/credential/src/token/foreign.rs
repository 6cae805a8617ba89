//! What else must hold of a token of another issuer before it counts at the token service. Its
//! signature is somebody else's to check; nothing here believes it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::{IdentityId, Timestamp, Value};
use safeconduct_wire::json::{self, Limits};

use crate::jose::{self, NESTING_MAX, TOKEN_BYTES_MAX};

/// The claims of a token whose signature is checked elsewhere; `None` where there are none to be
/// read.
pub fn claims_to_be_checked(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let bytes =
        (token.len() <= TOKEN_BYTES_MAX).then(|| URL_SAFE_NO_PAD.decode(payload).ok())??;
    let value = json::parse_within(&bytes, Limits { bytes: TOKEN_BYTES_MAX, depth: NESTING_MAX });
    value.ok().filter(|value| value.as_object().is_some())
}

/// Whether a token is meant for this one audience and for no other: one that is meant for others
/// too could have come from them.
pub fn is_for_alone(claims: &Value, audience: &str) -> bool {
    match claims.member("aud") {
        Some(Value::String(one)) => **one == *audience,
        Some(Value::Array(all)) => {
            matches!(all.as_slice(), [one] if one.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// Whether a token lets that client act for its subject: `may_act` (RFC 8693 section 4.4) is
/// about an actor of one issuer, and without it anyone may who may otherwise.
pub fn lets_act(claims: &Value, client: &IdentityId, issuer: &str) -> bool {
    let Some(may_act) = claims.member("may_act") else { return true };
    let says = |name: &str| may_act.member(name).and_then(Value::as_str);
    let same_issuer = may_act.member("iss").is_none() || says("iss") == Some(issuer);
    same_issuer && says("sub") == Some(client.as_str())
}

/// Whether a token was issued to that client, or does not say to whom.
pub fn is_clients(claims: &Value, client: &IdentityId) -> bool {
    let said = claims.member("client_id");
    said.is_none_or(|said| said.as_str() == Some(client.as_str()))
}

/// When a token says that it was issued (`iat`); `None` where it does not say so as a time.
pub fn said_issued_at(claims: &Value) -> Option<Timestamp> {
    jose::time(claims, "iat").ok().flatten()
}
