//! Use-case: what is shown of campaigns, and of a case to its reviewer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{
    Body, EntityRef, Execution, IdentityId, IntentName, Record, RecordId, Timestamp,
};
use safeconduct_review::finding::FindingState;
use safeconduct_review::{
    CampaignState, Case, GrantKind, Item, Response, Right, Scope, TaskKind, Use, UseKey, day_of,
};
use safeconduct_risk::About;
use safeconduct_wire::admin::{
    CampaignAnswerView, CampaignEvidence, CampaignFinding, CampaignItemSummary, CampaignItemView,
    CampaignPeers, CampaignRecommendation, CampaignSource, CampaignUse, CampaignView, EstateLatest,
    StandingView,
};
use safeconduct_wire::document::Written;

use super::decide::{answers_for, waiting_for, waits_for};
use super::gather::Gathering;
use super::{CampaignStepError, RunningCampaign};
use crate::{ReadError, ReadModel, RecordQuery, Service, UseQuery, UsesPage, World};

/// Most actions of a right that are named to its reviewer.
const ACTIONS_SHOWN_MAX: usize = 100;

/// Most rows of use that are shown of a right.
const USES_SHOWN_MAX: usize = 100;

/// How many of the last uses and denials are shown.
const LATEST_SHOWN: usize = 3;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Which cases are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasesOf {
    /// Those that wait for the caller.
    Mine,
    /// All.
    All,
}

/// Which campaigns are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignsOf {
    /// Those that are not over.
    Open,
    /// All.
    All,
}

/// What part somebody has in a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignPart {
    /// They sign it off.
    pub owner: bool,
    /// They are asked, or were, or are the deputy of somebody who is.
    pub reviewer: bool,
}

impl Service {
    /// What part somebody has in a campaign.
    ///
    /// # Errors
    /// [`CampaignStepError`]: it is not known, or cannot be read.
    pub fn campaign_part(
        &self,
        id: &RecordId,
        who: &IdentityId,
    ) -> Result<CampaignPart, CampaignStepError> {
        let world = self.world();
        self.with_campaign(id, |running| CampaignPart {
            owner: running.campaign.definition().owner == *who,
            reviewer: running.campaign.cases().any(|(_, _, item)| has_part(&world, item, who)),
        })
    }

    /// Ids of campaigns, those that began last first, of which nothing is read. At most `limit`
    /// after the cursor, and the cursor of the next page; nothing where the cursor is no campaign.
    pub fn campaign_ids_after(
        &self,
        of: CampaignsOf,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Option<(Vec<RecordId>, Option<RecordId>)> {
        let state = self.reviews.lock();
        let all = &state.campaigns.of;
        let before = match after {
            None => None,
            Some(after) => Some(all.get(after)?.places.first().copied()?),
        };
        let wanted = all.iter().filter(|(_, entry)| match of {
            CampaignsOf::Open => entry.begun && !entry.over,
            CampaignsOf::All => entry.begun,
        });
        let placed = wanted.filter_map(|(id, entry)| Some((entry.places.first().copied()?, id)));
        let mut keys: Vec<_> =
            placed.filter(|(place, _)| before.is_none_or(|before| *place < before)).collect();
        keys.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        let more = keys.len() > limit;
        let page: Vec<RecordId> = keys.into_iter().take(limit).map(|(_, id)| id.clone()).collect();
        let next = page.last().filter(|_| more).cloned();
        Some((page, next))
    }

    /// A campaign, as somebody sees it.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub fn campaign_view(
        &self,
        id: &RecordId,
        viewer: &IdentityId,
    ) -> Result<CampaignView, CampaignStepError> {
        let world = self.world();
        self.with_campaign(id, |running| view(&world, &running, viewer))
    }

