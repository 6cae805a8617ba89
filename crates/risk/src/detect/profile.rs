//! What one identity does under one intent, and what is new in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use safeconduct_model::{ActionName, EntityType, Timestamp};

use super::drift::Drift;
use super::glimpse::Act;
use super::{Finding, Tuning, doubled};
use crate::fixed::BITS;
use crate::{Kind, Severity};

/// Most actions of a profile. Where one has more, no action is unheard of any more, and the rest
/// counts as one for drift.
pub const ACTIONS_PER_PROFILE_MAX: usize = 128;

/// Most classes of resource of a profile; where one has more, none is unheard of any more.
pub const CLASSES_PER_PROFILE_MAX: usize = 64;

/// Most pairs of actions of a profile; where one has more, none is unheard of any more.
pub const PAIRS_PER_PROFILE_MAX: usize = 512;

/// Hours of the past that a volume is compared with: the last in which something was done.
const HOURS_REMEMBERED: usize = 24;

const HOUR: i64 = 3_600_000;

/// An action's number in its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ActionNo(pub(super) u16);

/// The number of all actions that found no room.
const OTHER: ActionNo = ActionNo(ACTIONS_PER_PROFILE_MAX as u16);

/// One decision, as a profile sees it.
pub(super) struct Seen<'a> {
    pub(super) act: &'a Act<'a>,
    pub(super) at: Timestamp,
    /// What the session did before.
    pub(super) before: Option<ActionNo>,
}

/// What was done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Profile {
    /// Decisions that it has learned from.
    learned: u64,
    actions: BTreeMap<ActionName, ActionNo>,
    classes: BTreeSet<EntityType>,
    pairs: BTreeSet<(ActionNo, ActionNo)>,
    /// What `learned` was when the last pair was new.
    pair_learned_at: u64,
    /// Decisions by hour of the day in UTC.
    hours: [u32; 24],
    days: u64,
    last_day: Option<i64>,
    /// The hour that is being counted, since the epoch.
    hour: i64,
    in_hour: u64,
    earlier: VecDeque<u64>,
    drift: Drift,
    /// When each kind last spoke.
    spoke: BTreeMap<Kind, Timestamp>,
}

impl Profile {
    /// Takes a decision in, and says what is unusual about it. Returns the action's number, where
    /// it went ahead.
    pub(super) fn take(
        &mut self,
        seen: &Seen<'_>,
        tuning: &Tuning,
        found: &mut Vec<Finding>,
    ) -> Option<ActionNo> {
        self.volume(seen, tuning, found);
        self.hour(seen, tuning, found);
        self.action(seen, tuning, found);
        self.classes(seen, tuning, found);
        self.pair(seen, tuning, found);
        if !seen.act.went_ahead {
            return None;
        }
        self.learned += 1;
        let action = self.number(seen.act.action);
        self.drift(action, seen, tuning, found);
        Some(action)
    }

    fn action(&mut self, seen: &Seen<'_>, tuning: &Tuning, found: &mut Vec<Finding>) {
        let action = seen.act.action;
        let room = self.actions.len() < ACTIONS_PER_PROFILE_MAX;
        if !room || self.actions.contains_key(action) || self.learned < tuning.learned_after {
            return;
        }
        if seen.act.went_ahead || self.may_speak(Kind::UnseenAction, seen.at, tuning) {
            found.push(Finding {
                kind: Kind::UnseenAction,
                severity: Severity::Low,
                confidence: 80,
                topic: action.shared(),
                detail: format!("never in {} decisions", self.learned),
            });
        }
    }

    fn classes(&mut self, seen: &Seen<'_>, tuning: &Tuning, found: &mut Vec<Finding>) {
        for resource in seen.act.resources {
            let room = self.classes.len() < CLASSES_PER_PROFILE_MAX;
            if !room || self.classes.contains(&resource.ty) {
                continue;
            }
            let learned = self.learned >= tuning.learned_after;
            let speaks = learned
                && (seen.act.went_ahead || self.may_speak(Kind::UnseenResource, seen.at, tuning));
            if speaks {
                found.push(Finding {
                    kind: Kind::UnseenResource,
                    severity: Severity::Moderate,
                    confidence: 60,
                    topic: resource.ty.shared(),
                    detail: format!("never in {} decisions", self.learned),
                });
            }
            if seen.act.went_ahead {
                self.classes.insert(resource.ty.clone());
            }
        }
    }

