//! The book of findings: a fold of their steps, and what a new look at the estate changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::signal::Severity;
use safeconduct_model::{IdentityId, RecordId, Timestamp};

use super::{
    Age, ExemptError, Exemption, ExemptionWish, FactSheet, FindingId, FindingKind, Looked,
    Observed, Subject,
};

/// Most findings that are kept, closed ones included. Where there is no room, the one that was
/// closed first is forgotten; where none is closed, what is least bad is not opened, and counted.
pub const FINDINGS_MAX: usize = 100_000;

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingState {
    /// It is so, and somebody has to do something.
    Open,
    /// It is so, and a person has said that it may be, for a time.
    Exempt,
    /// It is not so any more.
    Closed,
}

impl FindingState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Exempt, Self::Closed];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Exempt => "exempt",
            Self::Closed => "closed",
        }
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Something that is wrong, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub id: FindingId,
    /// What is wrong.
    pub kind: FindingKind,
    /// With what.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// What it rests on.
    pub facts: FactSheet,
    /// The records that show it.
    pub evidence: Vec<RecordId>,
    /// When it was found first.
    pub opened_at: Timestamp,
    /// When it was last opened, changed or closed.
    pub changed_at: Timestamp,
    /// When it was closed, where it is.
    pub closed_at: Option<Timestamp>,
    /// How often it came back.
    pub reopened: u32,
    /// The last exemption. It may be over: [`Finding::state`] looks.
    pub exemption: Option<Exemption>,
    /// Its own steps so far.
    pub steps: u64,
}

impl Finding {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> FindingState {
        let exempt = self.exemption.as_ref().is_some_and(|exemption| now < exemption.until);
        match (self.closed_at, exempt) {
            (Some(_), _) => FindingState::Closed,
            (None, true) => FindingState::Exempt,
            (None, false) => FindingState::Open,
        }
    }

    fn observed(&mut self, observed: Observed, at: Timestamp) {
        let Observed { severity, facts, evidence, .. } = observed;
        (self.severity, self.facts, self.evidence) = (severity, facts, evidence);
        self.changed_at = at;
        self.closed_at = None;
    }

    fn says_the_same(&self, observed: &Observed) -> bool {
        self.severity == observed.severity && self.facts == observed.facts
    }
}

/// One step in the life of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingStep {
    /// It was found.
    Opened(Observed),
    /// It is as bad as never before, or rests on something else.
    Changed(Observed),
    /// It came back.
    Reopened(Observed),
    /// It is not so any more.
    Closed,
    /// A person said that it may be so, for a time.
    Exempted(Exemption),
    /// They, or somebody else, took that back.
    Withdrawn {
        /// Who did.
        by: IdentityId,
    },
    /// That time is over.
    Expired,
}

/// A look at the estate, compared with what was known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// What changed, in the order in which it is to be recorded.
    pub steps: Vec<(FindingId, FindingStep)>,
    /// How many findings there was no room for.
    pub left_off: u64,
}

/// All findings: a fold of their steps.
#[derive(Debug, Clone, Default)]
pub struct FindingBook {
    findings: BTreeMap<FindingId, Finding>,
    closed: BTreeSet<(Timestamp, FindingId)>,
}

impl FindingBook {
    /// The finding of that id.
    pub fn finding(&self, id: &FindingId) -> Option<&Finding> {
        self.findings.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values()
    }

    /// How many there are, closed ones included.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// What a look at the whole estate changes. What it could not judge stays as it is; what it
    /// did not observe is closed, where it looked at everything that could have shown it.
    pub fn compare(&self, looked: &Looked, now: Timestamp) -> Compared {
        let mut compared = Compared::default();
        let observed = merged(&looked.observed);
        let unsure: BTreeSet<FindingId> =
            looked.not_judged.iter().map(|not| FindingId::of(not.kind, &not.subject)).collect();
        for (id, finding) in &self.findings {
            let over = finding.exemption.as_ref().is_some_and(|exemption| now >= exemption.until);
            if over {
                compared.steps.push((id.clone(), FindingStep::Expired));
            }
            let seen = observed.get(id);
            let step = match (finding.closed_at, seen) {
                (Some(_), Some(seen)) => Some(FindingStep::Reopened((*seen).clone())),
                (None, Some(seen)) if !finding.says_the_same(seen) => {
                    Some(FindingStep::Changed((*seen).clone()))
                }
                (None, None)
                    if !unsure.contains(id)
                        && looked.would_have_shown(finding.kind, &finding.subject) =>
                {
                    Some(FindingStep::Closed)
                }
                _ => None,
            };
            compared.steps.extend(step.map(|step| (id.clone(), step)));
        }
        self.new_ones(&observed, &mut compared);
        compared
    }

