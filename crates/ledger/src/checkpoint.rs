//! Checkpoints: a signed statement of the tree's size and root, as C2SP tlog-checkpoint and
//! C2SP signed-note write it (<https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use signed_note::{
    Note, StandardSigner, StandardVerifier, Verifier, VerifierList, is_key_name_valid, key_id,
    new_ed25519_verifier_key,
};
use thiserror::Error;
use tlog_tiles::Hash;
use zeroize::Zeroizing;

/// Longest checkpoint that is read, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// The name of a ledger, as it stands in its checkpoints and verifier key: a URL without scheme,
/// such as `example.com/safeconduct`. At most 255 bytes, without spaces, control characters
/// and `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Makes one of a text.
    ///
    /// # Errors
    /// [`KeyError::Origin`].
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let fits = is_key_name_valid(text) && !text.chars().any(char::is_control);
        if fits && text.len() <= 255 { Ok(Self(text.to_owned())) } else { Err(KeyError::Origin) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The name of the ledger does not fit.
    #[error("the ledger's origin is empty, longer than 255 bytes, or holds a space or `+`")]
    Origin,
    /// The text is no signing key as C2SP signed-note has them.
    #[error("this is not a signing key (`PRIVATE+KEY+NAME+ID+KEY`)")]
    SigningKey,
    /// The text is no verifier key as C2SP signed-note has them.
    #[error("this is not a verifier key (`NAME+ID+KEY`)")]
    VerifierKey,
}

/// Why a checkpoint cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The bytes are no signed checkpoint.
    #[error("this is not a signed checkpoint")]
    Malformed,
    /// Another key signed it, or nobody did.
    #[error("the checkpoint is not signed by this key")]
    UnknownKey,
    /// The signature does not fit the text.
    #[error("the checkpoint's signature does not hold")]
    BadSignature,
    /// The signature holds, but the checkpoint speaks of another ledger.
    #[error("the checkpoint is of another ledger")]
    OtherOrigin,
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// How many leaves the tree has.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// The key that signs checkpoints: Ed25519, with the ledger's origin as its name. Neither `Debug`
/// nor errors show it.
pub struct CheckpointKey {
    origin: Origin,
    signer: StandardSigner,
    text: Zeroizing<String>,
    verifier: String,
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

impl CheckpointKey {
    /// From 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::SigningKey`].
    pub fn from_seed(origin: &Origin, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let public = SigningKey::from_bytes(seed).verifying_key();
        let mut tagged = Zeroizing::new(vec![ED25519]);
        tagged.extend_from_slice(public.as_bytes());
        let id = key_id(origin.as_str(), &tagged);
        tagged.truncate(1);
        tagged.extend_from_slice(seed);
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(&*tagged));
        Self::parse(&format!("PRIVATE+KEY+{}+{id:08x}+{}", origin.as_str(), *encoded))
    }

    /// From its text, `PRIVATE+KEY+NAME+ID+KEY`; spaces and line ends around it do not matter.
    ///
    /// # Errors
    /// [`KeyError::SigningKey`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let signer = StandardSigner::new(text).map_err(|_| KeyError::SigningKey)?;
        // `PRIVATE`, `KEY`, name, id, key: only the key may hold a `+`.
        let mut parts = text.splitn(5, '+').skip(2);
        let origin = Origin::new(parts.next().ok_or(KeyError::SigningKey)?)?;
        let encoded = parts.nth(1).ok_or(KeyError::SigningKey)?;
        let tagged = BASE64_STANDARD.decode(encoded).map_err(|_| KeyError::SigningKey)?;
        let tagged = Zeroizing::new(tagged);
        let seed = tagged.get(1..).and_then(|seed| <&[u8; 32]>::try_from(seed).ok());
        let public = SigningKey::from_bytes(seed.ok_or(KeyError::SigningKey)?).verifying_key();
        let verifier = new_ed25519_verifier_key(origin.as_str(), &public);
        Ok(Self { origin, signer, text: Zeroizing::new(text.to_owned()), verifier })
    }

    /// Its text, to keep in a file that nobody else can read.
    pub fn danger_text(&self) -> &str {
        &self.text
    }

    /// The name of the ledger.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The verifier key, `NAME+ID+KEY`, to give to anyone.
    pub fn verifier_text(&self) -> &str {
        &self.verifier
    }

    /// Signs a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`], which this key's origin rules out.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
        let Checkpoint { size, root } = checkpoint;
        let text = tlog_tiles::Checkpoint::new(self.origin.as_str(), *size, *root, "")
            .map_err(|_| CheckpointError::Malformed)?;
        let mut note = Note::new(&text.to_bytes(), &[]).map_err(|_| CheckpointError::Malformed)?;
        note.add_sigs(&[&self.signer]).map_err(|_| CheckpointError::Malformed)?;
        Ok(note.to_bytes())
    }
}

