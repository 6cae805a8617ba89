//! What a look-up finds: where each value of the arguments came from, and what they carry out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{ArgumentRole, Category, Confidentiality, Integrity, Label, RecordId};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// The task's parameters or its prompt name it, and a person or an orchestrator gave them.
    FromTask,
    /// The whole of it stood in a trusted result.
    FromTrusted,
    /// It, or a part of it that the task does not name, stood in an untrusted result, or may have:
    /// something untrusted was forgotten.
    FromUntrusted,
    /// It was seen nowhere.
    Unseen,
}

impl Provenance {
    /// Every value.
    pub const ALL: [Self; 4] =
        [Self::FromTask, Self::FromTrusted, Self::FromUntrusted, Self::Unseen];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromTask => "from_task",
            Self::FromTrusted => "from_trusted",
            Self::FromUntrusted => "from_untrusted",
            Self::Unseen => "unseen",
        }
    }
}

/// A set of provenances.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen(u8);

impl Seen {
    /// Whether it holds that one.
    pub const fn contains(self, provenance: Provenance) -> bool {
        self.0 & 1 << provenance as u8 != 0
    }

    /// What it holds, best first.
    pub fn iter(self) -> impl Iterator<Item = Provenance> {
        Provenance::ALL.into_iter().filter(move |provenance| self.contains(*provenance))
    }

    pub(crate) fn insert(&mut self, provenance: Provenance) {
        self.0 |= 1 << provenance as u8;
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Provenance::as_str)).finish()
    }
}

/// How much of a value is what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Nothing of it is known to be; what was forgotten stands in.
    Forgotten,
    /// A part: an address in a text, a copied run, the host of a URL.
    Part,
    /// All of it.
    Whole,
}

/// Which part of the arguments a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A value.
    Value,
    /// The name of the member at that place.
    Name,
}

/// What content takes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The highest confidentiality.
    pub confidentiality: Confidentiality,
    /// All categories.
    pub categories: BTreeSet<Category>,
    /// How much of the text of a source it holds, at most, in permille; 1000 for a whole value.
    /// 0 where nothing was found and what was forgotten stands in, or nothing is carried.
    pub coverage: u16,
}

impl Carried {
    /// Nothing.
    pub const NOTHING: Self =
        Self { confidentiality: Confidentiality::Public, categories: BTreeSet::new(), coverage: 0 };

    /// What both carry; the coverage is that of the more confidential, of equals the larger.
    pub fn raise(&mut self, other: &Self) {
        if other.confidentiality > self.confidentiality {
            self.coverage = other.coverage;
        } else if other.confidentiality == self.confidentiality {
            self.coverage = self.coverage.max(other.coverage);
        }
        self.confidentiality = self.confidentiality.max(other.confidentiality);
        self.categories.extend(other.categories.iter().cloned());
    }
}

/// What is known of one value, or of the name of a member, of the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafOrigin {
    /// JSON Pointer (RFC 6901) into the arguments.
    pub pointer: Arc<str>,
    /// Whether it is about the value or about the member's name.
    pub place: Place,
    /// What the argument decides.
    pub role: ArgumentRole,
    /// Where it was seen: never empty, and [`Provenance::Unseen`] only alone.
    pub seen: Seen,
    /// How much of it stood in untrusted results; `None` where it is not from there.
    pub untrusted: Option<Extent>,
    /// The worst of everything that it was seen as.
    pub label: Label,
    /// What it carries out.
    pub carries: Carried,
    /// Records that it was seen in, the worst first, then the newest; at most [`EVIDENCE_MAX`].
    pub evidence: Vec<RecordId>,
}

impl LeafOrigin {
    /// What is as bad as anything under that label, and decides that.
    pub(crate) fn anything(label: &Label, role: ArgumentRole) -> Self {
        let mut seen = Seen::default();
        let untrusted = label.integrity == Integrity::Untrusted;
        seen.insert(if untrusted { Provenance::FromUntrusted } else { Provenance::Unseen });
        Self {
            pointer: "".into(),
            place: Place::Value,
            role,
            seen,
            untrusted: untrusted.then_some(Extent::Forgotten),
            label: label.clone(),
            carries: Carried {
                confidentiality: label.confidentiality,
                categories: label.categories.clone(),
                coverage: 0,
            },
            evidence: Vec::new(),
        }
    }

    /// Whether it was seen there.
    pub fn is(&self, provenance: Provenance) -> bool {
        self.seen.contains(provenance)
    }
}

/// Most records that one value has as evidence.
pub const EVIDENCE_MAX: usize = 4;

/// Where all values of the arguments came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// Each value in the order of the arguments, and names of members that are more than plain
    /// names, or carry something. At most [`ARGUMENT_LEAVES_MAX`], with pointers of some
    /// [`ARGUMENT_POINTERS_MAX`] bytes together; if there are more, three more stand for all of
    /// them: each has the empty pointer and is as bad as the session, and one is an amount, one a
    /// command and the last an address.
    pub leaves: Vec<LeafOrigin>,
    /// What they carry out together.
    pub carries: Carried,
}

/// Most values of the arguments that are looked up one by one.
pub const ARGUMENT_LEAVES_MAX: usize = 10_000;

/// Most bytes of the pointers of values that are looked up one by one: names are the caller's, and
/// one long name stands in the pointer of everything below it. The last one may go beyond.
pub const ARGUMENT_POINTERS_MAX: usize = 1024 * 1024;

impl Origins {
    /// What is known of the value at that place.
    pub fn at(&self, pointer: &str) -> Option<&LeafOrigin> {
        self.leaves.iter().find(|leaf| *leaf.pointer == *pointer && leaf.place == Place::Value)
    }
}
