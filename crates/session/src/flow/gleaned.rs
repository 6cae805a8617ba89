//! What a result leaves behind: fingerprints with their labels, and their bytes.

use std::fmt;

use safeconduct_model::{CATEGORIES_MAX, Category, Confidentiality, Integrity, Label, RecordId};

use super::labels::{Forgotten, LABELS_MAX};
use super::table::{Kind, Marks};

/// Most fingerprints of one result; what comes beyond is forgotten.
pub const GLEANED_PRINTS_MAX: usize = 12_288;

/// Most bytes that [`Gleaned::encode`] makes of any result; one of 16 KB makes about 13 KB.
pub const GLEANED_BYTES_MAX: usize = GLEANED_PRINTS_MAX * 8 + 512 * 1024;

/// The form that [`Gleaned::encode`] writes. In the first one every spelling of a value had the same
/// fingerprint: what vouches could not be told from what is only alike, so it is not read any more.
const VERSION: u8 = 2;

/// The record that a result comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its place in the session: later results have greater ones.
    pub sequence: u64,
    /// The record that is shown as evidence.
    pub record: RecordId,
}

/// What a result leaves behind in its session: no value, only fingerprints under the session's
/// key. It is sealed beside the record of the outcome, and folded again after a crash.
#[derive(Clone, PartialEq, Eq)]
pub struct Gleaned {
    pub(crate) source: Source,
    /// Everything that was seen, joined.
    pub(crate) label: Label,
    /// Ascending, each once.
    pub(crate) labels: Vec<Label>,
    pub(crate) groups: Vec<Group>,
    /// How many pieces its longer texts have.
    pub(crate) shingles: u32,
    pub(crate) forgotten: Forgotten,
}

/// Fingerprints of one label and one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) label: u8,
    pub(crate) marks: Marks,
    /// Ascending, each once.
    pub(crate) prints: Vec<u64>,
}

/// Counts only: what stands in it is of nobody's concern.
impl fmt::Debug for Gleaned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gleaned({} prints of {:?}, {:?})", self.prints(), self.source, self.label)
    }
}

impl Gleaned {
    /// What is left of something of which only the label is known: it may have been anything.
    pub fn anything(label: Label, source: Source) -> Self {
        let mut forgotten = Forgotten::default();
        forgotten.raise_all(&label);
        Self { source, label, labels: Vec::new(), groups: Vec::new(), shingles: 0, forgotten }
    }

    /// Where it comes from.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Everything that was seen, joined.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// How many fingerprints it has.
    pub fn prints(&self) -> usize {
        self.groups.iter().map(|group| group.prints.len()).sum()
    }

