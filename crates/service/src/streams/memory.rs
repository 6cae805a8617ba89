//! Which ids were seen, for as long as one could come again, and in bounded room.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;
use safeconduct_model::{Digest, Timestamp};
use sha2::{Digest as _, Sha256};

/// Most ids that are remembered of one stream or webhook. Where more come, the oldest is
/// forgotten, and nothing as old as that is taken any more.
pub const IDS_REMEMBERED_MAX: usize = 100_000;

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not seen.
    New,
    /// It was.
    Before,
    /// It could have been: it is as old as what was forgotten.
    Perhaps,
}

/// The ids of one source.
#[derive(Debug)]
pub(super) struct Memory {
    ids: HashSet<Digest, RandomState>,
    /// By when they were taken.
    order: VecDeque<(Timestamp, Digest)>,
    /// How long each must be known, in milliseconds.
    kept_ms: i64,
    /// Something taken until then may have been forgotten.
    floor: Option<Timestamp>,
    most: usize,
}

impl Memory {
    /// An empty one, in which each id is known for so long.
    pub(super) fn new(kept_ms: i64) -> Self {
        Self::holding(kept_ms, IDS_REMEMBERED_MAX)
    }

    fn holding(kept_ms: i64, most: usize) -> Self {
        Self { ids: HashSet::default(), order: VecDeque::new(), kept_ms, floor: None, most }
    }

    /// Takes note that something that was taken until then is known no more.
    pub(super) fn forgot(&mut self, until: Option<Timestamp>) {
        self.floor = self.floor.max(until);
    }

    /// Whether an id was seen, of something that its source dates so.
    pub(super) fn look(&self, id: &str, issued_at: Timestamp) -> Seen {
        if self.ids.contains(&digest(id)) {
            return Seen::Before;
        }
        match self.floor.is_some_and(|floor| issued_at <= floor) {
            true => Seen::Perhaps,
            false => Seen::New,
        }
    }

    /// Remembers an id that was taken now.
    pub(super) fn put(&mut self, id: &str, now: Timestamp) {
        while let Some((at, oldest)) = self.order.front().copied() {
            let over = now.ms_since(at) > self.kept_ms;
            if !over && self.order.len() < self.most {
                break;
            }
            if !over {
                self.floor = self.floor.max(Some(at));
            }
            self.order.pop_front();
            self.ids.remove(&oldest);
        }
        let id = digest(id);
        if self.ids.insert(id) {
            self.order.push_back((now, id));
        }
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

/// Ids are as long as their source likes, so a digest stands for each.
fn digest(id: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(id.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn an_id_is_known_until_it_can_come_no_more() {
        let mut memory = Memory::holding(1000, 10);
        assert_eq!(memory.look("a", at(0)), Seen::New);
        memory.put("a", at(0));
        memory.put("b", at(1000));
        assert_eq!(memory.look("a", at(0)), Seen::Before);
        memory.put("c", at(1001));
        assert_eq!((memory.len(), memory.look("a", at(0))), (2, Seen::New));
    }

    #[test]
    fn what_was_forgotten_too_early_does_not_come_again() {
        let mut memory = Memory::holding(1000, 2);
        for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
            memory.put(id, at(n as i64));
        }
        assert_eq!(memory.len(), 2);
        assert_eq!(memory.look("a", at(0)), Seen::Perhaps);
        assert_eq!(memory.look("c", at(0)), Seen::Before);
        assert_eq!(memory.look("d", at(1)), Seen::New);
    }
}
