//! Events that begin a campaign about one holder: rules that were set aside, findings, drift, and
//! rights of tier high that somebody did not have before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Body, Digest, IdentityId, RecordId, ReviewedThing, Tier, Timestamp};
use safeconduct_review::{GrantKind, Scope, Trigger};

use super::StartCampaign;
use super::fold::Standing;
use super::gather::Gathering;
use crate::{PAGE_RECORDS_MAX, ReadError, ReadModel, RecordQuery, Service, World};

/// Most events that wait.
const WAITING_MAX: usize = 10_000;

/// Most events that one campaign names.
const BECAUSE_AT_ONCE: usize = 200;

/// The kind of a finding that says that something drifts.
const DRIFT: &str = "intent_drift";

/// What was looked at of events, since the process began.
#[derive(Default)]
pub(super) struct Events {
    /// Records below that place were looked at.
    up_to: u64,
    waiting: Vec<Happened>,
    /// The rights of tier high and above, and of which policies that was.
    high: Option<(Digest, BTreeSet<Digest>)>,
}

/// An event about a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Happened {
    trigger: Trigger,
    holder: IdentityId,
    record: RecordId,
    at: Timestamp,
}

impl Service {
    /// The campaigns that events begin: one for each holder and definition, however many events.
    pub(super) fn due_by_events(&self, read: &dyn ReadModel) -> Vec<StartCampaign> {
        let standing: BTreeMap<Arc<str>, Standing> = {
            let state = self.reviews.lock();
            let by_event = state.campaigns.standing.iter();
            let by_event = by_event.filter(|(_, standing)| !standing.file.plan.on.is_empty());
            by_event.map(|(name, standing)| (Arc::clone(name), standing.clone())).collect()
        };
        let Some(since) = standing.values().map(|standing| standing.since).min() else {
            return Vec::new();
        };
        let wanted: BTreeSet<Trigger> =
            standing.values().flat_map(|standing| standing.file.plan.on.iter().copied()).collect();
        if let Err(error) = self.look_at_events(read, &wanted, since) {
            tracing::warn!(%error, "events that begin campaigns cannot be read");
        }
        let under_way = self.under_way();
        let now = self.now();
        let mut state = self.reviews.lock();
        let campaigns = &mut state.campaigns;
        let waiting = std::mem::take(&mut campaigns.events.waiting);
        let mut due: BTreeMap<(Arc<str>, IdentityId), BTreeSet<RecordId>> = BTreeMap::new();
        let mut keep = Vec::new();
        for event in waiting {
            let mut waits = false;
            for (name, standing) in &standing {
                let on = &standing.file.plan.on;
                // What drifts is a finding too.
                let wants = on.contains(&event.trigger)
                    || (event.trigger == Trigger::Drift && on.contains(&Trigger::Finding));
                let done = campaigns.started.get(name).is_some_and(|started| {
                    started.because.contains(&(event.record.clone(), event.holder.clone()))
                });
                if !wants || done || event.at < standing.since {
                    continue;
                }
                waits = true;
                let key = (Arc::clone(name), event.holder.clone());
                // What happens while they are reviewed is reviewed after that.
                let later = under_way.contains(&key)
                    || campaigns.is_put_off(name, Some(&event.holder), now);
                if !later {
                    let because = due.entry(key).or_default();
                    // What is more than one record can name begins another one after this.
                    if because.len() < BECAUSE_AT_ONCE {
                        because.insert(event.record.clone());
                    }
                }
            }
            if waits && keep.len() < WAITING_MAX {
                keep.push(event);
            }
        }
        campaigns.events.waiting = keep;
        let start = |((name, holder), because): ((Arc<str>, IdentityId), BTreeSet<RecordId>)| {
            let file = Arc::clone(&standing.get(&name)?.file);
            Some(StartCampaign { file, by: None, due: None, holder: Some(holder), because })
        };
        due.into_iter().filter_map(start).collect()
    }

    /// An event about somebody who holds nothing in the scope begins nothing.
    pub(super) fn dismiss_events(&self, start: &StartCampaign) {
        let Some(holder) = &start.holder else { return };
        let name = Arc::clone(&start.file.plan.definition.name);
        let mut state = self.reviews.lock();
        let started = state.campaigns.started.entry(name).or_default();
        started.because.extend(start.because.iter().map(|id| (id.clone(), holder.clone())));
    }

    /// The definitions of which a campaign about one holder is not over, and that holder.
    fn under_way(&self) -> BTreeSet<(Arc<str>, IdentityId)> {
        let open = self.open_campaign_ids().into_iter().filter_map(|id| {
            let about = self.with_campaign(&id, |running| {
                let first = running.campaign.population().cases().first()?;
                (!running.begun.because.is_empty()).then(|| {
                    (Arc::clone(&running.campaign.definition().name), first.holder.clone())
                })
            });
            about.ok().flatten()
        });
        open.collect()
    }