    /// The definitions that are kept, by name.
    pub fn standing_campaigns(&self) -> Vec<StandingView> {
        let now = self.now();
        let state = self.reviews.lock();
        let all = state.campaigns.standing.iter();
        let shown = all.map(|(name, standing)| StandingView {
            name: name.to_string(),
            since: Written(standing.since),
            by: standing.by.as_ref().map(ToString::to_string),
            next: standing.file.plan.schedule.and_then(|plan| plan.next(now)).map(Written),
            on: standing.file.plan.on.iter().map(|trigger| trigger.as_str()).collect(),
        });
        shown.collect()
    }

    /// Cases of a campaign: the riskiest first, of those the smallest. At most `limit` after the
    /// cursor, and the cursor of the next page.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub fn campaign_cases(
        &self,
        id: &RecordId,
        viewer: &IdentityId,
        of: CasesOf,
        after: Option<u32>,
        limit: usize,
    ) -> Result<(Vec<CampaignItemSummary>, Option<u32>), CampaignStepError> {
        let world = self.world();
        self.with_campaign(id, |running| {
            let order = |case: &Case, number: u32| {
                (std::cmp::Reverse(case.tier), case.what.actions, number)
            };
            let after = after.and_then(|number| Some((running.campaign.case(number)?.0, number)));
            let after = after.map(|(case, number)| order(case, number));
            let all = running.campaign.cases();
            let wanted = all.filter(|(_, _, item)| match of {
                CasesOf::All => true,
                CasesOf::Mine => waits_for(&world, item, viewer),
            });
            let mut keys: Vec<_> = wanted
                .map(|(number, case, _)| order(case, number))
                .filter(|key| after.as_ref().is_none_or(|after| key > after))
                .collect();
            if keys.len() > limit + 1 {
                keys.select_nth_unstable(limit);
                keys.truncate(limit + 1);
            }
            keys.sort_unstable();
            let more = keys.len() > limit;
            keys.truncate(limit);
            let next = keys.last().map(|key| key.2).filter(|_| more);
            let shown = keys.iter().filter_map(|(_, _, number)| summary(&running, *number));
            (shown.collect(), next)
        })
    }

    /// A case as somebody sees it. Where they are asked about it, it is remembered when they saw
    /// it first and what they saw. It reads from the disk.
    ///
    /// # Errors
    /// [`CampaignStepError`].
    pub fn open_case(
        &self,
        read: &dyn ReadModel,
        id: &RecordId,
        number: u32,
        viewer: &IdentityId,
    ) -> Result<CampaignItemView, CampaignStepError> {
        let world = self.world();
        let found = self.with_campaign(id, |running| {
            let (case, item) = running.campaign.case(number)?;
            let peers = peers(&running, case);
            let answers = item.earlier.iter().chain(&item.answers).map(answer).collect();
            let summary = summary(&running, number)?;
            let asked = answers_for(&world, item, viewer);
            let days = running.plan.window_days;
            Some((case.clone(), peers, answers, summary, asked, days))
        })?;
        let missing = safeconduct_review::CampaignError::NoCase(number);
        let (case, peers, answers, item, asked, days) = found.ok_or(missing)?;
        let evidence = self.evidence(read, &world, &case, &peers, days)?;
        let canonical = safeconduct_ledger::canonical(&evidence.to_value());
        let evidence_digest = super::beside::sha256(&canonical);
        let opened_at = asked.as_ref().map(|_| {
            let key = (id.clone(), number, viewer.clone());
            let now = self.now();
            let mut state = self.reviews.lock();
            Written(state.campaigns.show(key, now, evidence_digest).opened_at)
        });
        Ok(CampaignItemView {
            campaign: id.to_string(),
            item,
            you_answer_for: asked.map(|of| of.to_string()),
            opened_at,
            evidence,
            evidence_digest: Written(evidence_digest),
            answers,
        })
    }

    fn evidence(
        &self,
        read: &dyn ReadModel,
        world: &World,
        case: &Case,
        peers: &BTreeSet<IdentityId>,
        window_days: u32,
    ) -> Result<CampaignEvidence, ReadError> {
        let now = self.now();
        let since = now.plus_ms(-i64::from(window_days) * DAY_MS);
        let holder = world.identity(&case.holder);
        let (actions, narrowed_by) = self.permits(world, case);
        let uses = self.uses_of(read, world, case, since)?;
        let recorded_since = first_record(read)?;
        let own = |key: &UseKey| is_of(world, case, key);
        let mut rows: BTreeMap<(Arc<str>, Option<IntentName>, TaskKind), Use> = BTreeMap::new();
        let mut denied = Use::default();
        for (key, used) in &uses.uses {
            if own(key) {
                let row = (key.action.shared(), key.intent.clone(), key.task);
                rows.entry(row).or_default().add(used);
            }
            let about = actions.is_empty() || actions.iter().any(|a| **a == *key.action.as_str());
            if used.denied > 0 && (own(key) || (about && case.what.kind == GrantKind::Statement)) {
                denied.add(used);
            }
        }
        let mut latest: Vec<_> = rows.values().flat_map(|used| used.latest.iter()).collect();
        latest.sort_unstable();
        latest.dedup();
        let latest = latest.into_iter().rev().take(LATEST_SHOWN);
        let latest = latest.map(|one| outcome(read, one)).collect::<Result<_, _>>()?;
        let recommendation =
            recommended(case, &rows, &actions, (since, recorded_since, now), window_days);
        let held = self.still_holds(world, case);
        let about = self.concerned_by(&About::Identity(case.holder.clone()));
        Ok(CampaignEvidence {
            held,
            holder_status: holder.map(|holder| holder.status.as_str()),
            owner: holder.and_then(|holder| Some(holder.owner.as_ref()?.to_string())),
            fallback_owner: holder
                .and_then(|holder| Some(holder.fallback_owner.as_ref()?.to_string())),
            environment: holder.and_then(|holder| holder.environment.clone()),
            actions: actions.iter().take(ACTIONS_SHOWN_MAX).map(ToString::to_string).collect(),
            narrowed_by,
            since: Written(since),
            recorded_since: recorded_since.map(Written),
            uses: shown_uses(rows),
            latest,
            denials: denied.denied,
            latest_denials: denied
                .latest_denied
                .iter()
                .rev()
                .map(|(_, id)| id.to_string())
                .collect(),
            peers: self.peers_using(read, world, case, peers, since)?,
            risk: self.risk_of(&about).score,
            recommendation,
            findings: self.findings_about(&case.holder),
        })
    }

    /// The actions that a right is about now, and what can narrow it.
    fn permits(&self, world: &World, case: &Case) -> (Vec<Arc<str>>, Vec<String>) {
        let intent = match case.what.kind {
            GrantKind::Statement => {
                let known = world.identities.get(&case.holder);
                let standing =
                    known.and_then(|known| world.policies.standing_rights(&known.entity).ok());
                let Some(standing) = standing else { return Default::default() };
                let is = |right: &&safeconduct_policy::StandingRight| {
                    *right.statement.info().reference.id.as_str() == *case.what.name
                };
                let Some(right) = standing.permits.iter().find(is) else {
                    return Default::default();
                };
                let narrowed = standing.narrowing(right).take(crate::NARROWING_MAX);
                let narrowed =
                    narrowed.map(|by| by.statement.info().reference.id.to_string()).collect();
                return (standing.open(right).map(|action| action.shared()).collect(), narrowed);
            }
            GrantKind::Intent | GrantKind::Delegation => intent_of(world, case),
            GrantKind::Lease => None,
        };
        let intent = intent.and_then(|name| world.intents.version(&name, None).cloned());
        let actions = intent.map(|intent| {
            intent.envelope.iter().map(|allowance| allowance.action.shared()).collect()
        });
        (actions.unwrap_or_default(), Vec::new())
    }

    fn uses_of(
        &self,
        read: &dyn ReadModel,
        world: &World,
        case: &Case,
        since: Timestamp,
    ) -> Result<UsesPage, ReadError> {
        let Some(principal) = world.principal_of(&case.holder) else {
            return Ok(UsesPage::default());
        };
        let since_day = Some(day_of(since));
        read.uses(&UseQuery { principal: Some(principal), since_day, ..UseQuery::default() })
    }

    fn still_holds(&self, world: &World, case: &Case) -> bool {
        let Some(known) = world.identities.get(&case.holder) else { return false };
        let scope = Scope { sources: BTreeSet::from([case.what.kind]), ..Scope::default() };
        let mut now = Vec::new();
        let gathered = Gathering::of(self, world).holder(known, &scope, &mut now);
        gathered.is_ok() && now.iter().any(|right| right.grant == case.grant)
    }

    fn peers_using(
        &self,
        read: &dyn ReadModel,
        world: &World,
        case: &Case,
        peers: &BTreeSet<IdentityId>,
        since: Timestamp,
    ) -> Result<CampaignPeers, ReadError> {
        let holders = peers.len() as u64;
        if peers.is_empty() || case.what.kind == GrantKind::Lease {
            return Ok(CampaignPeers { holders, using: 0 });
        }
        let policy = match case.what.kind {
            GrantKind::Statement => {
                safeconduct_model::PolicyId::new(Arc::clone(&case.what.name)).ok()
            }
            _ => None,
        };
        let since_day = Some(day_of(since));
        let page = read.uses(&UseQuery { policy, since_day, ..UseQuery::default() })?;
        let mut using: BTreeSet<&EntityRef> = BTreeSet::new();
        for (key, used) in &page.uses {
            if used.permitted > 0 && is_of(world, case, key) {
                using.insert(&key.principal);
            }
        }
        let is_peer = |principal: &&&EntityRef| peers.contains(principal.id.as_str());
        Ok(CampaignPeers { holders, using: using.iter().filter(is_peer).count() as u64 })
    }

    fn findings_about(&self, holder: &IdentityId) -> Vec<CampaignFinding> {
        let (now, state) = (self.now(), self.reviews.lock());
        let open = state.findings.book.iter().filter(|finding| {
            finding.subject.whom.as_ref() == Some(holder)
                && finding.state(now) == FindingState::Open
        });
        open.map(|finding| CampaignFinding {
            id: finding.id.to_string(),
            kind: finding.kind.as_str().to_owned(),
            severity: finding.severity.as_str().to_owned(),
        })
        .collect()
    }
}

