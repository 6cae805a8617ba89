//! Detectors: signals that the ledger itself shows.
//!
//! [`Detectors`] is a fold of records: [`Detectors::observe`] takes the next one and says what it
//! shows. What it remembers is bounded, and follows from the records alone, so that history can
//! be gone over again, with other thresholds too ([`replay`]).
//!
//! Found are: bursts; actions, classes of resource and pairs of actions that are new for an
//! identity and intent; streaks of denials; unusual hours (UTC) and volumes; fan-out of tasks;
//! credentials that are used after their task; drift; one session that acts from two networks,
//! where the records say from which (crate `model`, `NetworkDigest`). That two sessions of one
//! identity do is found only at work: no record lets networks of two sessions be compared, so
//! whoever shows a decision says it beside ([`Glimpse::from_place`]), and a replay finds none.
//!
//! What is new is learned, and it is learned from what went ahead, not from what was denied: who
//! has the patience to change slowly teaches the detectors to find it usual. They add to policies
//! and take the place of none.

mod drift;
mod glimpse;
mod places;
mod profile;
mod recent;
mod run;
mod tuning;

use std::sync::Arc;

use safeconduct_model::{
    ActionName, Body, EntityRef, IdentityId, IntentName, NetworkDigest, Origin, Record, RecordId,
    SessionKey, Task, TaskId, Timestamp, TokenId,
};

pub use drift::WINDOW as DRIFT_WINDOW;
pub use glimpse::Glimpse;
pub use places::PLACES_PER_IDENTITY_MAX;
pub use profile::{ACTIONS_PER_PROFILE_MAX, CLASSES_PER_PROFILE_MAX, PAIRS_PER_PROFILE_MAX};
pub use tuning::Tuning;

use crate::{About, Confidence, Kind, Severity, Signal, Source};
use glimpse::{Act, Shown};
use places::Places;
use profile::{Profile, Seen};
use recent::Recent;
use run::Run;

/// Most pairs of identity and intent that are remembered, of which those that were not seen for
/// longest are forgotten first. One that is full has about 16 KiB.
pub const PROFILES_MAX: usize = 4096;

/// Most sessions that are remembered.
pub const SESSIONS_MAX: usize = 16_384;

/// Most tasks that are remembered.
pub const TASKS_MAX: usize = 16_384;

/// Most signals that a replay returns; it counts the rest.
pub const REPLAYED_MAX: usize = 100_000;

/// The detectors, and what they remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detectors {
    tuning: Tuning,
    profiles: Recent<(EntityRef, Option<IntentName>), Profile>,
    runs: Recent<(SessionKey, EntityRef), Run>,
    /// From where each acts, in all its sessions: known only of what was shown with it.
    places: Recent<IdentityId, Places>,
    /// What a task descends from.
    roots: Recent<TaskId, About>,
    /// How many tasks began below it, since when.
    families: Recent<About, (Timestamp, u64)>,
    used_after_end: Recent<(IdentityId, TaskId), u64>,
}

/// Something unusual, before it is said of whom.
struct Finding {
    kind: Kind,
    severity: Severity,
    confidence: u8,
    topic: Arc<str>,
    detail: String,
}

impl Default for Detectors {
    fn default() -> Self {
        Self::new(Tuning::default())
    }
}

