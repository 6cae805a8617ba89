//! Looks the values of a call's arguments up.

use std::fmt::Write as _;
use std::sync::LazyLock;

use safeconduct_model::{ArgumentRole, ArgumentUse, Value};
use smallvec::SmallVec;

use super::Flow;
use super::digest::{is_plain_name, looks_like_json};
use super::finding::Finding;
use super::index::Index;
use super::origins::{
    ARGUMENT_LEAVES_MAX, ARGUMENT_POINTERS_MAX, Carried, LeafOrigin, Origins, Place,
};
use super::pattern::{Patterns, Walk};
use super::scan::{self, Content, Visitor};
use super::text::Reader;
use super::walk::{DEPTH_USUAL, value};

/// Room for the pointers of most arguments, in bytes.
const POINTER_USUAL: usize = 64;

/// Room for the values of most arguments.
const LEAVES_USUAL: usize = 4;

/// What a session has read that has read nothing.
static NOTHING: LazyLock<Index> = LazyLock::new(Index::default);

impl Flow {
    /// Says of each value of the arguments where it was seen, and what they carry out.
    ///
    /// `uses` says what arguments decide; of what nothing is said is content. Where two of the
    /// same length speak for one place, the one that decides more counts.
    pub fn look_up(&self, arguments: &Value, uses: &[ArgumentUse]) -> Origins {
        self.look_up_where(arguments, uses, &|_| false)
    }

    /// The same, where the task names more: `named` says of a place (JSON Pointer) whether what
    /// stands there is, as a whole, what the task's intent says must stand there.
    pub fn look_up_where(
        &self,
        arguments: &Value,
        uses: &[ArgumentUse],
        named: &dyn Fn(&str) -> bool,
    ) -> Origins {
        let uses = uses.iter().map(|part| (&*part.argument, part.role));
        let patterns = Patterns::new(ArgumentRole::Content, uses, Ord::min);
        let mut looker = Looker {
            flow: self,
            named,
            index: self.index.as_deref().unwrap_or(&NOTHING),
            reader: Reader::new(self.key),
            walk: Walk::new(&patterns, ArgumentRole::Content),
            pointer: String::with_capacity(POINTER_USUAL),
            ends: SmallVec::new(),
            pointers: 0,
            origins: Origins {
                leaves: Vec::with_capacity(LEAVES_USUAL),
                carries: Carried::NOTHING,
            },
        };
        value(arguments, &mut looker);
        looker.finish()
    }

    /// Whether there is nothing in which a value could be found: most calls are made before
    /// anything was read.
    fn is_blank(&self) -> bool {
        self.index.is_none() && self.named.is_empty()
    }
}

struct Looker<'w, 'f> {
    flow: &'f Flow,
    named: &'f dyn Fn(&str) -> bool,
    index: &'f Index,
    reader: Reader,
    walk: Walk<'w, 'f, ArgumentRole>,
    pointer: String,
    /// Where the pointer of each container around ends, and how many elements it had.
    ends: SmallVec<[(usize, usize); DEPTH_USUAL]>,
    /// Bytes of the pointers that were told.
    pointers: usize,
    origins: Origins,
}

impl<'f> Looker<'_, 'f> {
    fn finish(&mut self) -> Origins {
        if self.is_full() {
            // What was not looked at may be anything that the session has read.
            for role in [ArgumentRole::Amount, ArgumentRole::Command, ArgumentRole::Address] {
                let leaf = LeafOrigin::anything(&self.flow.label, role);
                self.origins.carries.raise(&leaf.carries);
                self.origins.leaves.push(leaf);
            }
        }
        let nothing = Origins { leaves: Vec::new(), carries: Carried::NOTHING };
        std::mem::replace(&mut self.origins, nothing)
    }

    fn finding(&self) -> Finding<'f> {
        let mut finding = Finding::new(&self.flow.named, self.index, self.walk.says());
        if (self.named)(&self.pointer) {
            finding.name();
        }
        finding
    }

    fn push(&mut self, leaf: LeafOrigin) {
        self.origins.carries.raise(&leaf.carries);
        self.pointers += leaf.pointer.len();
        self.origins.leaves.push(leaf);
    }

    fn look(&mut self, place: Place, text: &str) {
        if self.flow.is_blank() {
            return self.push(self.finding().leaf(place, &self.pointer));
        }
        let mut finding = self.finding();
        finding.text(&mut self.reader, text);
        if looks_like_json(text) {
            scan::json(text, &mut Nested { reader: &mut self.reader, finding: &mut finding });
        }
        let leaf = finding.leaf(place, &self.pointer);
        self.push(leaf);
    }

    /// A plain name has no provenance worth telling, and may be a secret all the same.
    fn look_what_it_carries(&mut self, name: &str) {
        if self.flow.is_blank() {
            return;
        }
        let mut finding = Finding::new(&self.flow.named, self.index, ArgumentRole::Content);
        finding.text(&mut self.reader, name);
        let leaf = finding.leaf(Place::Name, &self.pointer);
        match leaf.carries.coverage {
            0 => self.origins.carries.raise(&leaf.carries),
            _ => self.push(leaf),
        }
    }
}

