//! Use-case: begin a campaign. Its population is read from one state of the world and recorded
//! only if that is still the state: complete, or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    Digest, IdentityId, RecordId, ReviewChange, ReviewDetail, ReviewedThing, Timestamp, Value,
};
use safeconduct_review::{
    Campaign, CampaignError, Case, FreezeError, GrantKind, Only, Plan, Population, Scope, Source,
};
use safeconduct_wire::campaign::CampaignFile;
use thiserror::Error;

use super::beside::{Beside, PARTS_AT_ONCE};
use super::expressions::first_problem;
use super::fold::{CREATED, DEFINED, DEFINITION, PART, WITHDRAWN};
use super::gather::Gathering;
use super::people::{People, may_review};
use super::{CAMPAIGNS_OPEN_MAX, STANDING_MAX};
use crate::{
    ReadModel, RecordReviewsError, ReviewEntry, ReviewsSeen, Service, UseQuery, UsedRights,
    Versioned, World,
};

/// How often a population is read again where the world changes meanwhile.
const GATHERINGS: u32 = 3;

/// Why a campaign did not begin. Nothing of it is there then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartCampaignError {
    /// The author's fault: what the definition says cannot be.
    #[error("the definition does not fit: {0}")]
    Definition(String),
    /// The author's fault: nobody could sign it off.
    #[error("`{0}`, who would sign the campaign off, is no person who may act now")]
    Owner(IdentityId),
    /// The population cannot be frozen.
    #[error(transparent)]
    Population(#[from] FreezeError<String>),
    /// The first stage cannot open.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// Nobody's fault: the world changed each time while it was read. Try again.
    #[error("identities, policies or leases changed while the population was read")]
    Changed,
    /// The caller's fault: there are too many.
    #[error("there are already {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// The caller's fault: no definition of that name is kept.
    #[error("no definition `{0}` is kept")]
    Unknown(Arc<str>),
    /// Our fault: something could not be read, or not be recorded.
    #[error("the campaign could not be recorded: {0}")]
    NotRecorded(Arc<str>),
}

/// A campaign to begin.
#[derive(Debug, Clone)]
pub struct StartCampaign {
    /// Its definition.
    pub file: Arc<CampaignFile>,
    /// Who begins it; nobody where its schedule or an event does.
    pub by: Option<IdentityId>,
    /// The start of its schedule that this is.
    pub due: Option<Timestamp>,
    /// The only holder that it is about, where an event begins it.
    pub holder: Option<IdentityId>,
    /// The records of those events.
    pub because: BTreeSet<RecordId>,
}

/// A campaign whose population was read, and that can be recorded.
pub struct PreparedCampaign {
    id: RecordId,
    start: StartCampaign,
    campaign: Campaign,
    opened: safeconduct_review::Step,
    world: u64,
    leases: BTreeSet<String>,
}

/// A campaign that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedCampaign {
    /// Its id.
    pub id: RecordId,
    /// How many rights it is about.
    pub cases: usize,
    /// The digest of its population.
    pub population: Digest,
}

impl Service {
    /// Reads the population of a campaign. It takes its time with a large estate, and may read
    /// from the disk.
    ///
    /// # Errors
    /// [`StartCampaignError`] says whose fault it is.
    pub fn prepare_campaign(
        &self,
        read: &dyn ReadModel,
        start: StartCampaign,
    ) -> Result<PreparedCampaign, StartCampaignError> {
        if self.open_campaign_ids().len() >= CAMPAIGNS_OPEN_MAX {
            let (what, limit) = ("campaigns that are not over", CAMPAIGNS_OPEN_MAX);
            return Err(StartCampaignError::TooMany { what, limit });
        }
        if let Some(problem) = first_problem(&start.file) {
            return Err(StartCampaignError::Definition(problem));
        }
        let world = self.world();
        let plan = &start.file.plan;
        if !may_review(&world, &plan.definition.owner) {
            return Err(StartCampaignError::Owner(plan.definition.owner.clone()));
        }
        let mut scope = plan.scope.clone();
        if let Some(holder) = &start.holder {
            let fits = scope.holders.is_empty() || scope.holders.contains(holder);
            if !fits {
                return Err(FreezeError::Nothing.into());
            }
            scope.holders = BTreeSet::from([holder.clone()]);
        }
        let (population, leases) = self.freeze(read, &world, plan, &scope)?;
        let id = self.ids.record("camp");
        let campaign = Campaign::begin(id.clone(), Arc::clone(&plan.definition), population)?;
        let Opened { step: opened, unanswered } = opened(&world, &campaign, self.now())?;
        // Later, who stands in for reviewers is asked. Now its author can say what they mean.
        if let Some(unanswered) = unanswered.first() {
            return Err(StartCampaignError::Definition(unanswered.to_string()));
        }
        Ok(PreparedCampaign { id, start, campaign, opened, world: world.version, leases })
    }

