//! What may be used once: ids of DPoP proofs and of client assertions.

use std::collections::BTreeMap;

use safeconduct_model::{Digest, Timestamp};
use thiserror::Error;

use crate::jose::Thumbprint;

/// Most ids that are remembered at one time. Beyond it nothing more is taken.
pub const REMEMBERED_MAX: usize = 262_144;

/// How many more ids come before those that are over are looked for.
const SWEEP_AFTER: usize = 4096;

/// Ids that were seen, until they could not be used any more. It knows nothing of the time before
/// it was made, so what was issued before that is not taken either: it may have been used.
#[derive(Debug)]
pub struct Once {
    since: Timestamp,
    seen: BTreeMap<Digest, Timestamp>,
    sweep_at: usize,
    swept_at: Timestamp,
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
    /// Too many are remembered.
    #[error("too many of its kind are in use")]
    Full,
}

impl Once {
    /// Nothing was seen since then.
    pub const fn since(since: Timestamp) -> Self {
        Self { since, seen: BTreeMap::new(), sweep_at: SWEEP_AFTER, swept_at: since }
    }

    /// Takes the id `id` of `whose`, which was issued then and could be used until `until`.
    ///
    /// # Errors
    /// [`Used`]; it must not be used.
    pub fn take(
        &mut self,
        whose: &str,
        id: &str,
        issued_at: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Used> {
        // Times of tokens are whole seconds.
        if issued_at.plus_ms(1000) <= self.since {
            return Err(Used::TooOld);
        }
        // Once a second at most, so that a full memory costs no more than one that is not.
        if self.seen.len() >= self.sweep_at && now.ms_since(self.swept_at) >= 1000 {
            self.seen.retain(|_, until| now < *until);
            self.sweep_at = (self.seen.len() * 2).clamp(SWEEP_AFTER, REMEMBERED_MAX);
            self.swept_at = now;
        }
        let key = key(whose, id);
        if self.seen.get(&key).is_some_and(|until| now < *until) {
            return Err(Used::Before);
        }
        if self.seen.len() >= REMEMBERED_MAX {
            return Err(Used::Full);
        }
        self.seen.insert(key, until);
        Ok(())
    }
}

/// One digest for both names: the length keeps them apart.
fn key(whose: &str, id: &str) -> Digest {
    let said = format!("{}:{whose}{id}", whose.len());
    Digest::from_bytes(*Thumbprint::of(said.as_bytes()).as_bytes())
}