/// Whether somebody is or was asked about a case.
fn has_part(world: &World, item: &Item, who: &IdentityId) -> bool {
    let said = item.answers.iter().chain(&item.earlier);
    item.reviewers.contains(who)
        || said.clone().any(|answer| answer.by == *who)
        || waits_for(world, item, who)
}

/// The intent that a right is about.
fn intent_of(world: &World, case: &Case) -> Option<IntentName> {
    match case.what.kind {
        GrantKind::Intent => IntentName::new(case.what.name.split(' ').next()?).ok(),
        GrantKind::Delegation => {
            let id = RecordId::new(Arc::clone(&case.what.name)).ok()?;
            Some(world.delegations.get(&id)?.intent.clone())
        }
        GrantKind::Statement | GrantKind::Lease => None,
    }
}

/// Whether a use is one of the right, whoever's it is.
fn is_of(world: &World, case: &Case, key: &UseKey) -> bool {
    match case.what.kind {
        GrantKind::Statement => key.policy.as_deref() == Some(&*case.what.name),
        GrantKind::Intent => {
            // What an agent did for a user under an intent is no use of the user's own.
            let own = key.task != TaskKind::ThroughAgent;
            own && key.intent.is_some() && key.intent == intent_of(world, case)
        }
        GrantKind::Delegation => {
            key.task == TaskKind::OnBehalf && key.intent == intent_of(world, case)
        }
        GrantKind::Lease => false,
    }
}

