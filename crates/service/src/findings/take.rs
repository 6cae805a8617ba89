//! What a look changes, and what people say of findings, recorded.

use safeconduct_model::IdentityId;
use safeconduct_review::finding::{
    ExemptionWish, Finding, FindingId, FindingStep, GRANTS_SEEN_AT_ONCE_MAX, GrantsSeen,
};

use super::{ExemptFindingError, Look, LookError, LookReport};
use crate::reviews::Reviewed;
use crate::{RecordReviewsError, ReviewEntry, Service, Ticket};

/// Most steps that are recorded together, so that others have their turn in between.
const STEPS_AT_ONCE: usize = 500;

impl Service {
    /// Takes a look in: what is new is opened, what came back is opened again, what is not so any
    /// more is closed, and what stayed is left alone. When this returns, all of that is durable.
    ///
    /// # Errors
    /// [`LookError::Record`]; what was recorded before that counts, and the next look goes on.
    pub async fn take_look(&self, look: Look) -> Result<LookReport, LookError> {
        let Look { looked, fresh, mut report, _looking } = look;
        for grants in fresh.chunks(GRANTS_SEEN_AT_ONCE_MAX) {
            self.record_seen(grants).await?;
        }
        let compared = self.reviews.lock().findings.book.compare(&looked, report.at);
        report.left_off = compared.left_off;
        for steps in compared.steps.chunks(STEPS_AT_ONCE) {
            for (_, step) in steps {
                *match step {
                    FindingStep::Opened(_) => &mut report.opened,
                    FindingStep::Changed(_) => &mut report.changed,
                    FindingStep::Reopened(_) => &mut report.reopened,
                    FindingStep::Closed => &mut report.closed,
                    _ => &mut report.expired,
                } += 1;
            }
            self.record_steps(steps).await?;
        }
        self.reviews.lock().findings.last = Some(report.clone());
        Ok(report)
    }

    async fn record_seen(&self, grants: &[safeconduct_model::Digest]) -> Result<(), LookError> {
        let ticket = {
            let mut state = self.reviews.lock();
            if !state.findings.first_seen.has_room() {
                tracing::warn!("there are more rights than are remembered: some stay young");
                return Ok(());
            }
            let (change, beside) = GrantsSeen::change(grants, state.findings.grants_seen)?;
            let entry = ReviewEntry { attachment: Some(beside), ..ReviewEntry::new(change) };
            self.queue_reviews(&mut state, vec![entry], Vec::new())?.1
        };
        self.ledger.durable(ticket).await?;
        Ok(())
    }

    async fn record_steps(
        &self,
        steps: &[(FindingId, FindingStep)],
    ) -> Result<(), RecordReviewsError> {
        let ticket = {
            let mut state = self.reviews.lock();
            self.queue_steps(&mut state, steps)?
        };
        self.steps_durable(ticket).await
    }

    async fn steps_durable(&self, ticket: Option<Ticket>) -> Result<(), RecordReviewsError> {
        match ticket {
            Some(ticket) => Ok(self.ledger.durable(ticket).await?),
            None => Ok(()),
        }
    }

    fn queue_steps(
        &self,
        state: &mut Reviewed,
        steps: &[(FindingId, FindingStep)],
    ) -> Result<Option<Ticket>, RecordReviewsError> {
        let (book, now) = (&state.findings.book, self.now());
        // Somebody may have exempted it again meanwhile.
        let holds = |id: &FindingId| {
            let exemption = book.finding(id).and_then(|finding| finding.exemption.as_ref());
            exemption.is_none_or(|exemption| now < exemption.until)
        };
        let due = steps.iter().filter(|(id, step)| *step != FindingStep::Expired || !holds(id));
        let entries = due.map(|(id, step)| {
            let change = step.change(id, book);
            change
                .map(ReviewEntry::new)
                .map_err(|error| RecordReviewsError::Record(error.to_string().into()))
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.queue_reviews(state, entries, Vec::new())?.1))
    }

    /// Exempts a finding, for a time. When this returns, it is durable.
    ///
    /// # Errors
    /// [`ExemptFindingError`] says whose fault it is.
    pub async fn exempt_finding(
        &self,
        id: &FindingId,
        wish: ExemptionWish,
    ) -> Result<Option<Finding>, ExemptFindingError> {
        let ticket = {
            let mut state = self.reviews.lock();
            let (exemption, now) = (self.findings_id().shared(), self.now());
            let step = state.findings.book.exempt(id, wish, exemption, now)?;
            self.queue_steps(&mut state, &[(id.clone(), step)])?
        };
        self.steps_durable(ticket).await?;
        Ok(self.finding(id))
    }

    /// Ends the exemption of a finding before its time.
    ///
    /// # Errors
    /// [`ExemptFindingError`] says whose fault it is.
    pub async fn unexempt_finding(
        &self,
        id: &FindingId,
        by: &IdentityId,
    ) -> Result<Option<Finding>, ExemptFindingError> {
        let ticket = {
            let mut state = self.reviews.lock();
            let step = state.findings.book.unexempt(id, by.clone(), self.now())?;
            self.queue_steps(&mut state, &[(id.clone(), step)])?
        };
        self.steps_durable(ticket).await?;
        Ok(self.finding(id))
    }
}