    fn freeze(
        &self,
        read: &dyn ReadModel,
        world: &World,
        plan: &Plan,
        scope: &Scope,
    ) -> Result<(Population, BTreeSet<String>), StartCampaignError> {
        let partial = |error: String| StartCampaignError::Population(FreezeError::Partial(error));
        if !self.knows_put_by() {
            let why = "who put statements in force is still gone over after the start: try again";
            return Err(partial(why.to_owned()));
        }
        let mut gathering = Gathering::of(self, world).where_true(scope);
        let mut cases = Vec::new();
        if let Err(why) = gathering.all(scope, &mut cases) {
            return Err(match &gathering.unanswered {
                Some(unanswered) => StartCampaignError::Definition(unanswered.to_string()),
                None => partial(why),
            });
        }
        let read_up_to = read.read_up_to();
        match scope.only {
            Only::All => {}
            Only::Unused => {
                let since_day =
                    safeconduct_review::day_of(self.now()) - i64::from(plan.window_days);
                let (holder, used) = (None, UsedRights::default());
                let mut since = UsedSince { read, world, since_day, holder, used };
                let mut failed = None;
                cases.retain(|case| {
                    if failed.is_some() {
                        return false;
                    }
                    match since.is_used(case) {
                        Ok(used) => !used,
                        Err(error) => {
                            failed = Some(error);
                            false
                        }
                    }
                });
                if let Some(error) = failed {
                    return Err(partial(error));
                }
            }
            Only::WithFindings => {
                let holders = self.holders_with_findings();
                cases.retain(|case| holders.contains(&case.holder));
            }
        }
        let source =
            |name: &str, cursor: String| Source { name: name.into(), cursor: cursor.into() };
        let mut sources = vec![
            source("policies", world.policies.digest().to_string()),
            source("catalogue", world.catalogue_digest.to_string()),
            source("intents", world.intents.digest.to_string()),
            source("ledger", read_up_to.to_string()),
        ];
        // Whoever reads the population can tell why others are not in it.
        sources.extend(scope.condition.as_ref().map(|condition| {
            source("where", super::beside::sha256(condition.as_str().as_bytes()).to_string())
        }));
        // What these permit nobody can list: the reviewers should know.
        sources.extend(
            gathering.not_derivable.as_ref().map(|rego| source("not_derivable", rego.to_string())),
        );
        let leases = gathering.leases().into_iter().map(str::to_owned).collect();
        let population = Population::freeze(cases.into_iter().map(Ok::<_, String>), sources)?;
        Ok((population, leases))
    }

    /// Records a campaign whose population was read, with its first stage, if the world is still
    /// the same.
    ///
    /// # Errors
    /// [`StartCampaignError`]; the campaign is not there then.
    pub async fn begin_campaign(
        &self,
        prepared: PreparedCampaign,
    ) -> Result<StartedCampaign, StartCampaignError> {
        let PreparedCampaign { id, start, campaign, opened, world, leases } = prepared;
        let population = campaign.population();
        let (cases, digest) = (population.cases().len(), population.digest());
        let beside = Beside::of(&population.to_bytes());
        let assigned = opened.beside().map(|bytes| Beside::of(&bytes));
        let mut sequence = self.record_parts(&id, 0, &beside).await.map_err(not_recorded)?;
        if let Some(assigned) = &assigned {
            sequence = self.record_parts(&id, sequence, assigned).await.map_err(not_recorded)?;
        }
        let now = Gathering::of(self, &self.world()).leases().into_iter().eq(&leases);
        if !now {
            return Err(StartCampaignError::Changed);
        }
        let mut opened_detail = opened.detail();
        said_beside(&mut opened_detail, assigned.as_ref());
        let created = created_detail(&start, &campaign, &beside);
        let by = start.by.as_ref();
        let created = change(&id.shared(), sequence, CREATED, &created, by, start.holder.as_ref());
        let opened = change(&id.shared(), sequence + 1, opened.event(), &opened_detail, by, None);
        let entries = vec![
            ReviewEntry {
                change: created.map_err(not_recorded)?,
                attachment: Some(beside.last),
                parent: start.because.first().cloned(),
            },
            ReviewEntry {
                change: opened.map_err(not_recorded)?,
                attachment: assigned.map(|assigned| assigned.last),
                parent: None,
            },
        ];
        // Others may record reviews meanwhile: nothing of those is read here, save the world.
        for _ in 0..super::ATTEMPTS {
            let seen = self.reviews_seen();
            if self.world().version != world {
                return Err(StartCampaignError::Changed);
            }
            let also_read = vec![(Versioned::World, world)];
            match self.record_reviews(seen, entries.clone(), also_read).await {
                Ok(_) => return Ok(StartedCampaign { id, cases, population: digest }),
                Err(RecordReviewsError::Stale) => {}
                Err(error) => return Err(not_recorded(error)),
            }
        }
        Err(StartCampaignError::Changed)
    }