    /// The same of another record: where the record's id is known only after the digest.
    #[must_use]
    pub fn from_source(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// Its bytes; equal ones have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut labels = self.labels.clone();
        let mut out = vec![VERSION];
        let record = self.source.record.as_str().as_bytes();
        out.extend(self.source.sequence.to_le_bytes());
        out.extend((record.len() as u16).to_le_bytes());
        out.extend(record);
        write_label(&self.label, &mut out);
        for kind in Kind::ALL {
            write_label(self.forgotten.of(kind), &mut out);
        }
        out.extend(self.shingles.to_le_bytes());
        out.push(labels.len() as u8);
        labels.drain(..).for_each(|label| write_label(&label, &mut out));
        out.extend((self.groups.len() as u16).to_le_bytes());
        for group in &self.groups {
            out.extend([group.label, group.marks.byte()]);
            out.extend((group.prints.len() as u32).to_le_bytes());
            group.prints.iter().for_each(|print| out.extend(print.to_le_bytes()));
        }
        out
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`GleanedError`] where the bytes are not what [`Gleaned::encode`] writes, to the last one.
    pub fn decode(bytes: &[u8]) -> Result<Self, GleanedError> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return Err(GleanedError::Version);
        }
        let sequence = u64::from_le_bytes(reader.array()?);
        let length = u16::from_le_bytes(reader.array()?);
        let record = reader.text(usize::from(length))?;
        let source =
            Source { sequence, record: RecordId::new(record).map_err(|_| GleanedError::Form)? };
        let label = reader.label()?;
        let mut forgotten = Forgotten::default();
        for kind in Kind::ALL {
            forgotten.raise(kind, &reader.label()?);
        }
        let shingles = u32::from_le_bytes(reader.array()?);
        let count = usize::from(reader.byte()?);
        let labels = (0..count).map(|_| reader.label()).collect::<Result<Vec<_>, _>>()?;
        ensure(count <= LABELS_MAX && labels.is_sorted_by(|a, b| a < b))?;
        let groups = u16::from_le_bytes(reader.array()?);
        let groups = (0..groups).map(|_| reader.group()).collect::<Result<Vec<_>, _>>()?;
        let ascending = |a: &Group, b: &Group| (a.label, a.marks) < (b.label, b.marks);
        ensure(groups.is_sorted_by(ascending) && reader.0.is_empty())?;
        let gleaned = Self { source, label, labels, groups, shingles, forgotten };
        ensure(gleaned.prints() <= GLEANED_PRINTS_MAX && gleaned.is_consistent())?;
        Ok(gleaned)
    }

    /// Whether groups say what their labels say, and the label of the whole says it all.
    fn is_consistent(&self) -> bool {
        let consistent = |group: &Group| {
            self.labels.get(usize::from(group.label)).is_some_and(|label| {
                let untrusted = label.integrity == Integrity::Untrusted;
                untrusted == group.marks.is_untrusted() && self.label.covers(label)
            })
        };
        self.groups.iter().all(consistent) && self.label.covers(&self.forgotten.label())
    }
}

fn write_label(label: &Label, out: &mut Vec<u8>) {
    let count = label.categories.len() as u8;
    out.extend([label.integrity as u8, label.confidentiality as u8, count]);
    for category in &label.categories {
        out.push(category.as_str().len() as u8);
        out.extend(category.as_str().as_bytes());
    }
}

/// Why bytes are no [`Gleaned`]: damaged, or of another program. None of the caller's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GleanedError {
    /// A form that this program does not know.
    Version,
    /// They end too early.
    Short,
    /// They are not what is written.
    Form,
}

impl fmt::Display for GleanedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "what a result left behind is of an unknown version",
            Self::Short => "what a result left behind ends too early",
            Self::Form => "what a result left behind is damaged",
        })
    }
}

impl std::error::Error for GleanedError {}

fn ensure(holds: bool) -> Result<(), GleanedError> {
    if holds { Ok(()) } else { Err(GleanedError::Form) }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], GleanedError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(GleanedError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GleanedError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(GleanedError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, GleanedError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, GleanedError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| GleanedError::Form)
    }

    fn label(&mut self) -> Result<Label, GleanedError> {
        let [integrity, confidentiality, count] = self.array()?;
        let integrity = Integrity::ALL.get(usize::from(integrity)).ok_or(GleanedError::Form)?;
        let confidentiality =
            Confidentiality::ALL.get(usize::from(confidentiality)).ok_or(GleanedError::Form)?;
        ensure(usize::from(count) <= CATEGORIES_MAX + 1)?;
        let mut categories = Vec::new();
        for _ in 0..count {
            let length = self.byte()?;
            let name = self.text(usize::from(length))?;
            categories.push(Category::new(name).ok_or(GleanedError::Form)?);
        }
        ensure(categories.is_sorted_by(|a, b| a < b))?;
        Ok(Label {
            integrity: *integrity,
            confidentiality: *confidentiality,
            categories: categories.into_iter().collect(),
        })
    }

    fn group(&mut self) -> Result<Group, GleanedError> {
        let [label, marks] = self.array()?;
        let marks = Marks::parse(marks).ok_or(GleanedError::Form)?;
        let count = u32::from_le_bytes(self.array()?) as usize;
        let bytes = self.take(count.checked_mul(8).ok_or(GleanedError::Form)?)?;
        let prints: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|print| u64::from_le_bytes(*print)).collect();
        ensure(count > 0 && prints.first() != Some(&0) && prints.is_sorted_by(|a, b| a < b))?;
        Ok(Group { label, marks, prints })
    }
}
