//! Rows that were found at events, with when that was last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use super::datum::Datum;

/// When a row was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In milliseconds; never less than at an earlier event.
    pub(super) at: i64,
    /// The number of the event.
    pub(super) index: u64,
}

/// Values of some symbols.
pub(super) type Row = Box<[Datum]>;

/// Rows by what is known when they are looked for, each with when it was last found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// By key.
    groups: Vec<(Row, Group)>,
    /// When something of a group was found, in that order; nothing where there is one group alone,
    /// of no key, whose rows stand in that order.
    ages: VecDeque<(i64, Row)>,
    rows: usize,
}

/// Rows of one key, the one that was found longest ago first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Group {
    rows: VecDeque<(Row, Stamp)>,
    /// Where each row stands, once there are many: by the event that it was found at.
    found_at: Option<Box<Places>>,
    sum: i128,
}

/// At which event each row was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Places(BTreeMap<Row, u64>);

/// From how many rows on a group knows where each stands.
const MANY: usize = 16;

/// How rows of a table are told apart and summed up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Whether each event finds rows of its own.
    pub(super) per_event: bool,
    /// The place of what is summed up.
    pub(super) sum: Option<usize>,
}

impl Table {
    pub(super) fn group(&self, key: &[Datum]) -> Option<&Group> {
        self.group_by(|known| known.cmp(key))
    }

    /// The group of a key to which keys compare so.
    pub(super) fn group_by(&self, compare: impl Fn(&[Datum]) -> Ordering) -> Option<&Group> {
        let at = self.groups.binary_search_by(|(known, _)| compare(known)).ok()?;
        self.groups.get(at).map(|(_, group)| group)
    }

    fn place(&self, key: &[Datum]) -> Result<usize, usize> {
        self.groups.binary_search_by(|(known, _)| (**known).cmp(key))
    }

