//! An import that died is done to its end when the process is started again: all of it, or, where
//! it had not begun, nothing.
//!
//! Its rows lie beside records before the one by which it begins. What of them is recorded already
//! is as they have it, and is left alone.

use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId};
use safeconduct_review::{ImportBegan, ImportStep, KeptRows};
use safeconduct_wire::import::{ImportRow, kept_rows, rows_of_kept};
use sha2::{Digest as _, Sha256};

use super::book::Due;
use super::{AtWork, ImportError, Reach};
use crate::{ATTACHED_BYTES_MAX, LedgerHealth, RecordReviewsError, Service};

impl Service {
    /// Records the rows of an import to come, and says what its beginning has to say of them.
    pub(super) async fn keep_rows(
        &self,
        id: &Arc<str>,
        rows: &[ImportRow],
        reach: Reach,
        by: &IdentityId,
    ) -> Result<KeptRows, RecordReviewsError> {
        let bytes = kept_rows(rows);
        let digest = Digest::from_bytes(Sha256::digest(&bytes).into());
        let mut parts = 0;
        for part in bytes.chunks(ATTACHED_BYTES_MAX) {
            let step = ImportStep::Rows { of: digest };
            self.record_import_with(id, parts, &step, by, Some(part.to_vec())).await?;
            parts += 1;
        }
        Ok(KeptRows { digest, parts, reach: reach.as_str().into() })
    }

    /// Ends what a process before this one began. To be called before anybody is served. One that
    /// cannot be ended is given up, so that no later start writes its rows over what came since;
    /// the others are ended all the same.
    ///
    /// # Errors
    /// [`ImportError`] of the first that could not be ended: it is shown as interrupted. Where the
    /// ledger stopped, nothing newer can come, and the next start tries again.
    pub async fn resume_imports(&self) -> Result<usize, ImportError> {
        let (due, of_none) = {
            let mut state = self.reviews.lock();
            (state.imports.due(), state.imports.forget_idle_rows())
        };
        self.forget_rows(&of_none);
        let (mut ended, mut first) = (0, None);
        for due in due {
            match self.resume_import(&due).await {
                Ok(done) => ended += usize::from(done),
                Err(error) => {
                    tracing::error!(import = &*due.id, %error, "an import stays interrupted");
                    self.give_up(&due.id, &due.began, &due.by, &error).await;
                    first.get_or_insert(error);
                }
            }
        }
        first.map_or(Ok(ended), Err)
    }

    /// Whether it is done to its end now; it is not where its rows are gone: it failed while its
    /// process lived, and has been left to whoever imports again.
    async fn resume_import(&self, due: &Due) -> Result<bool, ImportError> {
        let Due { id, record, by, began, places } = due;
        let broken = |why: &str| {
            ImportError::Record(RecordReviewsError::Record(
                format!("import `{id}` cannot be ended: {why}").into(),
            ))
        };
        let kept = began.kept.as_ref().ok_or_else(|| broken("its rows were not kept"))?;
        let parts = places.iter().map(|place| self.ledger.attachment(*place));
        let parts: Result<Option<Vec<_>>, _> = parts.collect();
        let Some(parts) = parts.map_err(RecordReviewsError::from)? else { return Ok(false) };
        let bytes = parts.concat();
        if Digest::from_bytes(Sha256::digest(&bytes).into()) != kept.digest {
            return Err(broken("its rows are not what was recorded"));
        }
        let rows = rows_of_kept(&bytes).map_err(|error| broken(&error.to_string()))?;
        let reach = Reach::parse(&kept.reach).ok_or_else(|| broken("whose is not known"))?;
        if !self.reviews.lock().imports.begin(id) {
            return Err(ImportError::Busy);
        }
        let _at_work = AtWork(self);
        tracing::info!(import = &**id, rows = rows.len(), "an import that died is ended");
        self.record_rows(id, (began, reach), &rows, by, record).await?;
        Ok(true)
    }

    /// Whatever comes after an import that failed is newer than its file: no process goes on with
    /// it later. That is recorded, and its rows are overwritten. Where the ledger has stopped
    /// nothing newer can come, and the next process does the rest.
    pub(super) async fn give_up(
        &self,
        id: &Arc<str>,
        began: &ImportBegan,
        by: &IdentityId,
        error: &ImportError,
    ) {
        if matches!(self.ledger.health(), LedgerHealth::Failed(_)) {
            return;
        }
        let step = ImportStep::GivenUp { why: error.to_string().into() };
        if let Err(error) = self.record_import(id, after_rows(began), &step, by).await {
            tracing::warn!(%error, "that an import was given up is not recorded");
        }
        self.forget_rows_of(id);
    }

    /// Records the identities of an import that began, and its end.
    pub(super) async fn record_rows(
        &self,
        id: &Arc<str>,
        (began, reach): (&ImportBegan, Reach),
        rows: &[ImportRow],
        by: &IdentityId,
        record: &RecordId,
    ) -> Result<(), ImportError> {
        let (mut new, mut changed) = (0, 0);
        for portion in rows.chunks(super::PORTION) {
            let (more_new, more_changed) =
                self.portion((began.source, reach), portion, by, record).await?;
            new += more_new;
            changed += more_changed;
        }
        let step = ImportStep::Completed { new, changed };
        self.record_import(id, after_rows(began), &step, by).await?;
        // Nobody needs them any more, and they are about people.
        self.forget_rows_of(id);
        Ok(())
    }

    fn forget_rows_of(&self, id: &str) {
        let places = self.reviews.lock().imports.forget_rows(id);
        self.forget_rows(&places);
    }

    fn forget_rows(&self, places: &[u64]) {
        if let Err(error) = self.erase_all(&places.iter().copied().collect()) {
            tracing::warn!(%error, "rows of an import that nobody needs still lie there");
        }
    }
}

/// The place of the step by which an import ends: after its rows and its beginning.
fn after_rows(began: &ImportBegan) -> u64 {
    began.kept.as_ref().map_or(0, |kept| kept.parts) + 1
}
