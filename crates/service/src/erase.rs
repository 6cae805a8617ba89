//! Use-case: erase the values of a session and the keys that they were digested and sealed under.

use std::collections::BTreeSet;

use safeconduct_model::{Body, IdentityId, Record, SessionKey, SessionScope, TaskId, TaskState};
use thiserror::Error;

use crate::access::is_of_requests;
use crate::recall::Recall;
use crate::sessions::{Slot, lock};
use crate::{AppendError, Entry, Proposal, Service, SubmitError};

/// Why values were not erased.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EraseError {
    /// The caller's fault: no such session.
    #[error("no session `{0}` is known")]
    UnknownSession(SessionKey),
    /// The caller's fault: what a live task may do is among its values.
    #[error("task `{0}` goes on: end it first")]
    TaskLives(TaskId),
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
    /// Waits for the disk in the middle of its first step, so a runtime polls it on a thread that
    /// may block. The session's decisions go on meanwhile, save for the short while in which what
    /// they left behind since is overwritten too.
    ///
    /// # Errors
    /// [`EraseError`] says whose fault it is.
    pub async fn erase(&self, session: &SessionKey, by: &IdentityId) -> Result<u64, EraseError> {
        if is_of_requests(session) {
            return self.erase_requests(session, by).await;
        }
        if let SessionScope::Task(task) = &session.scope
            && self.task(task).is_some_and(|view| view.state == TaskState::Active)
        {
            return Err(EraseError::TaskLives(task.clone()));
        }
        let slot = self.sessions.known(session);
        // Nothing was decided in the task, and yet its mandate lies there.
        let begun = || self.tasks.of_session(session).and_then(|_| self.session_slot(session));
        let unknown = || EraseError::UnknownSession(session.clone());
        let slot = slot.or_else(begun).ok_or_else(unknown)?;
        // The bulk of it without the lock: whoever decides on the session would wait for the disk
        // on a thread that answers others too.
        let before = attached(&lock(&slot));
        let mut erased = self.erase_all(&before)?;
        let (ticket, records) = {
            let mut slot = lock(&slot);
            let mut since = attached(&slot);
            since.retain(|sequence| !before.contains(sequence));
            erased += self.erase_all(&since)?;
            let records: BTreeSet<u64> = before.iter().copied().chain(since).collect();
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
            slot.keys = None;
            slot.keys_at = None;
            let_go(&mut slot);
            slot.sealed_at.clear();
            // What is said again is taken in again, under new keys.
            slot.heard = None;
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| EraseError::Record(error.to_string().into()))?;
            let entries = vec![Entry { leaf, attachment: None }];
            let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
            (self.ledger.submit(proposal)?, records)
        };
        let home = self.home(session);
        if home != *session
            && let Some(home) = self.sessions.known(&home)
        {
            let_go(&mut lock(&home));
        }
        self.pasts.unlearn(&records);
        self.ledger.durable(ticket).await?;
        Ok(erased)
    }

    pub(crate) fn erase_all(&self, sequences: &BTreeSet<u64>) -> Result<u64, AppendError> {
        match sequences.is_empty() {
            true => Ok(0),
            false => self.ledger.erase(&sequences.iter().copied().collect::<Vec<_>>()),
        }
    }
}

/// What is in memory of what was erased goes too: it is folded again, without that.
fn let_go(slot: &mut Slot) {
    slot.session.let_go();
    slot.forget_answers();
    slot.recall = Recall::Due;
    slot.order.unlearn();
}

/// The entries beside which something of the session lies.
fn attached(slot: &Slot) -> BTreeSet<u64> {
    slot.keys_at.into_iter().chain(slot.sealed_at.iter()).collect()
}
