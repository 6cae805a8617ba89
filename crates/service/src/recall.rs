//! What a session has read and what has happened in it: kept in memory, folded from decisions and
//! outcomes, and read back from the ledger after a restart.
//!
//! A session's reading has one home: the session itself, or, for a task that its agent began, the
//! session that it came from. The task that an agent was delegated begins with what the one above
//! it had read, and what it reads raises the labels of all above it.

use std::sync::Arc;

use safeconduct_model::{
    Authentication, DEPTH_MAX, Integrity, Label, SessionKey, SessionScope, TaskId,
};
use safeconduct_policy::History;
use safeconduct_session::flow::{Flow, glean_task};

use crate::past::Remembered;
use crate::refold::Refold;
use crate::sessions::lock;
use crate::{Service, SessionKeys};

/// What lies sealed beside an outcome: a [`crate::bundle::Bundle`].
pub(crate) const OUTCOME: &str = "outcome";

/// What the key of fingerprints is derived from, by the session's own key.
const FLOW_KEY: &[u8] = b"safeconduct flow v1";

/// Most records of one session, or of one identity, that are read back after a restart: the newest.
/// What was read before them is forgotten, its label is not.
pub const RECALLED_MAX: usize = 65_536;

/// How many of the oldest go at once where there are more.
const FORGOTTEN: usize = RECALLED_MAX / 8;

/// Whether what was read and what happened is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Recall {
    /// It is.
    #[default]
    Whole,
    /// It lies in the ledger, but for the label.
    Due,
}

/// Places in the ledger, as they were told: one to three bytes for each, mostly. There is one for
/// each record on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// How far each is from the one before it, seven bits a byte, the sign last.
    bytes: Vec<u8>,
    last: u64,
}

