//! Since when temporal clauses say what they say: the same question, asked at each moment before.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_engine::Explained;
use safeconduct_model::Timestamp;
use safeconduct_policy::ExplainedClause;
use serde_json::{Value as Json, json};

use super::scene::Scene;

/// Since when a clause says what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// From the beginning.
    Ever,
    /// From before the moments that are kept.
    Long,
    /// Since this happened.
    Event(String),
    /// Since that time: nothing had happened, a window ended.
    Time(Timestamp),
}

impl Since {
    /// As the end of a sentence.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Ever => ", from the beginning".into(),
            Self::Long => ", since long before".into(),
            Self::Event(what) => format!(", since {what}"),
            Self::Time(at) => format!(", since {at}, by time alone"),
        }
    }

    /// For programs.
    pub(super) fn document(&self) -> Json {
        match self {
            Self::Ever => json!({"what": "beginning"}),
            Self::Long => json!({"what": "long_before"}),
            Self::Event(what) => json!({"what": "event", "event": what}),
            Self::Time(at) => json!({"what": "time", "at": at.to_string()}),
        }
    }
}

/// A clause, by the place of its resource and its name.
pub(super) type Key = (usize, Arc<str>);

/// A history to look back over: what each clause would have said at some time, after no more than
/// what had happened by one of its moments.
pub(super) trait Past {
    /// The moments, in their order: what happened, nothing at the beginning, and when.
    fn moments(&self) -> Vec<(Option<String>, Timestamp)>;

    /// Whether moments before the first of these are forgotten.
    fn is_cut(&self) -> bool;

    /// What each clause says at that time, after that moment.
    fn answers(&self, moment: usize, at: Timestamp) -> BTreeMap<Key, bool>;
}

impl Past for Scene<'_> {
    fn moments(&self) -> Vec<(Option<String>, Timestamp)> {
        self.moments.iter().map(|moment| (moment.what.clone(), moment.at)).collect()
    }

    fn is_cut(&self) -> bool {
        self.forgotten
    }

    fn answers(&self, moment: usize, at: Timestamp) -> BTreeMap<Key, bool> {
        let explained = self.moments.get(moment).map(|moment| self.explain_then(moment, at));
        explained.and_then(Result::ok).map(|explained| said(&explained)).unwrap_or_default()
    }
}

/// Since when each clause says what it says.
#[derive(Debug, Default)]
pub(super) struct Clauses(BTreeMap<Key, Since>);

impl Clauses {
    /// Looks back from the question.
    pub(super) fn of(scene: &Scene<'_>, explained: &[Explained]) -> Self {
        Self::back(scene, said(explained), scene.posed.at())
    }

    /// Looks back from a time at which clauses say that.
    pub(super) fn back(past: &dyn Past, said: BTreeMap<Key, bool>, from: Timestamp) -> Self {
        let (mut open, mut until) = (said, from);
        let mut found = BTreeMap::new();
        let moments = past.moments();
        for (number, (what, at)) in moments.iter().enumerate().rev() {
            if open.is_empty() {
                break;
            }
            // Between this moment and the next one only time can have changed it.
            for (key, holds) in settle(&mut open, &past.answers(number, *at)) {
                let turned = turned(past, number, (*at, until), (&key, holds));
                found.insert(key, Since::Time(turned));
            }
            // Between the one before and this one, what happened.
            let Some(before) = number.checked_sub(1) else { break };
            for (key, _) in settle(&mut open, &past.answers(before, *at)) {
                found.insert(key, Since::Event(what.clone().unwrap_or_default()));
            }
            until = *at;
        }
        let rest = if past.is_cut() { Since::Long } else { Since::Ever };
        found.extend(open.into_keys().map(|key| (key, rest.clone())));
        Self(found)
    }

    /// Since when that clause of that resource says it.
    pub(super) fn find(&self, resource: usize, clause: &ExplainedClause) -> Option<&Since> {
        self.0.get(&(resource, Arc::clone(&clause.name)))
    }
}

/// What each clause says that is known.
fn said(explained: &[Explained]) -> BTreeMap<Key, bool> {
    let resources = explained.iter().zip(0..);
    let clauses = resources.flat_map(|(one, at)| {
        let clauses = one.policies.iter().flat_map(|policy| &policy.clauses);
        clauses.filter_map(move |clause| Some(((at, Arc::clone(&clause.name)), clause.holds?)))
    });
    clauses.collect()
}

/// Takes out the clauses that said something else then.
fn settle(open: &mut BTreeMap<Key, bool>, then: &BTreeMap<Key, bool>) -> Vec<(Key, bool)> {
    let changed = open.iter().filter(|(key, holds)| then.get(*key) != Some(*holds));
    let changed: Vec<_> = changed.map(|(key, holds)| (key.clone(), *holds)).collect();
    for (key, _) in &changed {
        open.remove(key);
    }
    changed
}

/// The first time after which a clause says that, to the millisecond, where it says something else
/// at the first of two times and that at the second.
fn turned(
    past: &dyn Past,
    moment: usize,
    (from, until): (Timestamp, Timestamp),
    (key, holds): (&Key, bool),
) -> Timestamp {
    let (mut other, mut same) = (from.as_millis(), until.as_millis());
    while same - other > 1 {
        let middle = other + (same - other) / 2;
        let at = Timestamp::from_millis(middle);
        match past.answers(moment, at).get(key) == Some(&holds) {
            true => same = middle,
            false => other = middle,
        }
    }
    Timestamp::from_millis(same)
}
