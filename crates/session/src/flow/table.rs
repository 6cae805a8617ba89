//! The table of fingerprints: open addressing, in the order of the fingerprints.
//!
//! A fingerprint's home is its share of the slots, so that the entries stand in ascending order
//! wherever runs meet; a search ends at the first greater one. The layout follows from what is
//! in it, not from the order in which it came.

/// What is known of a fingerprint, packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// Which source, as its owner counts them.
    pub(crate) source: u16,
    /// Which label, as its owner counts them.
    pub(crate) label: u8,
    /// What it is and where it stood.
    pub(crate) marks: Marks,
}

/// What a fingerprint is of. Later ones tell less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A whole value, or what looks like an address or a number in a text.
    Value = 0,
    /// A word of a text, or a plain name of a member.
    Word = 1,
    /// A piece of a longer text.
    Shingle = 2,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 3] = [Self::Value, Self::Word, Self::Shingle];
}

/// More than any [`Marks`] is as a byte.
pub(crate) const MARKS: usize = 16;

/// A kind, and whether it stood in trusted and in untrusted results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Marks(u8);

impl Marks {
    /// Of nothing at all: no value has them.
    pub(crate) const NONE: Self = Self(0);

    const TRUSTED: u8 = 1;
    const UNTRUSTED: u8 = 2;

    /// Of that kind, in a trusted result.
    pub(crate) const fn trusted(kind: Kind) -> Self {
        Self(Self::TRUSTED | (kind as u8) << 2)
    }

    /// Of that kind, in an untrusted result.
    pub(crate) const fn untrusted(kind: Kind) -> Self {
        Self(Self::UNTRUSTED | (kind as u8) << 2)
    }

    /// From its byte, where it is one.
    pub(crate) const fn parse(byte: u8) -> Option<Self> {
        let places = byte & (Self::TRUSTED | Self::UNTRUSTED);
        if byte >> 2 <= Kind::Shingle as u8 && places != 0 { Some(Self(byte)) } else { None }
    }

    /// As a byte.
    pub(crate) const fn byte(self) -> u8 {
        self.0
    }

    /// What it is of.
    pub(crate) const fn kind(self) -> Kind {
        match self.0 >> 2 {
            0 => Kind::Value,
            1 => Kind::Word,
            _ => Kind::Shingle,
        }
    }

    /// Whether it stood in a trusted result.
    pub(crate) const fn is_trusted(self) -> bool {
        self.0 & Self::TRUSTED != 0
    }

    /// Whether it stood in an untrusted result.
    pub(crate) const fn is_untrusted(self) -> bool {
        self.0 & Self::UNTRUSTED != 0
    }

    /// These, or where these are [`Marks::NONE`] and the mask has every bit, the other ones.
    #[inline]
    pub(crate) const fn or_masked(self, other: Self, mask: u8) -> Self {
        Self(self.0 | other.0 & mask)
    }

    /// Both: all places, and the kind that tells most.
    pub(crate) const fn join(self, other: Self) -> Self {
        let kind = if self.0 >> 2 < other.0 >> 2 { self.0 >> 2 } else { other.0 >> 2 };
        Self((self.0 | other.0) & 3 | kind << 2)
    }
}

/// Bytes of one slot.
const SLOT_BYTES: usize = size_of::<u64>() + size_of::<Entry>();

/// So many entries are given little more room than they need: there are many sessions that have
/// read little.
const FEW: usize = 512;

/// So many are given no more than they need.
const FEWEST: usize = 16;

/// Slots behind the last home, for runs that reach over it.
const SLACK: usize = 8;

/// Slots from a home on that are looked at side by side.
const NEAR: usize = 4;

const _: () = assert!(NEAR <= SLACK);

/// The table. Fingerprint 0 is an empty slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    prints: Vec<u64>,
    entries: Vec<Entry>,
    homes: usize,
    len: usize,
}

