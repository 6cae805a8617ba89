//! Use-case: new keys for the token service on demand, one that may be in other hands dropped, and
//! how its keys stand.

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
    /// Our fault: it could not be recorded.
    #[error(transparent)]
    Unrecorded(#[from] KeyRecordError),
}

/// Why a key was not dropped for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DropKeyError {
    /// The configuration has no token service.
    #[error("there is no token service here")]
    Closed,
    /// The caller's fault: no such key.
    #[error("no key of that id signs or has signed tokens that may be alive")]
    Unknown,
    /// Our fault: the keys cannot be used.
    #[error(transparent)]
    Keys(#[from] TokenKeysError),
    /// Our fault: it could not be recorded.
    #[error(transparent)]
    Unrecorded(#[from] KeyRecordError),
}

/// Why a change of keys could not be recorded: our fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyRecordError {
    /// The ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The record could not be made.
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

    /// Drops a key that may be in other hands: it leaves the published set, and whatever it signed
    /// is inactive, at once; then that is recorded, and the key is removed from the disk. Where it
    /// was the one that signs, the one after it does, or a new one. Blocks on a disk. Returns the
    /// keys that are left.
    ///
    /// # Errors
    /// [`DropKeyError`]. Where the record could not be made durable, the key is out of use until
    /// this process ends: drop it again.
    pub async fn drop_token_key(
        &self,
        key: &str,
        reason: &str,
        by: &IdentityId,
    ) -> Result<Vec<KeyStanding>, DropKeyError> {
        let desk = self.desk().ok_or(DropKeyError::Closed)?;
        let now = self.clock.now();
        // Those on the disk: one that is out of use already is dropped again.
        let known = desk.kept()?.standings(now).into_iter().any(|one| one.id == key);
        if !known {
            return Err(DropKeyError::Unknown);
        }
        let key: Arc<str> = key.into();
        desk.dropped.insert(&key);
        desk.set_aside(now)?;
        self.access.withdraw_of_key(&key);
        self.tell();
        let body = Body::TokenKeyDropped { key, reason: reason.into(), by: by.clone() };
        self.record_keys(body, now).await?;
        desk.tend(now)?;
        Ok(desk.signing().ring.standings(now))
    }

    async fn record_rotation(
        &self,
        made: &[KeyStanding],
        by: &IdentityId,
        now: Timestamp,
    ) -> Result<(), RotateError> {
        let keys = made.iter().map(|key| Arc::from(key.id.as_str())).collect();
        let body = Body::TokenKeysRotated { keys, by: by.clone() };
        Ok(self.record_keys(body, now).await?)
    }

    async fn record_keys(&self, body: Body, now: Timestamp) -> Result<(), KeyRecordError> {
        let record =
            Record { id: self.ids.record("rec"), at: now, trace: None, parent: None, body };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| KeyRecordError::Record(error.to_string().into()))?;
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
