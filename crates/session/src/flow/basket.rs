//! The fingerprints of one result, as they come.

use safeconduct_model::Label;

use super::decode::Bytes;
use super::gleaned::{GLEANED_PRINTS_MAX, Gleaned, Group, Source};
use super::key::FlowKey;
use super::labels::{Forgotten, Labels};
use super::piece::Density;
use super::sheaf::{Sheaf, Stalk};
use super::table::{Kind, MARKS, Marks};
use super::text::{Sink, Token, Want, Wants};

/// Which fingerprints give way first: the least label, and under one label what tells least.
pub(crate) fn class(label: &Label, kind: Kind) -> u8 {
    let rank = (label.integrity as u8) << 2 | label.confidentiality as u8;
    rank * 3 + (Kind::Shingle as u8 - kind as u8)
}

/// The fingerprints of one result, as they come.
pub(super) struct Basket {
    sheaf: Sheaf,
    pub(super) labels: Labels,
    /// The label of what is being read.
    now: u8,
    /// What follows from it, for each kind: the marks and the class.
    kinds: [(Marks, u8); 3],
    /// Words that came lately: most words come again and again.
    lately: Vec<u64>,
    /// Numbers of the labels that were seen, as bits.
    seen: u128,
    forgotten: Forgotten,
    /// Classes below this one are no longer kept.
    floor: u8,
    shingles: u32,
}

/// How many words are remembered as having come lately.
const LATELY: usize = 1024;

impl Basket {
    pub(super) fn for_bytes(bytes: usize) -> Self {
        Self {
            sheaf: Sheaf::with_room(bytes / 8),
            labels: Labels::default(),
            now: u8::MAX,
            kinds: [(Marks::default(), 0); 3],
            lately: vec![0; LATELY],
            seen: 0,
            forgotten: Forgotten::default(),
            floor: 0,
            shingles: 0,
        }
    }

    pub(super) fn under(&mut self, label: u8) {
        if self.now == label {
            return;
        }
        self.now = label;
        self.seen |= 1_u128.checked_shl(u32::from(label)).unwrap_or(0);
        self.lately.fill(0);
        let labels = &self.labels;
        self.kinds =
            Kind::ALL.map(|kind| (labels.marks(label, kind), class(labels.label(label), kind)));
    }

    /// Whether another fingerprint of that kind would change anything. It would not where its
    /// class is shut, so that all of it counts as forgotten, and nothing is there that another
    /// label could be joined to.
    pub(super) fn has_use_for(&self, kind: Kind) -> bool {
        let [value, word, shingle] = self.kinds;
        let (_, class) = match kind {
            Kind::Value => value,
            Kind::Word => word,
            Kind::Shingle => shingle,
        };
        class >= self.floor || self.seen.count_ones() > 1
    }

    fn is_untrusted(&self) -> bool {
        let [(marks, _), ..] = self.kinds;
        marks.is_untrusted()
    }

    pub(super) fn forget_all(&mut self, label: u8) {
        self.under(label);
        self.forgotten.raise_all(self.labels.label(label));
    }

    pub(super) fn put(&mut self, kind: Kind, print: u64) {
        let [value, word, shingle] = self.kinds;
        let (marks, class) = match kind {
            Kind::Value => value,
            Kind::Word => word,
            Kind::Shingle => shingle,
        };
        let (labels, now) = (&mut self.labels, self.now);
        let mut join = |known: &mut Stalk| {
            if (known.label, known.marks) != (now, marks) {
                known.label = labels.join(known.label, now);
                known.marks = known.marks.join(marks);
            }
        };
        if class >= self.floor && self.sheaf.len() < GLEANED_PRINTS_MAX {
            return self.sheaf.put(print, Stalk { label: now, marks }, join);
        }
        if let Some(known) = self.sheaf.find(print) {
            return join(known);
        }
        if self.make_room(class) {
            self.sheaf.put(print, Stalk { label: now, marks }, |_| {});
        } else {
            self.forgotten.raise(kind, self.labels.label(now));
        }
    }

