//! Bearer tokens: API keys, which are secrets that can be copied.

use std::fmt;

use safeconduct_credential::api_key;
use safeconduct_model::{Digest, TokenId};
use thiserror::Error;
use zeroize::Zeroizing;

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no randomness from the operating system")]
pub struct NoRandomness;

/// A bearer token in the clear: shown once, wiped from memory when it is dropped.
///
/// It reads `sc_key_`, 64 hexadecimal digits for 256 random bits, 8 for their checksum
/// (`sc_key_[0-9a-f]{72}`): a scanner for leaked secrets tells a key from what merely looks like
/// one; the checksum protects nothing. Tokens of an older form (`sc_[A-Za-z0-9_-]{49}`) are known
/// by their digests as any others, and hold until they end.
pub struct Bearer {
    text: Zeroizing<String>,
    digest: Digest,
}

impl Bearer {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *random).map_err(|_| NoRandomness)?;
        Ok(Self::from_random(*random))
    }

    /// The one of those 256 bits, which must be random and never used before.
    pub fn from_random(random: [u8; 32]) -> Self {
        let (text, digest) = api_key::mint(&random);
        Self { text, digest }
    }

    /// The token's text. Show it once, and keep only [`Bearer::digest`].
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What recognises it: SHA-256 of its text.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a text has the form of a token that is issued today, its checksum included.
    pub fn is_well_formed(text: &str) -> bool {
        api_key::recognise(text).is_ok()
    }
}

/// Nothing of the token.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

/// The text of a new token.
///
/// # Errors
/// [`NoRandomness`].
pub fn new_token_text() -> Result<String, NoRandomness> {
    Ok(Bearer::generate()?.reveal().to_owned())
}

/// A new public id of a token: `tok_` and a UUID that sorts by time.
#[expect(clippy::missing_panics_doc, reason = "the text is a name for every UUID")]
pub fn new_token_id() -> TokenId {
    let id = format!("tok_{}", uuid::Uuid::now_v7().simple());
    #[expect(clippy::unwrap_used, reason = "36 printable characters are a name")]
    TokenId::new(id).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_differ() {
        let (one, other) = (Bearer::generate().unwrap(), Bearer::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn it_is_recognised_by_the_digest_of_its_text() {
        let bearer = Bearer::generate().unwrap();
        assert_eq!(bearer.digest(), safeconduct_service::token_digest(bearer.reveal()));
        assert!(Bearer::is_well_formed(bearer.reveal()));
        assert!(!Bearer::is_well_formed("sc_c2VjcmV0"));
    }
}
