//! Rights: unused, over-broad, unexplained, and beyond what intents need.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Digest, Tier};

use super::{days, severity_of, written};
use crate::finding::{
    Age, FactSheet, FindingKind, GrantFacts, Looked, Observed, PolicyFacts, Subject, Thing,
    Thresholds, UnexplainedFacts, Window,
};

impl Thresholds {
    /// Judges a standing right: is it used at all, and is all of it used?
    pub fn grant(&self, facts: &GrantFacts, window: Window, looked: &mut Looked) {
        let used = facts.used.last.is_some_and(|last| window.ago_ms(last) < self.unused_after_ms);
        let broad = used.then(|| self.over_broad(facts, window)).flatten();
        let (kind, observed) = match used {
            false => (FindingKind::UnusedGrant, Some(self.unused(facts, window))),
            true => (FindingKind::OverBroadGrant, broad),
        };
        let Some(mut observed) = observed else { return };
        if window.ago_ms(facts.since) < self.unused_after_ms {
            observed.age = Age::Young;
        } else if looked.too_short(kind, &observed.subject, window, self.unused_after_ms) {
            return;
        }
        looked.observed.push(observed);
    }

    fn unused(&self, facts: &GrantFacts, window: Window) -> Observed {
        let tier = facts.actions.values().map(|action| action.tier).max();
        let sheet = self.sheet(facts, window).texts("actions", facts.actions.keys());
        let sheet = match facts.used.last {
            Some(last) => sheet.text("last_used", written(last)),
            None => sheet,
        };
        Observed::new(FindingKind::UnusedGrant, subject(facts), sheet)
            .at_least(tier.map_or(FindingKind::UnusedGrant.severity(), severity_of))
            .shown_by(facts.used.evidence.iter().chain(&facts.evidence))
    }

    fn over_broad(&self, facts: &GrantFacts, window: Window) -> Option<Observed> {
        let never: Vec<_> =
            facts.actions.iter().filter(|(name, _)| !facts.used.actions.contains(*name)).collect();
        let touched: BTreeSet<&Arc<str>> = facts
            .actions
            .iter()
            .filter(|(name, _)| facts.used.actions.contains(*name))
            .flat_map(|(_, action)| &action.classes)
            .collect();
        let untouched: BTreeSet<&Arc<str>> = never
            .iter()
            .flat_map(|(_, action)| &action.classes)
            .filter(|class| !touched.contains(class))
            .collect();
        let any_resource = facts.any_resource && !facts.used.resources_more;
        if never.is_empty() && !any_resource {
            return None;
        }
        let wildcards = [("actions", facts.any_action), ("resources", any_resource)];
        let wildcards = wildcards.into_iter().filter(|(_, any)| *any).map(|(name, _)| name);
        let tier = never.iter().map(|(_, action)| action.tier).max().unwrap_or(Tier::Low);
        let sheet = self
            .sheet(facts, window)
            .texts("wildcards", wildcards)
            .texts("actions_never_used", never.iter().map(|(name, _)| name))
            .texts("classes_never_touched", untouched)
            .texts("actions_used", &facts.used.actions);
        let observed = Observed::new(FindingKind::OverBroadGrant, subject(facts), sheet)
            .at_least(severity_of(tier))
            .shown_by(facts.used.evidence.iter().chain(&facts.evidence));
        Some(observed)
    }

    /// What is said of every right. Where it is older than the window, that is said too: what came
    /// before is not looked at.
    fn sheet(&self, facts: &GrantFacts, window: Window) -> FactSheet {
        let older = window.ago_ms(facts.since) > self.unused_after_ms;
        FactSheet::default()
            .text("given_by", &facts.name)
            .text("kind_of_grant", facts.source)
            .text("grant", hex(&facts.grant))
            .text("at", facts.place.as_deref().unwrap_or_default())
            .text("held_since", written(facts.since))
            .number("window_days", days(self.unused_after_ms))
            .text("window_covers_its_life", if older { "no" } else { "yes" })
    }

    /// Judges a right that is counted in use and that nothing in force gives.
    pub fn unexplained(&self, facts: &UnexplainedFacts, window: Window, looked: &mut Looked) {
        let Some(last) = facts.used.last else { return };
        if window.ago_ms(last) >= self.unused_after_ms {
            return;
        }
        let sheet = FactSheet::default()
            .text("given_by", &facts.policy)
            .text("policy_in_force", if facts.in_force { "yes, not for them" } else { "no" })
            .texts("actions", &facts.used.actions)
            .text("last_used", written(last));
        let name = format!("statement {}", facts.policy);
        let subject = Subject::of(&facts.holder, Thing::Grant, name);
        let observed = Observed::new(FindingKind::OrphanGrant, subject, sheet);
        looked.observed.push(observed.shown_by(&facts.used.evidence));
    }

    /// Judges a policy that agents have rights by, where there are intents at all.
    pub fn policy(&self, facts: &PolicyFacts, looked: &mut Looked) {
        let Some(tier) = facts.beyond.values().max() else { return };
        let sheet = FactSheet::default()
            .text("at", &facts.place)
            .number("agents", facts.holders)
            .texts("actions", facts.beyond.keys());
        let name = facts.policy.shared();
        let subject = Subject { whom: None, thing: Thing::Policy, name };
        let observed = Observed::new(FindingKind::PolicyBeyondIntents, subject, sheet);
        looked.observed.push(observed.at_least(severity_of(*tier)).shown_by(&facts.evidence));
    }
}

fn subject(facts: &GrantFacts) -> Subject {
    Subject::of(&facts.holder, Thing::Grant, format!("{} {}", facts.source, facts.name))
}

fn hex(digest: &Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
