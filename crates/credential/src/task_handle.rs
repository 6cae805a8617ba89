//! Handles of tasks: what an agent names its task by, together with its own token.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::Digest;
use zeroize::Zeroizing;

use crate::jose::Thumbprint;

/// How every handle begins.
const MARK: &str = "sct_";

/// Characters of the random part: 32 bytes in base64url.
const RANDOM_CHARS: usize = 43;

/// A task's handle in the clear: shown once, wiped from memory when it is dropped.
///
/// `sct_` and 43 characters of base64url for 256 random bits. It proves nothing alone: whoever
/// uses it proves who they are too.
pub struct TaskHandle(Zeroizing<String>);

impl TaskHandle {
    /// A new one of these 32 bytes, which the caller drew at random.
    pub fn of(random: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MARK.len() + RANDOM_CHARS));
        text.push_str(MARK);
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        Self(text)
    }

    /// The handle's text. Show it once, and keep only [`TaskHandle::digest`].
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What recognises it: SHA-256 of its text.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(*Thumbprint::of(self.0.as_bytes()).as_bytes())
    }

    /// Whether a text has the form of a handle.
    pub fn is_well_formed(text: &str) -> bool {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        text.strip_prefix(MARK)
            .is_some_and(|random| random.len() == RANDOM_CHARS && random.bytes().all(fits))
    }
}

/// Nothing of the handle.
impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskHandle(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_has_its_form_and_is_not_shown_by_accident() {
        let (one, other) = (TaskHandle::of(&[1; 32]), TaskHandle::of(&[2; 32]));
        assert!(TaskHandle::is_well_formed(one.reveal()));
        assert_eq!(one.reveal().len(), 47);
        assert_ne!(one.digest(), other.digest());
        assert_eq!(format!("{one:?}"), "TaskHandle(..)");
        for text in
            ["", "sct_", "sc_", one.reveal().trim_start_matches('s'), &format!("{}x", one.reveal())]
        {
            assert!(!TaskHandle::is_well_formed(text), "{text}");
        }
    }
}
