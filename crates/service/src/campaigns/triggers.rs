//! Events that begin a campaign about one holder: rules that were set aside, findings, drift, and
//! rights of tier high that somebody did not have before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{Body, Digest, IdentityId, RecordId, ReviewedThing, Tier, Timestamp};
use safeconduct_review::finding::FindingState;
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
    /// The rights of tier high and above at the last look, and of which policies that was.
    high: Option<HighRights>,
}

/// Rights of tier high and above, by who holds them.
#[derive(Debug, Clone)]
struct HighRights {
    /// The policies that gave them.
    policies: Digest,
    of: Arc<BTreeMap<IdentityId, BTreeSet<Digest>>>,
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
            self.new_rights(read, (from, since), &mut found)?;
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

    /// Who has a right of tier high or above that they did not have at the last look: because the
    /// policies changed, they themselves did, or a user gave them their word. The first look
    /// finds nothing: it is what others are held against.
    fn new_rights(
        &self,
        read: &dyn ReadModel,
        (from, since): (u64, Timestamp),
        found: &mut Vec<Happened>,
    ) -> Result<(), ReadError> {
        let world = self.world();
        let digest = world.policies.digest();
        let before = self.reviews.lock().campaigns.events.high.clone();
        let Some(HighRights { policies, of: before }) = before else {
            let of = Arc::new(self.high_rights(&world, BTreeSet::new())?);
            let all = HighRights { policies: digest, of };
            self.reviews.lock().campaigns.events.high = Some(all);
            return Ok(());
        };
        let mut changed = Vec::new();
        for kind in ["identity_changed", "delegation_made"] {
            newer(read, kind, from, since, &mut changed)?;
        }
        let loaded = if policies == digest { None } else { loaded_last(read)? };
        // Where more have changed than are counted, everyone is looked at.
        let whole = policies != digest || changed.len() >= WAITING_MAX;
        let looked_at: BTreeSet<IdentityId> = match whole {
            true => BTreeSet::new(),
            false => changed.iter().map(|event| event.holder.clone()).collect(),
        };
        if !whole && looked_at.is_empty() {
            return Ok(());
        }
        let rights = self.high_rights(&world, looked_at.clone())?;
        let none = BTreeSet::new();
        for (holder, rights) in &rights {
            if rights.is_subset(before.get(holder).unwrap_or(&none)) {
                continue;
            }
            let own = changed.iter().find(|event| event.holder == *holder);
            let cause = own.or(changed.first()).map(|event| (event.record.clone(), event.at));
            if let Some((record, at)) = loaded.clone().or(cause) {
                let (trigger, holder) = (Trigger::Grant, holder.clone());
                found.push(Happened { trigger, holder, record, at });
            }
        }
        let all = if whole {
            Arc::new(rights)
        } else {
            let mut all = before;
            let kept = Arc::make_mut(&mut all);
            kept.retain(|holder, _| !looked_at.contains(holder));
            kept.extend(rights);
            all
        };
        let all = HighRights { policies: digest, of: all };
        self.reviews.lock().campaigns.events.high = Some(all);
        Ok(())
    }

    /// The rights of tier high or above of those holders, or of everyone.
    fn high_rights(
        &self,
        world: &World,
        holders: BTreeSet<IdentityId>,
    ) -> Result<BTreeMap<IdentityId, BTreeSet<Digest>>, ReadError> {
        let scope = Scope {
            holders,
            tiers: BTreeSet::from([Tier::High, Tier::Critical]),
            sources: BTreeSet::from([GrantKind::Statement, GrantKind::Delegation]),
            ..Scope::default()
        };
        let mut cases = Vec::new();
        let gathered = Gathering::of(self, world).all(&scope, &mut cases);
        gathered.map_err(|error| ReadError(error.into()))?;
        let mut rights: BTreeMap<IdentityId, BTreeSet<Digest>> = BTreeMap::new();
        for case in cases {
            rights.entry(case.holder).or_default().insert(case.grant);
        }
        Ok(rights)
    }

    /// Everyone about whom something was found that is not closed, and that nobody excused.
    pub(super) fn holders_with_findings(&self) -> BTreeSet<IdentityId> {
        let (now, state) = (self.now(), self.reviews.lock());
        let all = state.findings.book.iter();
        let open = all.filter(|finding| finding.state(now) == FindingState::Open);
        open.filter_map(|finding| finding.subject.whom.clone()).collect()
    }
}

/// The record by which the policies came into force last, and when.
fn loaded_last(read: &dyn ReadModel) -> Result<Option<(RecordId, Timestamp)>, ReadError> {
    let kind = Some("policies_loaded".into());
    let query = RecordQuery { kind, limit: 1, ..RecordQuery::default() };
    let loaded = read.query(&query)?.records.into_iter().next();
    let loaded = loaded.and_then(|record| safeconduct_ledger::decode(record.leaf.as_bytes()).ok());
    Ok(loaded.map(|record| (record.id, record.at)))
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
        // Whether they have more by it is for whoever compares their rights.
        Body::IdentityChanged { identity, .. } => (Trigger::Grant, identity.id),
        Body::DelegationMade(made) => (Trigger::Grant, made.agent),
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
