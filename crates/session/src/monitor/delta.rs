//! The rows that one event finds at one node.

use std::cmp::Ordering;
use std::fmt;

use super::table::Row;

/// Rows by key, in their order, each once. Most often there is one or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Delta(Vec<(Row, Row)>);

impl Delta {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Of rows in any order, each any number of times.
    pub(super) fn of(mut rows: Vec<(Row, Row)>) -> Self {
        if rows.len() > 1 {
            rows.sort_unstable();
            rows.dedup();
        }
        Self(rows)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first so many.
    pub(super) fn first(mut self, rows: usize) -> Self {
        self.0.truncate(rows);
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Row, Row)> {
        self.0.iter()
    }

    /// The rows of the key to which keys compare so.
    pub(super) fn of_key(&self, compare: impl Fn(&Row) -> Ordering) -> &[(Row, Row)] {
        let start = self.0.partition_point(|(key, _)| compare(key) == Ordering::Less);
        let rest = self.0.get(start..).unwrap_or_default();
        let end = rest.partition_point(|(key, _)| compare(key) == Ordering::Equal);
        rest.get(..end).unwrap_or_default()
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

impl IntoIterator for Delta {
    type Item = (Row, Row);
    type IntoIter = std::vec::IntoIter<(Row, Row)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Datum;

    #[test]
    fn rows_of_a_key_are_found_once_each_and_in_order() {
        let row = |n: i64| -> Row { Box::new([Datum::Long(n)]) };
        let pairs = [(2, 9), (1, 5), (2, 3), (3, 1), (2, 9), (1, 5)];
        let delta = Delta::of(pairs.map(|(key, rest)| (row(key), row(rest))).to_vec());
        assert_eq!(delta.len(), 4);
        let of = |key: i64| -> Vec<Row> {
            let wanted = row(key);
            delta.of_key(|known| known.cmp(&wanted)).iter().map(|(_, rest)| rest.clone()).collect()
        };
        assert_eq!(of(1), [row(5)]);
        assert_eq!(of(2), [row(3), row(9)]);
        assert_eq!(of(3), [row(1)]);
        assert!(of(0).is_empty() && of(4).is_empty());
    }
}
