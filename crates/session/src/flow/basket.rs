//! The fingerprints of one result, as they come.

use safeconduct_model::Label;

use super::decode::Bytes;
use super::forms::{Ask, Print};
use super::gleaned::{GLEANED_PRINTS_MAX, Gleaned, Group, Source};
use super::key::FlowKey;
use super::labels::{Forgotten, Labels};
use super::piece::{Density, PIECE};
use super::sheaf::{Sheaf, Stalk};
use super::table::{Kind, MARKS, Marks};
use super::text::{Sink, Token, Want, Wants};

/// Which fingerprints give way first: the least label, and under one label what tells least.
pub(crate) fn class(label: &Label, kind: Kind) -> u8 {
    let rank = (label.integrity as u8) << 2 | label.confidentiality as u8;
    rank * 3 + (Kind::Shingle as u8 - kind as u8)
}

/// Whether a class is of values, whatever their label.
pub(crate) fn is_of_values(class: u8) -> bool {
    class % 3 == Kind::Shingle as u8
}

/// Nothing at all.
const NOTHING: Wants = Wants {
    words: Want::No,
    repeats: Want::No,
    components_min: usize::MAX,
    pieces: Density::None,
    bytes: Bytes::Left,
    ask: Ask::Find,
};

/// The fingerprints of one result, as they come.
pub(super) struct Basket {
    sheaf: Sheaf,
    pub(super) labels: Labels,
    /// The label of what is being read, and the bit of its number.
    now: u8,
    now_bit: u128,
    /// What follows from it, for each kind: the marks and the class.
    kinds: [(Marks, u8); 3],
    /// What is of use, as far as it is known: another label or a shut class may change it.
    wants: Wants,
    /// Numbers of the labels that were seen, as bits.
    seen: u128,
    forgotten: Forgotten,
    /// Classes below this one are no longer kept.
    floor: u8,
    /// Words and pieces below this class are passed over: the session would not take them in.
    passed_below: u8,
    passed: Passed,
    shingles: u32,
}

/// Words and pieces that are passed over.
#[derive(Default)]
struct Passed {
    /// Whether words of the label that is being read are.
    words_now: bool,
    /// Whether pieces of it are.
    pieces_now: bool,
    /// Numbers of the labels of which words were, as bits.
    words: u128,
    /// The same of pieces.
    pieces: u128,
}

impl Basket {
    /// An empty one for so many bytes, most of which have that label.
    pub(super) fn new(bytes: usize, label: &Label, passed_below: u8) -> Self {
        // Of texts whose words and pieces are passed over little is left.
        let are_passed = class(label, Kind::Word) < passed_below;
        Self {
            sheaf: Sheaf::with_room(bytes / if are_passed { 16 } else { 8 }),
            labels: Labels::default(),
            now: u8::MAX,
            now_bit: 0,
            kinds: [(Marks::default(), 0); 3],
            wants: NOTHING,
            seen: 0,
            forgotten: Forgotten::default(),
            floor: 0,
            passed_below,
            passed: Passed::default(),
            shingles: 0,
        }
    }

    #[inline]
    pub(super) fn under(&mut self, label: u8) {
        if self.now != label {
            self.turn_to(label);
        }
    }

    #[inline(never)]
    fn turn_to(&mut self, label: u8) {
        self.now = label;
        self.now_bit = 1_u128.checked_shl(u32::from(label)).unwrap_or(0);
        self.seen |= self.now_bit;
        let labels = &self.labels;
        self.kinds =
            Kind::ALL.map(|kind| (labels.marks(label, kind), class(labels.label(label), kind)));
        self.look_what_is_wanted();
    }

    fn look_what_is_wanted(&mut self) {
        let is_passed = |(_, class): (Marks, u8)| class < self.passed_below;
        self.passed.words_now = self.is_untrusted() && is_passed(self.of(Kind::Word));
        self.passed.pieces_now = is_passed(self.of(Kind::Shingle));
        let words = self.is_untrusted() && !self.passed.words_now && self.has_use_for(Kind::Word);
        let pieces = !self.passed.pieces_now && self.has_use_for(Kind::Shingle);
        let pieces = if pieces { Density::Apart } else { Density::None };
        let words = if words { Want::Yes } else { Want::No };
        // What is untrusted vouches for nothing.
        let ask = if self.is_untrusted() { Ask::Find } else { Ask::Keep };
        self.wants = Wants { words, pieces, ask, ..NOTHING };
    }

    /// Whether another fingerprint of that kind would change anything. It would not where its
    /// class is shut, so that all of it counts as forgotten, and nothing is there that another
    /// label could be joined to.
    pub(super) fn has_use_for(&self, kind: Kind) -> bool {
        let (_, class) = self.of(kind);
        class >= self.floor || self.seen.count_ones() > 1
    }

    /// A text of that many bytes is read, of which words and pieces may be passed over.
    #[inline]
    pub(super) fn pass_over(&mut self, bytes: usize) {
        if self.passed.words_now {
            self.passed.words |= self.now_bit;
        }
        if self.passed.pieces_now && bytes >= PIECE {
            self.passed.pieces |= self.now_bit;
        }
    }

    fn is_untrusted(&self) -> bool {
        let [(marks, _), ..] = self.kinds;
        marks.is_untrusted()
    }

