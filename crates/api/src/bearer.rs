//! Bearer tokens: 256 random bits with a mark by which scanners find them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::{Digest, TokenId};
use thiserror::Error;
use zeroize::Zeroizing;

/// How every token begins.
const MARK: &str = "sc_";

/// Characters of the random part: 32 bytes in base64url.
const RANDOM_CHARS: usize = 43;

/// Characters of the checksum: 4 bytes in base64url.
const CHECKSUM_CHARS: usize = 6;

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no randomness from the operating system")]
pub struct NoRandomness;

/// A bearer token in the clear: shown once, wiped from memory when it is dropped.
///
/// `sc_`, 43 characters of base64url for 256 random bits, 6 characters of base64url for the
/// CRC-32C of all before: `sc_[A-Za-z0-9_-]{49}`. The checksum lets a scanner for leaked secrets
/// tell a token from what merely looks like one; it protects nothing.
pub struct Bearer(Zeroizing<String>);

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
        let mut text =
            Zeroizing::new(String::with_capacity(MARK.len() + RANDOM_CHARS + CHECKSUM_CHARS));
        text.push_str(MARK);
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text)
    }

    /// The token's text. Show it once, and keep only [`Bearer::digest`].
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What recognises it: SHA-256 of its text.
    pub fn digest(&self) -> Digest {
        safeconduct_service::token_digest(&self.0)
    }

    /// Whether a text has the form of a token, its checksum included.
    pub fn is_well_formed(text: &str) -> bool {
        let before_checksum = MARK.len() + RANDOM_CHARS;
        text.len() == before_checksum + CHECKSUM_CHARS
            && text.starts_with(MARK)
            && text
                .split_at_checked(before_checksum)
                .is_some_and(|(before, given)| checksum(before) == given)
    }
}

/// Nothing of the token.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

fn checksum(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32c::crc32c(text.as_bytes()).to_be_bytes())
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
    use proptest::prelude::*;

    #[test]
    fn two_tokens_differ() {
        let (one, other) = (Bearer::generate().unwrap(), Bearer::generate().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_ne!(one.digest(), other.digest());
    }

    proptest! {
        #[test]
        fn a_token_has_its_form_and_one_changed_character_breaks_it(
            random: [u8; 32],
            at in 0_usize..52,
            by in "[A-Za-z0-9_-]",
        ) {
            let bearer = Bearer::from_random(random);
            let text = bearer.reveal();
            prop_assert_eq!(text.len(), 52);
            prop_assert!(Bearer::is_well_formed(text));
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, &by);
            prop_assert_eq!(Bearer::is_well_formed(&changed), changed == text);
        }

        #[test]
        fn no_text_is_too_strange_to_be_looked_at(text in ".{0,80}") {
            Bearer::is_well_formed(&text);
        }
    }
}