/// Whether a name may be one that the tool itself gives to an argument: whoever calls it has not
/// chosen it then, and results are full of such words.
fn is_usual(name: &str) -> bool {
    name.len() < 16 && !name.bytes().any(|byte| byte == b'-')
}

/// Adds a name to a pointer (RFC 6901, section 3).
fn escape(name: &str, pointer: &mut String) {
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

impl Visitor for Looker<'_, '_> {
    fn open(&mut self) {
        self.walk.open();
        self.ends.push((self.pointer.len(), 0));
    }

    fn close(&mut self, _: Content) {
        self.walk.close();
        if let Some((end, _)) = self.ends.pop() {
            self.pointer.truncate(end);
        }
    }

    fn name(&mut self, name: &str) {
        self.walk.member(name, Ord::min);
        if let Some((end, _)) = self.ends.last() {
            self.pointer.truncate(*end);
        }
        let plain = is_plain_name(name);
        self.pointer.push('/');
        if plain {
            self.pointer.push_str(name);
        } else {
            escape(name, &mut self.pointer);
        }
        let within = self.ends.len() > 1;
        if !plain || within && self.walk.says() != ArgumentRole::Content {
            self.look(Place::Name, name);
        } else if within || !is_usual(name) {
            self.look_what_it_carries(name);
        }
    }

    fn element(&mut self) {
        self.walk.element(Ord::min);
        if let Some((end, count)) = self.ends.last_mut() {
            self.pointer.truncate(*end);
            // Writing to a text does not fail.
            let _ = write!(self.pointer, "/{count}");
            *count += 1;
        }
    }

    fn text(&mut self, text: &str) {
        self.look(Place::Value, text);
    }

    fn number(&mut self, text: &str) {
        let mut finding = self.finding();
        if !self.flow.is_blank() {
            finding.number(&mut self.reader, text);
        }
        let leaf = finding.leaf(Place::Value, &self.pointer);
        self.push(leaf);
    }

    fn word(&mut self, _: &str) {
        let leaf = self.finding().leaf_of_nothing(&self.pointer);
        self.push(leaf);
    }

    fn is_full(&self) -> bool {
        self.origins.leaves.len() >= ARGUMENT_LEAVES_MAX || self.pointers >= ARGUMENT_POINTERS_MAX
    }
}

/// A text of the arguments that is a document of its own: what stands in it are parts of it.
struct Nested<'a, 'f> {
    reader: &'a mut Reader,
    finding: &'a mut Finding<'f>,
}

impl Visitor for Nested<'_, '_> {
    fn open(&mut self) {}

    fn close(&mut self, _: Content) {}

    fn name(&mut self, name: &str) {
        self.finding.part(self.reader, name);
    }

    fn element(&mut self) {}

    fn text(&mut self, text: &str) {
        self.finding.part(self.reader, text);
    }

    fn number(&mut self, text: &str) {
        self.finding.part(self.reader, text);
    }

    fn word(&mut self, _: &str) {}

    fn is_full(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_not_looked_for_would_not_be_found(
            text in prop_oneof![
                ".{0,40}",
                Just("[\"CH93 0076 2011 6238 5295 7\", {\"a@b.example\": 12.50}]".to_owned()),
            ],
            number: i64,
            address: bool,
        ) {
            let role = if address { ArgumentRole::Address } else { ArgumentRole::Content };
            let uses = [ArgumentUse { argument: "".into(), role }];
            let list = Value::Array(vec![Value::from(number), Value::from(text.as_str())]);
            let inner = Value::object([(text.as_str(), list)]);
            let arguments = Value::object([("a", inner), ("b", Value::Bool(true))]);
            let blank = Flow::keyed([1; 16]);
            let empty = Flow { index: Some(Arc::default()), ..blank.clone() };
            prop_assert_eq!(blank.look_up(&arguments, &uses), empty.look_up(&arguments, &uses));
        }
    }
}
