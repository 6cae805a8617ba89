//! Identities: dormant, orphaned, shared, and used by what they are not.

use safeconduct_model::signal::Severity;
use safeconduct_model::{IdentityKind, IdentityStatus};

use super::{days, written};
use crate::finding::{
    Age, FactSheet, FindingKind, IdentityFacts, Looked, Observed, PaceFacts, PersonFacts,
    SharingFacts, Subject, Thresholds, Window,
};

impl Thresholds {
    /// Judges an identity: does it still act, and does anybody answer for it? People answer for
    /// themselves, and need not act.
    pub fn identity(&self, facts: &IdentityFacts, window: Window, looked: &mut Looked) {
        let retired = facts.status == IdentityStatus::Retired;
        if facts.kind == IdentityKind::User || retired {
            return;
        }
        self.orphaned(facts, looked);
        if facts.status == IdentityStatus::Active {
            self.dormant(facts, window, looked);
        }
    }

    fn orphaned(&self, facts: &IdentityFacts, looked: &mut Looked) {
        let Some(problem) = facts.owner.problem() else { return };
        let who = |id: Option<&safeconduct_model::IdentityId>| {
            id.map(ToString::to_string).unwrap_or_default()
        };
        let fallback = facts.fallback.problem();
        let sheet = FactSheet::default()
            .text("problem", problem)
            .text("owner", who(facts.owner.who()))
            .text("fallback_owner", who(facts.fallback.who()))
            .text("fallback_problem", fallback.unwrap_or_default());
        let subject = Subject::identity(&facts.id);
        let mut observed = Observed::new(FindingKind::OrphanedIdentity, subject, sheet);
        if fallback.is_none() {
            // Somebody still answers: an owner is to be named.
            observed.severity = Severity::Moderate;
        }
        looked.observed.push(observed.shown_by(&facts.evidence));
    }

    fn dormant(&self, facts: &IdentityFacts, window: Window, looked: &mut Looked) {
        let needed = self.dormant_after_ms;
        if facts.last_seen.is_some_and(|last| window.ago_ms(last) < needed) {
            return;
        }
        let (kind, subject) = (FindingKind::DormantIdentity, Subject::identity(&facts.id));
        let sheet = FactSheet::default()
            .text("registered_at", written(facts.registered_at))
            .text("last_seen", facts.last_seen.map(written).unwrap_or_default())
            .number("window_days", days(needed));
        let mut observed = Observed::new(kind, subject.clone(), sheet).shown_by(&facts.evidence);
        if window.ago_ms(facts.registered_at) < needed {
            observed.age = Age::Young;
        } else if looked.too_short(kind, &subject, window, needed) {
            return;
        }
        looked.observed.push(observed);
    }

    /// Judges signs that more than one use an identity.
    pub fn sharing(&self, facts: &SharingFacts, window: Window, looked: &mut Looked) {
        let in_turns = facts.in_turns.len() > 1 && facts.returns >= self.returns;
        if !self.is_recent(window, facts.last) || (facts.two_places.is_none() && !in_turns) {
            return;
        }
        let mut signs = Vec::new();
        signs.extend(facts.two_places.map(|_| "two places in one session"));
        signs.extend(in_turns.then_some("two credentials in turns"));
        let both = if signs.len() > 1 { Severity::High } else { Severity::Moderate };
        let in_turns = facts.in_turns.iter().filter(|_| in_turns);
        let sheet = FactSheet::default().texts("signs", signs).texts("credentials", in_turns);
        let subject = Subject::identity(&facts.identity);
        let observed = Observed::new(FindingKind::SharedIdentity, subject, sheet);
        let places = facts.two_places.unwrap_or(Severity::Moderate);
        looked.observed.push(observed.at_least(both.max(places)).shown_by(&facts.evidence));
    }

    /// Judges signs that a person acts as a program.
    pub fn person(&self, facts: &PersonFacts, window: Window, looked: &mut Looked) {
        let recent = facts.last.is_some_and(|last| self.is_recent(window, last));
        let by_passkey = if recent { facts.by_passkey } else { 0 };
        let answers = if recent { facts.answers } else { 0 };
        let signs = [
            ("passkeys are registered for it", facts.passkeys),
            ("it proved itself by a passkey", by_passkey),
            ("it answered what people are asked", answers),
        ];
        let signs: Vec<_> =
            signs.into_iter().filter(|(_, count)| *count > 0).map(|(sign, _)| sign).collect();
        if signs.is_empty() || facts.kind == IdentityKind::User {
            return;
        }
        let sheet = FactSheet::default()
            .text("kind_of_identity", facts.kind.as_str())
            .texts("signs", signs);
        let subject = Subject::identity(&facts.identity);
        let observed = Observed::new(FindingKind::AgentUsedByPerson, subject, sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }

    /// Judges whether a program acts as a person.
    pub fn pace(&self, facts: &PaceFacts, window: Window, looked: &mut Looked) {
        let fast = facts.calls_a_minute >= self.calls_a_minute;
        let sleepless = facts.hours_a_day >= self.hours_a_day;
        if !self.is_recent(window, facts.last) || !(fast || sleepless) {
            return;
        }
        let mut signs = Vec::new();
        signs.extend(fast.then_some("more calls in a minute than a person makes"));
        signs.extend(sleepless.then_some("calls in nearly every hour of a day"));
        let sheet = FactSheet::default()
            .texts("signs", signs)
            .number("calls_a_minute", facts.calls_a_minute)
            .number("hours_a_day", facts.hours_a_day.into());
        let subject = Subject::identity(&facts.identity);
        let observed = Observed::new(FindingKind::PersonUsedByAgent, subject, sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }
}