    /// Reads the population of a campaign and records it; where the world changes meanwhile, it
    /// is read again. To be called where nobody waits for the thread.
    ///
    /// # Errors
    /// [`StartCampaignError`].
    pub async fn start_campaign(
        &self,
        read: &dyn ReadModel,
        start: StartCampaign,
    ) -> Result<StartedCampaign, StartCampaignError> {
        for _ in 1..GATHERINGS {
            let prepared = self.prepare_campaign(read, start.clone())?;
            match self.begin_campaign(prepared).await {
                Err(StartCampaignError::Changed) => {}
                other => return other,
            }
        }
        self.begin_campaign(self.prepare_campaign(read, start)?).await
    }

    /// Records the parts of what is too large for one record. Returns how many steps there are
    /// then.
    pub(super) async fn record_parts(
        &self,
        id: &RecordId,
        mut sequence: u64,
        beside: &Beside,
    ) -> Result<u64, RecordReviewsError> {
        for parts in beside.before.chunks(PARTS_AT_ONCE) {
            let mut entries = Vec::with_capacity(parts.len());
            for part in parts {
                let change = change(&id.shared(), sequence, PART, &beside.part(), None, None)?;
                entries.push(ReviewEntry { change, attachment: Some(part.clone()), parent: None });
                sequence += 1;
            }
            let mut attempts = super::ATTEMPTS;
            loop {
                let seen = self.reviews_seen();
                match self.record_reviews(seen, entries.clone(), Vec::new()).await {
                    Err(RecordReviewsError::Stale) if attempts > 0 => attempts -= 1,
                    Err(error) => return Err(error),
                    Ok(_) => break,
                }
            }
        }
        Ok(sequence)
    }

    /// Keeps a definition, in place of one of the same name: it begins by its schedule and by its
    /// events.
    ///
    /// # Errors
    /// [`StartCampaignError`].
    pub async fn keep_campaign(
        &self,
        file: &CampaignFile,
        by: &IdentityId,
    ) -> Result<(), StartCampaignError> {
        if let Some(problem) = first_problem(file) {
            return Err(StartCampaignError::Definition(problem));
        }
        if !may_review(&self.world(), &file.plan.definition.owner) {
            return Err(StartCampaignError::Owner(file.plan.definition.owner.clone()));
        }
        if !file.plan.is_standing() {
            let problem = "a definition that is kept has a schedule or events".to_owned();
            return Err(StartCampaignError::Definition(problem));
        }
        let detail = Value::object([("definition", file.written.clone())]);
        self.record_definition(&file.plan.definition.name, DEFINED, &detail, by).await
    }

    /// Keeps a definition no longer. Campaigns that have begun go on.
    ///
    /// # Errors
    /// [`StartCampaignError`].
    pub async fn withdraw_campaign(
        &self,
        name: &str,
        by: &IdentityId,
    ) -> Result<(), StartCampaignError> {
        if !self.reviews.lock().campaigns.standing.contains_key(name) {
            return Err(StartCampaignError::Unknown(name.into()));
        }
        let nothing = Value::object::<&str>([]);
        self.record_definition(name, WITHDRAWN, &nothing, by).await
    }

    async fn record_definition(
        &self,
        name: &str,
        event: &str,
        detail: &Value,
        by: &IdentityId,
    ) -> Result<(), StartCampaignError> {
        let id: Arc<str> = format!("{DEFINITION}{name}").into();
        for _ in 0..super::ATTEMPTS {
            let (seen, sequence) = self.definition_seen(&id, name)?;
            let change = change(&id, sequence, event, detail, Some(by), None);
            let entry = ReviewEntry::new(change.map_err(not_recorded)?);
            match self.record_reviews(seen, vec![entry], Vec::new()).await {
                Err(RecordReviewsError::Stale) => {}
                Err(error) => return Err(not_recorded(error)),
                Ok(_) => return Ok(()),
            }
        }
        Err(not_recorded(RecordReviewsError::Stale))
    }

    fn definition_seen(
        &self,
        id: &str,
        name: &str,
    ) -> Result<(ReviewsSeen, u64), StartCampaignError> {
        let state = self.reviews.lock();
        let campaigns = &state.campaigns;
        if campaigns.standing.len() >= STANDING_MAX && !campaigns.standing.contains_key(name) {
            let (what, limit) = ("definitions that are kept", STANDING_MAX);
            return Err(StartCampaignError::TooMany { what, limit });
        }
        Ok((state.seen(), campaigns.sequences.get(id).copied().unwrap_or(0)))
    }
}

