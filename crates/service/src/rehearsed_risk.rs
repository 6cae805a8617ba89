//! Risk in tests: what is told of somebody counts as on a server, by the same rules and without
//! one.

use std::collections::BTreeSet;

use safeconduct_engine::Known;
use safeconduct_model::signal::{About, Confidence, Kind, Severity, SignalError, Source};
use safeconduct_model::{IdentityId, IdentityStatus, KillScope, Request, Signal, Timestamp};
use safeconduct_risk::{HalfLives, RiskScore, Signals};

use crate::risk::people;

/// What was told in a test, and whom it stopped.
#[derive(Debug, Clone, Default)]
pub struct RehearsedRisk {
    signals: Signals,
    stopped: BTreeSet<IdentityId>,
    told: u64,
}

impl RehearsedRisk {
    /// Takes in what is told of somebody, seen at that time. What revokes stops them.
    ///
    /// # Errors
    /// [`SignalError`] where it is over a limit.
    pub fn tell(
        &mut self,
        about: &IdentityId,
        kind: Kind,
        (severity, confidence): (Severity, Confidence),
        at: Timestamp,
    ) -> Result<(), SignalError> {
        self.told += 1;
        let (source, id) = (Source::Webhook("test".into()), format!("told_{}", self.told));
        let signal = Signal::new(About::Identity(about.clone()), kind, severity, source, id, at);
        let signal = Signal { confidence, ..signal };
        if let Some(KillScope::Identity(id)) = signal.stops() {
            self.stopped.insert(id);
        }
        self.signals.put(signal, at).map(drop)
    }

    /// How risky a request is, where anything was told: who asks and of whom they speak count,
    /// and these others, for whom it is and who delegated.
    pub fn score<'a>(
        &self,
        request: &Request,
        others: impl IntoIterator<Item = &'a IdentityId>,
        at: Timestamp,
    ) -> Option<RiskScore> {
        if self.told == 0 {
            return None;
        }
        let mut about = About::concerned(&request.session.key, None);
        for id in people(request, None).chain(others.into_iter().cloned()) {
            about.extend([About::Identity(id.clone()), About::User(id)]);
        }
        Some(self.signals.weigh(&about, at, &HalfLives::default()))
    }

    /// Somebody as they stand after what was told.
    #[must_use]
    pub fn standing(&self, mut known: Known) -> Known {
        let active = known.identity.status == IdentityStatus::Active;
        if active && self.stopped.contains(&known.identity.id) {
            known.identity.status = IdentityStatus::Suspended;
        }
        known
    }
}