    fn group_mut(&mut self, key: &[Datum]) -> Option<&mut Group> {
        let at = self.place(key).ok()?;
        self.groups.get_mut(at).map(|(_, group)| group)
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Notes that a row was found, and says whether it is new.
    pub(super) fn note(&mut self, key: &[Datum], row: Row, stamp: Stamp, kept: Kept) -> bool {
        if let Err(at) = self.place(key) {
            if self.groups.len() == self.groups.capacity() {
                self.groups.reserve_exact(1 + self.groups.len() / 2);
            }
            self.groups.insert(at, (key.into(), Group::default()));
        }
        let fresh = self.group_mut(key).is_some_and(|group| group.note(row, stamp, kept));
        self.rows += usize::from(fresh);
        if !key.is_empty() {
            self.note_age(key, stamp.at);
        }
        fresh
    }

    fn note_age(&mut self, key: &[Datum], found_at: i64) {
        if self.ages.back().is_none_or(|(at, last)| *at != found_at || **last != *key) {
            // The group's own key, so that its texts are there once.
            let own = self.place(key).ok().and_then(|at| self.groups.get(at));
            let key = own.map_or_else(|| key.into(), |(own, _)| own.clone());
            self.ages.push_back((found_at, key));
        }
        if self.ages.len() > 2 * self.rows + 64 {
            self.order_again();
        }
    }

    /// Whether that row is there.
    pub(super) fn has(&self, key: &[Datum], row: &[Datum], stamp: Stamp, kept: Kept) -> bool {
        self.group(key).is_some_and(|group| group.place(row, stamp, kept).is_some())
    }

    /// Forgets what was last found before that time.
    pub(super) fn forget(&mut self, before: i64, kept: Kept) {
        let mut empty = false;
        if let Some((key, alone)) = self.groups.first_mut()
            && key.is_empty()
        {
            self.rows -= alone.forget(before, kept);
            empty = alone.rows.is_empty();
        }
        while self.ages.front().is_some_and(|(at, _)| *at < before) {
            let Some((_, key)) = self.ages.pop_front() else { break };
            let Some(group) = self.group_mut(&key) else { continue };
            let forgotten = group.forget(before, kept);
            empty |= group.rows.is_empty();
            self.rows -= forgotten;
        }
        if empty {
            self.groups.retain(|(_, group)| !group.rows.is_empty());
        }
    }

    /// Leaves each group once in `ages` for each time of it that is left.
    fn order_again(&mut self) {
        let mut ages: Vec<(i64, &Row)> = Vec::with_capacity(self.rows);
        for (key, group) in &self.groups {
            ages.extend(group.rows.iter().map(|(_, stamp)| (stamp.at, key)));
        }
        ages.sort();
        ages.dedup();
        self.ages = ages.into_iter().map(|(at, key)| (at, key.clone())).collect();
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let groups = self.groups.iter().map(|(key, group)| {
            let rows = group.rows.iter().map(|(row, _)| size_of::<Stamp>() + bytes_of(row));
            // The texts of these are those of the rows.
            let places = group.found_at.iter().flat_map(|places| places.0.keys());
            let places = places.map(|row| size_of::<u64>() + bytes_shared(row));
            size_of::<Group>() + bytes_of(key) + rows.sum::<usize>() + places.sum::<usize>()
        });
        let ages = self.ages.iter().map(|(_, key)| size_of::<i64>() + bytes_shared(key));
        groups.sum::<usize>() + ages.sum::<usize>()
    }
}

/// Bytes that the values of a row take, and what holds them.
pub(super) fn bytes_of(row: &Row) -> usize {
    bytes_shared(row) + row.iter().map(Datum::bytes).sum::<usize>()
}

/// The same, where texts and lists are held by another row.
fn bytes_shared(row: &Row) -> usize {
    // What is set aside on the heap takes a little more than it is asked for.
    let aside = if row.is_empty() { 0 } else { 16 };
    size_of::<Row>() + aside + size_of_val::<[Datum]>(row)
}

impl Group {
    fn note(&mut self, row: Row, stamp: Stamp, kept: Kept) -> bool {
        let known = self.place(&row, stamp, kept);
        if let Some(at) = known {
            if self.rows.get(at).is_some_and(|(_, last)| last.index == stamp.index) {
                return false;
            }
            self.rows.remove(at);
        } else {
            self.sum += value(&row, kept);
        }
        if let Some(found_at) = &mut self.found_at {
            found_at.0.insert(row.clone(), stamp.index);
        }
        if self.rows.len() == self.rows.capacity() {
            // Many keys have one row, and there are many sessions.
            self.rows.reserve_exact(1 + self.rows.len() / 2);
        }
        self.rows.push_back((row, stamp));
        if !kept.per_event && self.found_at.is_none() && self.rows.len() > MANY {
            let all = self.rows.iter().map(|(row, stamp)| (row.clone(), stamp.index));
            self.found_at = Some(Box::new(Places(all.collect())));
        }
        known.is_none()
    }

    /// Where a row stands.
    fn place(&self, row: &[Datum], stamp: Stamp, kept: Kept) -> Option<usize> {
        let from = |index: u64| self.rows.partition_point(|(_, found)| found.index < index);
        let among = |start: usize, index: Option<u64>| {
            let rows = self.rows.iter().enumerate().skip(start);
            let mut rows = rows.take_while(|(_, (_, at))| index.is_none_or(|i| at.index == i));
            rows.find(|(_, (found, _))| **found == *row).map(|(place, _)| place)
        };
        if kept.per_event {
            return among(from(stamp.index), Some(stamp.index));
        }
        match &self.found_at {
            Some(found_at) => {
                let index = *found_at.0.get(row)?;
                among(from(index), Some(index))
            }
            None => among(0, None),
        }
    }

    fn forget(&mut self, before: i64, kept: Kept) -> usize {
        let mut forgotten = 0;
        while self.rows.front().is_some_and(|(_, stamp)| stamp.at < before) {
            let Some((row, _)) = self.rows.pop_front() else { break };
            self.sum -= value(&row, kept);
            if let Some(found_at) = &mut self.found_at {
                found_at.0.remove(&row);
            }
            forgotten += 1;
        }
        forgotten
    }

    /// The rows that were found since a time, the last first.
    pub(super) fn since(&self, from: i64) -> impl Iterator<Item = (&Row, Stamp)> {
        let rows = self.rows.iter().rev().take_while(move |(_, stamp)| stamp.at >= from);
        rows.map(|(row, stamp)| (row, *stamp))
    }

