//! The index of a session: fingerprints with labels and sources, bounded.

use safeconduct_model::Label;

use super::digest::class;
use super::gleaned::{Gleaned, Source};
use super::labels::{Forgotten, Labels};
use super::table::{ENTRIES_MAX, Entry, Marks, TABLE_BYTES_MAX, Table};
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

/// By what fingerprints give way: the least goes first.
type Worth = (u8, u64, u64);

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
                    && !self.make_room(worth, &mut floor)
                {
                    self.forgotten.raise(group.marks.kind(), of(group.label));
                    continue;
                }
                self.put(*print, entry, sequence);
            }
        }
    }

    /// Joins an entry to what is known. Of two sources the one of the worse integrity stays, of
    /// equals the newer, so that it does not matter which came first.
    fn put(&mut self, print: u64, entry: Entry, sequence: u64) {
        let (labels, sources) = (&mut self.labels, &self.sources);
        self.table.put(print, entry, |known| {
            let age = |id| sources.iter().find(|row| row.id == id).map(|row| row.source.sequence);
            let before = (known.marks.is_untrusted(), age(known.source));
            if (entry.marks.is_untrusted(), Some(sequence)) > before {
                known.source = entry.source;
            }
            known.label = labels.join(known.label, entry.label);
            known.marks = known.marks.join(entry.marks);
        });
    }

    /// Lets the least worth give way to something of that worth; `false` where nothing is worth
    /// less. Each pass frees a part of the table or shuts out what is worth no more than this for
    /// the rest of the fold, so that a fold passes over the table a bounded number of times.
    fn make_room(&mut self, incoming: Worth, floor: &mut Worth) -> bool {
        if incoming < *floor {
            return false;
        }
        if self.table.len() < ENTRIES_MAX {
            return true;
        }
        let mut ages: Vec<(u16, u64)> =
            self.sources.iter().map(|row| (row.id, row.source.sequence)).collect();
        ages.sort_unstable();
        let labels = &self.labels;
        let worth = |print: u64, entry: &Entry| -> Worth {
            let age = ages.binary_search_by_key(&entry.source, |(id, _)| *id).ok();
            let age = age.and_then(|at| ages.get(at)).map_or(0, |(_, age)| *age);
            (class(labels.label(entry.label), entry.marks.kind()), age, print)
        };
        let mut all: Vec<Worth> =
            self.table.iter().map(|(print, entry)| worth(print, &entry)).collect();
        let (_, least, _) = all.select_nth_unstable(ENTRIES_MAX / 8);
        let least = (*least).min(incoming);
        let before = self.table.len();
        let forgotten = &mut self.forgotten;
        self.table.retain(|print, entry| {
            let stays = worth(print, entry) >= least;
            if !stays {
                forgotten.raise(entry.marks.kind(), labels.label(entry.label));
            }
            stays
        });
        let freed = before - self.table.len();
        *floor = match freed < ENTRIES_MAX / 16 {
            true => (incoming.0, incoming.1, u64::MAX),
            false => least,
        };
        freed > 0
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
