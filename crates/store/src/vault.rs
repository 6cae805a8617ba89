//! The vault: keys of sessions, and what is sealed under them.
//!
//! Each session has one random data key. Wrapped under the wrapping key, which lies outside the
//! data folder, it is the attachment of the session's first record; erase that attachment and
//! nothing that was sealed or digested under it can be opened or guessed again, whatever copies
//! of it there may be. From the data key come, by HKDF-SHA-256, a key for digests and a key for
//! sealing.

use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::generic_array::GenericArray;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use safeconduct_model::{KeyedDigest, RecordId, SessionKey};
use safeconduct_service::{self as service, SessionKeys, VaultError};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keys::{self, KeysError};

/// Bytes of an XChaCha20-Poly1305 nonce: long enough to be drawn at random without counting.
const NONCE_BYTES: usize = 24;

/// First byte of everything that is wrapped or sealed here: the version of this form.
const VERSION: u8 = 1;

/// Makes and unwraps the keys of sessions, under one wrapping key.
pub struct Vault {
    wrapping: XChaCha20Poly1305,
    /// What is asked for is held against what was refused by this, whoever asks.
    likening: Hmac<Sha256>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// A vault under that wrapping key.
    pub fn new(wrapping_key: &[u8; 32]) -> Self {
        let mut likening = Zeroizing::new([0; 64]);
        let derived = Hkdf::<Sha256>::new(None, wrapping_key).expand(LIKENING, &mut *likening);
        debug_assert!(derived.is_ok());
        Self {
            wrapping: XChaCha20Poly1305::new(Key::from_slice(wrapping_key)),
            likening: <Hmac<Sha256> as KeyInit>::new(GenericArray::from_slice(&*likening)),
        }
    }
}

impl Vault {
    /// The vault of a folder of keys; its wrapping key is made where it is missing.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open(keys: &Path) -> Result<Self, KeysError> {
        Ok(Self::new(&*keys::wrapping_key(keys)?))
    }
}

impl service::Vault for Vault {
    fn begin(&self, session: &SessionKey) -> Result<(Arc<dyn SessionKeys>, Vec<u8>), VaultError> {
        let mut data_key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *data_key).map_err(|_| VaultError::NoRandomness)?;
        let wrapped = seal(&self.wrapping, &wrap_context(session), &*data_key)?;
        Ok((Arc::new(Keys::derive(&data_key)), wrapped))
    }

    fn unwrap(
        &self,
        session: &SessionKey,
        wrapped: &[u8],
    ) -> Result<Arc<dyn SessionKeys>, VaultError> {
        let plain = Zeroizing::new(open(&self.wrapping, &wrap_context(session), wrapped)?);
        let data_key: &[u8; 32] =
            plain.as_slice().try_into().map_err(|_| VaultError::NotAuthentic)?;
        Ok(Arc::new(Keys::derive(data_key)))
    }

    fn likeness(&self, bytes: &[u8]) -> Result<KeyedDigest, VaultError> {
        let digest = self.likening.clone().chain_update(bytes).finalize();
        Ok(KeyedDigest::from_bytes(digest.into_bytes().into()))
    }
}

/// The keys of one session. The ciphers and the MAC wipe themselves when they are dropped.
struct Keys {
    sealing: XChaCha20Poly1305,
    /// The state of the MAC after its key: cheaper to copy than to make again.
    digesting: Hmac<Sha256>,
}

impl Keys {
    fn derive(data_key: &[u8; 32]) -> Self {
        let derived = Hkdf::<Sha256>::new(None, data_key);
        let (mut sealing, mut digesting) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 64]));
        // HKDF can give 255 times 32 bytes, so neither can fail; were it otherwise, a key would
        // stay zero, and nothing that was sealed before would open.
        let expanded = derived
            .expand(SEALING, &mut *sealing)
            .and_then(|()| derived.expand(DIGESTING, &mut *digesting));
        debug_assert!(expanded.is_ok());
        Self {
            sealing: XChaCha20Poly1305::new(Key::from_slice(&*sealing)),
            // As long as a block of SHA-256: HMAC takes it as it is.
            digesting: <Hmac<Sha256> as KeyInit>::new(GenericArray::from_slice(&*digesting)),
        }
    }
}

impl SessionKeys for Keys {
    fn digest(&self, canonical: &[u8]) -> KeyedDigest {
        let digest = self.digesting.clone().chain_update(canonical).finalize();
        KeyedDigest::from_bytes(digest.into_bytes().into())
    }

    fn seal(&self, record: &RecordId, what: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        seal(&self.sealing, &seal_context(record, what), plain)
    }

    fn open(&self, record: &RecordId, what: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        open(&self.sealing, &seal_context(record, what), sealed)
    }
}

