//! Reviews that are due: what was done in an emergency is looked at afterwards, by somebody else
//! than who did it, and stays on the list until it was.

use std::sync::Arc;

use safeconduct_model::{
    Authentication, Body, DueVerdict, IdentityId, Method, Record, RecordId, Timestamp,
};
use thiserror::Error;

use super::people;
use crate::{Entry, Proposal, Service};

/// Until when a review is done that is not late, in milliseconds after it is due: three days.
pub const REVIEW_WITHIN_MS: i64 = 3 * 24 * 3_600_000;

/// Most reviews that are due at one time. Beyond, nobody sets rules aside until some are done.
pub const REVIEWS_DUE_MAX: usize = 10_000;

/// Longest note of who reviews, in bytes; the shortest is one.
pub const REVIEW_NOTE_BYTES_MAX: usize = 1024;

/// A review that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueReview {
    /// The record of what happened.
    pub of: RecordId,
    /// About whom: they do not review it.
    pub about: IdentityId,
    /// Why, in a short fixed word: `break_glass`.
    pub cause: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// From when on it is late.
    pub late_from: Timestamp,
}

/// Somebody has looked.
#[derive(Debug, Clone)]
pub struct ReviewingDue {
    /// At what: [`DueReview::of`].
    pub of: RecordId,
    /// Who.
    pub by: Authentication,
    /// What they found.
    pub verdict: DueVerdict,
    /// What they say of it; 1 to [`REVIEW_NOTE_BYTES_MAX`] bytes.
    pub note: Arc<str>,
}

/// Why a review is still due.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReviewDueError {
    /// The caller's fault: nothing of that name is due.
    #[error("no review of `{0}` is due")]
    Unknown(RecordId),
    /// The caller's fault: they are no person who may act.
    #[error("`{0}` is no user who may act, and reviews nothing")]
    NotAPerson(IdentityId),
    /// The caller's fault: it is about them.
    #[error("`{0}` did it: somebody else must review it")]
    Own(IdentityId),
    /// The caller's fault: what is done within a task is no person's word.
    #[error("a review is done by a person, outside of any task")]
    WithinTask,
    /// The caller's fault: sign in again.
    #[error("the credential was revoked or has expired: sign in again")]
    CredentialEnded,
    /// The caller's fault: no note, or too many words.
    #[error("the note has {bytes} bytes, and must have 1 to {REVIEW_NOTE_BYTES_MAX}")]
    Note {
        /// How many.
        bytes: usize,
    },
    /// Our fault: it could not be recorded.
    #[error("nothing could be recorded: {0}")]
    NotRecorded(Arc<str>),
}

impl DueReview {
    fn of(of: &RecordId, about: &IdentityId, cause: &Arc<str>, since: Timestamp) -> Self {
        let (of, about, cause) = (of.clone(), about.clone(), Arc::clone(cause));
        Self { of, about, cause, since, late_from: since.plus_ms(REVIEW_WITHIN_MS) }
    }

    /// Whether it is late at that time.
    pub fn is_late(&self, at: Timestamp) -> bool {
        at >= self.late_from
    }
}

impl Service {
    /// The reviews that are due, those first that have been for longest.
    pub fn due_reviews(&self) -> Vec<DueReview> {
        let mut due: Vec<DueReview> = self.requests.lock().due.values().cloned().collect();
        due.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| a.of.cmp(&b.of)));
        due
    }

    /// Records that somebody has looked at what a review is due of. Whether they have the right
    /// to is the caller's to see; that it is not their own doing is seen here.
    ///
    /// # Errors
    /// [`ReviewDueError`] says whose fault it is.
    pub async fn review_due(&self, reviewing: ReviewingDue) -> Result<DueReview, ReviewDueError> {
        let ReviewingDue { of, by, verdict, note } = reviewing;
        let bytes = note.len();
        if !(1..=REVIEW_NOTE_BYTES_MAX).contains(&bytes) {
            return Err(ReviewDueError::Note { bytes });
        }
        if by.task.is_some() || by.method == Method::AccessToken {
            return Err(ReviewDueError::WithinTask);
        }
        let broken =
            |error: &dyn std::fmt::Display| ReviewDueError::NotRecorded(error.to_string().into());
        let (due, ticket) = {
            let (world, now) = (self.world(), self.now());
            if people::person(&world, &by.identity).is_none() {
                return Err(ReviewDueError::NotAPerson(by.identity));
            }
            if !self.proof_stands(&by, &world, now) {
                return Err(ReviewDueError::CredentialEnded);
            }
            let mut state = self.requests.lock();
            let due = state.due.get(&of).cloned();
            let due = due.ok_or_else(|| ReviewDueError::Unknown(of.clone()))?;
            if due.about == by.identity {
                return Err(ReviewDueError::Own(by.identity));
            }
            let record = Record {
                id: self.ids.record("rec"),
                at: now,
                trace: None,
                parent: Some(of.clone()),
                body: Body::ReviewDone { of: of.clone(), by: by.identity, verdict, note },
            };
            let leaf = safeconduct_ledger::encode(&record).map_err(|error| broken(&error))?;
            let entries = vec![Entry { leaf, attachment: None }];
            let reads = vec![(crate::Versioned::World, world.version)];
            let ticket = self.ledger.submit(Proposal { entries, reads, writes: Vec::new() });
            let ticket = ticket.map_err(|error| broken(&error))?;
            state.due.remove(&of);
            (due, ticket)
        };
        self.ledger.durable(ticket).await.map_err(|error| broken(&error))?;
        Ok(due)
    }

    /// Takes in that a review is due.
    pub(crate) fn restore_review_due(
        &self,
        of: &RecordId,
        about: &IdentityId,
        cause: &Arc<str>,
        since: Timestamp,
    ) {
        self.requests.lock().is_due(of, about, cause, since);
    }

    /// Takes in that it was done.
    pub(crate) fn restore_review_done(&self, of: &RecordId) {
        self.requests.lock().due.remove(of);
    }
}

impl super::Ledgered {
    /// From now on a review of that is due.
    pub(super) fn is_due(
        &mut self,
        of: &RecordId,
        about: &IdentityId,
        cause: &Arc<str>,
        since: Timestamp,
    ) {
        self.due.insert(of.clone(), DueReview::of(of, about, cause, since));
    }
}
