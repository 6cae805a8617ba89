//! Credentials: tokens, leases, and what was used too late.

use safeconduct_model::signal::Severity;
use safeconduct_model::{IdentityStatus, LeaseState};

use super::{days, written};
use crate::finding::{
    FactSheet, FindingKind, LateUseFacts, LeaseFacts, Looked, Observed, Subject, Thing, Thresholds,
    TokenFacts, Window,
};

/// A life that is bad whatever the threshold: a year, in milliseconds.
const YEAR_MS: i64 = 365 * super::super::DAY_MS;

impl Thresholds {
    /// Judges a token that stands.
    pub fn token(&self, facts: &TokenFacts, looked: &mut Looked) {
        let subject = Subject::of(&facts.identity, Thing::Token, facts.id.shared());
        let sheet = FactSheet::default()
            .text("issued_at", written(facts.issued_at))
            .text("expires_at", written(facts.expires_at));
        let gone = match facts.status {
            None => Some("unknown"),
            Some(IdentityStatus::Retired) => Some("retired"),
            Some(_) => None,
        };
        if let Some(gone) = gone {
            let sheet = sheet.clone().text("identity_is", gone);
            let observed = Observed::new(FindingKind::OrphanedToken, subject.clone(), sheet);
            looked.observed.push(observed.shown_by(&facts.evidence));
        }
        let life_ms = facts.expires_at.ms_since(facts.issued_at);
        if life_ms > self.token_life_ms {
            let worse = if life_ms > YEAR_MS { Severity::High } else { Severity::Moderate };
            let sheet = sheet
                .number("life_days", days(life_ms))
                .number("longest_days", days(self.token_life_ms))
                .text("used", if facts.last_used.is_some() { "yes" } else { "never" });
            let observed = Observed::new(FindingKind::LongLivedCredential, subject, sheet);
            looked.observed.push(observed.at_least(worse).shown_by(&facts.evidence));
        }
    }

    /// Judges a lease.
    pub fn lease(&self, facts: &LeaseFacts, window: Window, looked: &mut Looked) {
        let over = facts.task_ended.is_some_and(|ended| window.ago_ms(ended) > self.lease_grace_ms);
        let kind = match facts.state {
            LeaseState::Irrevocable => FindingKind::IrrevocableLease,
            state if !state.is_final() && over => FindingKind::OrphanedLease,
            _ => return,
        };
        let sheet = FactSheet::default()
            .text("target", facts.target.as_str())
            .text("name_at_target", &facts.name)
            .text("task", facts.task.as_str())
            .text("state", facts.state.as_str())
            .text("task_ended_at", facts.task_ended.map(written).unwrap_or_default())
            .text("problem", facts.detail.as_deref().unwrap_or_default());
        let subject =
            Subject { whom: facts.agent.clone(), thing: Thing::Lease, name: facts.id.shared() };
        looked.observed.push(Observed::new(kind, subject, sheet).shown_by(&facts.evidence));
    }

    /// Judges the use of a credential after its task.
    pub fn late_use(&self, facts: &LateUseFacts, window: Window, looked: &mut Looked) {
        if !self.is_recent(window, facts.last) {
            return;
        }
        let sheet = FactSheet::default()
            .texts("tokens", &facts.tokens)
            .texts("actions", &facts.actions)
            .text("last", written(facts.last));
        let subject = Subject::of(&facts.identity, Thing::Task, facts.task.shared());
        let observed = Observed::new(FindingKind::UsedAfterTask, subject, sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }
}
