//! Conduct: how people answer, what agents do under their intents, and what enforcement points
//! say of it.

use super::written;
use crate::finding::{
    AnswerCounts, AnswerFacts, CoverageFacts, DriftFacts, FactSheet, FindingKind, Looked, Observed,
    Subject, Thing, Thresholds, Window,
};

impl Thresholds {
    /// Judges how somebody answers: access requests, and cases of campaigns, each by themselves.
    pub fn answers(&self, facts: &AnswerFacts, looked: &mut Looked) {
        let (fast, at_once) = self.unread(&facts.requests);
        let (cases_fast, cases_at_once) = self.unread(&facts.cases);
        let mut signs = Vec::new();
        signs.extend(fast.then_some("faster than anybody reads"));
        signs.extend(at_once.then_some("many in one go"));
        signs.extend(cases_fast.then_some("cases of reviews faster than anybody reads"));
        signs.extend(cases_at_once.then_some("many cases of reviews in one go"));
        if signs.is_empty() {
            return;
        }
        let mut sheet = FactSheet::default().texts("signs", signs);
        let named = [
            (&facts.requests, ["answers", "approved", "median_s", "largest_batch"]),
            (&facts.cases, ["cases", "accepted", "case_median_s", "largest_case_batch"]),
        ];
        for (counts, [answers, yes, median, batch]) in named {
            if counts.answers > 0 {
                let median_s = u64::try_from(counts.median_ms / 1000).unwrap_or_default();
                sheet = sheet
                    .number(answers, counts.answers)
                    .number(yes, counts.yes)
                    .number(median, median_s)
                    .number(batch, counts.batch);
            }
        }
        let observed =
            Observed::new(FindingKind::RubberStamping, Subject::identity(&facts.by), sheet);
        looked.observed.push(observed.shown_by(&facts.evidence));
    }

    /// Whether answers were given faster, or more at once, than anybody reads. Who says no now and
    /// then has read.
    fn unread(&self, counts: &AnswerCounts) -> (bool, bool) {
        let yes = counts.yes.saturating_mul(100) >= counts.answers.saturating_mul(self.yes_percent);
        let enough = counts.answers >= self.least_sample && yes;
        (enough && counts.median_ms < self.read_ms, enough && counts.batch >= self.batch)
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