    /// Whether that row is there, and was found since a time.
    pub(super) fn has_since(&self, row: &[Datum], now: Stamp, kept: Kept, from: i64) -> bool {
        let place = self.place(row, now, kept).and_then(|at| self.rows.get(at));
        place.is_some_and(|(_, stamp)| stamp.at >= from)
    }

    /// How many rows were found since a time.
    pub(super) fn count(&self, from: i64) -> usize {
        // What is older is mostly forgotten already.
        if self.rows.front().is_none_or(|(_, stamp)| stamp.at >= from) {
            return self.rows.len();
        }
        self.rows.len() - self.rows.partition_point(|(_, stamp)| stamp.at < from)
    }

    /// The sum of the rows that were found since a time.
    pub(super) fn sum(&self, from: i64, kept: Kept) -> i128 {
        let gone = self.rows.iter().take_while(|(_, stamp)| stamp.at < from);
        self.sum - gone.map(|(row, _)| value(row, kept)).sum::<i128>()
    }
}

fn value(row: &[Datum], kept: Kept) -> i128 {
    let summed = kept.sum.and_then(|at| row.get(at)).and_then(Datum::as_long);
    summed.map_or(0, i128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept { per_event: false, sum: Some(0) };

    fn row(n: i64) -> Row {
        Box::new([Datum::Long(n)])
    }

    #[test]
    fn a_row_counts_once_and_is_forgotten_once() {
        let mut table = Table::default();
        let key = [Datum::Long(1)];
        for event in 0..100_i64 {
            let stamp = Stamp { at: event, index: event.unsigned_abs() };
            table.note(&key, row(event % 40), stamp, KEPT);
        }
        let group = table.group(&key).unwrap();
        assert_eq!((table.rows(), group.count(0), group.count(90)), (40, 40, 10));
        assert_eq!(group.sum(0, KEPT), (0..40).sum::<i128>());
        assert_eq!(group.sum(90, KEPT), (10..20).sum::<i128>());
        table.forget(90, KEPT);
        let group = table.group(&key).unwrap();
        assert_eq!((table.rows(), group.count(0)), (10, 10));
        assert_eq!(group.sum(0, KEPT), (10..20).sum::<i128>());
        table.forget(1000, KEPT);
        assert_eq!((table.rows(), table.groups.len(), table.ages.len()), (0, 0, 0));
    }

    #[test]
    fn keys_weigh_and_so_does_what_tells_when_they_were_found() {
        let mut table = Table::default();
        for n in 0..1000_i64 {
            let key = [Datum::text(&format!("{n:064}").into())];
            table.note(&key, row(n), Stamp { at: n, index: n.unsigned_abs() }, KEPT);
        }
        let (key, row) = (16 + 24 + 64 + 16, 16 + 24 + 16);
        assert!(table.bytes() >= 1000 * (size_of::<Group>() + key + row + 8 + 16 + 24));
        table.forget(2000, KEPT);
        assert_eq!(table.bytes(), 0);
    }

    #[test]
    fn what_comes_again_and_again_takes_no_more_room() {
        let (mut table, key) = (Table::default(), [Datum::Long(1)]);
        for event in 0..10_000 {
            table.note(&key, row(1), Stamp { at: event, index: event.unsigned_abs() }, KEPT);
        }
        assert!(table.rows() == 1 && table.ages.len() < 100);
    }

    #[test]
    fn a_group_alone_tells_its_own_age() {
        let mut table = Table::default();
        for event in 0..100_i64 {
            let stamp = Stamp { at: event, index: event.unsigned_abs() };
            table.note(&[], row(event % 40), stamp, KEPT);
        }
        assert_eq!((table.rows(), table.ages.len()), (40, 0));
        table.forget(90, KEPT);
        assert_eq!((table.rows(), table.group(&[]).map(|group| group.count(0))), (10, Some(10)));
        table.forget(1000, KEPT);
        assert_eq!((table.rows(), table.groups.len()), (0, 0));
    }
}
