//! Use-case: what time brings. Stages open and end, reviewers who are gone are replaced, others
//! are asked and reminded, and campaigns begin by their schedules and events.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{IdentityId, RecordId, Timestamp};
use safeconduct_review::{Campaign, CampaignState, FreezeError, Step};

use super::people::{People, may_review};
use super::start::{Opened, opened};
use super::steps::Computed;
use super::{CampaignStepError, StartCampaign, StartCampaignError};
use crate::{ReadModel, Service, World};

/// Most steps of one campaign that one look takes: what is left waits for the next.
const STEPS_AT_ONCE: usize = 64;

impl Service {
    /// Does what is due of all campaigns. To be called about once a minute, where nobody waits
    /// for the thread. Returns how many steps were taken.
    pub async fn tend_campaigns(&self, read: &dyn ReadModel) -> usize {
        let mut steps = 0;
        self.cool_campaigns();
        for id in self.open_campaign_ids() {
            for _ in 0..STEPS_AT_ONCE {
                match self.tend_campaign(&id).await {
                    Ok(true) => steps += 1,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(campaign = %id, %error, "a campaign does not go on");
                        break;
                    }
                }
            }
        }
        steps + self.begin_due(read).await
    }

    /// Takes the next step of a campaign that is due. Whether there was one.
    async fn tend_campaign(&self, id: &RecordId) -> Result<bool, CampaignStepError> {
        self.take(id, None, |running| {
            let Due { step, unanswered } = due(&self.world(), running.campaign, self.now())?;
            for said in &unanswered {
                tracing::error!(campaign = %id, "nobody is named: {said}");
            }
            let also = step.is_some();
            Ok(Computed { steps: step.into_iter().collect(), also, unanswered })
        })
        .await
    }

    /// Begins what is due by schedules and events.
    async fn begin_due(&self, read: &dyn ReadModel) -> usize {
        let now = self.now();
        let mut begun = 0;
        for start in self.due_by_schedule(now).into_iter().chain(self.due_by_events(read)) {
            let name = Arc::clone(&start.file.plan.definition.name);
            let (due, holder, because) = (start.due, start.holder.clone(), start.because.clone());
            match self.start_campaign(read, start.clone()).await {
                Ok(started) => {
                    begun += 1;
                    tracing::info!(campaign = %started.id, name = &*name, cases = started.cases, "a campaign has begun");
                }
                Err(StartCampaignError::Population(FreezeError::Nothing)) if holder.is_some() => {
                    self.dismiss_events(&start);
                }
                // It is tried again after an hour: nothing says that it was done.
                Err(error) => {
                    tracing::warn!(name = &*name, ?due, ?holder, events = because.len(), %error, "a campaign could not begin");
                    self.reviews.lock().campaigns.put_off(&name, holder, now);
                }
            }
        }
        begun
    }

    fn due_by_schedule(&self, now: Timestamp) -> Vec<StartCampaign> {
        let state = self.reviews.lock();
        let campaigns = &state.campaigns;
        let due = campaigns.standing.iter().filter_map(|(name, standing)| {
            let due = standing.file.plan.schedule?.latest(now)?;
            let last = campaigns.started.get(name).and_then(|started| started.due);
            // A day on which the definition is put there still counts.
            let since = standing.since.plus_ms(-86_400_000);
            let is_due = due > since && last.is_none_or(|last| due > last);
            (is_due && !campaigns.is_put_off(name, None, now)).then(|| StartCampaign {
                file: Arc::clone(&standing.file),
                by: None,
                due: Some(due),
                holder: None,
                because: BTreeSet::new(),
            })
        });
        due.collect()
    }
}

/// What time brings next.
#[derive(Default)]
struct Due {
    step: Option<Step>,
    /// What no expression could answer, in sentences: nobody was named by it.
    unanswered: Vec<Arc<str>>,
}

impl From<Option<Step>> for Due {
    fn from(step: Option<Step>) -> Self {
        Self { step, unanswered: Vec::new() }
    }
}

impl From<Opened> for Due {
    fn from(Opened { step, unanswered }: Opened) -> Self {
        Self { step: Some(step), unanswered }
    }
}

/// The next step that time brings, where one is due.
fn due(world: &World, campaign: &Campaign, now: Timestamp) -> Result<Due, CampaignStepError> {
    match campaign.state() {
        CampaignState::Created | CampaignState::StageDone(_) => {
            Ok(opened(world, campaign, now)?.into())
        }
        // What nobody answered is asked again as often as the definition says.
        CampaignState::Reviewed => Ok(campaign.reiterate().ok().into()),
        CampaignState::SignedOff { .. } | CampaignState::Cancelled => Ok(Due::default()),
        CampaignState::InStage(_) if now >= campaign.stage_until() => {
            Ok(Some(campaign.close_stage(now)?).into())
        }
        CampaignState::InStage(_) => {
            if let Some(gone) = gone(world, campaign) {
                return replaced(world, campaign, &gone);
            }
            if let Some(due) = escalated(world, campaign, now) {
                return Ok(due?);
            }
            Ok(campaign.remind(now).into())
        }
    }
}

/// The first of those who are waited for who is no person any more who may act.
fn gone(world: &World, campaign: &Campaign) -> Option<IdentityId> {
    campaign.waited_for().into_iter().find(|who| !may_review(world, who))
}

/// The fallback of the stage takes the place of one who is gone; where it names nobody, their
/// deputy does.
fn replaced(
    world: &World,
    campaign: &Campaign,
    gone: &IdentityId,
) -> Result<Due, CampaignStepError> {
    let fallback = campaign.stage().map(|stage| stage.fallback.clone()).unwrap_or_default();
    let people = People::of(world, &fallback);
    let deputy = people.deputy_of(gone);
    let named = |number: u32| {
        let Some((case, _)) = campaign.case(number) else { return Vec::new() };
        let mut named = people.named(&fallback, case);
        named.retain(|who| *who != case.holder && !case.is_given_by(who));
        if named.is_empty() {
            named.extend(deputy.clone());
        }
        named
    };
    let step = Some(campaign.replace(gone, named)?);
    Ok(Due { step, unanswered: people.unanswered() })
}

fn escalated(
    world: &World,
    campaign: &Campaign,
    now: Timestamp,
) -> Option<Result<Due, safeconduct_review::CampaignError>> {
    let next = campaign.next_escalation()?;
    if now.ms_since(campaign.stage_from()) < next.after_ms {
        return None;
    }
    let people = People::of(world, &next.to);
    let named = |number: u32| {
        campaign.case(number).map(|(case, _)| people.named(&next.to, case)).unwrap_or_default()
    };
    let step = campaign.escalate(now, named);
    Some(step.map(|step| Due { step: Some(step), unanswered: people.unanswered() }))
}
