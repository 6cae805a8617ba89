//! What may be used once: ids of DPoP proofs and of client assertions.

use std::collections::BTreeMap;

use safeconduct_model::{Digest, Timestamp};
use thiserror::Error;

use crate::jose::Thumbprint;

/// Most ids that are remembered at one time. Beyond it nothing more is taken.
pub const REMEMBERED_MAX: usize = 262_144;

/// Most ids of those that one client is charged with. Beyond it that client's next is not taken;
/// others' are.
pub const REMEMBERED_OF_ONE_MAX: usize = REMEMBERED_MAX / 8;

/// How many more ids come before those that are over are looked for.
const SWEEP_AFTER: usize = 4096;

/// How often they are looked for at most, in milliseconds, so that a full memory costs no more
/// than one that is not.
const SWEEP_EVERY_MS: i64 = 1000;

/// Ids that were seen, until they could not be used any more. It knows nothing of the time before
/// it was made, so what was issued before that is not taken either: it may have been used.
#[derive(Debug)]
pub struct Once {
    since: Timestamp,
    seen: BTreeMap<Digest, Seen>,
    /// How many of them each client is charged with.
    charged: BTreeMap<Digest, usize>,
    sweep_at: usize,
    swept_at: Timestamp,
}

#[derive(Debug)]
struct Seen {
    until: Timestamp,
    client: Digest,
}

/// An id, to be used this once.
#[derive(Debug, Clone, Copy)]
pub struct Single<'a> {
    /// Among whose ids it is told apart: a key's, an issuer's.
    pub whose: &'a str,
    /// The id.
    pub id: &'a str,
    /// The client that is charged with it. It has proved who it is: what strangers make up is
    /// never remembered.
    pub client: &'a str,
    /// When what it is of was issued.
    pub issued_at: Timestamp,
    /// Until when it could be used.
    pub until: Timestamp,
}

/// Why something cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Used {
    /// It was used before.
    #[error("it was used before")]
    Before,
    /// It is older than this process, which does not know whether it was used before.
    #[error("it is older than this server's start: make a new one")]
    TooOld,
    /// Too many are remembered, of this client or of all.
    #[error("too many of its kind are in use")]
    Full,
}

impl Once {
    /// Nothing was seen since then.
    pub const fn since(since: Timestamp) -> Self {
        Self {
            since,
            seen: BTreeMap::new(),
            charged: BTreeMap::new(),
            sweep_at: SWEEP_AFTER,
            swept_at: since,
        }
    }

    /// Takes an id.
    ///
    /// # Errors
    /// [`Used`]; it must not be used.
    pub fn take(&mut self, single: &Single<'_>, now: Timestamp) -> Result<(), Used> {
        // Times of tokens are whole seconds.
        if single.issued_at.plus_ms(1000) <= self.since {
            return Err(Used::TooOld);
        }
        let client = key("", single.client);
        let is_full = |once: &Self| {
            once.seen.len() >= REMEMBERED_MAX
                || once.charged.get(&client).is_some_and(|n| *n >= REMEMBERED_OF_ONE_MAX)
        };
        if self.seen.len() >= self.sweep_at || is_full(self) {
            self.sweep(now);
        }
        let key = key(single.whose, single.id);
        if self.seen.get(&key).is_some_and(|seen| now < seen.until) {
            return Err(Used::Before);
        }
        if is_full(self) {
            return Err(Used::Full);
        }
        if let Some(over) = self.seen.insert(key, Seen { until: single.until, client })
            && let Some(charged) = self.charged.get_mut(&over.client)
        {
            *charged = charged.saturating_sub(1);
        }
        *self.charged.entry(client).or_default() += 1;
        Ok(())
    }

    fn sweep(&mut self, now: Timestamp) {
        if now.ms_since(self.swept_at) < SWEEP_EVERY_MS {
            return;
        }
        self.seen.retain(|_, seen| now < seen.until);
        self.charged.clear();
        for seen in self.seen.values() {
            *self.charged.entry(seen.client).or_default() += 1;
        }
        self.sweep_at = (self.seen.len() * 2).clamp(SWEEP_AFTER, REMEMBERED_MAX);
        self.swept_at = now;
    }
}

/// One digest for both names: the length keeps them apart.
fn key(whose: &str, id: &str) -> Digest {
    let said = format!("{}:{whose}{id}", whose.len());
    Digest::from_bytes(*Thumbprint::of(said.as_bytes()).as_bytes())
}
