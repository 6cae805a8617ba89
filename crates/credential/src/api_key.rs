//! API keys: for what can do no better. A key is a secret that can be copied, so its proof is
//! worth little ([`safeconduct_model::Assurance::Low`]), and each has an end.
//!
//! A key reads `sc_key_`, 64 hexadecimal digits of secret, 8 of checksum: the fixed beginning lets
//! scanners of repositories and logs find one that leaked (`sc_key_[0-9a-f]{72}`), the checksum
//! lets them, and us, tell a key from a text that looks like one without asking anybody.

use safeconduct_model::Digest;
use zeroize::Zeroizing;

use crate::jose::Thumbprint;

/// How every key begins.
pub const PREFIX: &str = "sc_key_";

/// How many characters a key has.
pub const KEY_CHARS: usize = PREFIX.len() + 64 + 8;

/// Why a text is no key: whoever presents it is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It has another form.
    #[error("this is no API key: `{PREFIX}` and 72 hexadecimal digits")]
    Form,
    /// The checksum does not fit: it was cut or mistyped.
    #[error("the API key's checksum does not fit: it was cut or mistyped")]
    Checksum,
}

/// A new key of these 32 bytes, which the caller drew at random: the text, to be shown once, and
/// what to remember of it.
pub fn mint(secret: &[u8; 32]) -> (Zeroizing<String>, Digest) {
    let mut key = Zeroizing::new(String::with_capacity(KEY_CHARS));
    key.push_str(PREFIX);
    for byte in secret {
        push_hex(&mut key, u32::from(*byte), 2);
    }
    let sum = crc32fast::hash(key.as_bytes());
    push_hex(&mut key, sum, 8);
    let digest = digest(&key);
    (key, digest)
}

/// What to look a presented key up by.
///
/// # Errors
/// [`ApiKeyError`] where it cannot be a key of ours.
pub fn recognise(text: &str) -> Result<Digest, ApiKeyError> {
    let digits = text.strip_prefix(PREFIX).ok_or(ApiKeyError::Form)?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() != 72 || !digits.bytes().all(hex) {
        return Err(ApiKeyError::Form);
    }
    let (body, sum) = text.split_at_checked(KEY_CHARS - 8).ok_or(ApiKeyError::Form)?;
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(ApiKeyError::Checksum);
    }
    Ok(digest(text))
}

fn digest(key: &str) -> Digest {
    Digest::from_bytes(*Thumbprint::of(key.as_bytes()).as_bytes())
}

fn push_hex(text: &mut String, number: u32, digits: u32) {
    for digit in (0..digits).rev() {
        let nibble = number.unbounded_shr(digit * 4) & 0xf;
        text.extend(char::from_digit(nibble, 16));
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "keys are ASCII")]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_and_a_mistyped_one_is_not() {
        let (key, digest) = mint(&[0xab; 32]);
        assert_eq!(key.len(), KEY_CHARS);
        assert!(key.starts_with("sc_key_abab"));
        assert_eq!(recognise(&key), Ok(digest));
        let last = if key.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("{}{last}", &key[..KEY_CHARS - 1]);
        assert_eq!(recognise(&mistyped), Err(ApiKeyError::Checksum));
        for text in
            ["", "sc_key_", &key[1..], &key.to_uppercase(), &format!("{}0", *key), "sc_key_é"]
        {
            assert_eq!(recognise(text), Err(ApiKeyError::Form), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_key_is_recognised(secret: [u8; 32], at in 0_usize..KEY_CHARS, with in "[0-9a-f]") {
            let (key, digest) = mint(&secret);
            proptest::prop_assert_eq!(recognise(&key), Ok(digest));
            let changed = format!("{}{with}{}", &key[..at], &key[at + 1..]);
            proptest::prop_assert_eq!(recognise(&changed).is_ok(), changed == *key);
        }
    }
}