/// Version, nonce, ciphertext and tag.
fn seal(cipher: &XChaCha20Poly1305, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| VaultError::NoRandomness)?;
    // The cipher refuses only what is longer than 256 GiB.
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad })
        .map_err(|_| VaultError::NotAuthentic)?;
    Ok([&[VERSION][..], &nonce, &sealed].concat())
}

fn open(cipher: &XChaCha20Poly1305, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (version, rest) = sealed.split_first().ok_or(VaultError::NotAuthentic)?;
    let (nonce, msg) = rest.split_at_checked(NONCE_BYTES).ok_or(VaultError::NotAuthentic)?;
    if *version != VERSION {
        return Err(VaultError::NotAuthentic);
    }
    cipher
        .decrypt(XNonce::from_slice(nonce), Payload { msg, aad })
        .map_err(|_| VaultError::NotAuthentic)
}

/// A wrapped key opens for its own session alone.
fn wrap_context(session: &SessionKey) -> Vec<u8> {
    context(b"safeconduct wrap v1", &[session.identity.as_str(), session.scope.as_str()])
}

/// A sealed value opens for its own record and purpose alone.
fn seal_context(record: &RecordId, what: &str) -> Vec<u8> {
    context(b"safeconduct seal v1", &[record.as_str(), what])
}

/// Parts with their lengths, so that none can run into the next.
fn context(purpose: &[u8], parts: &[&str]) -> Vec<u8> {
    let mut out = purpose.to_vec();
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

const SEALING: &[u8] = b"safeconduct v1 seal";
const DIGESTING: &[u8] = b"safeconduct v1 digest";
const LIKENING: &[u8] = b"safeconduct v1 likeness";

#[cfg(test)]
mod tests {
    use safeconduct_model::{IdentityId, TokenId};
    use safeconduct_service::Vault as _;

    use super::*;

    fn session(token: &str) -> SessionKey {
        SessionKey::credential(IdentityId::new("agent").unwrap(), TokenId::new(token).unwrap())
    }

    fn id(text: &str) -> RecordId {
        RecordId::new(text).unwrap()
    }

    #[test]
    fn unwrapped_keys_are_the_same_keys() {
        let vault = Vault::new(&[1; 32]);
        let (keys, wrapped) = vault.begin(&session("a")).unwrap();
        let again = Vault::new(&[1; 32]).unwrap(&session("a"), &wrapped).unwrap();
        assert_eq!(keys.digest(b"x"), again.digest(b"x"));
        assert_ne!(keys.digest(b"x"), keys.digest(b"y"));
        let sealed = keys.seal(&id("dec_1"), "arguments", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == b"secret"));
        assert_eq!(again.open(&id("dec_1"), "arguments", &sealed).unwrap(), b"secret");
    }

    #[test]
    fn likenesses_are_of_the_server_and_of_no_session() {
        let (vault, other) = (Vault::new(&[1; 32]), Vault::new(&[2; 32]));
        let (keys, _) = vault.begin(&session("a")).unwrap();
        assert_eq!(vault.likeness(b"x"), Vault::new(&[1; 32]).likeness(b"x"));
        assert_ne!(vault.likeness(b"x"), other.likeness(b"x"));
        assert_ne!(vault.likeness(b"x").unwrap(), keys.digest(b"x"));
    }

    #[test]
    fn two_sessions_share_no_digest() {
        let vault = Vault::new(&[1; 32]);
        let (one, _) = vault.begin(&session("a")).unwrap();
        let (two, _) = vault.begin(&session("a")).unwrap();
        assert_ne!(one.digest(b"x"), two.digest(b"x"));
    }

    #[test]
    fn nothing_opens_where_it_does_not_belong() {
        let refused = Err(VaultError::NotAuthentic);
        let vault = Vault::new(&[1; 32]);
        let (keys, wrapped) = vault.begin(&session("a")).unwrap();
        assert!(vault.unwrap(&session("b"), &wrapped).is_err());
        assert!(Vault::new(&[2; 32]).unwrap(&session("a"), &wrapped).is_err());
        assert!(vault.unwrap(&session("a"), &vec![0; wrapped.len()]).is_err());

        let sealed = keys.seal(&id("dec_1"), "result", b"secret").unwrap();
        assert_eq!(keys.open(&id("dec_2"), "result", &sealed), refused);
        assert_eq!(keys.open(&id("dec_1"), "arguments", &sealed), refused);
        // Where one part ends and the next begins is part of the context.
        assert_eq!(keys.open(&id("dec_1r"), "esult", &sealed), refused);
        for length in 0..sealed.len() {
            assert_eq!(keys.open(&id("dec_1"), "result", &sealed[..length]), refused);
        }
        for byte in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[byte] ^= 1;
            assert_eq!(keys.open(&id("dec_1"), "result", &flipped), refused);
        }
    }
}
