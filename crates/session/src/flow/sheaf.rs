//! The fingerprints of one result while it is read: a table that is quick to add to.
//!
//! The home of a fingerprint is its upper bits, so that what is taken out in the end is nearly in
//! order.

use super::table::Marks;

/// What is known of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stalk {
    /// Which label.
    pub(crate) label: u8,
    /// What it is and where it stood.
    pub(crate) marks: Marks,
}

impl Stalk {
    /// Both as one number, to compare them at once.
    #[inline]
    const fn both(self) -> u16 {
        u16::from_le_bytes([self.label, self.marks.byte()])
    }

    /// The other one in the place of [`NOTHING`], if this is said to be it.
    #[inline]
    fn or_if(self, is_nothing: bool, other: Self) -> Self {
        let mask = u8::from(is_nothing).wrapping_neg();
        Self {
            label: self.label | other.label & mask,
            marks: self.marks.or_masked(other.marks, mask),
        }
    }
}

/// The table. Fingerprint 0 is an empty slot; a power of two of slots, and a few behind the last
/// home for runs that reach over it.
pub(crate) struct Sheaf {
    prints: Vec<u64>,
    stalks: Vec<Stalk>,
    /// Bits of a print that are not part of its home.
    shift: u32,
    len: usize,
    /// How many there may be before it grows.
    most: usize,
}

const SLOTS_MIN: usize = 64;

const SLOTS_HINT_MAX: usize = 8192;

const SLACK: usize = 32;

/// What stands in a slot of which nothing is known.
const NOTHING: Stalk = Stalk { label: 0, marks: Marks::NONE };

impl Sheaf {
    /// An empty one with room for about so many.
    pub(crate) fn with_room(prints: usize) -> Self {
        Self::of((prints * 2).next_power_of_two().clamp(SLOTS_MIN, SLOTS_HINT_MAX))
    }

    fn of(slots: usize) -> Self {
        Self {
            prints: vec![0; slots + SLACK],
            stalks: vec![NOTHING; slots + SLACK],
            shift: u64::BITS - slots.trailing_zeros(),
            len: 0,
            most: slots * 5 / 8,
        }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn homes(&self) -> usize {
        self.prints.len() - SLACK
    }

    /// The slot that a fingerprint has or gets; `None` where that is beyond the last.
    #[inline]
    fn slot(&self, print: u64) -> Option<usize> {
        let mut slot = print.wrapping_shr(self.shift) as usize;
        loop {
            let at = *self.prints.get(slot)?;
            if at == print || at == 0 {
                return Some(slot);
            }
            slot += 1;
        }
    }

    /// What is known of a fingerprint.
    pub(crate) fn find(&mut self, print: u64) -> Option<&mut Stalk> {
        let slot = self.slot(print)?;
        if self.prints.get(slot) == Some(&print) { self.stalks.get_mut(slot) } else { None }
    }

    /// Joins to what is known, or adds what is not. Half of what comes is known, and nobody could
    /// foretell which half: no branch depends on it.
    #[inline]
    pub(crate) fn put(&mut self, print: u64, stalk: Stalk, join: impl FnOnce(&mut Stalk)) {
        let places = self
            .slot(print)
            .and_then(|slot| Some((self.prints.get_mut(slot)?, self.stalks.get_mut(slot)?)));
        let Some((at, known)) = places else {
            // The runs at the end have filled what lies behind: twice the homes part them.
            self.grow();
            return self.put(print, stalk, join);
        };
        let is_new = *at == 0;
        self.len += usize::from(is_new);
        *at = print;
        *known = known.or_if(is_new, stalk);
        if known.both() != stalk.both() {
            join(known);
        }
        if self.len > self.most {
            self.grow();
        }
    }

    /// Everything, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Stalk)> {
        let slots = self.prints.iter().zip(&self.stalks);
        slots.filter(|(print, _)| **print != 0).map(|(print, stalk)| (*print, *stalk))
    }

    /// What is known of all of them, where that is the same.
    pub(crate) fn only(&self) -> Option<Stalk> {
        let one = self.stalks.iter().copied().find(|stalk| *stalk != NOTHING)?;
        let (of_one, of_nothing) = (one.both(), NOTHING.both());
        let differs = self.stalks.iter().fold(0, |differs, stalk| {
            let is_taken = u16::from(stalk.both() != of_nothing).wrapping_neg();
            differs | (stalk.both() ^ of_one) & is_taken
        });
        (differs == 0).then_some(one)
    }

    /// Every fingerprint, ascending.
    pub(crate) fn prints(&self) -> Vec<u64> {
        let mut prints = vec![0; self.len + 1];
        let mut free = 0;
        for print in &self.prints {
            if let Some(place) = prints.get_mut(free) {
                *place = *print;
            }
            // As in `all`.
            free += usize::from(*print != 0);
        }
        prints.truncate(self.len);
        let mut last = 0;
        for at in 0..prints.len() {
            let print = prints.get(at).copied().unwrap_or(u64::MAX);
            if print > last {
                last = print;
                continue;
            }
            // Only within a run is anything out of order: it has not far to go.
            if let Some(before) = prints.get_mut(..=at) {
                let greater = before.iter().rev().skip(1).take_while(|one| **one > print).count();
                let from = before.len() - 1 - greater;
                before.get_mut(from..).into_iter().for_each(|run| run.rotate_right(1));
            }
        }
        prints
    }

    /// Everything, nearly by fingerprint ascending: only within a run is anything out of order.
    pub(crate) fn all(&self) -> Vec<(u64, Stalk)> {
        let mut all = vec![(0, NOTHING); self.len + 1];
        let mut free = 0;
        for (print, stalk) in self.prints.iter().zip(&self.stalks) {
            if let Some(place) = all.get_mut(free) {
                *place = (*print, *stalk);
            }
            // What an empty slot left is written over; no branch depends on which are.
            free += usize::from(*print != 0);
        }
        all.truncate(self.len);
        all
    }

    /// Keeps only these.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Stalk) -> bool) {
        let mut kept = Self::of(self.homes());
        for (print, stalk) in self.iter().filter(|(_, stalk)| keep(stalk)) {
            kept.put(print, stalk, |_| {});
        }
        *self = kept;
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::of(self.homes() * 2);
        for (print, stalk) in self.iter() {
            larger.put(print, stalk, |_| {});
        }
        *self = larger;
    }
}
