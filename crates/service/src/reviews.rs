//! The steps of access reviews: how they are recorded, and how what is known of findings,
//! campaigns, remediations, proposals and imports follows from them.
//!
//! Steps are rare and carry much, so that there is one version for all of them: whoever records
//! one says what they had seen, and is refused where something came in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safeconduct_model::{Body, Record, RecordId, ReviewChange, ReviewedThing, Timestamp};
use thiserror::Error;

use crate::campaigns::Campaigns;
use crate::findings::Findings;
use crate::import::Imports;
use crate::remediation::{Proposals, Remediations};
use crate::{AppendError, Attachment, Entry, Proposal, Service, SubmitError, Versioned};

/// Most steps that are recorded together.
pub const REVIEW_STEPS_MAX: usize = 10_000;

/// A step to record.
#[derive(Debug, Clone)]
pub struct ReviewEntry {
    /// The step.
    pub change: ReviewChange,
    /// What lies beside it: at most [`crate::ATTACHED_BYTES_MAX`]. Its digest is in the detail.
    pub attachment: Option<Vec<u8>>,
    /// The record that caused it.
    pub parent: Option<RecordId>,
}

impl ReviewEntry {
    /// A step with nothing beside it, that nothing caused.
    pub const fn new(change: ReviewChange) -> Self {
        Self { change, attachment: None, parent: None }
    }
}

/// A step that was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReviewStep<'a> {
    /// Its record.
    pub(crate) id: &'a RecordId,
    /// When.
    pub(crate) at: Timestamp,
    /// What happened.
    pub(crate) change: &'a ReviewChange,
    /// Where it stands in the ledger: what lies beside it is read from there.
    pub(crate) sequence: u64,
}

/// How far somebody has seen the reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewsSeen(u64);

/// Why steps were not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordReviewsError {
    /// Something came in between: look again, and decide again.
    #[error("the reviews have changed meanwhile")]
    Stale,
    /// The caller's fault: too many at once.
    #[error("at most {REVIEW_STEPS_MAX} steps of reviews are recorded together")]
    TooMany,
    /// Our fault: a step could not be recorded.
    #[error("the step could not be recorded: {0}")]
    Record(Arc<str>),
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(SubmitError),
    /// Our fault: the records did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What is known of reviews.
#[derive(Default)]
pub(crate) struct Reviews {
    state: Mutex<Reviewed>,
    /// Whether denials of rights that were taken away are counted: a decision looks at this alone
    /// where they are not.
    watching: AtomicBool,
}

/// A fold of the steps.
#[derive(Default)]
pub(crate) struct Reviewed {
    /// Proposals that wrote steps since the process started.
    version: u64,
    /// Reviews of many rights.
    pub(crate) campaigns: Campaigns,
    /// What is wrong with the estate.
    pub(crate) findings: Findings,
    /// What came from elsewhere.
    pub(crate) imports: Imports,
    /// Rights that are taken away.
    pub(crate) remediations: Remediations,
    /// Changes of the policies.
    pub(crate) proposals: Proposals,
}

impl Reviews {
    /// Whether denials of rights that were taken away are counted.
    pub(crate) fn is_watching(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }

    /// What is left to do once steps were taken in.
    pub(crate) fn settle(&self, state: &Reviewed) {
        self.watching.store(state.remediations.is_watching(), Ordering::Relaxed);
    }

    /// Locks it, never for long.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Reviewed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reviewed {
    /// How far this is.
    pub(crate) const fn seen(&self) -> ReviewsSeen {
        ReviewsSeen(self.version)
    }

    /// Takes a step in: each kind of thing has a fold of its own.
    fn take_in(&mut self, step: ReviewStep<'_>) {
        self.campaigns.take_in(step);
        self.findings.take_in(&step);
        self.remediations.see_signature(&step);
        if step.change.what == ReviewedThing::Import {
            self.imports.take_in(&step);
        }
        match step.change.what {
            ReviewedThing::Remediation => self.remediations.take_in(&step),
            ReviewedThing::PolicyProposal => self.proposals.take_in(&step),
            _ => {}
        }
    }
}

