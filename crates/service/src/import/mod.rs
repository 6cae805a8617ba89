//! Use-case: take in identities that others keep. A file is read and compared with what is known
//! first, so that whoever sends it learns of every wrong row before anything is recorded; then
//! its rows, its beginning, its identities in portions, and its end are recorded. What died after
//! its beginning is done to its end by the next process; what died before it, did nothing.

mod book;
mod merge;
mod replace;
mod resume;

use std::sync::Arc;

use safeconduct_model::{
    Digest, Identity, IdentityId, IdentityKind, IdentityStatus, ImportSource, RecordId,
    ReviewChange, ReviewDetail, ReviewedThing,
};
use safeconduct_review::{ImportBegan, ImportStep};
use safeconduct_wire::import::{Alikes, ImportRow, RowFault, Rows, Twin};
use thiserror::Error;

pub use book::*;
pub use merge::*;
pub use replace::*;

use crate::{ChangeError, IDENTITIES_MAX, RecordReviewsError, ReviewEntry, Service, World};

/// Identities that are recorded together.
const PORTION: usize = 4096;

/// How often something is tried again because something else came in between.
const TRIES: usize = 8;

/// What is done where rows of a file are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongRows {
    /// Nothing is imported.
    RefuseAll,
    /// The others are imported.
    LeaveOut,
}

/// A file of identities.
#[derive(Debug, Clone)]
pub struct Import {
    /// Its form.
    pub source: ImportSource,
    /// What whoever imports it calls it.
    pub name: Arc<str>,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
    /// What was read of it.
    pub rows: Rows,
    /// Whose identities may be changed by it.
    pub reach: Reach,
}

/// What an import would do.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    began: ImportBegan,
    reach: Reach,
    rows: Vec<ImportRow>,
    /// Every wrong row, by line.
    pub wrong: Vec<RowFault>,
    /// Identities that are as the file has them already.
    pub same: u64,
    /// Pieces of the file that are about no identity.
    pub others: u64,
    /// Identities of the file that will be suspended because nobody answers for them.
    pub unowned: u64,
    /// Those whose owner and fallback owner are not known here, or are not active.
    pub orphaned: u64,
}

impl ImportPlan {
    /// What its record says.
    pub const fn began(&self) -> &ImportBegan {
        &self.began
    }
}

/// Why an import did not happen, or only in part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Rows are wrong, and nothing is imported.
    #[error("{0} rows are wrong, and nothing is imported")]
    Wrong(u64),
    /// The caller's fault: one at a time.
    #[error("another import is under way")]
    Busy,
    /// What is known has changed meanwhile, so that a row does not fit any more: begin again.
    #[error("what is known of `{id}` has changed meanwhile: it {problem}; import the file again")]
    Meanwhile {
        /// Who.
        id: IdentityId,
        /// What does not fit any more.
        problem: MergeError,
    },
    /// Our fault, or too much at once: an identity could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Our fault: the import could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordReviewsError),
}

impl Service {
    /// What an import would do, as things stand. It takes a moment for many rows.
    pub fn plan_import(&self, import: Import) -> ImportPlan {
        let world = self.world();
        let Import { source, name, digest, bytes, rows, reach } = import;
        let Rows { rows, faults, others } = rows;
        let began = ImportBegan {
            source,
            name,
            digest,
            bytes,
            rows: (rows.len() + faults.len()) as u64,
            new: 0,
            changed: 0,
            wrong: 0,
            kept: None,
        };
        let (wrong, same, unowned, orphaned) = (faults, 0, 0, 0);
        let mut plan =
            ImportPlan { began, reach, rows: Vec::new(), wrong, same, others, unowned, orphaned };
        let mut alikes = Alikes::default();
        let known: Vec<&Identity> = world.identities().collect();
        for (place, identity) in known.iter().enumerate() {
            alikes.put(&identity.id, place);
        }
        let named: std::collections::HashSet<&IdentityId, foldhash::fast::RandomState> =
            rows.iter().map(|row| &row.id).collect();
        let mut kept = Vec::new();
        for row in &rows {
            match weighed(&world, row, (source, reach), &alikes, &known) {
                Ok(identity) => {
                    plan.count(&world, row, &identity, |id| named.contains(id));
                    kept.push(row.clone());
                }
                Err(fault) => plan.wrong.push(fault),
            }
        }
        if world.identities.len() + usize::try_from(plan.began.new).unwrap_or(usize::MAX)
            > IDENTITIES_MAX
        {
            let problem = format!("there would be more than {IDENTITIES_MAX} identities");
            plan.wrong.push(RowFault { line: 1, field: "id".into(), problem });
        }
        plan.rows = kept;
        plan.wrong.sort_by_key(|fault| fault.line);
        plan.began.wrong = plan.wrong.len() as u64;
        plan
    }

