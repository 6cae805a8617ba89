//! Passkeys: keys by which a person proves to be there, and the proofs that were made by them.

use std::sync::Arc;

use crate::{Digest, IdentityId, NameError, Timestamp};

/// Most passkeys of one identity.
pub const PASSKEYS_MAX: usize = 16;

/// Longest credential id, in bytes (WebAuthn Level 3, section 4).
pub const CREDENTIAL_ID_BYTES_MAX: usize = 1023;

/// Longest public key, in bytes: what an RSA key of 4096 bits takes, and some room.
pub const PASSKEY_KEY_BYTES_MAX: usize = 1024;

/// Longest name of a passkey, in bytes.
pub const PASSKEY_NAME_BYTES_MAX: usize = 64;

/// Longest client data of a proof, in bytes.
pub const CLIENT_DATA_BYTES_MAX: usize = 2048;

/// The id of a passkey: its credential id in base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PasskeyId(Arc<str>);

impl PasskeyId {
    /// Makes one of a text.
    ///
    /// # Errors
    /// [`NameError`] where it is empty, too long, or no base64url.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
        let (text, what) = (text.into(), "a passkey's id");
        crate::name::printable(what, &text, (CREDENTIAL_ID_BYTES_MAX * 4).div_ceil(3))?;
        let fits = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        match text.chars().find(|c| !fits(c)) {
            None => Ok(Self(text)),
            Some(found) => {
                let allowed = "letters, digits, `-` and `_`";
                Err(NameError::Alphabet { what, found, allowed })
            }
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for PasskeyId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A registered passkey: never a secret, only what checks its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its id.
    pub id: PasskeyId,
    /// Whose it is.
    pub identity: IdentityId,
    /// What its owner calls it; at most [`PASSKEY_NAME_BYTES_MAX`].
    pub name: Arc<str>,
    /// Where it can be used: the relying party id, a domain.
    pub rp: Arc<str>,
    /// Its public key: a COSE_Key (RFC 9052, section 7) in base64url without padding; at most
    /// [`PASSKEY_KEY_BYTES_MAX`] before that.
    pub key: Arc<str>,
    /// Which model of authenticator says it made it, unproved: a UUID, all zeros where none.
    pub aaguid: Arc<str>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// How many signatures it had counted when it was last seen; 0 where it does not count.
    pub counter: u32,
    /// Whether it may leave the device that made it, as synchronised ones do.
    pub synced: bool,
}

/// A proof that a person was there and meant one thing: all that is needed to check it again.
///
/// What the passkey signed is `authenticator_data` and the SHA-256 of `client_data`, whose
/// challenge is the SHA-256 of `nonce` and `about`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyUse {
    /// Which passkey signed.
    pub passkey: PasskeyId,
    /// Whose it is.
    pub identity: IdentityId,
    /// What they meant: the digest of what they were shown and said to it.
    pub about: Digest,
    /// What made the challenge new: 256 random bits.
    pub nonce: Digest,
    /// What the browser says of the ceremony, as it was signed; at most
    /// [`CLIENT_DATA_BYTES_MAX`].
    pub client_data: Arc<str>,
    /// What the authenticator says of it, in base64url without padding.
    pub authenticator_data: Arc<str>,
    /// The signature, in base64url without padding.
    pub signature: Arc<str>,
    /// How many signatures it has counted; 0 where it does not count.
    pub counter: u32,
}
