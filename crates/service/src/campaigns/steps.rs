//! Use-cases: the steps of a campaign that people take, save their answers.

use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, RecordId, Value};
use safeconduct_review::Step;

use super::beside::Beside;
use super::people::may_review;
use super::start::{change, said_beside};
use super::{ATTEMPTS, CampaignStepError, RunningCampaign};
use crate::{RecordReviewsError, ReviewEntry, Service};

/// Steps with whom each is about, and what else came of computing them.
pub(super) struct Computed<T> {
    pub(super) steps: Vec<Step>,
    pub(super) also: T,
    /// What no expression could answer when they were computed: it is said with the first of them.
    pub(super) unanswered: Vec<Arc<str>>,
}

impl Service {
    /// Ends the stage under way: at its time, or once everyone has answered.
    ///
    /// # Errors
    /// [`CampaignStepError`] says whose fault it is.
    pub async fn close_stage(
        &self,
        id: &RecordId,
        by: &IdentityId,
    ) -> Result<(), CampaignStepError> {
        let now = self.now();
        self.take(id, Some(by), |running| one(running.campaign.close_stage(now)?)).await
    }

    /// Puts the cases about which nobody said anything to reviewers again.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub async fn reiterate(&self, id: &RecordId, by: &IdentityId) -> Result<(), CampaignStepError> {
        self.take(id, Some(by), |running| one(running.campaign.reiterate()?)).await
    }

    /// Signs what came out: the owner of the campaign alone can.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub async fn sign_off(
        &self,
        id: &RecordId,
        by: &IdentityId,
        over: Digest,
    ) -> Result<(), CampaignStepError> {
        self.take(id, Some(by), |running| one(running.campaign.sign_off(by, over)?)).await
    }

    /// Gives a campaign up.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub async fn cancel_campaign(
        &self,
        id: &RecordId,
        by: &IdentityId,
    ) -> Result<(), CampaignStepError> {
        self.take(id, Some(by), |running| one(running.campaign.cancel()?)).await
    }

    /// Hands a case on from one reviewer to another person.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub async fn reassign_case(
        &self,
        id: &RecordId,
        case: u32,
        from: &IdentityId,
        to: &IdentityId,
        by: &IdentityId,
    ) -> Result<(), CampaignStepError> {
        self.take(id, Some(by), |running| {
            if !may_review(&self.world(), to) {
                return Err(CampaignStepError::NotAPerson(to.clone()));
            }
            one(running.campaign.reassign(case, from, to.clone())?)
        })
        .await
    }

    /// Computes steps on a campaign as it is, and records them, all or none, if nothing of the
    /// reviews has changed meanwhile; otherwise computes them again.
    pub(super) async fn take<T>(
        &self,
        id: &RecordId,
        by: Option<&IdentityId>,
        compute: impl Fn(&RunningCampaign<'_>) -> Result<Computed<T>, CampaignStepError>,
    ) -> Result<T, CampaignStepError> {
        for _ in 0..ATTEMPTS {
            let computed = self.with_campaign(id, |running| {
                let computed = compute(&running)?;
                let about = computed.steps.iter().map(|step| about(&running, step)).collect();
                let at = At { seen: running.seen, sequence: running.sequence, about };
                Ok::<_, CampaignStepError>((computed, at, running.campaign.steps()))
            })?;
            let (Computed { steps, also, unanswered }, mut at, before) = computed?;
            if steps.is_empty() {
                return Ok(also);
            }
            let beside: Vec<Option<Beside>> =
                steps.iter().map(|step| step.beside().map(|bytes| Beside::of(&bytes))).collect();
            let large = beside.iter().flatten().find(|beside| !beside.before.is_empty());
            if let Some(large) = large {
                self.record_parts(id, at.sequence, large).await?;
                // The parts are steps of the reviews too: nothing else may have come in between.
                let (seen, sequence, now) = self.with_campaign(id, |running| {
                    (running.seen, running.sequence, running.campaign.steps())
                })?;
                if now != before {
                    continue;
                }
                (at.seen, at.sequence) = (seen, sequence);
            }
            let mut details: Vec<_> = steps.iter().map(Step::detail).collect();
            if let Some(first) = details.first_mut() {
                said_unanswered(first, &unanswered);
            }
            let entries = entries(id, by, &steps, details, beside, &at)?;
            match self.record_reviews(at.seen, entries, Vec::new()).await {
                Ok(_) => return Ok(also),
                Err(RecordReviewsError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RecordReviewsError::Stale.into())
    }
}

/// Where steps were computed.
struct At {
    seen: crate::ReviewsSeen,
    sequence: u64,
    about: Vec<Option<IdentityId>>,
}

/// Whose right a step is about, where it is about one.
fn about(running: &RunningCampaign<'_>, step: &Step) -> Option<IdentityId> {
    let case = match step {
        Step::Decided { case, .. } | Step::Reassigned { case, .. } => *case,
        Step::Replaced { gone, .. } => return Some(gone.clone()),
        _ => return None,
    };
    running.campaign.case(case).map(|(case, _)| case.holder.clone())
}

fn entries(
    id: &RecordId,
    by: Option<&IdentityId>,
    steps: &[Step],
    details: Vec<Value>,
    beside: Vec<Option<Beside>>,
    at: &At,
) -> Result<Vec<ReviewEntry>, RecordReviewsError> {
    let all = steps.iter().zip(details).zip(beside).zip(&at.about).zip(at.sequence..);
    let entry = all.map(|((((step, mut detail), beside), about), sequence)| {
        said_beside(&mut detail, beside.as_ref());
        let change = change(&id.shared(), sequence, step.event(), &detail, by, about.as_ref())?;
        Ok(ReviewEntry { change, attachment: beside.map(|beside| beside.last), parent: None })
    });
    entry.collect()
}

pub(super) fn one(step: Step) -> Result<Computed<()>, CampaignStepError> {
    Ok(Computed { steps: vec![step], also: (), unanswered: Vec::new() })
}

/// What no expression could answer, as a member of what a record says.
pub(super) const UNANSWERED: &str = "unanswered";

fn said_unanswered(detail: &mut Value, unanswered: &[Arc<str>]) {
    if let (Value::Object(members), false) = (detail, unanswered.is_empty()) {
        let said = unanswered.iter().map(|one| Value::String(Arc::clone(one))).collect();
        members.insert(UNANSWERED.into(), Value::Array(said));
    }
}