/// Others of the population who hold the same.
fn peers(running: &RunningCampaign<'_>, case: &Case) -> BTreeSet<IdentityId> {
    let same = |what: &Right| what.kind == case.what.kind && what.name == case.what.name;
    let all = running.campaign.population().cases().iter();
    let peers = all.filter(|other| other.holder != case.holder && same(&other.what));
    peers.map(|other| other.holder.clone()).collect()
}

fn shown_uses(rows: BTreeMap<(Arc<str>, Option<IntentName>, TaskKind), Use>) -> Vec<CampaignUse> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by_key(|(_, used)| std::cmp::Reverse(used.last));
    let shown = rows.into_iter().take(USES_SHOWN_MAX);
    let shown = shown.map(|((action, intent, task), used)| CampaignUse {
        action: action.to_string(),
        intent: intent.map(|intent| intent.to_string()),
        task: task.as_str(),
        permitted: used.permitted,
        approved: used.approved,
        succeeded: used.succeeded,
        failed: used.failed,
        resources: used.resources.len() as u64,
        last: used.last.map(Written),
    });
    shown.collect()
}

/// What the record speaks for: unused goes, partly used shrinks, anything else stays. Where the
/// record does not go back far enough nothing is recommended.
fn recommended(
    case: &Case,
    rows: &BTreeMap<(Arc<str>, Option<IntentName>, TaskKind), Use>,
    actions: &[Arc<str>],
    (since, recorded_since, now): (Timestamp, Option<Timestamp>, Timestamp),
    window_days: u32,
) -> CampaignRecommendation {
    let said = |response: Option<Response>, reason: String| CampaignRecommendation {
        response: response.map(Response::as_str),
        reasons: vec![reason],
    };
    if case.what.kind == GrantKind::Lease {
        return said(None, "it ends with its task by itself".to_owned());
    }
    let permitted: u64 = rows.values().map(|used| used.permitted).sum();
    let recorded = recorded_since.map_or(0, |first| now.ms_since(first) / DAY_MS);
    if recorded_since.is_none_or(|first| first > since) && permitted == 0 {
        let reason = format!(
            "the record goes back {recorded} days only, and {window_days} are needed to say that \
             it is not used"
        );
        return said(None, reason);
    }
    if permitted == 0 {
        let reason = format!("it was not used in the last {window_days} days");
        return said(Some(Response::Revoke), reason);
    }
    let used: BTreeSet<&str> = rows
        .iter()
        .filter(|(_, used)| used.permitted > 0)
        .map(|((action, ..), _)| &**action)
        .collect();
    let unused = actions.iter().filter(|action| !used.contains(&***action)).count();
    // Only a statement has a text that can shrink.
    if unused > 0 && case.what.kind == GrantKind::Statement {
        let mut reduce = said(
            Some(Response::Reduce),
            format!("{} of its {} actions were used", actions.len() - unused, actions.len()),
        );
        if recorded_since.is_none_or(|first| first > since) {
            reduce.reasons.push(format!("the record goes back {recorded} days only"));
        }
        return reduce;
    }
    said(Some(Response::Accept), format!("it was used {permitted} times"))
}

