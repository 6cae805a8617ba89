//! A set of public keys (JWK Set, RFC 7517 section 5).

use std::collections::BTreeSet;

use safeconduct_model::Value;
use safeconduct_wire::json::{self, Limits};

use super::error::{KeyProblem, KeySetError, shown};
use super::key::{KeyUse, PublicKey};
use super::{KEY_SET_BYTES_MAX, KEYS_MAX, NESTING_MAX};

/// The public keys of one issuer. Keys of different issuers are never put into one set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    skipped: Vec<(Option<String>, KeyProblem)>,
}

impl KeySet {
    /// Reads a JWK Set. A key that cannot be used here (of another type or use, too short, off its
    /// curve) is left out and named by [`KeySet::skipped`]; what makes the whole set doubtful is
    /// an error.
    ///
    /// # Errors
    /// [`KeySetError`]: no set, two keys of one id, or a key that is not public.
    pub fn parse(bytes: &[u8], wanted: KeyUse) -> Result<Self, KeySetError> {
        let limits = Limits { bytes: KEY_SET_BYTES_MAX, depth: NESTING_MAX };
        Self::from_value(&json::parse_within(bytes, limits)?, wanted)
    }

    /// Takes a JWK Set that was read already, strictly.
    ///
    /// # Errors
    /// As [`KeySet::parse`].
    pub fn from_value(set: &Value, wanted: KeyUse) -> Result<Self, KeySetError> {
        let keys = set.member("keys").and_then(Value::as_array).ok_or(KeySetError::NotASet)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys { limit: KEYS_MAX });
        }
        let mut read = Self::default();
        let mut kids = BTreeSet::new();
        for jwk in keys {
            let kid = jwk.member("kid").and_then(Value::as_str);
            match PublicKey::from_jwk(jwk, wanted) {
                Ok(key) => read.keys.push(key),
                Err(KeyProblem::Symmetric) => return Err(KeySetError::Symmetric),
                Err(KeyProblem::Private) => return Err(KeySetError::Private),
                Err(problem) => read.skipped.push((kid.map(shown), problem)),
            }
            if let Some(kid) = kid
                && !kids.insert(kid)
            {
                return Err(KeySetError::DuplicateKid { kid: shown(kid) });
            }
        }
        Ok(read)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`KeySetError`] where two have one id or there are too many.
    pub fn of(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeySetError> {
        let keys: Vec<PublicKey> = keys.into_iter().collect();
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys { limit: KEYS_MAX });
        }
        let mut kids = BTreeSet::new();
        for kid in keys.iter().filter_map(PublicKey::kid) {
            if !kids.insert(kid) {
                return Err(KeySetError::DuplicateKid { kid: shown(kid) });
            }
        }
        Ok(Self { keys, skipped: Vec::new() })
    }

    /// The keys that can be used.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The keys that were left out, by id where they have one, and why.
    pub fn skipped(&self) -> &[(Option<String>, KeyProblem)] {
        &self.skipped
    }

    /// Whether a key of that id is here.
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// It as a JWK Set, to be published.
    pub fn jwks(&self) -> Value {
        Value::object([("keys", Value::Array(self.keys.iter().map(PublicKey::jwk).collect()))])
    }
}
