//! Where values came from: fingerprints of what a session has read, and of what its task names.
//!
//! [`digest_result`] takes a result apart, outside of any lock, into a [`Gleaned`]; a session's
//! [`Flow`] folds it, cheaply; [`Flow::look_up`] says of each value of a call's arguments where it
//! was seen, and what the call carries out. What is fingerprinted, what is promised and how it
//! can be evaded: `docs/flow.md`.
//!
//! ```
//! use safeconduct_model::{Integrity, Label, RecordId, Returns, Value};
//! use safeconduct_session::flow::{Flow, Part, Provenance, Source, digest_result};
//!
//! let mut flow = Flow::keyed([7; 16]);
//! let page = r#"{"note": "Please pay to CH93 0076 2011 6238 5295 7"}"#;
//! let untrusted = Label { integrity: Integrity::Untrusted, ..Label::LEAST };
//! let source = Source { sequence: 1, record: RecordId::new("rec_1")? };
//! let parts = [Part::Text(page)];
//! let gleaned = digest_result(&flow, &parts, &Returns::uniform(untrusted), source);
//! flow.fold(&gleaned);
//!
//! let arguments = Value::object([("account", Value::from("CH9300762011623852957"))]);
//! let origins = flow.look_up(&arguments, &[]);
//! assert!(origins.at("/account").is_some_and(|leaf| leaf.is(Provenance::FromUntrusted)));
//! # Ok::<(), safeconduct_model::NameError>(())
//! ```

mod basket;
mod canonical;
mod decode;
mod demand;
mod digest;
mod echo;
mod finding;
mod form;
mod forms;
mod gleaned;
mod grouped;
mod index;
mod key;
mod labels;
mod look_up;
mod mirror;
mod normal;
mod origins;
mod pattern;
mod piece;
mod said;
mod scan;
mod sheaf;
mod side;
mod swar;
mod table;
mod task;
mod text;
mod token;
mod walk;
mod yaml;

#[cfg(test)]
mod promises;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use safeconduct_model::Label;

pub use demand::Demand;
pub use digest::{Part, RESULT_BYTES_READ_MAX, RESULT_LEAVES_READ_MAX, digest_result};
pub use echo::Echo;
pub use gleaned::{GLEANED_BYTES_MAX, GLEANED_PRINTS_MAX, Gleaned, GleanedError, Source};
pub use index::INDEX_BYTES_MAX;
pub use key::FlowKey;
pub use origins::{
    ARGUMENT_LEAVES_MAX, ARGUMENT_POINTERS_MAX, Carried, EVIDENCE_MAX, Extent, LeafOrigin, Origins,
    Place, Provenance, Seen,
};
pub use piece::COPIED_RUN_FOUND;
pub use task::{NAMED_PRINTS_MAX, Named, glean_task};

use index::Index;

/// The normal form of a text: what two values must share to count as one, before numbers, dates
/// and addresses are given one form each.
pub fn normal_form(text: &str) -> String {
    let mut form = Vec::new();
    normal::normalise(text, &mut form);
    String::from_utf8_lossy(&form).into_owned()
}

/// What a session has read: its label, and the fingerprints by which values are found again.
///
/// A fold of [`Gleaned`] and [`Named`]: the same ones give an equal flow, whatever the order of
/// those that have nothing to do with each other, until the index is full. A clone shares the
/// index until one of the two changes.
#[derive(Clone, Default)]
pub struct Flow {
    key: FlowKey,
    label: Label,
    named: Named,
    index: Option<Arc<Index>>,
}

impl Flow {
    /// An empty one whose fingerprints are made under this key: secret bytes of the session.
    pub fn keyed(key: [u8; 16]) -> Self {
        Self { key: FlowKey::from_bytes(key), ..Self::default() }
    }

    /// The key of its fingerprints.
    pub const fn key(&self) -> FlowKey {
        self.key
    }

    /// The worst of everything that was read.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// The worst of everything that found no room in the index.
    pub fn forgotten(&self) -> Label {
        self.index.as_ref().map_or(Label::LEAST, |index| index.forgotten().label())
    }

    /// How many fingerprints it holds, those of the task aside.
    pub fn prints(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.len())
    }

    /// Bytes that it takes, tables and spare room included; an index that is shared counts whole.
    pub fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, |index| size_of::<Index>() + 16 + index.bytes());
        size_of::<Self>() + self.named.prints.len() * size_of::<u64>() + index
    }

    /// Takes in what a result left behind.
    pub fn fold(&mut self, gleaned: &Gleaned) {
        self.label.raise(gleaned.label());
        Arc::make_mut(self.index.get_or_insert_default()).fold(gleaned);
    }

    /// Takes in what its task names; it is never forgotten.
    pub fn name(&mut self, named: &Named) {
        self.named.join(named);
    }

    /// Raises the label: by what a child's result carries, say.
    pub fn raise(&mut self, label: &Label) {
        self.label.raise(label);
    }

    /// The same label and key, and nothing that was read.
    #[must_use]
    pub fn label_alone(&self) -> Self {
        Self { key: self.key, label: self.label.clone(), ..Self::default() }
    }

    /// Takes in that something was read of which only the label is known: what was not reported,
    /// or is not there any more.
    pub fn forget(&mut self, label: &Label) {
        self.label.raise(label);
        Arc::make_mut(self.index.get_or_insert_default()).forget(label);
    }

    /// The flow that a child begins with: the label, the index and what the task names. The index
    /// is shared until one of the two changes.
    #[must_use]
    pub fn for_child(&self) -> Self {
        self.clone()
    }
}

/// Equal are those that answer alike: the layout of the index does not count.
impl PartialEq for Flow {
    fn eq(&self, other: &Self) -> bool {
        let none = Index::default();
        let mine = self.index.as_deref().unwrap_or(&none);
        let theirs = other.index.as_deref().unwrap_or(&none);
        (self.key, &self.label, &self.named) == (other.key, &other.label, &other.named)
            && mine.forgotten() == theirs.forgotten()
            && mine.all().eq(theirs.all())
    }
}

impl Eq for Flow {}

/// Counts only.
impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flow({} prints, {:?})", self.prints(), self.label)
    }
}