    /// Two known actions in an order that is new, where no order was new for some time.
    fn pair(&mut self, seen: &Seen<'_>, tuning: &Tuning, found: &mut Vec<Finding>) {
        let known = self.actions.get(seen.act.action).copied();
        let (Some(before), Some(now)) = (seen.before, known) else { return };
        let room = self.pairs.len() < PAIRS_PER_PROFILE_MAX;
        if !room || self.pairs.contains(&(before, now)) {
            return;
        }
        let settled = self.learned.saturating_sub(self.pair_learned_at) >= tuning.learned_after;
        let learned = self.learned >= tuning.pairs_learned_after;
        let may = learned && settled;
        if may && (seen.act.went_ahead || self.may_speak(Kind::UnseenPair, seen.at, tuning)) {
            let name = self.actions.iter().find(|(_, number)| **number == before);
            let name = name.map_or("?", |(name, _)| name.as_str());
            found.push(Finding {
                kind: Kind::UnseenPair,
                severity: Severity::Low,
                confidence: 60,
                topic: format!("{name} > {}", seen.act.action).into(),
                detail: format!("never in {} decisions", self.learned),
            });
        }
        if seen.act.went_ahead {
            self.pairs.insert((before, now));
            self.pair_learned_at = self.learned;
        }
    }

    fn hour(&mut self, seen: &Seen<'_>, tuning: &Tuning, found: &mut Vec<Finding>) {
        let day = seen.at.as_millis().div_euclid(24 * HOUR);
        // INVARIANT: a remainder by 24 fits.
        let hour = seen.at.as_millis().div_euclid(HOUR).rem_euclid(24) as usize;
        let all: u64 = self.hours.iter().map(|n| u64::from(*n)).sum();
        let near = [hour + 23, hour, hour + 1].map(|hour| self.hours.get(hour % 24).copied());
        let near: u64 = near.into_iter().flatten().map(u64::from).sum();
        let rare = near.saturating_mul(tuning.hour_rarer_than) < all;
        let learned =
            self.days >= tuning.hours_learned_days && self.learned >= tuning.learned_after;
        if rare && learned && self.may_speak(Kind::UnusualHour, seen.at, tuning) {
            found.push(Finding {
                kind: Kind::UnusualHour,
                severity: Severity::Low,
                confidence: 70,
                topic: Arc::default(),
                detail: format!("{near} of {all} decisions around {hour}:00 UTC"),
            });
        }
        if seen.act.went_ahead {
            if self.last_day.is_none_or(|last| last < day) {
                self.last_day = Some(day);
                self.days += 1;
            }
            if let Some(count) = self.hours.get_mut(hour) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Everything that is asked for counts: a flood of denials is a volume too.
    fn volume(&mut self, seen: &Seen<'_>, tuning: &Tuning, found: &mut Vec<Finding>) {
        let hour = seen.at.as_millis().div_euclid(HOUR);
        if hour > self.hour {
            if self.in_hour > 0 {
                self.earlier.push_back(self.in_hour);
            }
            if self.earlier.len() > HOURS_REMEMBERED {
                self.earlier.pop_front();
            }
            (self.hour, self.in_hour) = (hour, 0);
        }
        self.in_hour += 1;
        if self.earlier.len() < tuning.volume_learned_hours.max(1) {
            return;
        }
        let usual = self.earlier.iter().sum::<u64>() / self.earlier.len() as u64;
        let most = usual.saturating_mul(tuning.volume_times).max(tuning.volume_calls);
        if let Some(times) = doubled(self.in_hour, most) {
            found.push(Finding {
                kind: Kind::UnusualVolume,
                severity: if times < 4 { Severity::Moderate } else { Severity::High },
                confidence: 60,
                topic: Arc::default(),
                detail: format!("{} decisions in an hour; usual are {usual}", self.in_hour),
            });
        }
    }

    fn drift(
        &mut self,
        action: ActionNo,
        seen: &Seen<'_>,
        tuning: &Tuning,
        found: &mut Vec<Finding>,
    ) {
        let Some(divergence) = self.drift.take(action, tuning.drift_learned_after) else { return };
        let millibits = (divergence * 1000) >> BITS;
        if millibits >= tuning.drift_millibits && self.may_speak(Kind::Drift, seen.at, tuning) {
            found.push(Finding {
                kind: Kind::Drift,
                severity: Severity::Moderate,
                confidence: 70,
                topic: Arc::default(),
                detail: format!(
                    "Jensen-Shannon divergence of {millibits} thousandths of a bit; {} are drift",
                    tuning.drift_millibits
                ),
            });
        }
    }

    /// The number of an action, which is given where there is room.
    fn number(&mut self, action: &ActionName) -> ActionNo {
        if let Some(number) = self.actions.get(action) {
            return *number;
        }
        match u16::try_from(self.actions.len()).map(ActionNo) {
            Ok(number) if number < OTHER => {
                self.actions.insert(action.clone(), number);
                number
            }
            _ => OTHER,
        }
    }

    /// Whether a kind has been quiet for long enough; then it is not any more.
    fn may_speak(&mut self, kind: Kind, at: Timestamp, tuning: &Tuning) -> bool {
        if self.spoke.get(&kind).is_some_and(|last| at.ms_since(*last) < tuning.quiet_ms) {
            return false;
        }
        self.spoke.insert(kind, at);
        true
    }
}
