//! Public keys of passkeys: a COSE_Key (RFC 9052, section 7; RFC 9053) of one of three kinds.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use ciborium::Value as Cbor;
use safeconduct_model::PASSKEY_KEY_BYTES_MAX;
use thiserror::Error;

/// The algorithms that a new passkey may have, by their COSE numbers, the most wanted first:
/// ES256, EdDSA, RS256.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// Shortest RSA modulus, in bytes; AWS-LC refuses shorter ones too.
const MODULUS_BYTES_MIN: usize = 256;

/// Why bytes are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The authenticator's fault: no map in canonical form, or a member that does not belong.
    #[error("the passkey's public key cannot be read")]
    Unreadable,
    /// The authenticator's fault: none was asked for.
    #[error("the passkey's algorithm is not ES256, EdDSA or RS256")]
    Algorithm,
    /// The authenticator's fault: not on the curve, or too short.
    #[error("the passkey's public key is not one that can be used")]
    Weak,
}

/// A public key that checks a passkey's signatures.
#[derive(Debug)]
pub(super) enum PublicKey {
    Es256(ParsedPublicKey),
    EdDsa(ParsedPublicKey),
    Rs256(RsaPublicKeyComponents<Vec<u8>>),
}

impl PublicKey {
    /// Reads a COSE_Key: nothing may stand before or after it, and it must be in the one form
    /// that CTAP2 calls canonical.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > PASSKEY_KEY_BYTES_MAX {
            return Err(KeyError::Unreadable);
        }
        let mut rest = bytes;
        let key: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut rest, 4)
            .map_err(|_| KeyError::Unreadable)?;
        if !rest.is_empty() {
            return Err(KeyError::Unreadable);
        }
        Self::of(&key)
    }

    /// The key that a CBOR value is.
    pub(super) fn of(key: &Cbor) -> Result<Self, KeyError> {
        let members = Members::of(key)?;
        match (members.integer(1)?, members.integer(3)?) {
            (2, ES256) => {
                members.only(&[1, 3, -1, -2, -3])?;
                if members.integer(-1)? != 1 {
                    return Err(KeyError::Algorithm);
                }
                let (x, y) = (members.bytes(-2, 32)?, members.bytes(-3, 32)?);
                let point = [&[4], x, y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                    .map(Self::Es256)
                    .map_err(|_| KeyError::Weak)
            }
            (1, EDDSA) => {
                members.only(&[1, 3, -1, -2])?;
                if members.integer(-1)? != 6 {
                    return Err(KeyError::Algorithm);
                }
                ParsedPublicKey::new(&ED25519, members.bytes(-2, 32)?)
                    .map(Self::EdDsa)
                    .map_err(|_| KeyError::Weak)
            }
            (3, RS256) => {
                members.only(&[1, 3, -1, -2])?;
                let (n, e) = (members.all_bytes(-1)?, members.all_bytes(-2)?);
                // One text for one number: what begins with a zero has two.
                let plain = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
                if n.len() < MODULUS_BYTES_MIN || !plain(n) || !plain(e) || e.len() > 4 {
                    return Err(KeyError::Weak);
                }
                Ok(Self::Rs256(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() }))
            }
            _ => Err(KeyError::Algorithm),
        }
    }

    /// Whether that is this key's signature of the message.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(key) | Self::EdDsa(key) => key.verify_sig(message, signature).is_ok(),
            Self::Rs256(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
        }
    }
}

/// The members of a COSE_Key, whose names are integers.
struct Members<'a>(Vec<(i64, &'a Cbor)>);

impl<'a> Members<'a> {
    fn of(key: &'a Cbor) -> Result<Self, KeyError> {
        let members = key.as_map().ok_or(KeyError::Unreadable)?.iter();
        let members = members.map(|(name, value)| Some((integer(name)?, value)));
        let members: Vec<_> = members.collect::<Option<_>>().ok_or(KeyError::Unreadable)?;
        let mut names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != members.len() {
            return Err(KeyError::Unreadable);
        }
        Ok(Self(members))
    }

    /// Anything beside these would be something that we do not understand of the key.
    fn only(&self, names: &[i64]) -> Result<(), KeyError> {
        let known = self.0.iter().all(|(name, _)| names.contains(name));
        if known { Ok(()) } else { Err(KeyError::Unreadable) }
    }

    fn member(&self, name: i64) -> Result<&'a Cbor, KeyError> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).ok_or(KeyError::Unreadable)
    }

    fn integer(&self, name: i64) -> Result<i64, KeyError> {
        integer(self.member(name)?).ok_or(KeyError::Unreadable)
    }

    fn all_bytes(&self, name: i64) -> Result<&'a [u8], KeyError> {
        let bytes = self.member(name)?.as_bytes();
        bytes.map(Vec::as_slice).ok_or(KeyError::Unreadable)
    }

    fn bytes(&self, name: i64, length: usize) -> Result<&'a [u8], KeyError> {
        let bytes = self.all_bytes(name)?;
        if bytes.len() == length { Ok(bytes) } else { Err(KeyError::Unreadable) }
    }
}

fn integer(value: &Cbor) -> Option<i64> {
    value.as_integer().and_then(|number| i64::try_from(number).ok())
}
