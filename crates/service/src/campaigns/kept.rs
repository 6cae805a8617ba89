//! One campaign, as far as its records were read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_model::{Body, Digest, IdentityId, RecordId, Timestamp, Value};
use safeconduct_review::{Campaign, Plan, Population, Source, Step};

use super::CampaignStepError;
use super::beside::{NotThere, assemble};
use super::fold::{CREATED, PART, Placed, parsed};
use super::steps::UNANSWERED;
use crate::{ReviewsSeen, Service};

/// What was read of a campaign.
#[derive(Default)]
pub(super) struct Kept {
    running: Option<(Campaign, Plan, CampaignBegun)>,
    /// What no expression could answer since the stage under way opened.
    unanswered: Vec<Arc<str>>,
    /// Where parts lie that belong to a record to come.
    parts: Vec<(Digest, u64)>,
    /// Why nothing more is done in it.
    damaged: Option<Arc<str>>,
    /// Whether it was let go of, to be read again when somebody asks.
    cold: bool,
}

/// How a campaign began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignBegun {
    /// When.
    pub at: Timestamp,
    /// By whom; nobody where its schedule or an event did.
    pub by: Option<IdentityId>,
    /// The records of the events because of which it began.
    pub because: BTreeSet<RecordId>,
    /// The definition as it was recorded.
    pub written: Value,
}

/// A campaign under way, as it is at one moment.
pub struct RunningCampaign<'a> {
    /// Its id.
    pub id: &'a RecordId,
    /// Where it stands.
    pub campaign: &'a Campaign,
    /// What its author said.
    pub plan: &'a Plan,
    /// How it began.
    pub begun: &'a CampaignBegun,
    /// What no expression could answer since the stage under way opened, in sentences: others are
    /// asked there.
    pub unanswered: &'a [Arc<str>],
    /// How far the reviews were seen.
    pub seen: ReviewsSeen,
    /// How many steps it has.
    pub(super) sequence: u64,
}

impl Service {
    /// The campaigns that have begun, by id.
    pub fn campaign_ids(&self) -> Vec<RecordId> {
        let state = self.reviews.lock();
        let begun = state.campaigns.of.iter().filter(|(_, entry)| entry.begun);
        begun.map(|(id, _)| id.clone()).collect()
    }