/// A stage that opens.
pub(super) struct Opened {
    pub(super) step: safeconduct_review::Step,
    /// What no expression could answer, in sentences.
    pub(super) unanswered: Vec<Arc<str>>,
}

/// The next stage of a campaign, opened.
pub(super) fn opened(
    world: &World,
    campaign: &Campaign,
    at: Timestamp,
) -> Result<Opened, CampaignError> {
    let (reviewers, fallback) = match campaign.coming_stage() {
        Some(stage) => (stage.reviewers.clone(), stage.fallback.clone()),
        None => (Vec::new(), Vec::new()),
    };
    let people = People::of(world, reviewers.iter().chain(&fallback));
    let named = |terms: &[safeconduct_review::Reviewer], number: u32| {
        campaign.case(number).map(|(case, _)| people.named(terms, case)).unwrap_or_default()
    };
    let step = campaign.open_stage(
        at,
        |number| named(&reviewers, number),
        |number| named(&fallback, number),
    )?;
    Ok(Opened { step, unanswered: people.unanswered() })
}

fn created_detail(start: &StartCampaign, campaign: &Campaign, beside: &Beside) -> Value {
    let population = campaign.population();
    let sources = population.sources().iter().map(|source| {
        Value::object([
            ("cursor", Value::String(Arc::clone(&source.cursor))),
            ("name", Value::String(Arc::clone(&source.name))),
        ])
    });
    let because = start.because.iter().map(|id| Value::String(id.shared()));
    let count = i64::try_from(population.cases().len()).unwrap_or(i64::MAX);
    let mut members = vec![
        ("beside", beside.said()),
        ("because", Value::Array(because.collect())),
        ("cases", Value::Integer(count)),
        ("definition", start.file.written.clone()),
        ("name", Value::String(Arc::clone(&campaign.definition().name))),
        ("population", population.digest().to_string().as_str().into()),
        ("sources", Value::Array(sources.collect())),
    ];
    members.extend(start.due.map(|due| ("due", Value::Integer(due.as_millis()))));
    Value::object(members)
}

/// Adds what lies beside a step to what its record says.
pub(super) fn said_beside(detail: &mut Value, beside: Option<&Beside>) {
    if let (Value::Object(members), Some(beside)) = (detail, beside) {
        members.insert("beside".into(), beside.said());
    }
}

/// A step of a campaign, to be recorded.
pub(super) fn change(
    id: &Arc<str>,
    sequence: u64,
    event: &str,
    detail: &Value,
    by: Option<&IdentityId>,
    about: Option<&IdentityId>,
) -> Result<ReviewChange, RecordReviewsError> {
    let broken =
        |error: &dyn std::fmt::Display| RecordReviewsError::Record(error.to_string().into());
    let text = String::from_utf8(safeconduct_ledger::canonical(detail));
    let text = text.map_err(|error| broken(&error))?;
    Ok(ReviewChange {
        what: ReviewedThing::Campaign,
        id: Arc::clone(id),
        sequence,
        event: event.into(),
        about: about.cloned(),
        by: by.cloned(),
        detail: ReviewDetail::new(text).map_err(|error| broken(&error))?,
    })
}

fn not_recorded(error: RecordReviewsError) -> StartCampaignError {
    match error {
        RecordReviewsError::Stale => StartCampaignError::Changed,
        other => StartCampaignError::NotRecorded(other.to_string().into()),
    }
}

/// Which rights were used, of one holder after the other: never of all at once.
struct UsedSince<'a> {
    read: &'a dyn ReadModel,
    world: &'a World,
    since_day: i64,
    holder: Option<IdentityId>,
    used: UsedRights,
}

impl UsedSince<'_> {
    fn is_used(&mut self, case: &Case) -> Result<bool, String> {
        if self.holder.as_ref() != Some(&case.holder) {
            let principal = self.world.principal_of(&case.holder);
            let query = UseQuery {
                principal: Some(principal.ok_or_else(|| format!("`{}` is gone", case.holder))?),
                since_day: Some(self.since_day),
                ..UseQuery::default()
            };
            self.used = self.read.used_rights(&query).map_err(|error| error.to_string())?;
            self.holder = Some(case.holder.clone());
        }
        Ok(match case.what.kind {
            GrantKind::Statement => self.used.policies.contains(&case.what.name),
            GrantKind::Intent => {
                let name = case.what.name.split(' ').next().unwrap_or_default();
                self.used.intents.contains(name)
            }
            GrantKind::Delegation => {
                let delegation = RecordId::new(Arc::clone(&case.what.name)).ok();
                let delegation = delegation.and_then(|id| self.world.delegations.get(&id));
                delegation.is_some_and(|of| self.used.intents.contains(of.intent.as_str()))
            }
            // It ends with its task.
            GrantKind::Lease => true,
        })
    }
}
