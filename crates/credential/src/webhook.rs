//! Signed webhooks: HMAC-SHA256 over id, timestamp and body, in the headers of Standard Webhooks
//! 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
//!
//! Whether an id was seen before is for a store: see [`WebhookProof::replay_until`].

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeconduct_model::Timestamp;
use zeroize::Zeroizing;

/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";

/// How many bytes a secret has.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Longest id of a message, in bytes.
pub const WEBHOOK_ID_BYTES_MAX: usize = 256;

/// Most signatures of one message: those under the key before and the key after count.
const SIGNATURES_MAX: usize = 8;

/// A secret that two sides share. `Debug` shows nothing of it.
pub struct WebhookKey(hmac::Key);

/// Why a text is no secret: the configuration is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's secret is `whsec_` and 24 to 64 bytes in Base64")]
pub struct NoWebhookKey;

/// The three headers of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookHeaders {
    /// `webhook-id`: the same with every try.
    pub id: String,
    /// `webhook-timestamp`: when it was sent, in seconds.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
}

/// A message whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookProof {
    /// Its id.
    pub id: String,
    /// Until when the id must be remembered: a second one is a replay.
    pub replay_until: Timestamp,
}

/// Why a message is refused: whoever sent it is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Its id is missing, too long, or no text that can be signed.
    #[error("`webhook-id` must be 1 to {WEBHOOK_ID_BYTES_MAX} visible characters without a dot")]
    Id,
    /// Its time is no number of seconds.
    #[error("`webhook-timestamp` must be a number of seconds since 1970")]
    Timestamp,
    /// It was sent too long ago, or in the future.
    #[error("`webhook-timestamp` is more than {limit_s} s from our clock")]
    Stale {
        /// How far it may be, in seconds.
        limit_s: u32,
    },
    /// None of its signatures is ours.
    #[error("`webhook-signature` holds no signature under our key")]
    Signature,
}

impl WebhookKey {
    /// Reads a secret.
    ///
    /// # Errors
    /// [`NoWebhookKey`].
    pub fn parse(text: &str) -> Result<Self, NoWebhookKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(NoWebhookKey)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| NoWebhookKey)?);
        match SECRET_BYTES.contains(&bytes.len()) {
            true => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            false => Err(NoWebhookKey),
        }
    }

    /// The headers of a message that is sent now.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> WebhookHeaders {
        let timestamp = now.as_millis().div_euclid(1000).to_string();
        let tag = hmac::sign(&self.0, &signed(id, &timestamp, body));
        let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        WebhookHeaders { id: id.to_owned(), timestamp, signature }
    }

    /// Checks a message against its headers, in constant time.
    ///
    /// # Errors
    /// [`WebhookError`] names the first thing that is wrong.
    pub fn check(
        &self,
        headers: &WebhookHeaders,
        body: &[u8],
        now: Timestamp,
        tolerance_s: u32,
    ) -> Result<WebhookProof, WebhookError> {
        let WebhookHeaders { id, timestamp, signature } = headers;
        // A dot would let an id take up a part of what follows it.
        let plain = id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
        if id.is_empty() || id.len() > WEBHOOK_ID_BYTES_MAX || !plain {
            return Err(WebhookError::Id);
        }
        let digits = (1..=12).contains(&timestamp.len())
            && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: i64 = timestamp.parse().map_err(|_| WebhookError::Timestamp)?;
        if !digits {
            return Err(WebhookError::Timestamp);
        }
        let sent = Timestamp::from_millis(seconds.saturating_mul(1000));
        let tolerance_ms = i64::from(tolerance_s) * 1000;
        if now.ms_since(sent) > tolerance_ms || sent.ms_since(now) > tolerance_ms {
            return Err(WebhookError::Stale { limit_s: tolerance_s });
        }
        let message = signed(id, timestamp, body);
        let ours = signature.split(' ').take(SIGNATURES_MAX).any(|one| {
            let tag = one.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
            tag.is_some_and(|tag| hmac::verify(&self.0, &message, &tag).is_ok())
        });
        match ours {
            true => {
                Ok(WebhookProof { id: id.clone(), replay_until: sent.plus_ms(tolerance_ms + 1) })
            }
            false => Err(WebhookError::Signature),
        }
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(..)")
    }
}

/// What is signed (Standard Webhooks 1.0, symmetric signatures).
fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_614_265_330_000);
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn key() -> WebhookKey {
        WebhookKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    #[test]
    fn the_example_of_the_specification_holds() {
        let headers = key().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, BODY);
        assert_eq!(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let proof = key().check(&headers, BODY, NOW, 300).unwrap();
        assert_eq!(proof.replay_until, NOW.plus_ms(300_001));
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let mut headers = key().sign("1", NOW, BODY);
        headers.signature = format!("v1a,xx v1,AAAA {} v2,x", headers.signature);
        assert!(key().check(&headers, BODY, NOW, 300).is_ok());
    }

    #[test]
    fn what_was_changed_is_refused() {
        let good = key().sign("1", NOW, BODY);
        let check = |headers: &WebhookHeaders| key().check(headers, BODY, NOW, 300);
        assert_eq!(key().check(&good, b"{}", NOW, 300), Err(WebhookError::Signature));
        let other = WebhookKey::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(other.check(&good, BODY, NOW, 300), Err(WebhookError::Signature));
        let with = |id: &str, timestamp: &str| WebhookHeaders {
            id: id.into(),
            timestamp: timestamp.into(),
            ..good.clone()
        };
        assert_eq!(check(&with("2", &good.timestamp)), Err(WebhookError::Signature));
        assert_eq!(check(&with("1", "1614265331")), Err(WebhookError::Signature));
        for id in ["", "1.2", "a b", "é"] {
            assert_eq!(check(&with(id, &good.timestamp)), Err(WebhookError::Id), "{id}");
        }
        for timestamp in ["", "-1", "1e9", "+1614265330", "99999999999999"] {
            assert_eq!(check(&with("1", timestamp)), Err(WebhookError::Timestamp), "{timestamp}");
        }
    }

    #[test]
    fn what_is_not_of_now_is_refused() {
        let headers = key().sign("1", NOW, BODY);
        let at = |ms: i64| key().check(&headers, BODY, NOW.plus_ms(ms), 300);
        assert!(at(300_000).is_ok() && at(-300_000).is_ok());
        for ms in [300_001, -300_001] {
            assert_eq!(at(ms), Err(WebhookError::Stale { limit_s: 300 }));
        }
    }

    #[test]
    fn secrets_have_their_form() {
        for text in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] {
            assert!(WebhookKey::parse(text).is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", key()), "WebhookKey(..)");
    }
}