impl Table {
    /// How many entries it has.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.prints.capacity() * size_of::<u64>() + self.entries.capacity() * size_of::<Entry>()
    }

    #[inline]
    fn home(&self, print: u64) -> usize {
        ((u128::from(print) * self.homes as u128) >> 64) as usize
    }

    /// The first slot that is empty or holds this fingerprint or a greater one.
    #[inline]
    fn slot(&self, print: u64) -> usize {
        let home = self.home(print);
        let run = self.prints.get(home..).unwrap_or_default();
        // Less than it, and not empty. What stands behind an empty slot has its home there, and is
        // greater: so the first few can be counted without asking where they end.
        let less = |other: &&u64| other.wrapping_sub(1) < print.saturating_sub(1);
        if let Some(near) = run.first_chunk::<NEAR>() {
            let before: usize = near.iter().map(|other| usize::from(less(&other))).sum();
            if before < NEAR {
                return home + before;
            }
        }
        home + run.iter().take_while(less).count()
    }

    /// What is known of a fingerprint.
    pub(crate) fn find(&self, print: u64) -> Option<&Entry> {
        let slot = self.slot(print);
        (self.prints.get(slot) == Some(&print)).then(|| self.entries.get(slot))?
    }

    /// What is known of a fingerprint, to change.
    pub(crate) fn find_mut(&mut self, print: u64) -> Option<&mut Entry> {
        let slot = self.slot(print);
        (self.prints.get(slot) == Some(&print)).then(|| self.entries.get_mut(slot))?
    }

    /// Makes room for so many more at once. Whoever fills a table to the last makes room first.
    pub(crate) fn reserve(&mut self, count: usize) {
        let most = self.len + count;
        if most * 8 > self.homes * 7 {
            // What is read on and on is given more room at once.
            let homes = if most < FEW { most * 10 / 7 } else { most * 2 };
            // The least with which so many fill no more than seven parts of eight.
            let least = (most * 8).div_ceil(7);
            let homes = if most < FEWEST { least } else { homes.min(HOMES_MAX).max(least) };
            self.grow(homes);
        }
    }

    /// Joins an entry to what is there, or puts it where nothing is. Returns whether it is new.
    #[inline]
    pub(crate) fn put(&mut self, print: u64, entry: Entry, join: impl FnOnce(&mut Entry)) -> bool {
        if (self.len + 1) * 8 > self.homes * 7 {
            self.reserve(1);
        }
        let slot = self.slot(print);
        let prints = self.prints.get_mut(slot..).unwrap_or_default();
        let entries = self.entries.get_mut(slot..).unwrap_or_default();
        if let (Some(at), Some(known)) = (prints.first(), entries.first_mut())
            && *at == print
        {
            join(known);
            return false;
        }
        self.len += 1;
        // What is greater makes way by one, up to the first empty slot.
        let (mut print, mut entry) = (print, entry);
        for (at, known) in prints.iter_mut().zip(entries) {
            std::mem::swap(at, &mut print);
            std::mem::swap(known, &mut entry);
            if print == 0 {
                return true;
            }
        }
        self.len -= 1;
        self.push(print, entry);
        true
    }

    /// Every entry, by fingerprint ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Entry)> {
        let slots = self.prints.iter().zip(&self.entries);
        slots.filter(|(print, _)| **print != 0).map(|(print, entry)| (*print, *entry))
    }

    /// Every entry, to change.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let slots = self.prints.iter().zip(&mut self.entries);
        slots.filter(|(print, _)| **print != 0).map(|(_, entry)| entry)
    }

    /// Tells of every slot whether it has an entry, and which: no branch depends on it.
    pub(crate) fn each_slot(&self, mut tell: impl FnMut(bool, &Entry)) {
        for (print, entry) in self.prints.iter().zip(&self.entries) {
            tell(*print != 0, entry);
        }
    }

    /// Keeps those above the fingerprint that is said of them, in one pass and in place: what stays
    /// moves towards its home. Nobody could foretell which stay: no branch depends on it.
    pub(crate) fn retain(&mut self, above: impl Fn(&Entry) -> u64) {
        let (mut free, mut len) = (0, 0);
        for slot in 0..self.prints.len() {
            let (Some(at), Some(entry)) = (self.prints.get_mut(slot), self.entries.get(slot))
            else {
                break;
            };
            let (print, entry) = (std::mem::take(at), *entry);
            let stays = print > above(&entry);
            // Whatever stood from `free` up to here is taken out, so what goes may be written too.
            let to = self.home(print).max(free).min(slot);
            if let (Some(at), Some(place)) = (self.prints.get_mut(to), self.entries.get_mut(to)) {
                *at = print * u64::from(stays);
                *place = entry;
            }
            free += to.wrapping_add(1).wrapping_sub(free) * usize::from(stays);
            len += usize::from(stays);
        }
        self.len = len;
    }

    fn grow(&mut self, homes: usize) {
        let mut new = Self::empty(homes);
        let mut free = 0;
        for (print, entry) in self.iter() {
            free = new.append(free, print, entry);
        }
        *self = new;
    }

    fn empty(homes: usize) -> Self {
        let slots = homes + if homes < FEW { NEAR } else { SLACK };
        Self { prints: vec![0; slots], entries: vec![Entry::default(); slots], homes, len: 0 }
    }

    /// Puts what comes behind all others into the first free slot from `free` on; gives the next.
    #[inline]
    fn append(&mut self, free: usize, print: u64, entry: Entry) -> usize {
        let slot = self.home(print).max(free);
        match (self.prints.get_mut(slot), self.entries.get_mut(slot)) {
            (Some(at), Some(place)) => {
                (*at, *place) = (print, entry);
                self.len += 1;
            }
            _ => self.push(print, entry),
        }
        slot + 1
    }

    /// Puts what is greater than all others behind the last slot, which is taken.
    #[cold]
    fn push(&mut self, print: u64, entry: Entry) {
        self.prints.reserve_exact(1);
        self.entries.reserve_exact(1);
        self.prints.push(print);
        self.entries.push(entry);
        self.len += 1;
    }
}

