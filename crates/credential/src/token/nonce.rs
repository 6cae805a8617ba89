//! Nonces for DPoP proofs (RFC 9449 section 8) that nobody has to remember: a keyed digest of
//! the time.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use safeconduct_model::Timestamp;

/// How long one nonce is handed out, in seconds. It is taken for as long again.
pub const NONCE_S: i64 = 60;

/// The key of the nonces.
pub struct NonceKey(hmac::Key);

impl NonceKey {
    /// The key of these 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The nonce to hand out now.
    pub fn now(&self, now: Timestamp) -> String {
        self.of(slot(now))
    }

    /// The nonces that are taken now: this one, and the one before.
    pub fn taken(&self, now: Timestamp) -> BTreeSet<String> {
        [self.of(slot(now)), self.of(slot(now).saturating_sub(1))].into()
    }

    fn of(&self, slot: i64) -> String {
        let mut said = b"safeconduct dpop nonce ".to_vec();
        said.extend_from_slice(&slot.to_be_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &said))
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(..)")
    }
}

const fn slot(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(NONCE_S * 1000)
}
