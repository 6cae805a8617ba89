//! Use-case: findings. A look at the estate gathers facts, the rules of crate `review` judge them,
//! and what changed is recorded; people may exempt a finding for a time.
//!
//! A look reads the world as it is, the use of rights from the read model, and a bounded part of
//! the ledger, the newest records first. It may take long and blocks on the disk; nothing on the
//! way of a decision waits for it. Where anything cannot be read, nothing changes.

mod evidence;
mod gather;
mod rights;
mod take;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use safeconduct_model::{RecordId, Timestamp};
use safeconduct_review::finding::{
    ExemptError, Finding, FindingBook, FindingId, FindingStep, FirstSeen, GrantsSeen,
    GrantsSeenError, Looked, NotJudged, Thresholds,
};
use thiserror::Error;

use crate::reviews::ReviewStep;
use crate::{AppendError, EstateError, ReadError, RecordReviewsError, Service};

pub use evidence::{DECISIONS_LOOKED_AT_MAX, RECORDS_LOOKED_AT_MAX};

/// Most things that could not be judged that a report names; how many there are is said beside.
pub const NOT_JUDGED_SHOWN_MAX: usize = 100;

/// What is known of findings: a fold of their steps.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) book: FindingBook,
    first_seen: Arc<FirstSeen>,
    /// Records beside which rights lie that have not been read yet.
    unread: Vec<(u64, GrantsSeen, Timestamp)>,
    /// How many such records there are.
    grants_seen: u64,
    last: Option<LookReport>,
    looking: Arc<AtomicBool>,
}

impl Findings {
    /// Takes a step in, whatever it is about.
    pub(crate) fn take_in(&mut self, step: &ReviewStep<'_>) {
        if let Some(seen) = GrantsSeen::of(step.change) {
            self.grants_seen += 1;
            self.unread.push((step.sequence, seen, step.at));
            return;
        }
        match FindingStep::of(step.change, step.at) {
            Ok(Some((id, taken))) => self.book.take(&id, taken, step.at),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, record = %step.id, "a step of a finding is not understood");
            }
        }
    }
}

/// One look at a time: as long as this lives, nobody else begins one.
#[derive(Debug)]
struct Looking(Arc<AtomicBool>);

impl Looking {
    fn begin(flag: &Arc<AtomicBool>) -> Option<Self> {
        let busy = flag.swap(true, Ordering::AcqRel);
        (!busy).then(|| Self(Arc::clone(flag)))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A look at the estate: what it saw, to be taken in.
#[derive(Debug)]
pub struct Look {
    looked: Looked,
    /// Rights that no look saw before.
    fresh: Vec<safeconduct_model::Digest>,
    report: LookReport,
    _looking: Looking,
}

/// What a look saw, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookReport {
    /// When.
    pub at: Timestamp,
    /// Since when the ledger has been counting.
    pub tracked_since: Timestamp,
    /// How many identities were looked at.
    pub identities: u64,
    /// How many of their rights.
    pub grants: u64,
    /// How many rights were left out, beyond the most of one identity.
    pub grants_left_out: u64,
    /// How many decisions.
    pub decisions: u64,
    /// Kinds of records of which only the newest were looked at.
    pub sampled: Vec<&'static str>,
    /// Findings that are new.
    pub opened: u64,
    /// Findings that rest on something else now.
    pub changed: u64,
    /// Findings that came back.
    pub reopened: u64,
    /// Findings that are not so any more.
    pub closed: u64,
    /// Exemptions whose time is over.
    pub expired: u64,
    /// New findings for which there was no room.
    pub left_off: u64,
    /// Some of what could not be judged, because less is tracked than the rule needs.
    pub not_judged: Vec<NotJudged>,
    /// How much that is in all.
    pub not_judged_count: u64,
}

/// Why there was no look, or nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookError {
    /// Nobody's fault: another one is under way.
    #[error("the estate is being looked at already")]
    UnderWay,
    /// Our fault: the read model could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Our fault: the ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] AppendError),
    /// Our fault, or that of whoever changed the disk: what lies beside a record is something else.
    #[error(transparent)]
    Damaged(#[from] GrantsSeenError),
    /// The policy author's fault: rights cannot be listed.
    #[error(transparent)]
    Estate(#[from] EstateError),
    /// Our fault: what changed could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordReviewsError),
}

/// Why an exemption was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExemptFindingError {
    /// The caller's fault.
    #[error(transparent)]
    Exempt(#[from] ExemptError),
    /// Our fault: it could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordReviewsError),
}

impl Service {
    /// The findings that fit, the worst first, then by kind and id.
    pub fn findings(&self, fits: impl Fn(&Finding) -> bool) -> Vec<Finding> {
        let state = self.reviews.lock();
        let mut all: Vec<_> =
            state.findings.book.iter().filter(|finding| fits(finding)).cloned().collect();
        drop(state);
        all.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then(a.kind.cmp(&b.kind)).then(a.id.cmp(&b.id))
        });
        all
    }

    /// The finding of that id.
    pub fn finding(&self, id: &FindingId) -> Option<Finding> {
        self.reviews.lock().findings.book.finding(id).cloned()
    }

    /// What the last look of this process saw, and what came of it.
    pub fn last_look(&self) -> Option<LookReport> {
        self.reviews.lock().findings.last.clone()
    }

    /// From when on something is wrong.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.settings.thresholds
    }

    fn findings_id(&self) -> RecordId {
        self.ids.record("exm")
    }
}
