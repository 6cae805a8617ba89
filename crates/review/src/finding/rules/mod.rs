//! The rules: facts in, what is wrong out. One function for each sort of facts.

mod conduct;
mod credentials;
mod grants;
mod identities;

use safeconduct_model::signal::Severity;
use safeconduct_model::{Tier, Timestamp};

use super::{FindingKind, Looked, NotJudged, Subject, Thresholds, Window};

/// How bad it is that somebody could do that and does not.
const fn severity_of(tier: Tier) -> Severity {
    match tier {
        Tier::Low => Severity::Low,
        Tier::Moderate => Severity::Moderate,
        Tier::High | Tier::Critical => Severity::High,
    }
}

/// A time, as texts have it.
fn written(at: Timestamp) -> String {
    at.to_ascii().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// Whole days, rounded down.
fn days(ms: i64) -> u64 {
    u64::try_from(ms / super::DAY_MS).unwrap_or_default()
}

impl Looked {
    /// Whether less is tracked than a rule needs; then it is said that this is not judged.
    fn too_short(
        &mut self,
        kind: FindingKind,
        subject: &Subject,
        window: Window,
        needed_ms: i64,
    ) -> bool {
        let tracked_ms = window.tracked_ms();
        if tracked_ms >= needed_ms {
            return false;
        }
        self.not_judged.push(NotJudged { kind, subject: subject.clone(), tracked_ms, needed_ms });
        true
    }
}

impl Thresholds {
    /// Whether something that happened then is still held against anybody.
    fn is_recent(&self, window: Window, at: Timestamp) -> bool {
        window.ago_ms(at) < self.recent_ms
    }
}
