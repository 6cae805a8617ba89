//! Use-case: reviewers answer, one case or several at once. Nobody answers what they were not
//! shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, RecordId, Timestamp};
use safeconduct_review::{BATCH_MAX, Campaign, DecideError, Item, Response, ReviewDecision, Step};

use super::people::is_deputy;
use super::steps::Computed;
use super::{CampaignStepError, RunningCampaign};
use crate::{Service, World};

/// An answer about one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseAnswer {
    /// Which case.
    pub case: u32,
    /// What.
    pub response: Response,
    /// Why.
    pub reason: Arc<str>,
    /// For whom the caller stands in, where they say so.
    pub acting_for: Option<IdentityId>,
}

/// What came of answers, in their order.
pub type CaseResults = Vec<(u32, Result<(), CampaignStepError>)>;

impl Service {
    /// Takes answers of one person. Each counts or is refused by itself; those that count are
    /// recorded together.
    ///
    /// # Errors
    /// [`CampaignStepError`] where none could be taken.
    pub async fn decide_cases(
        &self,
        id: &RecordId,
        by: &IdentityId,
        answers: &[CaseAnswer],
    ) -> Result<CaseResults, CampaignStepError> {
        let batch = u32::try_from(answers.len()).unwrap_or(u32::MAX);
        if !(1..=BATCH_MAX).contains(&batch) {
            return Err(DecideError::Batch.into());
        }
        let results: CaseResults = self
            .take(id, Some(by), |running| {
                let (world, now) = (self.world(), self.now());
                let mut steps = Vec::new();
                let mut seen = BTreeSet::new();
                let also = answers.iter().map(|answer| {
                    let step = match seen.insert(answer.case) {
                        true => self.decided(running, &world, answer, by, (now, batch)),
                        false => Err(CampaignStepError::Twice(answer.case)),
                    };
                    (answer.case, step.map(|step| steps.push(step)))
                });
                let also = also.collect();
                Ok(Computed { steps, also, unanswered: Vec::new() })
            })
            .await?;
        let mut state = self.reviews.lock();
        for (case, result) in &results {
            if result.is_ok() {
                state.campaigns.shown.remove(&(id.clone(), *case, by.clone()));
            }
        }
        drop(state);
        Ok(results)
    }

    fn decided(
        &self,
        running: &RunningCampaign<'_>,
        world: &World,
        answer: &CaseAnswer,
        by: &IdentityId,
        (at, batch): (Timestamp, u32),
    ) -> Result<Step, CampaignStepError> {
        let campaign = running.campaign;
        let acting_for = match &answer.acting_for {
            Some(of) if of == by => None,
            Some(of) if is_deputy(world, by, of) => Some(of.clone()),
            Some(of) => {
                let (deputy, of) = (by.clone(), of.clone());
                return Err(CampaignStepError::NotDeputy { deputy, of });
            }
            None => campaign
                .case(answer.case)
                .and_then(|(_, item)| answers_for(world, item, by))
                .filter(|of| of != by),
        };
        let shown = {
            let state = self.reviews.lock();
            let key = (running.id.clone(), answer.case, by.clone());
            state.campaigns.shown.get(&key).copied()
        };
        let decided = ReviewDecision {
            by: by.clone(),
            acting_for,
            response: answer.response,
            reason: Arc::clone(&answer.reason),
            opened_at: shown.map_or(at, |shown| shown.opened_at.min(at)),
            at,
            evidence: shown.map_or(campaign.population().digest(), |shown| shown.evidence),
            batch,
        };
        let step = campaign.decide(answer.case, decided)?;
        match shown {
            Some(_) => Ok(step),
            None => Err(CampaignStepError::NotShown(answer.case)),
        }
    }
}

/// For whom somebody can answer a case: for whom they have already, since nobody answers for two;
/// themselves, or somebody whose deputy they are and who has not answered.
pub(super) fn answers_for(world: &World, item: &Item, who: &IdentityId) -> Option<IdentityId> {
    if !item.open {
        return None;
    }
    let theirs = item.answers.iter().find(|answer| answer.by == *who);
    let theirs = theirs.map(safeconduct_review::ReviewDecision::reviewer);
    if let Some(of) = theirs.filter(|of| *of == who || is_deputy(world, who, of)) {
        return Some(of.clone());
    }
    if item.reviewers.contains(who) {
        return Some(who.clone());
    }
    let of = item.silent().find(|reviewer| is_deputy(world, who, reviewer));
    of.or_else(|| item.reviewers.iter().find(|reviewer| is_deputy(world, who, reviewer))).cloned()
}

/// How many cases of the stage under way wait for somebody.
pub(super) fn waiting_for(world: &World, campaign: &Campaign, who: &IdentityId) -> usize {
    campaign.cases().filter(|(_, _, item)| waits_for(world, item, who)).count()
}

/// Whether a case waits for somebody. Who has answered it for one reviewer cannot for another.
pub(super) fn waits_for(world: &World, item: &Item, who: &IdentityId) -> bool {
    let answered = item.answers.iter().any(|answer| answer.by == *who);
    item.open
        && !answered
        && item.silent().any(|silent| silent == who || is_deputy(world, who, silent))
}
