//! What a session counts, in sorted lists: most sessions count a few things, and a million of
//! them wait at the same time.

use safeconduct_model::ActionName;

/// How often each action came, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally(Vec<(ActionName, u64)>);

impl Tally {
    pub(crate) fn of(&self, action: &ActionName) -> u64 {
        let found = self.0.binary_search_by(|(name, _)| name.cmp(action));
        found.ok().and_then(|at| self.0.get(at)).map_or(0, |(_, count)| *count)
    }

    /// Adds to an action's count; a new one only where there are not yet `most`.
    pub(crate) fn add(&mut self, action: &ActionName, count: u64, most: usize) {
        match self.0.binary_search_by(|(name, _)| name.cmp(action)) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum = sum.saturating_add(count);
                }
            }
            Err(at) if self.0.len() < most => {
                make_room(&mut self.0);
                self.0.insert(at, (action.clone(), count));
            }
            Err(_) => {}
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ActionName, u64)> {
        self.0.iter().map(|(action, count)| (action, *count))
    }
}

/// Different fingerprints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Distinct(Vec<u64>);

impl Distinct {
    pub(crate) fn contains(&self, fingerprint: u64) -> bool {
        self.0.binary_search(&fingerprint).is_ok()
    }

    /// Takes one in, where there are not yet `most`.
    pub(crate) fn insert(&mut self, fingerprint: u64, most: usize) {
        if let Err(at) = self.0.binary_search(&fingerprint)
            && self.0.len() < most
        {
            make_room(&mut self.0);
            self.0.insert(at, fingerprint);
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// Room for one more, and for half as many as there are: a list of one takes the room of one.
fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 2);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_count_as_maps_and_sets_do(
            steps in prop::collection::vec((0..12_u8, 1..5_u64), 0..60),
            most in 0..15_usize,
        ) {
            let (mut tally, mut distinct) = (Tally::default(), Distinct::default());
            let (mut map, mut set) = (BTreeMap::new(), BTreeSet::new());
            for (n, count) in steps {
                let action = ActionName::new(format!("a{n}")).unwrap();
                tally.add(&action, count, most);
                distinct.insert(u64::from(n), most);
                if map.contains_key(&action) || map.len() < most {
                    *map.entry(action).or_insert(0) += count;
                }
                if set.len() < most {
                    set.insert(u64::from(n));
                }
            }
            prop_assert!(tally.iter().eq(map.iter().map(|(action, count)| (action, *count))));
            prop_assert_eq!(distinct.len(), set.len());
            for n in 0..12_u8 {
                let action = ActionName::new(format!("a{n}")).unwrap();
                prop_assert_eq!(tally.of(&action), map.get(&action).copied().unwrap_or(0));
                prop_assert_eq!(distinct.contains(u64::from(n)), set.contains(&u64::from(n)));
            }
        }
    }
}
