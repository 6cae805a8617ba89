//! The index of a session: fingerprints with labels and sources, bounded.

use std::cmp::Ordering;

use safeconduct_model::Label;

use super::basket::{class, is_of_values};
use super::gleaned::{Gleaned, Source};
use super::labels::{Forgotten, Labels};
use super::table::{ENTRIES_MAX, Entry, Kind, Marks, TABLE_BYTES_MAX, Table};
use super::task::NAMED_PRINTS_MAX;

/// Most bytes of a session's index with its table's overhead, the sources and what its task
/// names. Labels with many categories come on top; a catalogue makes them, not an agent.
pub const INDEX_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of the sources that are kept as evidence.
const SOURCES_BYTES_MAX: usize = 16 * 1024;

const _: () = assert!(
    TABLE_BYTES_MAX + SOURCES_BYTES_MAX + NAMED_PRINTS_MAX * 8 + 8 * 1024 <= INDEX_BYTES_MAX
);

/// The source of what is older than every source that is kept.
const GONE: u16 = u16::MAX;

/// See [`Flow`](super::Flow).
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    table: Table,
    labels: Labels,
    sources: Vec<Row>,
    forgotten: Forgotten,
    /// The last time that room was made, all below this class gave way. Words and pieces below it
    /// would be the first to go the next time, so they are not taken in any more.
    floor: u8,
}

/// A source, and how many pieces its texts have.
#[derive(Debug, Clone)]
struct Row {
    id: u16,
    source: Source,
    shingles: u32,
}

impl Row {
    /// Its bytes, the text of the record's id with its reference counts included.
    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + self.source.record.as_str().len()
    }
}

/// What is known of a fingerprint, spelled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known<'a> {
    pub(crate) marks: Marks,
    pub(crate) label: &'a Label,
    /// The newest of the worst; `None` where it is no longer known.
    pub(crate) source: Option<&'a Source>,
    /// Its number, to count by.
    pub(crate) source_id: u16,
}

/// By what fingerprints give way, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    class: u8,
    age: u64,
    print: u64,
}

impl Worth {
    /// Less than everything is worth.
    const LEAST: Self = Self { class: 0, age: 0, print: 0 };

    /// Whether it is worth less, more, or the fingerprint tells.
    fn cmp_but_print(&self, other: &Self) -> Ordering {
        (self.class, self.age).cmp(&(other.class, other.age))
    }
}

/// How many entries more than needed give way at a time, so that the next results find room: to
/// make it takes as long as to fold several of them.
const SPARE: usize = ENTRIES_MAX / 2;

/// An entry to join to what is known.
#[derive(Clone, Copy)]
struct New {
    entry: Entry,
    /// The sequence of its source.
    age: Option<u64>,
}

impl New {
    /// Of two sources the one of the worse integrity stays, of equals the newer, so that it does
    /// not matter which came first.
    #[inline]
    fn join(&self, labels: &mut Labels, ages: &Ages, known: &mut Entry) {
        let rank = (known.marks.is_untrusted(), ages.of(known.source));
        if (self.entry.marks.is_untrusted(), self.age) > rank {
            known.source = self.entry.source;
        }
        if (known.label, known.marks) != (self.entry.label, self.entry.marks) {
            known.label = labels.join(known.label, self.entry.label);
            known.marks = known.marks.join(self.entry.marks);
        }
    }
}

/// The sequence of each source by its number.
struct Ages(Vec<Option<u64>>);

impl Ages {
    fn of(&self, source: u16) -> Option<u64> {
        self.0.get(usize::from(source)).copied().flatten()
    }
}

/// The classes of each label, by kind.
fn classes_of(labels: &Labels) -> Vec<[u8; 3]> {
    labels.all().iter().map(|label| Kind::ALL.map(|kind| class(label, kind))).collect()
}

/// Where an entry's label and kind stand among all.
fn place_of(entry: &Entry) -> usize {
    usize::from(entry.label) * 3 + entry.marks.kind() as usize
}

fn class_of(classes: &[[u8; 3]], entry: &Entry) -> u8 {
    classes.as_flattened().get(place_of(entry)).copied().unwrap_or(0)
}

/// One place for each label, kind and source, the last for sources that are gone.
#[derive(Clone, Copy)]
struct Places {
    width: usize,
}

impl Places {
    fn of(self, entry: &Entry) -> usize {
        place_of(entry) * self.width + usize::from(entry.source).min(self.width - 1)
    }

    /// The class and the age of what stands in a place.
    fn worth(self, place: usize, classes: &[[u8; 3]], ages: &Ages) -> (u8, u64) {
        let class = classes.as_flattened().get(place / self.width).copied().unwrap_or(0);
        (class, ages.0.get(place % self.width).copied().flatten().unwrap_or(0))
    }
}

