//! The keys that sign access tokens, and when each does what. It all follows from when each key
//! was made, so that every process with the same keys says the same.

use std::fmt;

use safeconduct_model::{Timestamp, Value};
use zeroize::Zeroizing;

use crate::jose::{Algorithm, KeySet, KeySetError, SignError, SigningKey};

use super::TTL_S_MAX;

/// How long a key is published before it signs, in milliseconds: longer than anyone who checks
/// tokens keeps the set.
pub const PUBLISHED_FIRST_MS: i64 = 600_000;

/// How long anyone may keep the published set, in seconds.
pub const KEPT_S: u32 = 300;

/// How long a key stays published after it signed last, in milliseconds: until the last token has
/// expired, by clocks a minute apart.
const PUBLISHED_AFTER_MS: i64 = (TTL_S_MAX as i64 + 60) * 1000;

/// The algorithms that sign access tokens.
pub const SIGNING: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

/// A key as it is kept.
pub struct StoredKey {
    /// Its algorithm; one of [`SIGNING`].
    pub algorithm: Algorithm,
    /// When it was made.
    pub made_at: Timestamp,
    /// Its 32 secret bytes.
    pub secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({}, {})", self.algorithm.as_str(), self.made_at)
    }
}

/// All keys, in the order in which they were made.
#[derive(Debug, Default)]
pub struct KeyRing(Vec<RingKey>);

/// What a key does at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPhase {
    /// It is published, and will sign.
    Next,
    /// It signs.
    Signing,
    /// Another signs in its place; what it signed still holds.
    Former,
}

impl KeyPhase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signing => "signing",
            Self::Former => "former",
        }
    }
}

/// Where a key stands at one moment. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStanding {
    /// Its public id (`kid`).
    pub id: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// When it was made.
    pub made_at: Timestamp,
    /// What it does.
    pub phase: KeyPhase,
    /// From when on it signs, or signed.
    pub signs_from: Timestamp,
    /// Until when it stays published; `None` while no other key is there to follow it.
    pub published_until: Option<Timestamp>,
}

#[derive(Debug)]
struct RingKey {
    key: SigningKey,
    made_at: Timestamp,
}

impl KeyRing {
    /// The ring of these keys.
    ///
    /// # Errors
    /// [`SignError`] where one is no key.
    pub fn new(stored: impl IntoIterator<Item = StoredKey>) -> Result<Self, SignError> {
        let keys = stored.into_iter().map(|stored| {
            let key = SigningKey::from_secret(stored.algorithm, &stored.secret)?;
            Ok(RingKey { key, made_at: stored.made_at })
        });
        let mut keys = keys.collect::<Result<Vec<_>, SignError>>()?;
        keys.sort_by_key(|key| key.made_at);
        Ok(Self(keys))
    }

    /// Takes keys out, whatever they were doing: nothing that they signed can be checked any more.
    /// Returns them by algorithm and time of making. Where one of them signed, the key after it
    /// does from now on.
    pub fn take_out(&mut self, is_one: impl Fn(&str) -> bool) -> Vec<(Algorithm, Timestamp)> {
        let mut out = Vec::new();
        self.0.retain(|key| {
            let stays = !key.key.public().kid().is_some_and(&is_one);
            if !stays {
                out.push((key.key.algorithm(), key.made_at));
            }
            stays
        });
        out
    }

    fn of(&self, algorithm: Algorithm) -> impl Iterator<Item = (usize, &RingKey)> {
        let mine = self.0.iter().filter(move |key| key.key.algorithm() == algorithm);
        mine.enumerate()
    }

    /// The first key of an algorithm signs at once: nobody holds an older set of it.
    const fn signs_from(place: usize, key: &RingKey) -> Timestamp {
        match place {
            0 => Timestamp::from_millis(i64::MIN),
            _ => key.made_at.plus_ms(PUBLISHED_FIRST_MS),
        }
    }

    /// The key that signs now.
    pub fn signer(&self, algorithm: Algorithm, now: Timestamp) -> Option<&SigningKey> {
        let ready = self.of(algorithm).filter(|(place, key)| Self::signs_from(*place, key) <= now);
        ready.last().map(|(_, key)| &key.key)
    }

    /// The public keys to be published now, and to check tokens with.
    ///
    /// # Errors
    /// [`KeySetError`] where there are too many.
    pub fn published(&self, now: Timestamp) -> Result<KeySet, KeySetError> {
        let kept = self.0.iter().filter(|key| !self.is_over(key, now));
        KeySet::of(kept.map(|key| key.key.public().clone()))
    }

    /// The published set, as JSON.
    ///
    /// # Errors
    /// [`KeySetError`] where there are too many.
    pub fn jwks(&self, now: Timestamp) -> Result<Value, KeySetError> {
        Ok(self.published(now)?.jwks())
    }

    /// Whether it is time to make a new key: there is none, or the newest is that old.
    pub fn is_due(&self, algorithm: Algorithm, every_ms: i64, now: Timestamp) -> bool {
        let newest = self.of(algorithm).last();
        newest.is_none_or(|(_, key)| now.ms_since(key.made_at) >= every_ms)
    }

    /// Keys that are over, by algorithm and time of making: they can be removed.
    pub fn over(&self, now: Timestamp) -> Vec<(Algorithm, Timestamp)> {
        let over = self.0.iter().filter(|key| self.is_over(key, now));
        over.map(|key| (key.key.algorithm(), key.made_at)).collect()
    }

    /// Where every key stands that is not over, in the order in which they were made.
    pub fn standings(&self, now: Timestamp) -> Vec<KeyStanding> {
        let kept = self.0.iter().filter(|key| !self.is_over(key, now));
        kept.map(|key| self.standing(key, now)).collect()
    }

    fn standing(&self, key: &RingKey, now: Timestamp) -> KeyStanding {
        let algorithm = key.key.algorithm();
        let place = self.of(algorithm).filter(|(_, other)| other.made_at < key.made_at).count();
        let signs_from = Self::signs_from(place, key);
        let follows = self.of(algorithm).find(|(_, other)| other.made_at > key.made_at);
        let follows = follows.map(|(place, next)| Self::signs_from(place, next));
        KeyStanding {
            id: key.key.public().kid().unwrap_or_default().to_owned(),
            algorithm,
            made_at: key.made_at,
            phase: match follows {
                Some(follows) if follows <= now => KeyPhase::Former,
                _ if signs_from <= now => KeyPhase::Signing,
                _ => KeyPhase::Next,
            },
            // The first signs from the moment that it is there.
            signs_from: signs_from.max(key.made_at),
            published_until: follows.map(|follows| follows.plus_ms(PUBLISHED_AFTER_MS)),
        }
    }

    /// Whether a later key has signed in its place for so long that no token of it can be alive.
    fn is_over(&self, key: &RingKey, now: Timestamp) -> bool {
        let mut later =
            self.of(key.key.algorithm()).filter(|(_, other)| other.made_at > key.made_at);
        later.next().is_some_and(|(place, next)| {
            Self::signs_from(place, next).plus_ms(PUBLISHED_AFTER_MS) <= now
        })
    }
}
