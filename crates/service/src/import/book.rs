//! Which imports there were, and which groups directories keep here: a fold of their steps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use safeconduct_model::{IdentityId, RecordId, Timestamp};
use safeconduct_review::{ImportBegan, ImportStep};
use safeconduct_wire::json;

use crate::Service;
use crate::reviews::ReviewStep;

/// Most imports that are remembered: the newest. The ledger has all of them.
pub const IMPORTS_KEPT_MAX: usize = 1000;

/// Most groups that directories keep here.
pub const KEPT_GROUPS_MAX: usize = 100_000;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// All of it is recorded.
    Completed,
    /// It began, and this process is at it.
    UnderWay,
    /// It began, and whatever was at it is gone: some of it may be recorded. The next process does
    /// the rest, unless it was given up.
    Interrupted,
}

impl ImportState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::UnderWay => "under_way",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportView {
    /// Which one.
    pub id: Arc<str>,
    /// The record of its beginning, which those of its identities name as what caused them.
    pub record: RecordId,
    /// When it began.
    pub at: Timestamp,
    /// Who did it.
    pub by: Option<IdentityId>,
    /// What it was about.
    pub began: ImportBegan,
    /// How far it is.
    pub state: ImportState,
}

/// A group that a directory keeps here. Who belongs to it stands with the identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptGroup {
    /// Its name, by which policies know it.
    pub name: Arc<str>,
    /// What the directory calls it.
    pub external_id: Option<Arc<str>>,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it was last changed, members aside.
    pub changed_at: Timestamp,
    /// How many steps it has had.
    pub steps: u64,
}

/// An import that died and can be done to its end.
pub(super) struct Due {
    pub(super) id: Arc<str>,
    pub(super) record: RecordId,
    pub(super) by: IdentityId,
    pub(super) began: ImportBegan,
    /// Where its rows lie.
    pub(super) places: Vec<u64>,
}

/// What is known of imports.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// The oldest first.
    imports: VecDeque<ImportView>,
    /// Those that nobody goes on with.
    given_up: BTreeSet<Arc<str>>,
    /// Those that this process is at.
    at_work: Option<Arc<str>>,
    /// Where the rows of those lie that are not over, by import.
    rows: BTreeMap<Arc<str>, Vec<u64>>,
    groups: BTreeMap<Arc<str>, KeptGroup>,
}

impl Imports {
    /// Takes a step in. What this version cannot read says nothing.
    pub(crate) fn take_in(&mut self, step: &ReviewStep<'_>) {
        let change = step.change;
        let detail = json::parse(change.detail.as_str().as_bytes()).ok();
        let read = detail.and_then(|detail| ImportStep::read(&change.event, &detail));
        match read {
            Some(ImportStep::Rows { .. }) => {
                self.rows.entry(Arc::clone(&change.id)).or_default().push(step.sequence);
            }
            Some(ImportStep::Began(began)) => {
                if self.imports.len() >= IMPORTS_KEPT_MAX
                    && let Some(oldest) = self.imports.pop_front()
                {
                    self.given_up.remove(&oldest.id);
                }
                self.imports.push_back(ImportView {
                    id: Arc::clone(&change.id),
                    record: step.id.clone(),
                    at: step.at,
                    by: change.by.clone(),
                    began: *began,
                    state: ImportState::Interrupted,
                });
            }
            Some(ImportStep::Completed { .. }) => {
                if let Some(import) = self.imports.iter_mut().find(|one| one.id == change.id) {
                    import.state = ImportState::Completed;
                }
            }
            Some(ImportStep::GivenUp { .. }) => {
                let known = self.imports.iter().any(|one| one.id == change.id);
                self.given_up.extend(known.then(|| Arc::clone(&change.id)));
            }
            Some(ImportStep::GroupKept { name, external_id }) => {
                let known = self.groups.get(&change.id);
                let made_at = known.map_or(step.at, |known| known.made_at);
                let steps = known.map_or(0, |known| known.steps) + 1;
                let (id, changed_at) = (Arc::clone(&change.id), step.at);
                let group = KeptGroup { name, external_id, made_at, changed_at, steps };
                self.groups.insert(id, group);
            }
            Some(ImportStep::GroupRemoved) => {
                self.groups.remove(&change.id);
            }
            None => {}
        }
    }

    /// Whether it died, and somebody is to go on with it.
    fn is_due(&self, import: &ImportView) -> bool {
        import.state == ImportState::Interrupted && !self.given_up.contains(&import.id)
    }

    /// Those that died and whose rows are kept, the oldest first.
    pub(super) fn due(&self) -> Vec<Due> {
        let died = self.imports.iter();
        let died = died.filter(|import| self.is_due(import) && import.began.kept.is_some());
        let due = died.filter_map(|import| {
            let places = self.rows.get(&import.id).cloned().unwrap_or_default();
            Some(Due {
                id: Arc::clone(&import.id),
                record: import.record.clone(),
                by: import.by.clone()?,
                began: import.began.clone(),
                places,
            })
        });
        due.collect()
    }