/// When the first record was made.
fn first_record(read: &dyn ReadModel) -> Result<Option<Timestamp>, ReadError> {
    let first = read.from(0, 1)?.records.into_iter().next();
    let first = first.and_then(|first| safeconduct_ledger::decode(first.leaf.as_bytes()).ok());
    Ok(first.map(|record| record.at))
}

/// One use, and what came of it.
fn outcome(
    read: &dyn ReadModel,
    (at, decision): &(Timestamp, RecordId),
) -> Result<EstateLatest, ReadError> {
    let query = RecordQuery {
        kind: Some("outcome".into()),
        parent: Some(decision.clone()),
        limit: 1,
        ..RecordQuery::default()
    };
    let record = read.query(&query)?.records.into_iter().next();
    let record = record.and_then(|one| safeconduct_ledger::decode(one.leaf.as_bytes()).ok());
    let execution = record.and_then(|Record { body, .. }| match body {
        Body::Executed(executed) => Some(executed.execution),
        _ => None,
    });
    let outcome = execution.map(Execution::as_str).map(str::to_owned);
    Ok(EstateLatest { at: Written(*at), decision: decision.to_string(), outcome })
}

fn summary(running: &RunningCampaign<'_>, number: u32) -> Option<CampaignItemSummary> {
    let (case, item) = running.campaign.case(number)?;
    let what = &case.what;
    Some(CampaignItemSummary {
        case: number,
        holder: case.holder.to_string(),
        tier: case.tier.as_str(),
        kind: what.kind.as_str(),
        name: what.name.to_string(),
        at: what.at.as_deref().map(str::to_owned),
        words: what.words.to_string(),
        actions: what.actions,
        given_by: case.givers().map(ToString::to_string).collect(),
        reviewers: item.reviewers.iter().map(ToString::to_string).collect(),
        waits_for: item.silent().map(ToString::to_string).collect(),
        outcomes: item.outcomes.iter().map(|outcome| outcome.as_str()).collect(),
        effect: item.over.then(|| running.campaign.effect(case, item).as_str()),
    })
}

