//! A map of bounded size that forgets what was not touched for longest.

use std::collections::BTreeMap;

/// At most so many entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    /// Keys by when they were touched.
    touched: BTreeMap<u64, K>,
    clock: u64,
    limit: usize,
    forgotten: u64,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    pub(super) fn holding(limit: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            touched: BTreeMap::new(),
            clock: 0,
            limit: limit.max(1),
            forgotten: 0,
        }
    }

    /// The entry of that key, made where there is none.
    pub(super) fn touch(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.clock += 1;
        let now = self.clock;
        match self.entries.get(key) {
            Some((before, _)) => {
                // The key is moved, so that a touch clones nothing.
                if let Some(key) = self.touched.remove(before) {
                    self.touched.insert(now, key);
                }
            }
            None => {
                if self.entries.len() >= self.limit
                    && let Some((_, oldest)) = self.touched.pop_first()
                {
                    self.entries.remove(&oldest);
                    self.forgotten += 1;
                }
                self.touched.insert(now, key.clone());
            }
        }
        let entry = self.entries.entry(key.clone()).or_insert_with(|| (now, make()));
        entry.0 = now;
        &mut entry.1
    }

    /// The value of that key, which does not count as touched.
    pub(super) fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((touched, _)) = self.entries.remove(key) {
            self.touched.remove(&touched);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_touched_for_longest_goes() {
        let mut recent = Recent::holding(2);
        *recent.touch(&1, || 0) += 1;
        *recent.touch(&2, || 0) += 1;
        *recent.touch(&1, || 0) += 1;
        *recent.touch(&3, || 0) += 1;
        assert_eq!((recent.peek(&1), recent.peek(&2), recent.peek(&3)), (Some(&2), None, Some(&1)));
        assert_eq!((recent.len(), recent.forgotten()), (2, 1));
        recent.remove(&1);
        assert_eq!((recent.len(), recent.touched.len()), (1, 1));
    }
}