    fn look_at_events(
        &self,
        read: &dyn ReadModel,
        wanted: &BTreeSet<Trigger>,
        since: Timestamp,
    ) -> Result<(), ReadError> {
        let (from, to) = (self.reviews.lock().campaigns.events.up_to, read.read_up_to());
        let mut found = Vec::new();
        let by_finding = wanted.contains(&Trigger::Finding) || wanted.contains(&Trigger::Drift);
        let kinds = [
            ("glass_broken", wanted.contains(&Trigger::BreakGlass)),
            (ReviewedThing::Finding.as_str(), by_finding),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, wanted)| *wanted) {
            newer(read, kind, from, since, &mut found)?;
        }
        if wanted.contains(&Trigger::Grant) {
            self.new_rights(read, &mut found)?;
        }
        let mut state = self.reviews.lock();
        let events = &mut state.campaigns.events;
        events.up_to = events.up_to.max(to);
        for event in found {
            if events.waiting.len() < WAITING_MAX && !events.waiting.contains(&event) {
                events.waiting.push(event);
            }
        }
        Ok(())
    }

    /// Who has a right of tier high or above since the policies changed. The first look finds
    /// nothing: it is what others are held against.
    fn new_rights(&self, read: &dyn ReadModel, found: &mut Vec<Happened>) -> Result<(), ReadError> {
        let world = self.world();
        let digest = world.policies.digest();
        let before = {
            let mut state = self.reviews.lock();
            let high = &mut state.campaigns.events.high;
            if high.as_ref().is_some_and(|(of, _)| *of == digest) {
                return Ok(());
            }
            high.take()
        };
        let rights = self.high_rights(&world)?;
        if let Some((_, before)) = &before {
            let query = RecordQuery {
                kind: Some("policies_loaded".into()),
                limit: 1,
                ..RecordQuery::default()
            };
            let loaded = read.query(&query)?.records.into_iter().next();
            let loaded =
                loaded.and_then(|record| safeconduct_ledger::decode(record.leaf.as_bytes()).ok());
            if let Some(loaded) = loaded {
                let new = rights.iter().filter(|(grant, _)| !before.contains(grant));
                let holders: BTreeSet<_> = new.map(|(_, holder)| holder.clone()).collect();
                found.extend(holders.into_iter().map(|holder| Happened {
                    trigger: Trigger::Grant,
                    holder,
                    record: loaded.id.clone(),
                    at: loaded.at,
                }));
            }
        }
        let rights = rights.into_iter().map(|(grant, _)| grant).collect();
        self.reviews.lock().campaigns.events.high = Some((digest, rights));
        Ok(())
    }

    fn high_rights(&self, world: &World) -> Result<Vec<(Digest, IdentityId)>, ReadError> {
        let scope = Scope {
            tiers: BTreeSet::from([Tier::High, Tier::Critical]),
            sources: BTreeSet::from([GrantKind::Statement]),
            ..Scope::default()
        };
        let mut cases = Vec::new();
        let gathered = Gathering::of(self, world).all(&scope, &mut cases);
        gathered.map_err(|error| ReadError(error.into()))?;
        Ok(cases.into_iter().map(|case| (case.grant, case.holder)).collect())
    }

    /// Everyone about whom something was found that is not closed, and that nobody excused.
    pub(super) fn holders_with_findings(&self) -> BTreeSet<IdentityId> {
        let state = self.reviews.lock();
        let all = state.campaigns.findings.iter();
        let open = all.filter(|(_, of)| of.values().any(|found| !found.exempt));
        open.map(|(holder, _)| holder.clone()).collect()
    }
}

/// Reads the records of a kind from a place on.
fn newer(
    read: &dyn ReadModel,
    kind: &str,
    from: u64,
    since: Timestamp,
    found: &mut Vec<Happened>,
) -> Result<(), ReadError> {
    let mut before = None;
    loop {
        let page = read.query(&RecordQuery {
            kind: Some(kind.to_owned()),
            since: Some(since),
            before,
            limit: PAGE_RECORDS_MAX,
            ..RecordQuery::default()
        })?;
        let full = page.records.len() >= PAGE_RECORDS_MAX;
        for record in page.records {
            if record.sequence < from || found.len() >= WAITING_MAX {
                return Ok(());
            }
            before = Some(record.sequence);
            found
                .extend(safeconduct_ledger::decode(record.leaf.as_bytes()).ok().and_then(happened));
        }
        if !full {
            return Ok(());
        }
    }
}

fn happened(record: safeconduct_model::Record) -> Option<Happened> {
    let (trigger, holder) = match record.body {
        Body::GlassBroken(broken) => (Trigger::BreakGlass, broken.agent),
        Body::ReviewChanged(change) if change.what == ReviewedThing::Finding => {
            let opens = matches!(&*change.event, "opened" | "reopened");
            let detail = super::fold::parsed(change.detail.as_str());
            let kind = detail.member("kind").and_then(safeconduct_model::Value::as_str);
            let trigger = if kind == Some(DRIFT) { Trigger::Drift } else { Trigger::Finding };
            (trigger, change.about.filter(|_| opens)?)
        }
        _ => return None,
    };
    Some(Happened { trigger, holder, record: record.id, at: record.at })
}