impl Detectors {
    /// Detectors that have seen nothing.
    pub fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            profiles: Recent::holding(PROFILES_MAX),
            runs: Recent::holding(SESSIONS_MAX),
            places: Recent::holding(PROFILES_MAX),
            roots: Recent::holding(TASKS_MAX),
            families: Recent::holding(TASKS_MAX),
            used_after_end: Recent::holding(TASKS_MAX),
        }
    }

    /// Takes the next record in, and says what it shows.
    pub fn observe(&mut self, record: &Record) -> Vec<Signal> {
        match &record.body {
            Body::Decided(decided) => self.acted(&Act::of(decided), &record.id, record.at),
            Body::TaskBegan(task) => self.began(task, &record.id, record.at),
            Body::TaskEnded { task, .. } => {
                self.families.remove(&About::Task(task.clone()));
                Vec::new()
            }
            Body::UsedAfterEnd { task, identity, token, action } => {
                let used = Used { task, identity, token, action: action.as_ref() };
                self.used_after_end(used, &record.id, record.at)
            }
            _ => Vec::new(),
        }
    }

    /// Takes the next record in, of which as much was kept as detectors look at.
    pub fn look(&mut self, glimpse: &Glimpse) -> Vec<Signal> {
        match &glimpse.0 {
            Shown::Decision { id, at, kept } => self.acted(&kept.act(), id, *at),
            Shown::Other(record) => self.observe(record),
        }
    }

    /// How many profiles, sessions and tasks were forgotten for want of room.
    pub const fn forgotten(&self) -> u64 {
        self.profiles.forgotten()
            + self.runs.forgotten()
            + self.places.forgotten()
            + self.roots.forgotten()
            + self.families.forgotten()
            + self.used_after_end.forgotten()
    }

    /// How many profiles there are: identities, each with its intents.
    pub fn profiles(&self) -> usize {
        self.profiles.len()
    }

    fn acted(&mut self, act: &Act<'_>, id: &RecordId, at: Timestamp) -> Vec<Signal> {
        let profile_of = (act.principal.clone(), act.intent.cloned());
        let profile = self.profiles.touch(&profile_of, Profile::default);
        let run_of = (act.session.clone(), act.principal.clone());
        let run = self.runs.touch(&run_of, Run::default);
        let seen = Seen { act, at, before: run.last };
        let mut found = Vec::new();
        if let Some(action) = profile.take(&seen, &self.tuning, &mut found) {
            run.last = Some(action);
        }
        run.take(act.decision, at, &self.tuning, &mut found);
        if let Some(network) = act.network {
            run.came_from(network, at, &self.tuning, &mut found);
        }
        let mut found: Vec<Signal> =
            found.into_iter().map(|finding| finding.about(whom(&finding, act), id, at)).collect();
        if let Some(place) = act.place {
            found.extend(self.came_from(place, act, id, at));
        }
        found
    }

    /// Where the identity is now, beside where its other sessions are.
    fn came_from(
        &mut self,
        place: NetworkDigest,
        act: &Act<'_>,
        id: &RecordId,
        at: Timestamp,
    ) -> Option<Signal> {
        let who = &act.session.identity;
        let mut found = Vec::new();
        let places = self.places.touch(who, Places::default);
        places.take(place, act.session, at, &self.tuning, &mut found);
        found.pop().map(|finding| finding.about(About::Identity(who.clone()), id, at))
    }

    fn began(&mut self, task: &Task, id: &RecordId, at: Timestamp) -> Vec<Signal> {
        let root = match (&task.parent, &task.origin) {
            (Some(parent), _) => {
                let known = self.roots.peek(parent).cloned();
                known.unwrap_or_else(|| About::Task(parent.clone()))
            }
            (None, Origin::Agent(session)) => About::Session(session.clone()),
            (None, Origin::Trusted) => return Vec::new(),
        };
        self.roots.touch(&task.id, || root.clone());
        let (since, count) = self.families.touch(&root, || (at, 0));
        if at.ms_since(*since) >= self.tuning.children_window_ms {
            (*since, *count) = (at, 0);
        }
        *count += 1;
        let Some(times) = doubled(*count, self.tuning.children) else { return Vec::new() };
        let finding = Finding {
            kind: Kind::FanOut,
            severity: match times {
                1 => Severity::Low,
                2 => Severity::Moderate,
                _ => Severity::High,
            },
            confidence: 90,
            topic: task.intent.shared(),
            detail: format!("{count} tasks since {since}"),
        };
        vec![finding.about(root, id, at)]
    }

    fn used_after_end(&mut self, used: Used<'_>, id: &RecordId, at: Timestamp) -> Vec<Signal> {
        let count = self.used_after_end.touch(&(used.identity.clone(), used.task.clone()), || 0);
        *count += 1;
        if doubled(*count, 1).is_none() {
            return Vec::new();
        }
        let action = used.action.map_or("something", ActionName::as_str);
        let finding = Finding {
            kind: Kind::UsedAfterEnd,
            severity: Severity::High,
            confidence: 100,
            topic: used.task.shared(),
            detail: format!("{count} times, by {}, for {action}", used.token),
        };
        vec![finding.about(About::Identity(used.identity.clone()), id, at)]
    }
}

/// The use of a credential after its task.
struct Used<'a> {
    task: &'a TaskId,
    identity: &'a IdentityId,
    token: &'a TokenId,
    action: Option<&'a ActionName>,
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The detectors as they are after it.
    pub detectors: Detectors,
    /// What was found, in order; at most [`REPLAYED_MAX`].
    pub signals: Vec<Signal>,
    /// How many more there were.
    pub more: u64,
}

/// Goes over history and says what those kinds would have found; all, where none is named.
pub fn replay<'a>(
    tuning: Tuning,
    kinds: &[Kind],
    records: impl IntoIterator<Item = &'a Record>,
) -> Replayed {
    let mut replayed = Replayed { detectors: Detectors::new(tuning), signals: Vec::new(), more: 0 };
    for record in records {
        for signal in replayed.detectors.observe(record) {
            if !kinds.is_empty() && !kinds.contains(&signal.kind) {
                continue;
            }
            match replayed.signals.len() < REPLAYED_MAX {
                true => replayed.signals.push(signal),
                false => replayed.more += 1,
            }
        }
    }
    replayed
}

/// About whom a finding of a decision is: the session for what it does, the identity for its
/// habits. An enforcement point that speaks for others has one session for all of them, so there
/// it is always the one it spoke of.
fn whom(finding: &Finding, act: &Act<'_>) -> About {
    let own = act.principal.id.as_str() == act.session.identity.as_str();
    let habit = matches!(finding.kind, Kind::UnusualHour | Kind::UnusualVolume | Kind::Drift);
    if own {
        return match habit {
            true => About::Identity(act.session.identity.clone()),
            false => About::Session(act.session.clone()),
        };
    }
    match IdentityId::new(act.principal.id.shared()) {
        Ok(id) => About::Identity(id),
        Err(_) => About::Session(act.session.clone()),
    }
}

impl Finding {
    fn about(&self, about: About, id: &RecordId, at: Timestamp) -> Signal {
        let end = self.detail.floor_char_boundary(crate::DETAIL_BYTES_MAX);
        Signal {
            confidence: Confidence::percent(self.confidence),
            topic: Arc::clone(&self.topic),
            detail: self.detail.get(..end).unwrap_or_default().into(),
            ..Signal::new(about, self.kind, self.severity, Source::Detector, id.shared(), at)
        }
    }
}

/// How many times a threshold a count is, where it has just reached once, twice, four times …
/// as much: so a count that goes on speaks ever more seldom.
fn doubled(count: u64, threshold: u64) -> Option<u64> {
    let threshold = threshold.max(1);
    let times = count / threshold;
    (count.is_multiple_of(threshold) && times.is_power_of_two()).then_some(times)
}

#[cfg(test)]
mod tests;