fn worth(class: u8, ages: &Ages, print: u64, entry: &Entry) -> Worth {
    Worth { class, age: ages.of(entry.source).unwrap_or(0), print }
}

impl Index {
    /// What is known of a fingerprint.
    pub(crate) fn find(&self, print: u64) -> Option<Known<'_>> {
        self.table.find(print).map(|entry| self.known(entry))
    }

    fn known(&self, entry: &Entry) -> Known<'_> {
        Known {
            marks: entry.marks,
            label: self.labels.label(entry.label),
            source: self.row(entry.source).map(|row| &row.source),
            source_id: entry.source,
        }
    }

    fn row(&self, id: u16) -> Option<&Row> {
        self.sources.iter().find(|row| row.id == id)
    }

    /// How many pieces the texts of a source have.
    pub(crate) fn shingles(&self, id: u16) -> Option<u32> {
        self.row(id).map(|row| row.shingles)
    }

    /// Something was read of which only the label is known.
    pub(crate) fn forget(&mut self, label: &Label) {
        self.forgotten.raise_all(label);
    }

    /// Words and pieces below this class are not taken in.
    pub(crate) const fn floor(&self) -> u8 {
        self.floor
    }

    /// What found no room.
    pub(crate) fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    /// How many fingerprints it holds.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let spare = self.sources.capacity() - self.sources.len();
        let sources: usize = self.sources.iter().map(Row::bytes).sum();
        self.table.bytes() + self.labels.bytes() + sources + spare * size_of::<Row>()
    }

    /// All that it holds, whatever way it came there.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, Marks, &Label, Option<&Source>)> {
        self.table.iter().map(|(print, entry)| {
            let known = self.known(&entry);
            (print, known.marks, known.label, known.source)
        })
    }

    /// Takes in what a result left behind.
    pub(crate) fn fold(&mut self, gleaned: &Gleaned) {
        self.forgotten.join(&gleaned.forgotten);
        if gleaned.groups.is_empty() {
            return;
        }
        let source = self.add_source(gleaned);
        let ages = self.ages();
        let numbers: Vec<u8> =
            gleaned.labels.iter().map(|label| self.labels.number(label)).collect();
        let mut heads: Vec<(&[u64], Entry)> = Vec::new();
        for group in &gleaned.groups {
            let label = numbers.get(usize::from(group.label)).copied().unwrap_or(0);
            let kind = group.marks.kind();
            let known = self.labels.label(label);
            if kind != Kind::Value && class(known, kind) < self.floor {
                self.forgotten.raise(kind, known);
                continue;
            }
            heads.push((&group.prints, Entry { source, label, marks: group.marks }));
        }
        let count: usize = heads.iter().map(|(prints, _)| prints.len()).sum();
        let full = self.table.len() + count > ENTRIES_MAX;
        let least = if full { self.make_room(&heads, count, &ages) } else { Worth::LEAST };
        let classes = classes_of(&self.labels);
        for (prints, entry) in heads {
            let class = class_of(&classes, &entry);
            let from = match worth(class, &ages, 0, &entry).cmp_but_print(&least) {
                Ordering::Less => prints.len(),
                Ordering::Equal => prints.partition_point(|print| *print < least.print),
                Ordering::Greater => 0,
            };
            let (given_up, kept) = prints.split_at_checked(from).unwrap_or((prints, &[]));
            if given_up.iter().any(|print| self.table.find(*print).is_none()) {
                self.forgotten.raise(entry.marks.kind(), self.labels.label(entry.label));
            }
            self.table.reserve(kept.len());
            let new = New { entry, age: ages.of(entry.source) };
            let labels = &mut self.labels;
            for print in kept {
                self.table.put(*print, entry, |known| new.join(labels, &ages, known));
            }
        }
    }

    /// Lets what is worth least give way, and says what the rest is worth at least. What is known
    /// already is joined before: it is worth no less than each of the two.
    fn make_room(&mut self, heads: &[(&[u64], Entry)], count: usize, ages: &Ages) -> Worth {
        for (prints, entry) in heads {
            let new = New { entry: *entry, age: ages.of(entry.source) };
            for print in *prints {
                if let Some(known) = self.table.find_mut(*print) {
                    new.join(&mut self.labels, ages, known);
                }
            }
        }
        let classes = classes_of(&self.labels);
        let excess = self.table.len() + count - ENTRIES_MAX + SPARE;
        let places = Places { width: ages.0.len() + 1 };
        let held = self.counts(&classes, ages);
        let least = self.bound(held.clone(), heads, &classes, excess, ages);
        // The greatest fingerprint that goes in each place; none is 0.
        let above: Vec<u64> = (0..places.width * classes.len() * 3)
            .map(|at| {
                let (class, age) = places.worth(at, &classes, ages);
                match (class, age).cmp(&(least.class, least.age)) {
                    Ordering::Less => u64::MAX,
                    Ordering::Equal => least.print.saturating_sub(1),
                    Ordering::Greater => 0,
                }
            })
            .collect();
        self.table.retain(|entry| above.get(places.of(entry)).copied().unwrap_or(0));
        self.floor = least.class;
        // Of what went in part nobody asks whether it was none.
        let gone: Vec<bool> =
            held.iter().zip(&above).map(|(held, above)| *held > 0 && *above > 0).collect();
        for (number, gone) in gone.chunks(places.width).enumerate() {
            if gone.contains(&true) {
                let kind = Kind::ALL.get(number % 3).copied().unwrap_or(Kind::Value);
                let label = u8::try_from(number / 3).unwrap_or(u8::MAX);
                self.forgotten.raise(kind, self.labels.label(label));
            }
        }
        least
    }

    fn ages(&self) -> Ages {
        let most = self.sources.iter().map(|row| usize::from(row.id)).max().unwrap_or(0);
        let mut ages = Ages(vec![None; most + 1]);
        for row in &self.sources {
            if let Some(age) = ages.0.get_mut(usize::from(row.id)) {
                *age = Some(row.source.sequence);
            }
        }
        ages
    }

    /// How many entries the table has in each place.
    fn counts(&self, classes: &[[u8; 3]], ages: &Ages) -> Vec<usize> {
        let places = Places { width: ages.0.len() + 1 };
        let mut counts = vec![0_usize; places.width * 3 * classes.len()];
        self.table.each_slot(|is_taken, entry| {
            if let Some(count) = counts.get_mut(places.of(entry)) {
                *count += usize::from(is_taken);
            }
        });
        counts
    }

    /// What about `excess` entries of the table and of these heads are worth less than: whole
    /// classes and sources, and of the last one the part with the smaller fingerprints, which are
    /// as good as drawn by lot.
    fn bound(
        &self,
        mut counts: Vec<usize>,
        heads: &[(&[u64], Entry)],
        classes: &[[u8; 3]],
        excess: usize,
        ages: &Ages,
    ) -> Worth {
        let places = Places { width: ages.0.len() + 1 };
        for (prints, entry) in heads {
            if let Some(count) = counts.get_mut(places.of(entry)) {
                *count += prints.len();
            }
        }
        let mut groups: Vec<(u8, u64, u64)> = Vec::new();
        for (at, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let (class, age) = places.worth(at, classes, ages);
            groups.push((class, age, count as u64));
        }
        groups.sort_unstable();
        let mut left = excess as u64;
        for (at, (class, age, count)) in groups.iter().copied().enumerate() {
            if count > left {
                // Of pieces and words that would mostly go all go, and no more are looked for.
                let of_class = |(other, _, count): &(u8, u64, u64)| match *other == class {
                    true => *count,
                    false => 0,
                };
                let before: u64 = groups.iter().take(at).map(of_class).sum();
                let behind: u64 = groups.iter().skip(at).map(of_class).sum();
                if !is_of_values(class) && before + left >= behind - left {
                    return Worth { class: class + 1, age: 0, print: 0 };
                }
                let share = (u128::from(u64::MAX) * u128::from(left) / u128::from(count)) as u64;
                return Worth { class, age, print: share.max(1) };
            }
            left -= count;
        }
        Worth { class: u8::MAX, age: 0, print: 0 }
    }

    /// The number of a source. The oldest ones give way, and what they showed has no record then.
    fn add_source(&mut self, gleaned: &Gleaned) -> u16 {
        if let Some(row) = self.sources.iter_mut().rev().find(|row| row.source == gleaned.source) {
            row.shingles = row.shingles.max(gleaned.shingles);
            return row.id;
        }
        let source = gleaned.source.clone();
        let mut row = Row { id: 0, source, shingles: gleaned.shingles };
        let bytes: usize = self.sources.iter().map(Row::bytes).sum();
        if bytes + row.bytes() > SOURCES_BYTES_MAX {
            self.drop_sources();
        }
        let free = (0..GONE).find(|id| self.row(*id).is_none());
        row.id = free.unwrap_or(GONE);
        let id = row.id;
        if self.sources.len() == self.sources.capacity() {
            self.sources.reserve_exact(self.sources.len() / 4 + 1);
        }
        self.sources.push(row);
        id
    }

    /// Drops a quarter of the sources, the oldest.
    fn drop_sources(&mut self) {
        let mut ages: Vec<(&Source, u16)> =
            self.sources.iter().map(|row| (&row.source, row.id)).collect();
        ages.sort_unstable();
        let mut old: Vec<u16> = ages.iter().take(ages.len() / 4 + 1).map(|(_, id)| *id).collect();
        old.sort_unstable();
        self.sources.retain(|row| old.binary_search(&row.id).is_err());
        for entry in self.table.entries_mut() {
            if old.binary_search(&entry.source).is_ok() {
                entry.source = GONE;
            }
        }
    }
}