    /// Reads a campaign as it is now. Nothing of it changes meanwhile; it may read from the disk.
    ///
    /// # Errors
    /// [`CampaignStepError`]: it is not known, or cannot be read.
    pub fn with_campaign<T>(
        &self,
        id: &RecordId,
        read: impl FnOnce(RunningCampaign<'_>) -> T,
    ) -> Result<T, CampaignStepError> {
        let unknown = || CampaignStepError::Unknown(id.clone());
        let kept = {
            let state = self.reviews.lock();
            let entry = state.campaigns.of.get(id).filter(|entry| entry.begun);
            Arc::clone(&entry.ok_or_else(unknown)?.kept)
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, seen, sequence, places) = {
            let mut state = self.reviews.lock();
            let seen = state.seen();
            let entry = state.campaigns.of.get_mut(id).ok_or_else(unknown)?;
            let places = if kept.cold { entry.places.clone() } else { Vec::new() };
            (std::mem::take(&mut entry.waiting), seen, entry.sequence, places)
        };
        if kept.cold {
            waiting = self.placed(&places)?;
            *kept = Kept::default();
        }
        let mut taken = 0;
        let mut later = None;
        for step in &waiting {
            match self.take_step(id, &mut kept, step) {
                Ok(()) => taken += 1,
                Err(NotThere::Later(error)) => {
                    later = Some(error.0);
                    break;
                }
                Err(NotThere::Never(why)) => {
                    tracing::error!(campaign = %id, why, "a campaign cannot be read; nothing is done in it");
                    kept.damaged = Some(why.into());
                    taken += 1;
                }
            }
        }
        if let Some(why) = later {
            waiting.drain(..taken);
            let mut state = self.reviews.lock();
            if let Some(entry) = state.campaigns.of.get_mut(id) {
                waiting.append(&mut entry.waiting);
                entry.waiting = waiting;
            }
            return Err(CampaignStepError::NotRecorded(why));
        }
        running(id, &kept, seen, sequence).map(read)
    }

    /// The campaigns that are not over, by id.
    pub(super) fn open_campaign_ids(&self) -> Vec<RecordId> {
        let state = self.reviews.lock();
        let open = state.campaigns.of.iter().filter(|(_, entry)| entry.begun && !entry.over);
        open.map(|(id, _)| id.clone()).collect()
    }

    /// Lets go of what is over: a large campaign takes hundreds of megabytes. Whoever asks for it
    /// reads it again.
    pub(super) fn cool_campaigns(&self) {
        let over: Vec<_> = {
            let state = self.reviews.lock();
            let over = state.campaigns.of.values().filter(|entry| entry.over);
            over.map(|entry| Arc::clone(&entry.kept)).collect()
        };
        over.iter().for_each(|kept| cool(kept));
    }

    /// Lets go of one campaign, where it is over: for those who look at many after each other.
    pub fn cool_campaign(&self, id: &RecordId) {
        let kept = {
            let state = self.reviews.lock();
            let over = state.campaigns.of.get(id).filter(|entry| entry.over);
            over.map(|entry| Arc::clone(&entry.kept))
        };
        if let Some(kept) = kept {
            cool(&kept);
        }
    }

    /// The steps at those places of the ledger.
    fn placed(&self, places: &[u64]) -> Result<Vec<Placed>, CampaignStepError> {
        let broken = |error: &dyn std::fmt::Display| {
            CampaignStepError::NotRecorded(error.to_string().into())
        };
        let read = |sequence: &u64| {
            let leaf = self.ledger.leaf(*sequence).map_err(|error| broken(&error))?;
            let record = safeconduct_ledger::decode(&leaf).map_err(|error| broken(&error))?;
            let Body::ReviewChanged(change) = record.body else {
                return Err(broken(&"a step of a campaign is none"));
            };
            Ok(Placed {
                event: Arc::clone(&change.event),
                detail: change.detail.as_str().into(),
                at: record.at,
                by: change.by.clone(),
                sequence: *sequence,
            })
        };
        places.iter().map(read).collect()
    }

    fn take_step(&self, id: &RecordId, kept: &mut Kept, step: &Placed) -> Result<(), NotThere> {
        if kept.damaged.is_some() {
            return Ok(());
        }
        let never = |error: &dyn std::fmt::Display| NotThere::Never(error.to_string());
        let detail = parsed(&step.detail);
        if &*step.event == PART {
            let of = detail.member("of").and_then(Value::as_str).and_then(Digest::parse);
            kept.parts.extend(of.map(|of| (of, step.sequence)));
            return Ok(());
        }
        let beside = match detail.member("beside") {
            None => None,
            Some(said) => {
                let bytes = assemble(&*self.ledger, said, step, &kept.parts)?;
                let digest = super::beside::sha256(&bytes);
                kept.parts.retain(|(of, _)| *of != digest);
                Some(bytes)
            }
        };
        if &*step.event == CREATED {
            let bytes = beside.ok_or_else(|| never(&"its population does not lie there"))?;
            kept.running = Some(created(id, &detail, step, &bytes)?);
        } else {
            let Some((campaign, ..)) = &mut kept.running else {
                return Err(never(&"a step comes before its beginning"));
            };
            let cases = campaign.population().cases().len();
            let read = Step::read(&step.event, &detail, beside.as_deref(), cases);
            let read = read.map_err(|error| never(&error))?;
            if matches!(read, Step::StageOpened { .. }) {
                kept.unanswered.clear();
            }
            campaign.apply(read);
            let said = detail.member(UNANSWERED).and_then(Value::as_array).unwrap_or_default();
            kept.unanswered.extend(said.iter().filter_map(|one| Some(one.as_str()?.into())));
        }
        Ok(())
    }
}

fn cool(kept: &Mutex<Kept>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.running.is_some() {
        *kept = Kept { cold: true, ..Kept::default() };
    }
}

fn running<'a>(
    id: &'a RecordId,
    kept: &'a Kept,
    seen: ReviewsSeen,
    sequence: u64,
) -> Result<RunningCampaign<'a>, CampaignStepError> {
    if let Some(why) = &kept.damaged {
        return Err(CampaignStepError::Damaged(Arc::clone(why)));
    }
    let Some((campaign, plan, begun)) = &kept.running else {
        return Err(CampaignStepError::Unknown(id.clone()));
    };
    let unanswered = &kept.unanswered;
    Ok(RunningCampaign { id, campaign, plan, begun, unanswered, seen, sequence })
}

fn created(
    id: &RecordId,
    detail: &Value,
    step: &Placed,
    bytes: &[u8],
) -> Result<(Campaign, Plan, CampaignBegun), NotThere> {
    let never = |error: &dyn std::fmt::Display| NotThere::Never(error.to_string());
    let written = detail.member("definition").cloned().unwrap_or_default();
    let file = safeconduct_wire::campaign::of_value(&written).map_err(|problems| {
        let problem = problems.first().map(ToString::to_string).unwrap_or_default();
        NotThere::Never(format!("its definition cannot be read: {problem}"))
    })?;
    let sources = detail.member("sources").and_then(Value::as_array).unwrap_or_default();
    let text = |value: &Value, name: &str| {
        value.member(name).and_then(Value::as_str).map(Arc::<str>::from)
    };
    let sources = sources.iter().filter_map(|source| {
        Some(Source { name: text(source, "name")?, cursor: text(source, "cursor")? })
    });
    let population =
        Population::from_bytes(bytes, sources.collect()).map_err(|error| never(&error))?;
    let digest = text(detail, "population").and_then(|text| Digest::parse(&text));
    if digest != Some(population.digest()) {
        return Err(never(&"its population is not the one that was frozen"));
    }
    let because = detail.member("because").and_then(Value::as_array).unwrap_or_default();
    let because = because.iter().filter_map(|id| RecordId::new(id.as_str()?).ok()).collect();
    let definition = Arc::clone(&file.plan.definition);
    let campaign = Campaign::begin(id.clone(), definition, population);
    let begun = CampaignBegun { at: step.at, by: step.by.clone(), because, written };
    Ok((campaign.map_err(|error| never(&error))?, file.plan, begun))
}
