//! Conduct: how people answer, what agents do under their intents, and what enforcement points
//! say of it.

use super::written;
use crate::finding::{
    AnswerFacts, CoverageFacts, DriftFacts, FactSheet, FindingKind, Looked, Observed, Subject,
    Thing, Thresholds, Window,
};

/// So many in a hundred answers are yes where nobody reads.
const YES_PERCENT: u64 = 95;

impl Thresholds {
    /// Judges how somebody answers.
    pub fn answers(&self, facts: &AnswerFacts, looked: &mut Looked) {
        let yes = facts.approved.saturating_mul(100) >= facts.answers.saturating_mul(YES_PERCENT);
        let fast = facts.median_ms < self.read_ms;
        let at_once = facts.batch >= self.batch;
        if facts.answers < self.least_sample || !yes || !(fast || at_once) {
            return;
        }
        let mut signs = Vec::new();
        signs.extend(fast.then_some("faster than anybody reads"));
        signs.extend(at_once.then_some("many in one go"));
        let median_s = u64::try_from(facts.median_ms / 1000).unwrap_or_default();
        let sheet = FactSheet::default()
            .texts("signs", signs)
            .number("answers", facts.answers)
            .number("approved", facts.approved)
            .number("median_s", median_s)
            .number("largest_batch", facts.batch);
        let observed =
            Observed::new(FindingKind::RubberStamping, Subject::identity(&facts.by), sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }

    /// Judges what detectors said of an intent.
    pub fn drift(&self, facts: &DriftFacts, window: Window, looked: &mut Looked) {
        if !self.is_recent(window, facts.last) {
            return;
        }
        let sheet = FactSheet::default().text("last", written(facts.last));
        let subject = match &facts.intent {
            Some(intent) => Subject::of(&facts.identity, Thing::Intent, intent.shared()),
            None => Subject::identity(&facts.identity),
        };
        let observed = Observed::new(FindingKind::IntentDrift, subject, sheet);
        looked.observed.push(observed.at_least(facts.severity).shown_by(&facts.evidence));
    }

    /// Judges what an enforcement point says of an action.
    pub fn coverage(&self, facts: &CoverageFacts, looked: &mut Looked) {
        if facts.decisions < self.least_sample {
            return;
        }
        let mut lacks = Vec::new();
        lacks.extend((!facts.known).then_some("the catalogue does not know it"));
        let taskless = facts.wants_task && facts.in_task == 0;
        lacks.extend(taskless.then_some("an intent holds it, and no task is named"));
        let bare = facts.wants_resource && facts.with_resource == 0;
        lacks.extend(bare.then_some("it has resources, and none is named"));
        if lacks.is_empty() {
            return;
        }
        let sheet = FactSheet::default().texts("lacks", lacks);
        let subject = Subject::of(&facts.pep, Thing::Action, facts.action.shared());
        let observed = Observed::new(FindingKind::MissingCoverage, subject, sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }
}
