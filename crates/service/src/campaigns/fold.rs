//! The fold of campaigns' records: light, since it is done while all reviews are locked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use safeconduct_model::{Digest, IdentityId, RecordId, ReviewedThing, Timestamp, Value};
use safeconduct_wire::campaign::CampaignFile;

use super::kept::Kept;
use super::triggers::Events;
use crate::reviews::ReviewStep;

/// What the ids of kept definitions begin with.
pub(super) const DEFINITION: &str = "definition:";

/// Words of records that are no step of a campaign under way.
pub(super) const CREATED: &str = "created";
pub(super) const PART: &str = "part";
/// After these nothing more happens.
const OVER: [&str; 2] = ["signed_off", "cancelled"];
pub(super) const DEFINED: &str = "defined";
pub(super) const WITHDRAWN: &str = "withdrawn";

/// For how long what could not begin is not tried again, in milliseconds.
const PUT_OFF_MS: i64 = 3_600_000;

/// Most items whose showing is remembered.
const SHOWN_MAX: usize = 200_000;

/// Most events that are remembered to have begun a campaign of one name.
const BECAUSE_MAX: usize = 100_000;

/// All campaigns.
#[derive(Default)]
pub(crate) struct Campaigns {
    /// By id.
    pub(super) of: BTreeMap<RecordId, Entry>,
    /// Definitions that are kept, by name.
    pub(super) standing: BTreeMap<Arc<str>, Standing>,
    /// What began of each name.
    pub(super) started: BTreeMap<Arc<str>, Started>,
    /// How many steps the things without a campaign have: kept definitions.
    pub(super) sequences: BTreeMap<Arc<str>, u64>,
    /// What could not begin, and is not tried again before then.
    pub(super) put_off: BTreeMap<(Arc<str>, Option<IdentityId>), Timestamp>,
    /// What was looked at of events.
    pub(super) events: Events,
    /// What was shown to whom: not recorded by itself, but with the answer.
    pub(super) shown: HashMap<(RecordId, u32, IdentityId), Shown, RandomState>,
}

/// One campaign.
#[derive(Default)]
pub(super) struct Entry {
    /// What was read of it.
    pub(super) kept: Arc<Mutex<Kept>>,
    /// Steps that were not yet.
    pub(super) waiting: Vec<Placed>,
    /// How many steps there are.
    pub(super) sequence: u64,
    /// Whether it was begun: before that there are only parts of its population.
    pub(super) begun: bool,
    /// Whether it was signed off or given up.
    pub(super) over: bool,
    /// Where its steps stand in the ledger.
    pub(super) places: Vec<u64>,
}

/// A step and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) event: Arc<str>,
    pub(super) detail: Arc<str>,
    pub(super) at: Timestamp,
    pub(super) by: Option<IdentityId>,
    /// Its place in the ledger.
    pub(super) sequence: u64,
}

/// A definition that is kept.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) file: Arc<CampaignFile>,
    pub(super) since: Timestamp,
    pub(super) by: Option<IdentityId>,
}

/// What began of a definition.
#[derive(Debug, Clone, Default)]
pub(super) struct Started {
    /// The last start by its schedule.
    pub(super) due: Option<Timestamp>,
    /// Records of the events that began one, and about whom.
    pub(super) because: BTreeSet<(RecordId, IdentityId)>,
}

/// When somebody was shown a case, and what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) opened_at: Timestamp,
    pub(super) evidence: Digest,
}

impl Campaigns {
    /// Takes a step in.
    pub(crate) fn take_in(&mut self, step: ReviewStep<'_>) {
        if step.change.what == ReviewedThing::Campaign {
            self.campaign(step);
        }
    }

    fn campaign(&mut self, step: ReviewStep<'_>) {
        let change = step.change;
        if let Some(name) = change.id.strip_prefix(DEFINITION) {
            *self.sequences.entry(Arc::clone(&change.id)).or_default() += 1;
            self.definition(name, step);
            return;
        }
        let Ok(id) = RecordId::new(Arc::clone(&change.id)) else {
            tracing::error!(id = &*change.id, "a step of a campaign with an id that is none");
            return;
        };
        let entry = self.of.entry(id).or_default();
        entry.sequence += 1;
        entry.over |= OVER.contains(&&*change.event);
        entry.places.push(step.sequence);
        entry.waiting.push(Placed {
            event: Arc::clone(&change.event),
            detail: change.detail.as_str().into(),
            at: step.at,
            by: change.by.clone(),
            sequence: step.sequence,
        });
        if &*change.event == CREATED {
            entry.begun = true;
            self.began(change.detail.as_str(), change.about.as_ref());
        }
    }

    fn definition(&mut self, name: &str, step: ReviewStep<'_>) {
        if &*step.change.event == WITHDRAWN {
            self.standing.remove(name);
            return;
        }
        let detail = parsed(step.change.detail.as_str());
        let file = detail.member("definition").map(safeconduct_wire::campaign::of_value);
        match file {
            Some(Ok(file)) => {
                let (since, by) = (step.at, step.change.by.clone());
                let standing = Standing { file: Arc::new(file), since, by };
                self.standing.insert(name.into(), standing);
            }
            _ => tracing::error!(name, "a recorded definition of a campaign cannot be read"),
        }
    }

    /// Takes note of what began it, so that it does not begin twice.
    fn began(&mut self, detail: &str, holder: Option<&IdentityId>) {
        let detail = parsed(detail);
        let Some(name) = detail.member("name").and_then(Value::as_str) else { return };
        let started = self.started.entry(name.into()).or_default();
        let due = detail.member("due").and_then(Value::as_integer).map(Timestamp::from_millis);
        started.due = started.due.max(due);
        let because = detail.member("because").and_then(Value::as_array).unwrap_or_default();
        let because = because.iter().filter_map(|id| RecordId::new(id.as_str()?).ok());
        started.because.extend(because.filter_map(|id| Some((id, holder?.clone()))));
        while started.because.len() > BECAUSE_MAX {
            started.because.pop_first();
        }
    }

    /// Does not try again before an hour is over.
    pub(super) fn put_off(&mut self, name: &str, holder: Option<IdentityId>, now: Timestamp) {
        self.put_off.retain(|_, until| now < *until);
        self.put_off.insert((name.into(), holder), now.plus_ms(PUT_OFF_MS));
    }

    /// Whether it is not to be tried now.
    pub(super) fn is_put_off(
        &self,
        name: &Arc<str>,
        holder: Option<&IdentityId>,
        now: Timestamp,
    ) -> bool {
        let until = self.put_off.get(&(Arc::clone(name), holder.cloned()));
        until.is_some_and(|until| now < *until)
    }

    /// Remembers that somebody was shown a case. The first time counts until they answer; what
    /// they were shown last is what they answer on.
    pub(super) fn show(
        &mut self,
        key: (RecordId, u32, IdentityId),
        at: Timestamp,
        evidence: Digest,
    ) -> Shown {
        if self.shown.len() >= SHOWN_MAX && !self.shown.contains_key(&key) {
            // Whoever answers late looks again.
            let oldest = self.shown.iter().min_by_key(|(_, shown)| shown.opened_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.shown.remove(&oldest);
            }
        }
        let shown = self.shown.entry(key).or_insert(Shown { opened_at: at, evidence });
        shown.evidence = evidence;
        *shown
    }
}

/// A detail as a value: the ledger has seen to it that it is one.
pub(super) fn parsed(detail: &str) -> Value {
    safeconduct_wire::json::parse(detail.as_bytes()).unwrap_or_default()
}
