//! Since when statements are in force: a fold over the policy sets that were, as the records tell
//! of them and the texts that lie beside those records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use safeconduct_model::{Catalogue, Digest, PolicyId, Timestamp};
use safeconduct_policy::{Age, Ages, Policies};

use crate::Service;

/// Most policy sets that are gone back over: the newest. What older ones held is not known.
pub const AGED_SETS_MAX: usize = 1_000;

/// Most changes of the policy set that are remembered.
const LOADED_MAX: usize = 100_000;

/// Most sets of its own that a process holds until it has gone over those of before.
const OWN_MAX: usize = 16;

/// A set of which nobody knows what it held.
const UNKNOWN: Digest = Digest::from_bytes([0; 32]);

/// What is known of the sets that were in force.
#[derive(Default)]
pub(crate) struct Aging(Mutex<State>);

#[derive(Default)]
struct State {
    /// Which came in force when, in their order; none twice in a row.
    loaded: Vec<(Timestamp, Digest)>,
    /// Beside which record lies what each was made of.
    texts: HashMap<Digest, u64, RandomState>,
    /// Those that came in force since the start, until the sets of before have been gone over; at
    /// most [`OWN_MAX`].
    own: HashMap<Digest, Arc<Policies>, RandomState>,
    /// Once they have.
    ages: Option<Ages>,
}

impl State {
    fn loaded(&mut self, at: Timestamp, set: Digest) {
        if self.loaded.last().is_some_and(|(_, last)| *last == set) {
            return;
        }
        if self.loaded.len() >= LOADED_MAX {
            self.loaded.drain(1..LOADED_MAX / 2);
            if let Some((_, first)) = self.loaded.first_mut() {
                *first = UNKNOWN;
            }
        }
        self.loaded.push((at, set));
    }
}

impl Aging {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record tells that a set came in force; `beside` where its texts lie there.
    pub(crate) fn restore(&self, at: Timestamp, set: Digest, beside: Option<u64>) {
        let mut state = self.lock();
        state.loaded(at, set);
        if let Some(sequence) = beside {
            state.texts.entry(set).or_insert(sequence);
        }
    }

    /// A set comes in force.
    pub(crate) fn in_force(&self, at: Timestamp, policies: &Arc<Policies>) {
        let mut state = self.lock();
        state.loaded(at, policies.digest());
        if let Some(ages) = &mut state.ages {
            ages.in_force(at, policies.digest(), Some(policies));
        } else if state.own.len() < OWN_MAX {
            state.own.insert(policies.digest(), Arc::clone(policies));
        }
    }
}

/// Reads a policy set from the texts that were kept of it; the other one has most of it. `None`
/// where it does not load, or is not the one of that digest.
pub trait ReadSet: Send + Sync + 'static {
    /// The set of that digest.
    fn read(&self, set: Digest, texts: &[u8], other: &Policies) -> Option<Policies>;

    /// The catalogue of that digest, which stood beside that policy set.
    fn catalogue(&self, of: Digest, texts: &[u8], beside: &Policies) -> Option<Catalogue> {
        let _ = (of, texts, beside);
        None
    }
}

impl Service {
    /// Says what reads the sets that were kept. The first word holds. Without it decisions of sets
    /// that are not in force any more are not replayable here.
    pub fn set_kept_sets(&self, reader: Arc<dyn ReadSet>) {
        let _ = self.kept_sets.set(reader);
    }

    /// Goes over the sets that were in force, so that it is known from then on how old each
    /// statement is. It reads the disk and loads sets, and takes its time: to be called once, after
    /// the start, where that hurts nobody.
    pub fn tell_ages(&self, reader: &dyn ReadSet) {
        let (mut ages, mut gone_over) = (Ages::default(), 0);
        let mut last = Arc::clone(self.world().policies());
        loop {
            let (next, own, texts) = {
                let mut state = self.aging.lock();
                if gone_over >= state.loaded.len() {
                    state.ages = Some(ages);
                    state.own = HashMap::default();
                    return;
                }
                let skipped = state.loaded.len().saturating_sub(AGED_SETS_MAX);
                let known = gone_over >= skipped;
                let Some((at, set)) = state.loaded.get(gone_over).copied() else { return };
                let own = state.own.get(&set).cloned();
                ((at, set), own, state.texts.get(&set).copied().filter(|_| known))
            };
            let (at, set) = next;
            let now = Arc::clone(self.world().policies());
            let policies = match set {
                set if set == now.digest() => Some(now),
                set if set == last.digest() => Some(Arc::clone(&last)),
                _ if own.is_some() => own,
                set => texts.and_then(|sequence| {
                    let beside = self.ledger.attachment(sequence).ok().flatten()?;
                    reader.read(set, &beside, &last).map(Arc::new)
                }),
            };
            ages.in_force(at, set, policies.as_deref());
            last = policies.unwrap_or(last);
            gone_over += 1;
        }
    }

    /// Whether it is known how old statements are, as far as it ever will be.
    pub(crate) fn ages_told(&self) -> bool {
        self.aging.lock().ages.is_some()
    }

    /// When the policy of that id that says that came in force, and came to say something else.
    pub(crate) fn said_anew(&self, policy: &PolicyId, says: Digest) -> Vec<Age> {
        let state = self.aging.lock();
        state.ages.as_ref().map_or_else(Vec::new, |ages| ages.said_anew(policy, says).to_vec())
    }

    /// Since when the policy of that id that says that is in force without a break; `None` where
    /// it is not in force, or that is not known.
    pub fn age_of(&self, policy: &PolicyId, says: Digest) -> Option<Age> {
        self.aging.lock().ages.as_ref()?.said(policy, says)
    }
}
