//! What one session does, call by call: bursts, streaks of denials, and from where.

use std::sync::Arc;

use safeconduct_model::{Decision, NetworkDigest, Timestamp};

use super::profile::ActionNo;
use super::{Finding, Tuning, doubled};
use crate::{Kind, Severity};

/// The state of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// What it did last.
    pub(super) last: Option<ActionNo>,
    denials: u64,
    /// The window that is being counted, since the epoch.
    window: i64,
    count: u64,
    before: u64,
    /// When a burst was last spoken of, and whether of a bad one.
    burst: Option<(Timestamp, Severity)>,
    /// The network of the last call of which one is known, and when that was.
    here: Option<(NetworkDigest, Timestamp)>,
    /// The one before it that was another.
    elsewhere: Option<(NetworkDigest, Timestamp)>,
    /// When two networks were last spoken of, and how badly.
    places: Option<(Timestamp, Severity)>,
}

impl Run {
    /// Takes a decision in.
    pub(super) fn take(
        &mut self,
        decision: Decision,
        at: Timestamp,
        tuning: &Tuning,
        found: &mut Vec<Finding>,
    ) {
        self.streak(decision, tuning, found);
        self.rate(at, tuning, found);
    }

    /// Takes in from where a call came. To move is little; to be there again where one was just
    /// before is to be in two places.
    pub(super) fn came_from(
        &mut self,
        network: NetworkDigest,
        at: Timestamp,
        tuning: &Tuning,
        found: &mut Vec<Finding>,
    ) {
        let lately = |seen: Option<(NetworkDigest, Timestamp)>| {
            seen.filter(|(_, when)| at.ms_since(*when) < tuning.places_window_ms)
        };
        let (here, elsewhere) = (lately(self.here), lately(self.elsewhere));
        let Some((last, when)) = here.filter(|(last, _)| *last != network) else {
            self.here = Some((network, at));
            return;
        };
        self.here = Some((network, at));
        self.elsewhere = Some((last, when));
        let severity = match elsewhere.is_some_and(|(before, _)| before == network) {
            true => Severity::High,
            false => Severity::Low,
        };
        let quiet = self.places.is_some_and(|(spoke, spoken)| {
            at.ms_since(spoke) < tuning.quiet_ms && severity <= spoken
        });
        if !quiet {
            self.places = Some((at, severity));
            found.push(Finding {
                kind: Kind::TwoPlaces,
                severity,
                confidence: 70,
                topic: Arc::default(),
                detail: format!("another network {} ms after", at.ms_since(when)),
            });
        }
    }

    fn streak(&mut self, decision: Decision, tuning: &Tuning, found: &mut Vec<Finding>) {
        if decision == Decision::Permit {
            self.denials = 0;
            return;
        }
        self.denials += 1;
        if let Some(times) = doubled(self.denials, tuning.denials) {
            found.push(Finding {
                kind: Kind::DenialStreak,
                severity: match times {
                    1 => Severity::Low,
                    2 => Severity::Moderate,
                    _ => Severity::High,
                },
                confidence: 90,
                topic: Arc::default(),
                detail: format!("{} denials in a row", self.denials),
            });
        }
    }

    /// A sliding window of two counts: the last window's counts for the part of it that the
    /// sliding one still covers.
    fn rate(&mut self, at: Timestamp, tuning: &Tuning, found: &mut Vec<Finding>) {
        let length = tuning.burst_window_ms.max(1);
        let window = at.as_millis().div_euclid(length);
        if window > self.window {
            self.before = if window - self.window == 1 { self.count } else { 0 };
            (self.window, self.count) = (window, 0);
        }
        self.count += 1;
        let covered = (length - at.as_millis().rem_euclid(length)).unsigned_abs();
        let rate = self.count + self.before.saturating_mul(covered) / length.unsigned_abs();
        if rate < tuning.burst_calls {
            return;
        }
        let severity = match rate >= tuning.burst_calls.saturating_mul(4) {
            true => Severity::High,
            false => Severity::Moderate,
        };
        let quiet = self.burst.is_some_and(|(last, spoken)| {
            at.ms_since(last) < tuning.quiet_ms && severity <= spoken
        });
        if !quiet {
            self.burst = Some((at, severity));
            found.push(Finding {
                kind: Kind::Burst,
                severity,
                confidence: 80,
                topic: Arc::default(),
                detail: format!("{rate} decisions in {length} ms"),
            });
        }
    }
}
