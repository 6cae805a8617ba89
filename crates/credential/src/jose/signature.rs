//! Whose signature it is.

use super::algorithm::Algorithm;
use super::compact::{Compact, Header};
use super::error::{JoseError, shown};
use super::key::PublicKey;
use super::key_set::KeySet;

/// How many keys are tried for a token that names none.
const TRIES_MAX: usize = 8;

/// Holds the signature against the keys. The algorithm must be one of the caller's list, and the
/// key one that takes it; only then does the header's word count, to choose among them.
pub(super) fn check(
    token: &Compact<'_>,
    header: &Header<'_>,
    algorithms: &[Algorithm],
    keys: &KeySet,
) -> Result<(), JoseError> {
    let algorithm = header.algorithm;
    if !algorithms.contains(&algorithm) {
        return Err(JoseError::Algorithm { found: algorithm.as_str().to_owned() });
    }
    let named = |key: &&PublicKey| header.kid.is_none_or(|kid| key.kid() == Some(kid));
    let eligible: Vec<&PublicKey> =
        keys.keys().iter().filter(|key| key.takes(algorithm)).filter(named).collect();
    if eligible.is_empty() {
        return Err(JoseError::UnknownKey { kid: header.kid.map(shown).unwrap_or_default() });
    }
    if eligible.len() > TRIES_MAX {
        return Err(JoseError::AmbiguousKey);
    }
    let signed = |key: &PublicKey| key.signed(algorithm, token.signed.as_bytes(), &token.signature);
    if eligible.into_iter().any(signed) { Ok(()) } else { Err(JoseError::Signature) }
}
