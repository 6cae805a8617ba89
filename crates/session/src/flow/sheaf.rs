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

/// The table. Fingerprint 0 is an empty slot; a power of two of slots, and a few behind the last
/// home for runs that reach over it.
pub(crate) struct Sheaf {
    prints: Vec<u64>,
    stalks: Vec<Stalk>,
    /// Bits of a print that are not part of its home.
    shift: u32,
    len: usize,
}

const SLOTS_MIN: usize = 64;

const SLOTS_HINT_MAX: usize = 8192;

const SLACK: usize = 32;

impl Sheaf {
    /// An empty one with room for about so many.
    pub(crate) fn with_room(prints: usize) -> Self {
        Self::of((prints * 2).next_power_of_two().clamp(SLOTS_MIN, SLOTS_HINT_MAX))
    }

    fn of(slots: usize) -> Self {
        Self {
            prints: vec![0; slots + SLACK],
            stalks: vec![Stalk { label: 0, marks: Marks::default() }; slots + SLACK],
            shift: u64::BITS - slots.trailing_zeros(),
            len: 0,
        }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn homes(&self) -> usize {
        self.prints.len() - SLACK
    }

    /// What is known of a fingerprint, or the slot that it gets; `None` where that is beyond.
    fn slot(&self, print: u64) -> (usize, Option<u64>) {
        let home = (print >> self.shift) as usize;
        let run = self.prints.get(home..).unwrap_or_default();
        for (step, other) in run.iter().enumerate() {
            if *other == print || *other == 0 {
                return (home + step, Some(*other));
            }
        }
        (self.prints.len(), None)
    }

    /// What is known of a fingerprint.
    pub(crate) fn find(&mut self, print: u64) -> Option<&mut Stalk> {
        let (slot, found) = self.slot(print);
        if found == Some(print) { self.stalks.get_mut(slot) } else { None }
    }

    /// Joins to what is known, or adds what is not.
    pub(crate) fn put(&mut self, print: u64, stalk: Stalk, join: impl FnOnce(&mut Stalk)) {
        let (slot, found) = self.slot(print);
        let (Some(at), Some(known)) = (self.prints.get_mut(slot), self.stalks.get_mut(slot)) else {
            // The runs at the end have filled what lies behind: twice the homes part them.
            self.grow();
            return self.put(print, stalk, join);
        };
        if found == Some(print) {
            return join(known);
        }
        (*at, *known) = (print, stalk);
        self.len += 1;
        if self.len * 8 > self.homes() * 5 {
            self.grow();
        }
    }

    /// Everything, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Stalk)> {
        let slots = self.prints.iter().zip(&self.stalks);
        slots.filter(|(print, _)| **print != 0).map(|(print, stalk)| (*print, *stalk))
    }

    /// Everything, by fingerprint ascending.
    pub(crate) fn sorted(&self) -> Vec<(u64, Stalk)> {
        let mut all: Vec<(u64, Stalk)> = Vec::with_capacity(self.len);
        for (print, stalk) in self.iter() {
            // Only within a run is anything out of order.
            let after = all.iter().rev().take_while(|(other, _)| *other > print).count();
            all.insert(all.len() - after, (print, stalk));
        }
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

    fn grow(&mut self) {
        let mut larger = Self::of(self.homes() * 2);
        for (print, stalk) in self.iter() {
            larger.put(print, stalk, |_| {});
        }
        *self = larger;
    }
}
