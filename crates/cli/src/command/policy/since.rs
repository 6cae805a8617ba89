//! Since when temporal clauses say what they say: the same question, asked at each moment before.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_engine::Explained;
use safeconduct_model::Timestamp;
use safeconduct_policy::ExplainedClause;
use serde_json::{Value as Json, json};

use super::scene::{Moment, Scene};

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
type Key = (usize, Arc<str>);

/// Since when each clause says what it says.
#[derive(Debug, Default)]
pub(super) struct Clauses(BTreeMap<Key, Since>);

impl Clauses {
    /// Looks back from the question.
    pub(super) fn of(scene: &Scene<'_>, explained: &[Explained]) -> Self {
        let mut open = said(explained);
        let mut found = BTreeMap::new();
        let mut until = scene.posed.at();
        let mut moments = scene.moments.iter().rev().peekable();
        while let Some(moment) = moments.next() {
            if open.is_empty() {
                break;
            }
            // Between this moment and the next one only time can have changed it.
            let then = answers(scene, moment, moment.at);
            let changed = settle(&mut open, &then);
            for (key, holds) in changed {
                let at = turned(scene, moment, (moment.at, until), (&key, holds));
                found.insert(key, Since::Time(at));
            }
            // Between the one before and this one, what happened.
            let Some(before) = moments.peek() else { break };
            let then = answers(scene, before, moment.at);
            for (key, _) in settle(&mut open, &then) {
                found.insert(key, Since::Event(moment.what.clone().unwrap_or_default()));
            }
            until = moment.at;
        }
        let rest = if scene.forgotten { Since::Long } else { Since::Ever };
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

fn answers(scene: &Scene<'_>, moment: &Moment, at: Timestamp) -> BTreeMap<Key, bool> {
    scene.explain_then(moment, at).map(|explained| said(&explained)).unwrap_or_default()
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
    scene: &Scene<'_>,
    moment: &Moment,
    (from, until): (Timestamp, Timestamp),
    (key, holds): (&Key, bool),
) -> Timestamp {
    let (mut other, mut same) = (from.as_millis(), until.as_millis());
    while same - other > 1 {
        let middle = other + (same - other) / 2;
        let at = Timestamp::from_millis(middle);
        match answers(scene, moment, at).get(key) == Some(&holds) {
            true => same = middle,
            false => other = middle,
        }
    }
    Timestamp::from_millis(same)
}