    /// Makes room for a fingerprint of that class; `false` where nothing lower is there.
    fn make_room(&mut self, incoming: u8) -> bool {
        if incoming < self.floor {
            return false;
        }
        let labels = &self.labels;
        let of = |stalk: &Stalk| class(labels.label(stalk.label), stalk.marks.kind());
        let lowest = self.sheaf.iter().map(|(_, stalk)| of(&stalk)).min().unwrap_or(incoming);
        if incoming <= lowest {
            self.shut(incoming + 1);
            return false;
        }
        let forgotten = &mut self.forgotten;
        self.sheaf.retain(|stalk| {
            let keep = of(stalk) > lowest;
            if !keep {
                forgotten.raise(stalk.marks.kind(), labels.label(stalk.label));
            }
            keep
        });
        self.shut(lowest + 1);
        true
    }

    /// Keeps nothing more below that class. What comes of it may not even be looked at, so it
    /// counts as forgotten from now on.
    fn shut(&mut self, floor: u8) {
        self.floor = floor;
        let label = self.labels.label(self.now);
        for (kind, (_, class)) in Kind::ALL.into_iter().zip(self.kinds) {
            if class < floor {
                self.forgotten.raise(kind, label);
            }
        }
    }

    pub(super) fn finish(self, source: Source) -> Gleaned {
        let mut label = self.forgotten.label();
        let mut order: Vec<(&Label, usize)> =
            self.labels.all().iter().enumerate().map(|(at, label)| (label, at)).collect();
        for (seen, at) in &order {
            if self.seen >> at & 1 == 1 {
                label.raise(seen);
            }
        }
        order.sort_unstable();
        let mut numbers = vec![0_u8; order.len()];
        let mut labels = Vec::new();
        for (known, at) in order {
            if let Some(number) = numbers.get_mut(at) {
                *number = labels.len() as u8;
            }
            labels.push(known.clone());
        }
        let mut groups: Vec<Group> = Vec::new();
        // Which group each label with each marks has; none yet is beyond them.
        let mut places = vec![usize::MAX; numbers.len() * MARKS];
        for (print, stalk) in self.sheaf.sorted() {
            let label = numbers.get(usize::from(stalk.label)).copied().unwrap_or(0);
            // A label that had to stand for others may have become untrusted behind its back.
            let marks = stalk.marks.join(self.labels.marks(stalk.label, stalk.marks.kind()));
            let place = places.get_mut(usize::from(label) * MARKS + usize::from(marks.byte()));
            match place.as_ref().and_then(|place| groups.get_mut(**place)) {
                Some(group) => group.prints.push(print),
                None => {
                    place.into_iter().for_each(|place| *place = groups.len());
                    groups.push(Group { label, marks, prints: vec![print] });
                }
            }
        }
        groups.sort_unstable_by_key(|group| (group.label, group.marks));
        let (shingles, forgotten) = (self.shingles, self.forgotten);
        Gleaned { source, label, labels, groups, shingles, forgotten }
    }
}

impl Sink for Basket {
    fn begin(&mut self, _: &FlowKey, _: &[u8]) {}

    fn whole(&mut self, print: u64) {
        self.put(Kind::Value, print);
    }

    fn token(&mut self, print: u64, token: Token) {
        match token {
            Token::Number(_) | Token::Address(_) => self.put(Kind::Value, print),
            // A host is as good as its address only where it does harm.
            Token::Host if self.is_untrusted() => self.put(Kind::Value, print),
            Token::Host | Token::Component(_) => {}
        }
    }

    fn word(&mut self, print: u64) {
        if !self.is_untrusted() {
            return;
        }
        if let Some(last) = self.lately.get_mut(print as usize % LATELY) {
            if *last == print {
                return;
            }
            *last = print;
        }
        self.put(Kind::Word, print);
    }

    fn shingle(&mut self, print: u64) {
        self.shingles = self.shingles.saturating_add(1);
        self.put(Kind::Shingle, print);
    }

    fn wants(&self) -> Wants {
        let words = self.is_untrusted() && self.has_use_for(Kind::Word);
        Wants {
            words: if words { Want::Yes } else { Want::No },
            components: Want::No,
            pieces: if self.has_use_for(Kind::Shingle) { Density::Apart } else { Density::None },
            bytes: Bytes::Left,
        }
    }
}
