//! What is held in memory of things only while they are in use: what lies sealed in the ledger is
//! read again when it is wanted. The oldest gives way first, unless it was used meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many that were used meanwhile are passed over before one gives way all the same.
const PASSED_OVER_MAX: usize = 8;

/// Whether what was used meanwhile is spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mercy {
    /// It is, this once.
    Once,
    /// It is not.
    Never,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cooled {
    /// Nothing is held any more.
    Gone,
    /// It is in use, and still held.
    InUse,
}

/// Those that hold something, in the order in which they took it up, up to a weight.
pub(crate) struct Warm<T> {
    queue: Mutex<Queue<T>>,
    most: usize,
    cool: fn(&Arc<T>, Mercy) -> Cooled,
}

struct Queue<T> {
    order: VecDeque<(Weak<T>, usize)>,
    weight: usize,
}

impl<T> Warm<T> {
    /// For so much weight. `cool` lets go of what something holds and can read again; it never
    /// waits for a lock: whoever holds one is using it.
    pub(crate) fn new(most: usize, cool: fn(&Arc<T>, Mercy) -> Cooled) -> Self {
        Self { queue: Mutex::new(Queue { order: VecDeque::new(), weight: 0 }), most, cool }
    }

    /// Takes note that something has begun to hold that much. Others let go where it is too much.
    pub(crate) fn took_up(&self, it: &Arc<T>, weight: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.order.push_back((Arc::downgrade(it), weight));
        queue.weight = queue.weight.saturating_add(weight);
        let mut passed_over = 0;
        while queue.weight > self.most
            && let Some((oldest, weight)) = queue.order.pop_front()
        {
            queue.weight = queue.weight.saturating_sub(weight);
            let mercy = if passed_over < PASSED_OVER_MAX { Mercy::Once } else { Mercy::Never };
            let cooled =
                oldest.upgrade().map_or(Cooled::Gone, |oldest| (self.cool)(&oldest, mercy));
            if cooled == Cooled::InUse {
                queue.order.push_back((oldest, weight));
                queue.weight = queue.weight.saturating_add(weight);
                // One that is locked even then stays; the next to come looks again.
                if mercy == Mercy::Never {
                    return;
                }
                passed_over += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Held {
        held: AtomicBool,
        used: AtomicBool,
    }

    fn cool(it: &Arc<Held>, mercy: Mercy) -> Cooled {
        if it.used.swap(false, Ordering::SeqCst) && mercy == Mercy::Once {
            return Cooled::InUse;
        }
        it.held.store(false, Ordering::SeqCst);
        Cooled::Gone
    }

    fn take(warm: &Warm<Held>, weight: usize) -> Arc<Held> {
        let it = Arc::new(Held { held: true.into(), used: false.into() });
        warm.took_up(&it, weight);
        it
    }

    #[test]
    fn the_oldest_gives_way_unless_it_was_used() {
        let warm = Warm::new(20, cool);
        let (first, second) = (take(&warm, 10), take(&warm, 10));
        first.used.store(true, Ordering::SeqCst);
        let third = take(&warm, 10);
        let held = |it: &Held| it.held.load(Ordering::SeqCst);
        assert_eq!((held(&first), held(&second), held(&third)), (true, false, true));
        // It was spared once; now it is its turn.
        take(&warm, 20);
        assert_eq!((held(&first), held(&third)), (false, false));
    }

    #[test]
    fn no_more_is_held_than_its_weight_though_all_are_in_use() {
        let warm = Warm::new(100, cool);
        let all: Vec<_> = (0..500)
            .map(|_| {
                let it = take(&warm, 1);
                it.used.store(true, Ordering::SeqCst);
                it
            })
            .collect();
        assert_eq!(all.iter().filter(|it| it.held.load(Ordering::SeqCst)).count(), 100);
    }

    #[test]
    fn what_is_gone_weighs_nothing() {
        let warm = Warm::new(10, cool);
        drop(take(&warm, 10));
        let it = take(&warm, 10);
        assert!(it.held.load(Ordering::SeqCst));
    }
}