    fn new_ones(&self, observed: &BTreeMap<FindingId, &Observed>, compared: &mut Compared) {
        let is_new = |(id, observed): &(&FindingId, &&Observed)| {
            observed.age == Age::Ripe && !self.findings.contains_key(*id)
        };
        let mut fresh: Vec<_> = observed.iter().filter(is_new).collect();
        // The worst first, so that those have room.
        fresh.sort_by_key(|(_, observed)| std::cmp::Reverse(observed.severity));
        let open = self.findings.len() - self.closed.len();
        let room = FINDINGS_MAX.saturating_sub(open);
        compared.left_off = fresh.len().saturating_sub(room) as u64;
        let opened = fresh.into_iter().take(room);
        compared.steps.extend(
            opened.map(|(id, observed)| (id.clone(), FindingStep::Opened((*observed).clone()))),
        );
    }

    /// The step by which somebody exempts a finding.
    ///
    /// # Errors
    /// [`ExemptError`]: their fault.
    pub fn exempt(
        &self,
        id: &FindingId,
        wish: ExemptionWish,
        exemption: Arc<str>,
        now: Timestamp,
    ) -> Result<FindingStep, ExemptError> {
        let finding = self.findings.get(id).ok_or_else(|| ExemptError::Unknown(id.shared()))?;
        if finding.subject.whom.as_ref() == Some(&wish.by) {
            return Err(ExemptError::OwnCase(wish.by));
        }
        if finding.exemption.as_ref().is_some_and(|exemption| now < exemption.until) {
            return Err(ExemptError::Exempt);
        }
        wish.grant(exemption, now).map(FindingStep::Exempted)
    }

    /// The step by which somebody takes an exemption back.
    ///
    /// # Errors
    /// [`ExemptError`]: their fault.
    pub fn unexempt(
        &self,
        id: &FindingId,
        by: IdentityId,
        now: Timestamp,
    ) -> Result<FindingStep, ExemptError> {
        let finding = self.findings.get(id).ok_or_else(|| ExemptError::Unknown(id.shared()))?;
        match &finding.exemption {
            Some(exemption) if now < exemption.until => Ok(FindingStep::Withdrawn { by }),
            _ => Err(ExemptError::NotExempt),
        }
    }

    /// Takes the next step in.
    pub fn take(&mut self, id: &FindingId, step: FindingStep, at: Timestamp) {
        if let FindingStep::Opened(observed) = step {
            self.open(id, observed, at);
            return;
        }
        let Some(finding) = self.findings.get_mut(id) else { return };
        match step {
            FindingStep::Opened(_) => {}
            FindingStep::Changed(observed) => {
                finding.steps += 1;
                finding.observed(observed, at);
            }
            FindingStep::Reopened(observed) => {
                if let Some(closed_at) = finding.closed_at {
                    self.closed.remove(&(closed_at, id.clone()));
                }
                finding.steps += 1;
                finding.reopened += 1;
                finding.observed(observed, at);
            }
            FindingStep::Closed => {
                finding.steps += 1;
                finding.closed_at = Some(at);
                finding.changed_at = at;
                self.closed.insert((at, id.clone()));
            }
            FindingStep::Exempted(exemption) => finding.exemption = Some(exemption),
            FindingStep::Withdrawn { .. } | FindingStep::Expired => finding.exemption = None,
        }
    }

    fn open(&mut self, id: &FindingId, observed: Observed, at: Timestamp) {
        while self.findings.len() >= FINDINGS_MAX
            && let Some((_, oldest)) = self.closed.pop_first()
        {
            self.findings.remove(&oldest);
        }
        let Observed { kind, subject, severity, facts, evidence, .. } = observed;
        let finding = Finding {
            id: id.clone(),
            kind,
            subject,
            severity,
            facts,
            evidence,
            opened_at: at,
            changed_at: at,
            closed_at: None,
            reopened: 0,
            exemption: None,
            steps: 1,
        };
        self.findings.insert(id.clone(), finding);
    }
}

/// Each finding once: where two observations are the same finding, the worse one, and where they
/// are as bad, the first.
fn merged(observed: &[Observed]) -> BTreeMap<FindingId, &Observed> {
    let mut all: BTreeMap<FindingId, &Observed> = BTreeMap::new();
    for one in observed {
        all.entry(one.id())
            .and_modify(|known| {
                if one.severity > known.severity {
                    *known = one;
                }
            })
            .or_insert(one);
    }
    all
}