    pub(super) fn forget_all(&mut self, label: u8) {
        self.under(label);
        self.forgotten.raise_all(self.labels.label(label));
    }

    #[inline]
    pub(super) fn put(&mut self, kind: Kind, print: u64) {
        let (marks, class) = self.of(kind);
        if class < self.floor || self.sheaf.len() >= GLEANED_PRINTS_MAX {
            return self.put_if_room(kind, print);
        }
        let stalk = Stalk { label: self.now, marks };
        let labels = &mut self.labels;
        self.sheaf.put(print, stalk, |known| join(labels, known, stalk));
    }

    #[inline]
    fn of(&self, kind: Kind) -> (Marks, u8) {
        self.kinds.get(kind as usize).copied().unwrap_or_default()
    }

    #[inline(never)]
    fn put_if_room(&mut self, kind: Kind, print: u64) {
        let (marks, class) = self.of(kind);
        let stalk = Stalk { label: self.now, marks };
        if let Some(known) = self.sheaf.find(print) {
            return join(&mut self.labels, known, stalk);
        }
        if self.make_room(class) {
            self.sheaf.put(print, stalk, |_| {});
        } else {
            self.forgotten.raise(kind, self.labels.label(self.now));
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
        self.look_what_is_wanted();
    }

    pub(super) fn finish(mut self, source: Source) -> Gleaned {
        self.remember_what_was_passed_over();
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
        let groups = Self::groups(&self.sheaf, &self.labels, &numbers);
        let (shingles, forgotten) = (self.shingles, self.forgotten);
        Gleaned { source, label, labels, groups, shingles, forgotten }
    }

    fn remember_what_was_passed_over(&mut self) {
        let passed = [(Kind::Word, self.passed.words), (Kind::Shingle, self.passed.pieces)];
        for (at, label) in self.labels.all().iter().enumerate() {
            for (kind, _) in passed.iter().filter(|(_, labels)| labels >> at & 1 == 1) {
                self.forgotten.raise(*kind, label);
            }
        }
    }

    /// The fingerprints by label and marks; `numbers` has the place of each label in their order.
    fn groups(sheaf: &Sheaf, all: &Labels, numbers: &[u8]) -> Vec<Group> {
        if let Some(only) = sheaf.only() {
            let marks = only.marks.join(all.marks(only.label, only.marks.kind()));
            let label = numbers.get(usize::from(only.label)).copied().unwrap_or(0);
            return vec![Group { label, marks, prints: sheaf.prints() }];
        }
        let room = sheaf.len() / 2 + 1;
        let mut groups: Vec<Group> = Vec::new();
        // Which group each label with each marks has; none yet is beyond them.
        let mut places = vec![usize::MAX; numbers.len() * MARKS];
        for (print, stalk) in sheaf.all() {
            let place = usize::from(stalk.label) * MARKS + usize::from(stalk.marks.byte());
            let Some(place) = places.get_mut(place) else { continue };
            if let Some(group) = groups.get_mut(*place) {
                push_in_order(&mut group.prints, print);
                continue;
            }
            // A label that had to stand for others may have become untrusted behind its back.
            let marks = stalk.marks.join(all.marks(stalk.label, stalk.marks.kind()));
            let label = numbers.get(usize::from(stalk.label)).copied().unwrap_or(0);
            let same = |group: &Group| (group.label, group.marks) == (label, marks);
            *place = groups.iter().position(same).unwrap_or(groups.len());
            match groups.get_mut(*place) {
                Some(group) => push_in_order(&mut group.prints, print),
                None => {
                    let mut prints = Vec::with_capacity(room);
                    prints.push(print);
                    groups.push(Group { label, marks, prints });
                }
            }
        }
        groups.sort_unstable_by_key(|group| (group.label, group.marks));
        groups
    }
}

/// Adds to what is ascending, where what comes is nearly so.
#[inline]
fn push_in_order(prints: &mut Vec<u64>, print: u64) {
    if prints.last().is_none_or(|last| *last < print) {
        return prints.push(print);
    }
    let after = prints.iter().rev().take_while(|other| **other > print).count();
    prints.insert(prints.len() - after, print);
}

fn join(labels: &mut Labels, known: &mut Stalk, new: Stalk) {
    if *known != new {
        known.label = labels.join(known.label, new.label);
        known.marks = known.marks.join(new.marks);
    }
}

impl Sink for Basket {
    fn begin(&mut self, _: &FlowKey, _: &[u8]) {}

    #[inline]
    fn whole(&mut self, prints: &[Print]) {
        prints.iter().for_each(|form| self.put(Kind::Value, form.print));
    }

    fn token(&mut self, prints: &[Print], token: Token) {
        match token {
            Token::Number(_) | Token::Address(_) | Token::Bytes(_) => self.whole(prints),
            // A host is as good as its address only where it does harm.
            Token::Host if self.is_untrusted() => self.whole(prints),
            Token::Host | Token::Component(_) => {}
        }
    }

    #[inline]
    fn word(&mut self, print: impl FnOnce() -> u64) {
        let print = print();
        if self.wants.words == Want::Yes {
            self.put(Kind::Word, print);
        } else {
            self.pass_over(0);
        }
    }

    fn shingle(&mut self, print: u64) {
        self.shingles = self.shingles.saturating_add(1);
        self.put(Kind::Shingle, print);
    }

    #[inline]
    fn wants(&self) -> Wants {
        self.wants
    }
}
