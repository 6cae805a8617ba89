//! Use-case: new keys for the token service on demand, and how its keys stand.

use std::sync::{Arc, PoisonError};

use safeconduct_credential::token::{KeyPhase, KeyRing, KeyStanding};
use safeconduct_model::{Body, IdentityId, Record, Timestamp};
use thiserror::Error;

use crate::access_tokens::Desk;
use crate::{AppendError, Entry, Proposal, Service, SubmitError, TokenKeysError};

/// Why no new keys were made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RotateError {
    /// The configuration has no token service.
    #[error("there is no token service here")]
    Closed,
    /// The caller's fault: keys wait already, and nobody needs others before they sign.
    #[error("keys that were made before sign from {from} on: wait for them")]
    Waiting {
        /// When the first of them begins to sign.
        from: Timestamp,
    },
    /// Our fault: the keys cannot be used.
    #[error(transparent)]
    Keys(#[from] TokenKeysError),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the record could not be made: {0}")]
    Record(Arc<str>),
}

impl Service {
    /// How the keys of the token service stand, in the order in which they were made; `None` where
    /// it is closed.
    pub fn token_keys(&self) -> Option<Vec<KeyStanding>> {
        Some(self.desk()?.signing().ring.standings(self.clock.now()))
    }

    /// Makes a new key of each algorithm in use. It is published at once and signs once everybody
    /// who checks tokens has had time to learn of it; the key before it then stays published until
    /// the last token that it signed has expired. Blocks on a disk. Returns the new keys.
    ///
    /// # Errors
    /// [`RotateError`]; no new key is in use.
    pub async fn rotate_token_keys(
        &self,
        by: &IdentityId,
    ) -> Result<Vec<KeyStanding>, RotateError> {
        let desk = self.desk().ok_or(RotateError::Closed)?;
        let now = self.clock.now();
        let made = desk.make(now)?;
        let kept = self.record_rotation(&made, by, now).await;
        if let Err(error) = kept {
            // They were never published, so nobody misses them.
            let removed = made.iter().map(|key| desk.keys.remove(key.algorithm, key.made_at));
            removed.filter_map(Result::err).for_each(|error| {
                tracing::error!(%error, "a key that could not be recorded could not be removed");
            });
            return Err(error);
        }
        desk.tend(now)?;
        Ok(made)
    }

    async fn record_rotation(
        &self,
        made: &[KeyStanding],
        by: &IdentityId,
        now: Timestamp,
    ) -> Result<(), RotateError> {
        let keys = made.iter().map(|key| Arc::from(key.id.as_str())).collect();
        let record = Record {
            id: self.ids.record("rec"),
            at: now,
            trace: None,
            parent: None,
            body: Body::TokenKeysRotated { keys, by: by.clone() },
        };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| RotateError::Record(error.to_string().into()))?;
        let entries = vec![Entry { leaf, attachment: None }];
        let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
        let ticket = self.ledger.submit(proposal)?;
        Ok(self.ledger.durable(ticket).await?)
    }
}

impl Desk {
    /// Makes keys on the disk, which nobody uses before they are tended.
    fn make(&self, now: Timestamp) -> Result<Vec<KeyStanding>, RotateError> {
        let _alone = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        let standings = || {
            let ring = KeyRing::new(self.keys.all()?);
            let ring = ring.map_err(|error| TokenKeysError(error.to_string().into()))?;
            Ok::<_, TokenKeysError>(ring.standings(now))
        };
        let waiting = standings()?.into_iter().filter(|key| key.phase == KeyPhase::Next);
        if let Some(from) = waiting.map(|key| key.signs_from).min() {
            return Err(RotateError::Waiting { from });
        }
        for algorithm in self.algorithms() {
            self.keys.make(algorithm, now)?;
        }
        Ok(standings()?.into_iter().filter(|key| key.made_at == now).collect())
    }
}