impl Service {
    /// How far the reviews are.
    pub fn reviews_seen(&self) -> ReviewsSeen {
        self.reviews.lock().seen()
    }

    /// Records steps, all of them or none, if nothing happened in the reviews since `seen`, and
    /// nothing of what else was read has changed. They count once they are queued; this returns
    /// when they are durable, with the ids of their records.
    ///
    /// # Errors
    /// [`RecordReviewsError`] says whose fault it is.
    pub async fn record_reviews(
        &self,
        seen: ReviewsSeen,
        entries: Vec<ReviewEntry>,
        also_read: Vec<(Versioned, u64)>,
    ) -> Result<Vec<RecordId>, RecordReviewsError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, ticket) = {
            let mut state = self.reviews.lock();
            if state.seen() != seen {
                return Err(RecordReviewsError::Stale);
            }
            self.queue_reviews(&mut state, entries, also_read)?
        };
        self.ledger.durable(ticket).await?;
        Ok(ids)
    }

    /// Queues steps while the reviews are locked.
    pub(crate) fn queue_reviews(
        &self,
        state: &mut Reviewed,
        entries: Vec<ReviewEntry>,
        also_read: Vec<(Versioned, u64)>,
    ) -> Result<(Vec<RecordId>, crate::Ticket), RecordReviewsError> {
        self.queue_reviews_and(state, entries, also_read, (Vec::new(), Vec::new()))
    }

    /// The same together with records of something else, and with what those change.
    pub(crate) fn queue_reviews_and(
        &self,
        state: &mut Reviewed,
        entries: Vec<ReviewEntry>,
        also_read: Vec<(Versioned, u64)>,
        (bodies, mut writes): (Vec<Body>, Vec<Versioned>),
    ) -> Result<(Vec<RecordId>, crate::Ticket), RecordReviewsError> {
        if entries.len() > REVIEW_STEPS_MAX {
            return Err(RecordReviewsError::TooMany);
        }
        let at = self.now();
        let mut records = Vec::with_capacity(entries.len());
        let mut leaves = Vec::with_capacity(entries.len());
        for ReviewEntry { change, attachment, parent } in entries {
            let body = Body::ReviewChanged(Box::new(change));
            let record = Record { id: self.ids.record("rev"), at, trace: None, parent, body };
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| RecordReviewsError::Record(error.to_string().into()))?;
            leaves.push(Entry { leaf, attachment });
            records.push(record);
        }
        for body in bodies {
            let parent = records.first().map(|step: &Record| step.id.clone());
            let record = Record { id: self.ids.record("rec"), at, trace: None, parent, body };
            let leaf = safeconduct_ledger::encode(&record)
                .map_err(|error| RecordReviewsError::Record(error.to_string().into()))?;
            leaves.push(Entry { leaf, attachment: None });
        }
        let mut reads = also_read;
        reads.push((Versioned::Reviews, state.version));
        writes.push(Versioned::Reviews);
        let proposal = Proposal { entries: leaves, reads, writes };
        let ticket = self.ledger.submit(proposal).map_err(|error| match error {
            SubmitError::Stale => RecordReviewsError::Stale,
            other => RecordReviewsError::Submit(other),
        })?;
        state.version += 1;
        for (sequence, record) in (ticket.first..).zip(&records) {
            if let Body::ReviewChanged(change) = &record.body {
                state.take_in(ReviewStep { id: &record.id, at, change, sequence });
            }
        }
        self.reviews.settle(state);
        Ok((records.into_iter().map(|record| record.id).collect(), ticket))
    }

    /// Takes a step in that was recorded by an earlier process.
    pub(crate) fn restore_review(
        &self,
        sequence: u64,
        record: &Record,
        change: &ReviewChange,
        _beside: Attachment,
    ) {
        let step = ReviewStep { id: &record.id, at: record.at, change, sequence };
        let mut state = self.reviews.lock();
        state.take_in(step);
        // Denials that follow are counted as they were then.
        self.reviews.settle(&state);
    }
}
