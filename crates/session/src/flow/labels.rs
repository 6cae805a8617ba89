//! Labels by number, and what was forgotten.

use safeconduct_model::{Integrity, Label};

use super::table::{Kind, Marks};

/// Most different labels that are told apart; what comes beyond is joined into the last.
pub(crate) const LABELS_MAX: usize = 128;

/// Labels, each once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    all: Vec<Label>,
    /// The last two that were joined, and what they made.
    joined: Option<(u8, u8, u8)>,
}

impl Labels {
    /// The number of a label that says at least as much.
    pub(crate) fn number(&mut self, label: &Label) -> u8 {
        if let Some(at) = self.all.iter().position(|known| known == label) {
            return number(at);
        }
        if self.all.len() < LABELS_MAX {
            if self.all.len() == self.all.capacity() {
                // Sessions have few labels, and there are many sessions.
                self.all.reserve_exact(1 + self.all.len() / 2);
            }
            self.all.push(label.clone());
        } else if let Some(last) = self.all.last_mut() {
            last.raise(label);
            self.joined = None;
        }
        number(self.all.len().saturating_sub(1))
    }

    /// The label of that number.
    pub(crate) fn label(&self, number: u8) -> &Label {
        self.all.get(usize::from(number)).unwrap_or_else(|| Label::least())
    }

    /// The number of a label that says what both say.
    pub(crate) fn join(&mut self, a: u8, b: u8) -> u8 {
        if a == b {
            return a;
        }
        if let Some((x, y, joined)) = self.joined
            && (x, y) == (a, b)
        {
            return joined;
        }
        let mut both = self.label(a).clone();
        both.raise(self.label(b));
        let joined = self.number(&both);
        self.joined = Some((a, b, joined));
        joined
    }

    /// What is known of a value of that kind under that label.
    pub(crate) fn marks(&self, label: u8, kind: Kind) -> Marks {
        match self.label(label).integrity {
            Integrity::Trusted => Marks::trusted(kind),
            Integrity::Untrusted => Marks::untrusted(kind),
        }
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> &[Label] {
        &self.all
    }

    /// Bytes that they take, categories' names aside.
    pub(crate) fn bytes(&self) -> usize {
        let categories: usize = self.all.iter().map(|label| label.categories.len() * 24).sum();
        self.all.capacity() * size_of::<Label>() + categories
    }
}

fn number(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// The joined labels of what found no room, by kind: most sessions have forgotten nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Forgotten(Option<Box<[Label; 3]>>);

impl Forgotten {
    /// What was forgotten of that kind.
    pub(crate) fn of(&self, kind: Kind) -> &Label {
        let Some(all) = &self.0 else { return Label::least() };
        let [value, word, shingle] = &**all;
        match kind {
            Kind::Value => value,
            Kind::Word => word,
            Kind::Shingle => shingle,
        }
    }

    /// Something of that kind was forgotten.
    pub(crate) fn raise(&mut self, kind: Kind, label: &Label) {
        if self.0.is_none() && label == Label::least() {
            return;
        }
        let [value, word, shingle] = &mut **self.0.get_or_insert_default();
        match kind {
            Kind::Value => value.raise(label),
            Kind::Word => word.raise(label),
            Kind::Shingle => shingle.raise(label),
        };
    }

    /// Something that nobody looked at was forgotten: it may have been anything.
    pub(crate) fn raise_all(&mut self, label: &Label) {
        Kind::ALL.into_iter().for_each(|kind| self.raise(kind, label));
    }

    /// What another forgot too.
    pub(crate) fn join(&mut self, other: &Self) {
        Kind::ALL.into_iter().for_each(|kind| self.raise(kind, other.of(kind)));
    }

    /// All of it.
    pub(crate) fn label(&self) -> Label {
        let mut all = Label::LEAST;
        self.0.iter().flat_map(|labels| labels.iter()).for_each(|label| {
            all.raise(label);
        });
        all
    }
}