    /// Records what a plan says, all of it, in portions. Whoever is at another import has to end
    /// first.
    ///
    /// # Errors
    /// [`ImportError`]. What was recorded until then stays, and the import is shown as
    /// interrupted; the same file again does the rest. Of a process that dies, the next one does
    /// it ([`Service::resume_imports`]).
    pub async fn import(
        &self,
        plan: ImportPlan,
        wrong: WrongRows,
        by: &IdentityId,
    ) -> Result<ImportView, ImportError> {
        if wrong == WrongRows::RefuseAll && !plan.wrong.is_empty() {
            return Err(ImportError::Wrong(plan.began.wrong));
        }
        let id: Arc<str> = self.ids.record("imp").shared();
        if !self.reviews.lock().imports.begin(&id) {
            return Err(ImportError::Busy);
        }
        let _at_work = AtWork(self);
        let kept = self.keep_rows(&id, &plan.rows, plan.reach, by).await?;
        let (parts, began) = (kept.parts, ImportBegan { kept: Some(kept), ..plan.began.clone() });
        let step = ImportStep::Began(Box::new(began.clone()));
        let record = self.record_import(&id, parts, &step, by).await?;
        let done = self.record_rows(&id, (&began, plan.reach), &plan.rows, by, &record).await;
        if let Err(error) = &done {
            self.give_up(&id, &began, by, error).await;
        }
        done?;
        let shown = self.imports().into_iter().find(|import| import.id == id);
        let at = self.now();
        let (by, state) = (Some(by.clone()), ImportState::Completed);
        Ok(shown.unwrap_or(ImportView { id, record, at, by, began: plan.began, state }))
    }

    async fn portion(
        &self,
        (source, reach): (ImportSource, Reach),
        rows: &[ImportRow],
        by: &IdentityId,
        because: &RecordId,
    ) -> Result<(u64, u64), ImportError> {
        let mut tries = TRIES;
        loop {
            let world = self.world();
            let (mut changes, mut new) = (Vec::new(), 0);
            for row in rows {
                let known = world.identity(&row.id);
                let is = merged(&row.id, known, &row.said, source, reach)
                    .map_err(|problem| ImportError::Meanwhile { id: row.id.clone(), problem })?;
                if known != Some(&is) {
                    new += u64::from(known.is_none());
                    changes.push(Replacing { was: known.cloned(), is });
                }
            }
            let changed = changes.len() as u64 - new;
            match self.replace_identities(changes, by, Some(because)).await {
                Ok(()) => return Ok((new, changed)),
                Err(ReplaceError::Moved(_)) if tries > 0 => tries -= 1,
                Err(ReplaceError::Moved(_)) => return Err(RecordReviewsError::Stale.into()),
                Err(ReplaceError::Change(error)) => return Err(error.into()),
            }
        }
    }

    pub(super) async fn record_import(
        &self,
        id: &Arc<str>,
        sequence: u64,
        step: &ImportStep,
        by: &IdentityId,
    ) -> Result<RecordId, RecordReviewsError> {
        self.record_import_with(id, sequence, step, by, None).await
    }

    async fn record_import_with(
        &self,
        id: &Arc<str>,
        sequence: u64,
        step: &ImportStep,
        by: &IdentityId,
        attachment: Option<Vec<u8>>,
    ) -> Result<RecordId, RecordReviewsError> {
        let unmade =
            |error: &dyn std::fmt::Display| RecordReviewsError::Record(error.to_string().into());
        let detail = safeconduct_ledger::canonical(&step.detail());
        let detail = String::from_utf8(detail).map_err(|error| unmade(&error))?;
        let change = ReviewChange {
            what: ReviewedThing::Import,
            id: Arc::clone(id),
            sequence,
            event: step.event().into(),
            about: None,
            by: Some(by.clone()),
            detail: ReviewDetail::new(detail).map_err(|error| unmade(&error))?,
        };
        let mut tries = TRIES;
        loop {
            let entry =
                ReviewEntry { attachment: attachment.clone(), ..ReviewEntry::new(change.clone()) };
            match self.record_reviews(self.reviews_seen(), vec![entry], Vec::new()).await {
                Err(RecordReviewsError::Stale) if tries > 0 => tries -= 1,
                recorded => {
                    let first = recorded?.into_iter().next();
                    return first.ok_or_else(|| unmade(&"there is no record of it"));
                }
            }
        }
    }
}

/// While it is there, an import is under way.
struct AtWork<'s>(&'s Service);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.reviews.lock().imports.end();
    }
}

impl ImportPlan {
    fn count(
        &mut self,
        world: &World,
        row: &ImportRow,
        identity: &Identity,
        comes: impl Fn(&IdentityId) -> bool,
    ) {
        match world.identity(&row.id) {
            None => self.began.new += 1,
            Some(known) if known == identity => self.same += 1,
            Some(_) => self.began.changed += 1,
        }
        if identity.kind == IdentityKind::User {
            return;
        }
        let owners = [&identity.owner, &identity.fallback_owner];
        self.unowned += u64::from(owners.iter().any(|owner| owner.is_none()));
        let answers = |owner: &&Option<IdentityId>| {
            owner.as_ref().is_some_and(|id| match world.identity(id) {
                Some(known) => known.status == IdentityStatus::Active,
                None => comes(id),
            })
        };
        self.orphaned += u64::from(!owners.iter().any(answers));
    }
}

/// The identity of a row, or what is wrong with it.
fn weighed(
    world: &World,
    row: &ImportRow,
    (source, reach): (ImportSource, Reach),
    alikes: &Alikes,
    known: &[&Identity],
) -> Result<Identity, RowFault> {
    let fault =
        |field: &str, problem: String| RowFault { line: row.line, field: field.into(), problem };
    if let Some((twin @ (Twin::Case | Twin::Look), place)) = alikes.like(&row.id) {
        let other = known.get(place).map(|known| known.id.to_string()).unwrap_or_default();
        let how = match twin {
            Twin::Case => "differs only in case from",
            _ => "looks like",
        };
        return Err(fault("id", format!("`{}` {how} `{other}`, who is registered", row.id)));
    }
    merged(&row.id, world.identity(&row.id), &row.said, source, reach)
        .map_err(|error| fault(error.field(), format!("`{}` {error}", row.id)))
}
