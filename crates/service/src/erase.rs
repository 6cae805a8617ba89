//! Use-case: erase the values of a session and the keys that they were digested and sealed under.

use safeconduct_model::{Body, IdentityId, Record, SessionKey};
use thiserror::Error;

use crate::sessions::lock;
use crate::{AppendError, Entry, Proposal, Service, SubmitError};

/// Why values were not erased.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EraseError {
    /// The caller's fault: no such session.
    #[error("no session `{0}` is known")]
    UnknownSession(SessionKey),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the disk could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the erasure's record could not be made: {0}")]
    Record(std::sync::Arc<str>),
}

impl Service {
    /// Overwrites the sealed values of a session and its wrapped keys where they lie, and
    /// records it. The tree over the leaves stays as it is. The session itself goes on, under
    /// new keys. Returns how many attachments were overwritten.
    ///
    /// # Errors
    /// [`EraseError`] says whose fault it is.
    pub async fn erase(&self, session: &SessionKey, by: &IdentityId) -> Result<u64, EraseError> {
        let slot = self
            .sessions
            .known(session)
            .ok_or_else(|| EraseError::UnknownSession(session.clone()))?;
        let (ticket, erased) = {
            let mut slot = lock(&slot);
            let sequences: Vec<u64> =
                slot.keys_at.into_iter().chain(slot.sealed_at.iter().copied()).collect();
            let erased = self.ledger.erase(&sequences)?;
            slot.keys = None;
            slot.keys_at = None;
            slot.sealed_at.clear();
            let record = Record {
                id: self.ids.record("rec"),
                at: self.clock.now(),
                trace: None,
                parent: None,
                body: Body::ValuesErased {
                    session: session.clone(),
                    by: by.clone(),
                    attachments: erased,
                },
            };
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| EraseError::Record(error.to_string().into()))?;
            let entries = vec![Entry { leaf, attachment: None }];
            let ticket =
                self.ledger.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })?;
            (ticket, erased)
        };
        self.ledger.durable(ticket).await?;
        Ok(erased)
    }
}
