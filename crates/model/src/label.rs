//! Labels: what a value or a session carries of where it came from and how far it may travel.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::{Confidentiality, Integrity};

/// Longest name of a category, in bytes.
pub const CATEGORY_BYTES_MAX: usize = 32;

/// Most different categories that one label holds; beyond it the category `overflow` stands for
/// the rest, so that a label never says less than it should without saying so.
pub const CATEGORIES_MAX: usize = 64;

/// Most labelled fields of one action's result.
pub const FIELD_LABELS_MAX: usize = 256;

/// A free category such as `pii`: a lower-case letter, then lower-case letters, digits, `_`, `-`
/// and `.`, at most [`CATEGORY_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(Arc<str>);

impl Category {
    /// The category of that name; `None` where it is no name of one.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
        });
        (first && rest && name.len() <= CATEGORY_BYTES_MAX).then(|| Self(name.into()))
    }

    /// What stands for all categories that found no room.
    pub fn overflow() -> Self {
        Self("overflow".into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a value or a session carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Whether it may steer an agent.
    pub integrity: Integrity,
    /// How far it may travel.
    pub confidentiality: Confidentiality,
    /// What else it is. At most [`CATEGORIES_MAX`] and `overflow`.
    pub categories: BTreeSet<Category>,
}

impl Label {
    /// What carries nothing: trusted and public. The least label, and what a new session has.
    pub const LEAST: Self = Self {
        integrity: Integrity::Trusted,
        confidentiality: Confidentiality::Public,
        categories: BTreeSet::new(),
    };

    /// What carries nothing, to borrow.
    pub fn least() -> &'static Self {
        static LEAST: Label = Label::LEAST;
        &LEAST
    }

    /// Raises this label by another: the worse integrity, the higher confidentiality, all
    /// categories of both. Returns whether that changed anything.
    pub fn raise(&mut self, other: &Self) -> bool {
        let integrity = self.integrity.max(other.integrity);
        let confidentiality = self.confidentiality.max(other.confidentiality);
        let mut changed = integrity != self.integrity || confidentiality != self.confidentiality;
        self.integrity = integrity;
        self.confidentiality = confidentiality;
        if other.categories.is_empty() {
            return changed;
        }
        for category in &other.categories {
            if self.categories.contains(category) {
                continue;
            }
            let category = if self.categories.len() < CATEGORIES_MAX {
                category.clone()
            } else {
                Category::overflow()
            };
            changed |= self.categories.insert(category);
        }
        changed
    }

    /// Whether this label says at least what the other says.
    pub fn covers(&self, other: &Self) -> bool {
        !self.clone().raise(other)
    }
}

impl Default for Label {
    fn default() -> Self {
        Self::LEAST
    }
}

/// The label of what stands at a place of a structured result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLabel {
    /// JSON Pointer (RFC 6901) into the result; the token `*` stands for each element of a list
    /// or each member of an object. It speaks for everything below it that no longer pattern
    /// speaks for.
    pub pointer: Arc<str>,
    /// What it carries.
    pub label: Label,
}

/// What an action's result carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returns {
    /// Free text, and every field that nothing else is said of.
    pub default: Label,
    /// Fields of a structured result. At most [`FIELD_LABELS_MAX`].
    pub fields: Vec<FieldLabel>,
}

impl Returns {
    /// A result that is one thing throughout.
    pub const fn uniform(default: Label) -> Self {
        Self { default, fields: Vec::new() }
    }

    /// Whether any of it may steer an agent.
    pub fn vouches(&self) -> bool {
        let mut labels = self.fields.iter().map(|field| &field.label).chain([&self.default]);
        labels.any(|label| label.integrity == Integrity::Trusted)
    }

    /// The same, and none of it may steer an agent.
    #[must_use]
    pub fn untrusted(mut self) -> Self {
        let labels = self.fields.iter_mut().map(|field| &mut field.label);
        labels.chain([&mut self.default]).for_each(|label| label.integrity = Integrity::Untrusted);
        self
    }

    /// The label of a result in which everything stands that can.
    pub fn highest(&self) -> Label {
        let mut highest = self.default.clone();
        for field in &self.fields {
            highest.raise(&field.label);
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label() -> impl Strategy<Value = Label> {
        (any::<bool>(), 0..4_usize, prop::collection::btree_set(0..100_u8, 0..70)).prop_map(
            |(untrusted, confidentiality, categories)| Label {
                integrity: if untrusted { Integrity::Untrusted } else { Integrity::Trusted },
                confidentiality: Confidentiality::ALL[confidentiality],
                categories: categories
                    .into_iter()
                    .map(|n| Category::new(&format!("c{n}")).unwrap())
                    .take(CATEGORIES_MAX)
                    .collect(),
            },
        )
    }

    #[test]
    fn a_category_is_a_small_name() {
        assert!(Category::new("pii").is_some() && Category::new("gdpr.art-9").is_some());
        for name in ["", "Pii", "1a", "a b", "a\u{e4}", &"a".repeat(33)] {
            assert!(Category::new(name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_label_only_rises(a in label(), b in label()) {
            let mut joined = a.clone();
            joined.raise(&b);
            prop_assert!(joined.integrity >= a.integrity.max(b.integrity));
            prop_assert!(joined.confidentiality >= a.confidentiality.max(b.confidentiality));
            prop_assert!(joined.categories.is_superset(&a.categories));
            prop_assert!(joined.categories.len() <= CATEGORIES_MAX + 1);
            prop_assert!(joined.covers(&a) && joined.covers(&b));
            let again = joined.clone();
            prop_assert!(!joined.raise(&b) && joined == again);
        }
    }
}
