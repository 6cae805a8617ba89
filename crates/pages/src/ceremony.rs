//! Ceremonies that are under way: what a passkey was asked to sign, for which browser, about
//! what. Each is answered once, within two minutes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use safeconduct_model::{Authentication, Digest, RecordId, Timestamp};

use crate::glass::Breaking;
use crate::requests::Answer;
use crate::secret::{self, NoRandomness};
use crate::webauthn::Challenge;

/// Most ceremonies at once: more than browsers that are signed in is never needed.
pub const CEREMONIES_MAX: usize = crate::BROWSERS_MAX;

/// How long one may take, in milliseconds.
pub const CEREMONY_MS: i64 = 120_000;

/// What a ceremony is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// Somebody who has a passkey wants another of that name.
    Vouch {
        /// What its owner calls it.
        name: String,
    },
    /// A passkey of that name is made.
    Register {
        /// What its owner calls it.
        name: String,
        /// Who wants it, as they proved it.
        by: Box<Authentication>,
    },
    /// Requests are answered.
    Answer {
        /// Which ones, each with what was shown of it.
        requests: Vec<(RecordId, Digest)>,
        /// What they said.
        answer: Answer,
    },
    /// Rules that ask for an approval are set aside.
    BreakGlass(Breaking),
}

/// A ceremony.
#[derive(Debug, Clone)]
pub(crate) struct Ceremony {
    pub(crate) challenge: Challenge,
    pub(crate) purpose: Purpose,
    began_at: Timestamp,
}

/// All of them, one for each browser: one that begins anew forgets what it had begun.
#[derive(Default)]
pub(crate) struct Ceremonies(Mutex<HashMap<[u8; 32], Ceremony>>);

impl Ceremonies {
    /// Begins one about `about`: what is to be signed; `None` where too many are under way.
    pub(crate) fn begin(
        &self,
        browser: [u8; 32],
        about: Digest,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<Challenge>, NoRandomness> {
        let challenge = Challenge { nonce: Digest::from_bytes(secret::random()?), about };
        let mut under_way = self.lock();
        if under_way.len() >= CEREMONIES_MAX {
            under_way.retain(|_, ceremony| ceremony.lasts(now));
        }
        if under_way.len() >= CEREMONIES_MAX {
            return Ok(None);
        }
        under_way.insert(browser, Ceremony { challenge, purpose, began_at: now });
        Ok(Some(challenge))
    }

    /// The one that the browser has begun; it is over with this, whatever comes of it.
    pub(crate) fn end(&self, browser: &[u8; 32], now: Timestamp) -> Option<Ceremony> {
        self.lock().remove(browser).filter(|ceremony| ceremony.lasts(now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Ceremony>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ceremony {
    fn lasts(&self, now: Timestamp) -> bool {
        now.as_millis().saturating_sub(self.began_at.as_millis()) < CEREMONY_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceremony_is_answered_once_by_its_browser_and_in_time() {
        let ceremonies = Ceremonies::default();
        let at = Timestamp::from_millis;
        let about = Digest::from_bytes([1; 32]);
        let begin = |browser: u8| {
            let purpose = Purpose::Vouch { name: "key".into() };
            ceremonies.begin([browser; 32], about, purpose, at(0)).unwrap().unwrap()
        };
        let (first, other) = (begin(1), begin(2));
        assert_ne!(first.bytes(), other.bytes());
        let again = begin(1);
        assert_ne!(first.bytes(), again.bytes());
        assert!(ceremonies.end(&[3; 32], at(1)).is_none());
        assert_eq!(ceremonies.end(&[1; 32], at(1)).unwrap().challenge, again);
        assert!(ceremonies.end(&[1; 32], at(1)).is_none());
        assert!(ceremonies.end(&[2; 32], at(CEREMONY_MS)).is_none());
    }
}