fn answer(decided: &safeconduct_review::ReviewDecision) -> CampaignAnswerView {
    CampaignAnswerView {
        by: decided.by.to_string(),
        acting_for: decided.acting_for.as_ref().map(ToString::to_string),
        response: decided.response.as_str(),
        reason: decided.reason.to_string(),
        at: Written(decided.at),
        took_ms: decided.took_ms(),
        batch: decided.batch,
        evidence: Written(decided.evidence),
    }
}

fn view(world: &World, running: &RunningCampaign<'_>, viewer: &IdentityId) -> CampaignView {
    let (campaign, plan) = (running.campaign, running.plan);
    let definition = campaign.definition();
    let (mut open, mut answered) = (0, 0);
    let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut effects: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (_, case, item) in campaign.cases() {
        if item.open {
            open += 1;
            answered += u64::from(item.silent().next().is_none() && !item.answers.is_empty());
        }
        let outcome = if item.open { item.so_far(campaign) } else { campaign.outcome(item) };
        *outcomes.entry(outcome.as_str()).or_default() += 1;
        if item.over {
            *effects.entry(campaign.effect(case, item).as_str()).or_default() += 1;
        }
    }
    let stage_number = match campaign.state() {
        CampaignState::InStage(stage) => Some(*stage as u64 + 1),
        _ => None,
    };
    let over =
        matches!(campaign.state(), CampaignState::Reviewed | CampaignState::SignedOff { .. });
    let population = campaign.population();
    let source = |source: &safeconduct_review::Source| CampaignSource {
        name: source.name.to_string(),
        cursor: source.cursor.to_string(),
    };
    CampaignView {
        id: running.id.to_string(),
        name: definition.name.to_string(),
        owner: definition.owner.to_string(),
        state: campaign.state().as_str(),
        stage: campaign.stage().map(|stage| stage.name.to_string()),
        stage_number,
        stages: definition.stages.len() as u64,
        until: stage_number.map(|_| Written(campaign.stage_until())),
        iteration: campaign.iteration(),
        began: Written(running.begun.at),
        by: running.begun.by.as_ref().map(ToString::to_string),
        unanswered: running.unanswered.iter().map(ToString::to_string).collect(),
        because: running.begun.because.iter().map(ToString::to_string).collect(),
        cases: population.cases().len() as u64,
        population: Written(population.digest()),
        sources: population.sources().iter().map(source).collect(),
        open,
        answered,
        outcomes,
        effects,
        yours: waiting_for(world, campaign, viewer) as u64,
        remediation: definition.remediation.as_str(),
        risk_analysis: plan.risk_analysis.as_deref().map(str::to_owned),
        digest: over.then(|| Written(campaign.digest())),
    }
}
