//! The index of a session: fingerprints with labels and sources, bounded.

use safeconduct_model::Label;

use super::digest::{CLASS_MAX, class};
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

/// By what fingerprints give way, the least first: class, age, and the fingerprint itself.
type Worth = (u8, u64, u64);

/// How many entries give way at a time.
const FREED: usize = ENTRIES_MAX / 4;

/// The sequence of each source by its number.
struct Ages(Vec<Option<u64>>);

impl Ages {
    fn of(&self, source: u16) -> Option<u64> {
        self.0.get(usize::from(source)).copied().flatten()
    }
}

/// The classes of each label, by kind.
fn classes(labels: &Labels) -> Vec<[u8; 3]> {
    labels.all().iter().map(|label| Kind::ALL.map(|kind| class(label, kind))).collect()
}

fn worth(classes: &[[u8; 3]], ages: &Ages, print: u64, entry: &Entry) -> Worth {
    let of_label = classes.get(usize::from(entry.label)).copied().unwrap_or_default();
    let [value, word, shingle] = of_label;
    let class = match entry.marks.kind() {
        Kind::Value => value,
        Kind::Word => word,
        Kind::Shingle => shingle,
    };
    (class, ages.of(entry.source).unwrap_or(0), print)
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
        let sequence = gleaned.source.sequence;
        let ages = self.ages();
        let numbers: Vec<u8> =
            gleaned.labels.iter().map(|label| self.labels.number(label)).collect();
        let of = |at: u8| gleaned.labels.get(usize::from(at)).unwrap_or_else(|| Label::least());
        let mut groups: Vec<_> = gleaned
            .groups
            .iter()
            .map(|group| (class(of(group.label), group.marks.kind()), group))
            .collect();
        groups.sort_by(|a, b| b.0.cmp(&a.0));
        let mut floor: Worth = (0, 0, 0);
        for (class, group) in groups {
            let label = numbers.get(usize::from(group.label)).copied().unwrap_or(0);
            let entry = Entry { source, label, marks: group.marks };
            for print in &group.prints {
                let worth = (class, sequence, *print);
                if (self.table.len() >= ENTRIES_MAX || worth < floor)
                    && self.table.find(*print).is_none()
                    && !self.make_room(worth, &ages, &mut floor)
                {
                    self.forgotten.raise(group.marks.kind(), of(group.label));
                    continue;
                }
                self.put(*print, entry, sequence, &ages);
            }
        }
    }

    /// Joins an entry to what is known. Of two sources the one of the worse integrity stays, of
    /// equals the newer, so that it does not matter which came first.
    fn put(&mut self, print: u64, entry: Entry, sequence: u64, ages: &Ages) {
        let labels = &mut self.labels;
        self.table.put(print, entry, |known| {
            let before = (known.marks.is_untrusted(), ages.of(known.source));
            if (entry.marks.is_untrusted(), Some(sequence)) > before {
                known.source = entry.source;
            }
            known.label = labels.join(known.label, entry.label);
            known.marks = known.marks.join(entry.marks);
        });
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

    /// Lets the least worth give way to something of that worth; `false` where nothing is worth
    /// less. Each pass frees a part of the table or shuts out what is worth no more than this for
    /// the rest of the fold, so that a fold passes over the table a bounded number of times.
    fn make_room(&mut self, incoming: Worth, ages: &Ages, floor: &mut Worth) -> bool {
        if incoming < *floor {
            return false;
        }
        if self.table.len() < ENTRIES_MAX {
            return true;
        }
        let least = self.bound(ages).min(incoming);
        let before = self.table.len();
        let (labels, forgotten) = (&self.labels, &mut self.forgotten);
        let classes = classes(labels);
        self.table.retain(|print, entry| {
            let stays = worth(&classes, ages, print, entry) >= least;
            if !stays {
                forgotten.raise(entry.marks.kind(), labels.label(entry.label));
            }
            stays
        });
        let freed = before - self.table.len();
        *floor = match freed < FREED / 2 {
            true => (incoming.0, incoming.1, u64::MAX),
            false => least,
        };
        freed > 0
    }

    /// What about [`FREED`] entries are worth less than: whole classes and sources, and of the
    /// last one the part with the smaller fingerprints, which are as good as drawn by lot.
    fn bound(&self, ages: &Ages) -> Worth {
        let classes = classes(&self.labels);
        // One place for each class and source, and one in each class for sources that are gone.
        let width = ages.0.len() + 1;
        let mut counts = vec![0_u64; width * (usize::from(CLASS_MAX) + 1)];
        for (print, entry) in self.table.iter() {
            let (class, ..) = worth(&classes, ages, print, &entry);
            let source = usize::from(entry.source).min(width - 1);
            if let Some(count) = counts.get_mut(usize::from(class) * width + source) {
                *count += 1;
            }
        }
        let mut groups: Vec<(u8, u64, u64)> = Vec::new();
        for (at, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let age = ages.0.get(at % width).copied().flatten().unwrap_or(0);
            groups.push(((at / width) as u8, age, count));
        }
        groups.sort_unstable();
        let mut left = FREED as u64;
        for (class, age, count) in groups {
            if count > left {
                let share = (u128::from(u64::MAX) * u128::from(left) / u128::from(count)) as u64;
                return (class, age, share.max(1));
            }
            left -= count;
        }
        (u8::MAX, 0, 0)
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