/// What a checkpoint says, whoever signed it: to describe it, never to believe it.
///
/// # Errors
/// [`CheckpointError::Malformed`].
pub fn read_unverified(note: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let malformed = CheckpointError::Malformed;
    if note.len() > CHECKPOINT_BYTES_MAX {
        return Err(malformed);
    }
    let note = Note::from_bytes(note).map_err(|_| malformed)?;
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|_| malformed)?;
    Ok(Checkpoint { size: checkpoint.size(), root: *checkpoint.hash() })
}

/// Checks the checkpoints of one ledger.
#[derive(Clone)]
pub struct CheckpointVerifier {
    origin: Origin,
    verifier: StandardVerifier,
}

impl fmt::Debug for CheckpointVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointVerifier").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl CheckpointVerifier {
    /// From a verifier key, `NAME+ID+KEY`; spaces and line ends around it do not matter.
    ///
    /// # Errors
    /// [`KeyError::VerifierKey`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let verifier = StandardVerifier::new(text.trim()).map_err(|_| KeyError::VerifierKey)?;
        let origin = Origin::new(verifier.name())?;
        Ok(Self { origin, verifier })
    }

    /// The name of the ledger.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What a signed checkpoint says, if this ledger's key signed it. Signatures of others beside
    /// it (witnesses) do not matter.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn verify(&self, note: &[u8]) -> Result<Checkpoint, CheckpointError> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(CheckpointError::Malformed);
        }
        let note = Note::from_bytes(note).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(self.verifier.clone())]);
        note.verify(&known).map_err(|error| match error {
            signed_note::NoteError::InvalidSignature { .. } => CheckpointError::BadSignature,
            signed_note::NoteError::UnverifiedNote => CheckpointError::UnknownKey,
            _ => CheckpointError::Malformed,
        })?;
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text())
            .map_err(|_| CheckpointError::Malformed)?;
        if checkpoint.origin() != self.origin.as_str() {
            return Err(CheckpointError::OtherOrigin);
        }
        Ok(Checkpoint { size: checkpoint.size(), root: *checkpoint.hash() })
    }
}

/// The algorithm byte of Ed25519 in C2SP signed-note.
const ED25519: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CheckpointKey {
        CheckpointKey::from_seed(&Origin::new("example.com/ledger").unwrap(), &[7; 32]).unwrap()
    }

    #[test]
    fn a_key_survives_its_text() {
        // Some of these keys hold a `+` in their base64.
        for seed in 0..64 {
            let origin = Origin::new("o").unwrap();
            let key = CheckpointKey::from_seed(&origin, &[seed; 32]).unwrap();
            assert!(CheckpointVerifier::parse(key.verifier_text()).is_ok());
        }
        let again = CheckpointKey::parse(&format!("{}\n", key().danger_text())).unwrap();
        assert_eq!(again.verifier_text(), key().verifier_text());
        assert_eq!(again.origin().as_str(), "example.com/ledger");
        assert!(!format!("{again:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else_does() {
        let checkpoint = Checkpoint { size: 3, root: crate::leaf_hash(b"x") };
        let note = key().sign(&checkpoint).unwrap();
        let verifier = CheckpointVerifier::parse(key().verifier_text()).unwrap();
        assert_eq!(verifier.verify(&note).unwrap(), checkpoint);

        for offset in 0..note.len() {
            let mut flipped = note.clone();
            flipped[offset] ^= 1;
            assert!(verifier.verify(&flipped).is_err(), "byte {offset}");
        }
        let text = String::from_utf8(note.clone()).unwrap();
        let larger = text.replacen("\n3\n", "\n4\n", 1);
        assert_eq!(verifier.verify(larger.as_bytes()), Err(CheckpointError::BadSignature));

        let other = CheckpointKey::from_seed(&Origin::new("example.com/ledger").unwrap(), &[8; 32]);
        let other = other.unwrap().sign(&checkpoint).unwrap();
        assert_eq!(verifier.verify(&other), Err(CheckpointError::UnknownKey));
        assert_eq!(verifier.verify(b""), Err(CheckpointError::Malformed));
    }

    #[test]
    fn an_origin_fits_a_key_name() {
        assert!(Origin::new("example.com/safeconduct").is_ok());
        for text in ["", "a b", "a+b", "a\nb", "a\u{7}"] {
            assert_eq!(Origin::new(text), Err(KeyError::Origin), "{text:?}");
        }
    }
}