    /// Where rows lie that nobody needs: of imports that never began, of those that are over, and
    /// of those that were given up.
    pub(super) fn forget_idle_rows(&mut self) -> Vec<u64> {
        let died = self.imports.iter().filter(|one| self.is_due(one));
        let died: BTreeSet<Arc<str>> = died.map(|import| Arc::clone(&import.id)).collect();
        let idle = self.rows.extract_if(.., |id, _| !died.contains(id));
        idle.flat_map(|(_, places)| places).collect()
    }

    /// Where the rows of an import lay that is over.
    pub(super) fn forget_rows(&mut self, id: &str) -> Vec<u64> {
        self.rows.remove(id).unwrap_or_default()
    }

    /// Begins to be at an import, where none is under way.
    pub(super) fn begin(&mut self, id: &Arc<str>) -> bool {
        let free = self.at_work.is_none();
        if free {
            self.at_work = Some(Arc::clone(id));
        }
        free
    }

    /// Is at none any more.
    pub(super) fn end(&mut self) {
        self.at_work = None;
    }

    /// The newest first.
    fn shown(&self) -> Vec<ImportView> {
        let shown = |import: &ImportView| match import.state {
            ImportState::Interrupted if self.at_work.as_ref() == Some(&import.id) => {
                ImportView { state: ImportState::UnderWay, ..import.clone() }
            }
            _ => import.clone(),
        };
        self.imports.iter().rev().map(shown).collect()
    }

    pub(super) const fn groups(&self) -> &BTreeMap<Arc<str>, KeptGroup> {
        &self.groups
    }
}

impl Service {
    /// The newest imports, the newest first: at most [`IMPORTS_KEPT_MAX`].
    pub fn imports(&self) -> Vec<ImportView> {
        self.reviews.lock().imports.shown()
    }

    /// The groups that directories keep here, by id.
    pub fn kept_groups(&self) -> BTreeMap<Arc<str>, KeptGroup> {
        self.reviews.lock().imports.groups().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{Digest, ImportSource, ReviewChange, ReviewDetail, ReviewedThing};

    fn step(imports: &mut Imports, id: &str, step: &ImportStep) {
        let detail = String::from_utf8(safeconduct_ledger::canonical(&step.detail())).unwrap();
        let change = ReviewChange {
            what: ReviewedThing::Import,
            id: id.into(),
            sequence: 0,
            event: step.event().into(),
            about: None,
            by: None,
            detail: ReviewDetail::new(detail).unwrap(),
        };
        let (id, at) = (RecordId::new("rev_1").unwrap(), Timestamp::from_millis(7));
        imports.take_in(&ReviewStep { id: &id, at, change: &change, sequence: 0 });
    }

    fn began() -> ImportStep {
        ImportStep::Began(Box::new(ImportBegan {
            source: ImportSource::Csv,
            name: "a.csv".into(),
            digest: Digest::from_bytes([0; 32]),
            bytes: 1,
            rows: 1,
            new: 1,
            changed: 0,
            wrong: 0,
            kept: None,
        }))
    }

    #[test]
    fn what_died_in_between_is_seen() {
        let mut imports = Imports::default();
        step(&mut imports, "imp_1", &began());
        let id: Arc<str> = "imp_2".into();
        assert!(imports.begin(&id) && !imports.begin(&id), "one at a time");
        step(&mut imports, "imp_2", &began());
        let states: Vec<_> = imports.shown().iter().map(|one| one.state).collect();
        assert_eq!(states, [ImportState::UnderWay, ImportState::Interrupted]);
        step(&mut imports, "imp_2", &ImportStep::Completed { new: 1, changed: 0 });
        imports.end();
        let states: Vec<_> = imports.shown().iter().map(|one| one.state).collect();
        assert_eq!(states, [ImportState::Completed, ImportState::Interrupted]);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut imports = Imports::default();
        for number in 0..IMPORTS_KEPT_MAX + 2 {
            step(&mut imports, &format!("imp_{number}"), &began());
        }
        assert_eq!(imports.shown().len(), IMPORTS_KEPT_MAX);
        assert_eq!(&*imports.shown()[0].id, &format!("imp_{}", IMPORTS_KEPT_MAX + 1));
    }

    #[test]
    fn groups_are_kept_until_they_are_not() {
        let mut imports = Imports::default();
        let (name, external_id) = ("clerks".into(), Some("g1".into()));
        step(&mut imports, "grp_1", &ImportStep::GroupKept { name, external_id });
        assert_eq!(
            imports.groups().values().map(|group| &*group.name).collect::<Vec<_>>(),
            ["clerks"]
        );
        step(&mut imports, "grp_1", &ImportStep::GroupRemoved);
        assert!(imports.groups().is_empty());
    }
}