impl Steps {
    pub(crate) fn push(&mut self, place: u64) {
        let far = place.wrapping_sub(self.last).cast_signed();
        let mut left = ((far << 1) ^ (far >> 63)).cast_unsigned();
        while left >= 0x80 {
            self.bytes.push(0x80 | low(left));
            left >>= 7;
        }
        self.bytes.push(low(left));
        self.last = place;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + use<'_> {
        places(&self.bytes, 0)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl FromIterator<u64> for Steps {
    fn from_iter<T: IntoIterator<Item = u64>>(places: T) -> Self {
        let mut steps = Self::default();
        places.into_iter().for_each(|place| steps.push(place));
        steps.shrink_to_fit();
        steps
    }
}

/// The seven lowest bits.
fn low(bits: u64) -> u8 {
    let [low, ..] = bits.to_le_bytes();
    low & 0x7f
}

/// What [`Steps`] are written as, from behind that place on.
fn places(bytes: &[u8], mut last: u64) -> impl Iterator<Item = u64> + use<'_> {
    let mut bytes = bytes.iter();
    std::iter::from_fn(move || {
        let (mut step, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = u64::from(*bytes.next()?);
            step |= (byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        let far = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
        last = last.wrapping_add(far.cast_unsigned());
        Some(last)
    })
}

/// Places in the ledger, ascending, each once: the newest [`RECALLED_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    all: Steps,
    count: usize,
    /// Whether there were more before those.
    pub(crate) more: bool,
}

impl Places {
    /// With another one. Says whether it stands behind them all, as it does unless two were told
    /// at once.
    pub(crate) fn push(&mut self, sequence: u64) -> bool {
        let behind = self.count == 0 || sequence > self.all.last;
        if behind {
            self.all.push(sequence);
            self.count += 1;
        } else {
            let mut all: Vec<u64> = self.all.iter().collect();
            if let Err(at) = all.binary_search(&sequence) {
                all.insert(at, sequence);
                self.count += 1;
            }
            self.all = all.into_iter().collect();
        }
        if self.count > RECALLED_MAX {
            self.all = self.all.iter().skip(FORGOTTEN).collect();
            self.count -= FORGOTTEN;
            self.more = true;
        }
        behind
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.all.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those behind all of these, where these are the first of them.
    pub(crate) fn beyond(&self, first: &Self) -> Option<Vec<u64>> {
        let same = first.is_empty() || self.more == first.more;
        let rest = self.all.bytes.strip_prefix(first.all.bytes.as_slice()).filter(|_| same)?;
        Some(places(rest, first.all.last).collect())
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Service {
    /// The session in which is kept what this one reads.
    pub(crate) fn home(&self, session: &SessionKey) -> SessionKey {
        let history = match &session.scope {
            SessionScope::Task(task) => self.history(task),
            SessionScope::Credential(_) => None,
        };
        history.unwrap_or_else(|| session.clone())
    }

    /// Sees to it that what a session has read is in memory. No session's lock may be held: this
    /// takes several, one after the other.
    pub(crate) fn recall(&self, home: &SessionKey) {
        self.recall_below(home, usize::from(DEPTH_MAX) + 1);
        self.learn_session(home);
    }

    /// Sees to it that what has happened in a session, where there is one, is in memory as the
    /// rules want it. No session's lock may be held.
    pub(crate) fn learn_session(&self, home: &SessionKey) {
        if let Some(place) = self.sessions.known(home) {
            let at = |look: &mut dyn FnMut(&mut Remembered)| look(&mut lock(&place).order);
            self.learn(History::Session, at);
            let mut slot = lock(&place);
            let more = slot.flow_grown();
            self.sessions.holds_flow(&place, more);
        }
    }

    fn recall_below(&self, home: &SessionKey, levels: usize) {
        let Some(place) = self.session_slot(home) else {
            return;
        };
        loop {
            let told = {
                let slot = lock(&place);
                if slot.recall == Recall::Whole {
                    return;
                }
                slot.told.clone()
            };
            let mut flow = self.beginning(home, levels);
            let mut refold = Refold::new(self, None);
            told.iter().for_each(|at| refold.fold(at, None, Some(&mut flow)));
            let mut slot = lock(&place);
            // Others may have been faster, or may have added to it.
            if slot.recall == Recall::Whole || slot.told != told {
                continue;
            }
            if told.more {
                flow.forget(slot.session.label());
            }
            slot.say_again(&mut flow);
            slot.session.recall(flow);
            slot.recall = Recall::Whole;
            slot.recalls += 1;
            let more = slot.flow_grown();
            self.sessions.holds_flow(&place, more);
            return;
        }
    }

    /// What a session has read before its first outcome: of a task, what it names, and what the
    /// one above it had read.
    fn beginning(&self, home: &SessionKey, levels: usize) -> Flow {
        let SessionScope::Task(id) = &home.scope else {
            return self.new_flow(home);
        };
        let Some(slot) = self.tasks.known(id) else {
            return self.new_flow(home);
        };
        let task = Arc::clone(&slot.task);
        let above = task.parent.as_ref().filter(|_| levels > 0);
        let mut flow = match above.and_then(|parent| self.session_of(parent)) {
            Some(parent) => {
                let parent = self.home(&parent);
                self.recall_below(&parent, levels.saturating_sub(1));
                let above = self.sessions.known(&parent);
                let above = above.and_then(|slot| lock(&slot).session.flow().map(Flow::for_child));
                above.unwrap_or_else(|| self.new_flow(&parent))
            }
            None => self.new_flow(home),
        };
        if task.integrity() == Integrity::Trusted
            && let Some(mandate) = self.mandate(id)
        {
            let prompt = self.prompt(id);
            let prompt = prompt.as_ref().map(|prompt| &*prompt.text);
            let named = glean_task(&flow.key(), &mandate.parameters, prompt, Integrity::Trusted);
            flow.name(&named);
        }
        flow
    }

    fn session_of(&self, task: &TaskId) -> Option<SessionKey> {
        self.tasks.known(task).map(|slot| slot.session())
    }

    /// A flow that has read nothing, with the key of its session, which begins with one where it
    /// has none: also after an erasure, so that what is read from then on is found again. No
    /// session's lock may be held.
    pub(crate) fn new_flow(&self, home: &SessionKey) -> Flow {
        match self.begun(home) {
            Ok(keys) => Flow::keyed(flow_key(&*keys)),
            Err(error) => {
                tracing::error!(%error, session = %home, "a session has no keys");
                Flow::default()
            }
        }
    }

    /// Whether what the session of that proof has read lies in the ledger alone, so that its next
    /// decision reads it back: whoever must not wait for the disk calls
    /// [`Service::recall_for`] first, where that may block.
    pub fn recall_due(&self, by: &Authentication) -> bool {
        let world = self.world();
        let programs = world.policies().monitors().programs(History::Session);
        let slot = self.sessions.known(&self.home(&SessionKey::of(by)));
        slot.is_some_and(|slot| {
            let slot = lock(&slot);
            slot.recall == Recall::Due || !slot.order.follows(programs)
        })
    }

    /// Reads back what the session of that proof has read. Waits for the disk.
    pub fn recall_for(&self, by: &Authentication) {
        self.recall(&self.home(&SessionKey::of(by)));
    }

    /// A flow that has read nothing, with the key of its session; without keys it finds nothing
    /// again, and what it reads is forgotten but for its label.
    pub(crate) fn empty_flow(&self, home: &SessionKey) -> Flow {
        let keys = self.sessions.known(home).and_then(|slot| {
            let slot = lock(&slot);
            self.keys_of(home, &slot).ok().filter(|(_, began)| began.is_none())
        });
        let key = keys.map_or([0; 16], |(keys, _)| flow_key(&*keys));
        Flow::keyed(key)
    }

    /// The keys of a session that has them already.
    pub(crate) fn keys_again(&self, session: &SessionKey) -> Option<Arc<dyn SessionKeys>> {
        let place = self.session_slot(session)?;
        let slot = lock(&place);
        let (keys, began) = self.keys_of(session, &slot).ok()?;
        began.is_none().then_some(keys)
    }

    /// Raises the labels of all that stands above a task, by what it has read. No session's lock
    /// may be held.
    pub(crate) fn raise_above(&self, session: &SessionKey, label: &Label) {
        let SessionScope::Task(id) = &session.scope else {
            return;
        };
        let mut next = self.tasks.known(id).and_then(|slot| slot.task.parent.clone());
        for _ in 0..=DEPTH_MAX {
            let Some(slot) = next.and_then(|id| self.tasks.known(&id)) else {
                return;
            };
            let home = self.home(&slot.session());
            self.raise(&home, label);
            next = slot.task.parent.clone();
        }
    }

    /// Raises the label of a session.
    pub(crate) fn raise(&self, home: &SessionKey, label: &Label) {
        let empty = self.empty_flow(home);
        if let Some(slot) = self.session_slot(home) {
            lock(&slot).session.flow_mut(|| empty).raise(label);
        }
    }
}

/// The key of a session's fingerprints.
pub(crate) fn flow_key(keys: &dyn SessionKeys) -> [u8; 16] {
    let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
        *keys.digest(FLOW_KEY).as_bytes();
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_come_back_as_they_were_told(all in prop::collection::vec(any::<u64>(), 0..50)) {
            let steps: Steps = all.iter().copied().collect();
            prop_assert_eq!(steps.iter().collect::<Vec<_>>(), all);
        }

        #[test]
        fn places_are_ascending_in_whatever_order_they_are_told(
            all in prop::collection::vec(0..99_u64, 0..50),
            cut in 0..50_usize,
        ) {
            let mut places = Places::default();
            let mut known: Vec<u64> = Vec::new();
            let mut before = Places::default();
            for (at, place) in all.iter().enumerate() {
                if at == cut {
                    before = places.clone();
                }
                let behind = known.iter().all(|known| known < place);
                prop_assert_eq!(places.push(*place), behind);
                known.push(*place);
                known.sort_unstable();
                known.dedup();
                prop_assert_eq!(places.iter().collect::<Vec<_>>(), known.clone());
            }
            let first: Vec<u64> = before.iter().collect();
            let beyond = known.strip_prefix(first.as_slice()).map(<[u64]>::to_vec);
            prop_assert_eq!(places.beyond(&before), beyond);
        }
    }

    #[test]
    fn the_newest_are_kept_and_take_little_room() {
        let mut places = Places::default();
        let all = 0..3 * RECALLED_MAX as u64 / 2;
        let mut most = 0;
        for place in all.clone() {
            places.push(1_000_000_000 + 100 * place);
            most = most.max(places.all.bytes.capacity());
        }
        assert!(places.more && most <= 4 * RECALLED_MAX, "{most}");
        let newest = all.skip(RECALLED_MAX).map(|place| 1_000_000_000 + 100 * place);
        assert!(places.iter().count() <= RECALLED_MAX);
        assert!(places.iter().collect::<Vec<_>>().ends_with(&newest.collect::<Vec<_>>()));
    }
}