/// Bytes that a table with [`ENTRIES_MAX`] entries takes: in two parts of 128 and 64 KiB, as
/// allocators give them out without loss.
pub(crate) const TABLE_BYTES_MAX: usize = 192 * 1024;

/// Homes of the largest table.
const HOMES_MAX: usize = TABLE_BYTES_MAX / SLOT_BYTES - SLACK;

/// Most entries of a table.
pub(crate) const ENTRIES_MAX: usize = HOMES_MAX * 7 / 8;

const _: () = assert!((ENTRIES_MAX * 8).div_ceil(7) <= HOMES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            puts in prop::collection::vec((prop_oneof![any::<u64>(), 1..40_u64, (u64::MAX - 40)..], 0..9_u16), 0..400),
            least in 0..9_u16,
        ) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (print, source) in &puts {
                let (print, source) = ((*print).max(1), *source);
                let entry = Entry { source, ..Entry::default() };
                let new = table.put(print, entry, |known| known.source = known.source.max(source));
                let known = map.insert(print, source);
                if let Some(known) = known {
                    map.insert(print, known.max(source));
                }
                prop_assert_eq!(new, known.is_none());
            }
            let all = |table: &Table| table.iter().map(|(p, e)| (p, e.source)).collect::<Vec<_>>();
            prop_assert_eq!(all(&table), map.clone().into_iter().collect::<Vec<_>>());
            for (print, source) in &map {
                prop_assert_eq!(table.find(*print).map(|e| e.source), Some(*source));
                prop_assert_eq!(table.find(print ^ 1).is_some(), map.contains_key(&(print ^ 1)));
            }
            let mut slots = 0;
            table.each_slot(|is_taken, _| slots += usize::from(is_taken));
            prop_assert_eq!(slots, map.len());
            table.retain(|entry| if entry.source >= least { 0 } else { u64::MAX });
            map.retain(|_, source| *source >= least);
            prop_assert_eq!(all(&table), map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(table.len(), map.len());
            table.reserve(puts.len());
            let bytes = table.bytes();
            for (print, source) in puts {
                let print = print.max(1);
                table.put(print, Entry { source, ..Entry::default() }, |known| known.source = source);
                map.insert(print, source);
            }
            prop_assert_eq!(all(&table), map.clone().into_iter().collect::<Vec<_>>());
            prop_assert!(table.bytes() <= bytes + 400 * SLOT_BYTES);
        }
    }

    #[test]
    fn a_table_that_is_filled_at_once_takes_no_more_than_the_most() {
        let mut table = Table::default();
        table.reserve(ENTRIES_MAX);
        assert!(table.bytes() <= TABLE_BYTES_MAX, "{}", table.bytes());
    }
}
