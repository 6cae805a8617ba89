//! Signals by subject: bounded, and the same whatever order they came in.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::Timestamp;

use crate::score::fresh;
use crate::{About, HalfLives, Risk, RiskScore, Signal, SignalError, assess, weigh};

/// Most signals about one subject. Of more, some are dropped and counted: of the source that says
/// most, of the kind that it says most of, the oldest of those that weigh least: by severity and
/// by how sure its source is. So whoever can have
/// many signals made of a subject pushes out none of what others say of it, or of another kind.
pub const SIGNALS_PER_SUBJECT_MAX: usize = 16;

/// Most subjects. Of more, those are dropped of whom nothing that weighs much is said, by severity
/// and by how sure its source is: the oldest first, with all their signals, and counted.
pub const SUBJECTS_MAX: usize = 100_000;

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It counts.
    Kept,
    /// The same one, or a newer word of its source on how things stand, is there already.
    Known,
    /// Its time is over.
    Expired,
    /// There is no room for one like it.
    Dropped,
}

/// The signals that still count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signals {
    subjects: BTreeMap<About, Held>,
    /// Subjects by the worst that is said of them.
    by_strength: BTreeSet<(u64, Timestamp, About)>,
    /// Subjects by when nothing is left of them.
    by_end: BTreeSet<(Timestamp, About)>,
    subjects_max: usize,
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Held {
    signals: Vec<Signal>,
    dropped: u64,
}

impl Default for Signals {
    fn default() -> Self {
        Self::holding(SUBJECTS_MAX)
    }
}

impl Signals {
    /// No signals, and room for those about so many subjects; at most [`SUBJECTS_MAX`].
    pub fn holding(subjects: usize) -> Self {
        Self {
            subjects: BTreeMap::new(),
            by_strength: BTreeSet::new(),
            by_end: BTreeSet::new(),
            subjects_max: subjects.clamp(1, SUBJECTS_MAX),
            dropped: 0,
        }
    }

    /// Takes a signal in, and lets go of everything whose time is over.
    ///
    /// # Errors
    /// [`SignalError`] where it is over a limit: whoever made it is at fault.
    pub fn put(&mut self, signal: Signal, now: Timestamp) -> Result<Put, SignalError> {
        signal.check()?;
        self.let_go(now);
        if now >= signal.expires_at {
            return Ok(Put::Expired);
        }
        let about = signal.about.clone();
        let mut held = self.take_out(&about);
        let mut put = held.put(signal.clone(), now);
        if let Some(dropped) = held.shorten() {
            self.dropped += 1;
            if dropped == signal {
                put = Put::Dropped;
            }
        }
        self.put_back(about.clone(), held);
        while self.subjects.len() > self.subjects_max {
            let Some((_, _, weakest)) = self.by_strength.first().cloned() else { break };
            self.dropped += self.take_out(&weakest).signals.len() as u64;
            if weakest == about {
                put = Put::Dropped;
            }
        }
        Ok(put)
    }

    /// What would become of a signal if it were put: with nothing between, [`Signals::put`] says
    /// the same.
    pub fn would(&self, signal: &Signal, now: Timestamp) -> Put {
        if now >= signal.expires_at {
            return Put::Expired;
        }
        match self.subjects.get(&signal.about) {
            Some(held) => held.would(signal, now),
            None if self.has_room_for(signal, now) => Put::Kept,
            None => Put::Dropped,
        }
    }

    /// Whether one about a new subject finds room: a free place, or that of a weaker subject.
    fn has_room_for(&self, signal: &Signal, now: Timestamp) -> bool {
        let over = self.by_end.first().is_some_and(|(end, _)| now >= *end);
        if self.subjects.len() < self.subjects_max || over {
            return true;
        }
        let (worth, seen) = weight(signal);
        let new = (worth, seen, &signal.about);
        let weakest = self.by_strength.first();
        weakest.is_none_or(|(worth, seen, about)| new > (*worth, *seen, about))
    }

    /// All of them, some of which may be over.
    pub fn all(&self) -> impl Iterator<Item = &Signal> {
        self.subjects.values().flat_map(|held| &held.signals)
    }

    /// Lets go of subjects of whom nothing is left at that time.
    pub fn let_go(&mut self, now: Timestamp) {
        while let Some((end, about)) = self.by_end.first().cloned() {
            if now < end {
                break;
            }
            self.take_out(&about);
        }
    }

    /// How risky it is what concerns all of those subjects. One that is named twice counts once.
    pub fn assess<'a>(
        &self,
        about: impl IntoIterator<Item = &'a About>,
        at: Timestamp,
        half_lives: &HalfLives,
    ) -> Risk {
        assess(self.of(about), at, half_lives)
    }

    /// The same without the parts, for decisions.
    pub fn weigh<'a>(
        &self,
        about: impl IntoIterator<Item = &'a About>,
        at: Timestamp,
        half_lives: &HalfLives,
    ) -> RiskScore {
        weigh(self.of(about), at, half_lives)
    }

    /// What is said of all of those subjects, each once. Of most of them nothing is.
    fn of<'a>(&self, about: impl IntoIterator<Item = &'a About>) -> impl Iterator<Item = &Signal> {
        let mut all: Vec<&Held> = Vec::new();
        for held in about.into_iter().filter_map(|about| self.subjects.get(about)) {
            if !all.iter().any(|known| std::ptr::eq(*known, held)) {
                all.push(held);
            }
        }
        all.into_iter().flat_map(|held| &held.signals)
    }

    /// What is said of one subject, some of which may be over.
    pub fn about(&self, about: &About) -> &[Signal] {
        self.subjects.get(about).map_or(&[], |held| &held.signals)
    }

    /// How many subjects there are.
    pub fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// How many signals found no room, ever.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many signals about a subject found no room since anything is known of it.
    pub fn dropped_about(&self, about: &About) -> u64 {
        self.subjects.get(about).map_or(0, |held| held.dropped)
    }

    /// Takes a subject out of all three.
    fn take_out(&mut self, about: &About) -> Held {
        let Some((about, held)) = self.subjects.remove_entry(about) else {
            return Held::default();
        };
        if let Some((worth, seen, end)) = held.strength() {
            self.by_strength.remove(&(worth, seen, about.clone()));
            self.by_end.remove(&(end, about));
        }
        held
    }

    fn put_back(&mut self, about: About, held: Held) {
        // INVARIANT: a subject is in all three or in none.
        if let Some((worth, seen, end)) = held.strength() {
            self.by_strength.insert((worth, seen, about.clone()));
            self.by_end.insert((end, about.clone()));
            self.subjects.insert(about, held);
        }
    }
}

impl Held {
    /// What weighs most, when it was last seen, and when everything ends.
    fn strength(&self) -> Option<(u64, Timestamp, Timestamp)> {
        let worst = self.signals.iter().map(weight).max()?;
        let end = self.signals.iter().map(|signal| signal.expires_at).max()?;
        Some((worst.0, worst.1, end))
    }

    fn would(&self, signal: &Signal, now: Timestamp) -> Put {
        let live = || self.signals.iter().filter(|held| now < held.expires_at);
        if let Some(place) = live().find(|held| same(held, signal)) {
            return if is_newer(signal, place) { Put::Kept } else { Put::Known };
        }
        if live().count() < SIGNALS_PER_SUBJECT_MAX {
            return Put::Kept;
        }
        let all: Vec<&Signal> = live().chain([signal]).collect();
        match least(&all) == all.len().checked_sub(1) {
            true => Put::Dropped,
            false => Put::Kept,
        }
    }

    fn put(&mut self, signal: Signal, now: Timestamp) -> Put {
        self.signals.retain(|held| now < held.expires_at);
        let Some(place) = self.signals.iter_mut().find(|held| same(held, &signal)) else {
            self.signals.push(signal);
            self.signals.sort_unstable();
            return Put::Kept;
        };
        if !is_newer(&signal, place) {
            return Put::Known;
        }
        *place = signal;
        self.signals.sort_unstable();
        Put::Kept
    }

    /// Drops what is too much, where something is.
    fn shorten(&mut self) -> Option<Signal> {
        if self.signals.len() <= SIGNALS_PER_SUBJECT_MAX {
            return None;
        }
        let place = least(&self.signals.iter().collect::<Vec<_>>())?;
        self.dropped += 1;
        Some(self.signals.remove(place))
    }
}

/// The place of the one that goes where there is no room: how many of its source go before it,
/// and which of them do, is the same whatever order they came in.
fn least(signals: &[&Signal]) -> Option<usize> {
    let before = |one: &Signal, than: &dyn Fn(&Signal) -> bool| {
        signals.iter().filter(|other| other.source == one.source && than(other)).count()
    };
    let of_kind = |one: &Signal| {
        before(one, &|other| other.kind == one.kind && by_weight(other, one).is_gt())
    };
    let of_kinds: Vec<usize> = signals.iter().map(|one| of_kind(one)).collect();
    let of_source = |one: &Signal, rank: usize| {
        let all = signals.iter().zip(&of_kinds).filter(|(other, _)| other.source == one.source);
        let first = |(other, its): &(&&Signal, &usize)| match (*its).cmp(&rank) {
            Ordering::Equal => by_weight(other, one).is_gt(),
            order => order.is_lt(),
        };
        all.filter(first).count()
    };
    let ranked = signals.iter().zip(&of_kinds).map(|(one, rank)| (of_source(one, *rank), *one));
    let last = ranked
        .enumerate()
        .max_by(|(_, (a, one)), (_, (b, other))| a.cmp(b).then_with(|| by_weight(other, one)));
    last.map(|(place, _)| place)
}

fn by_weight(a: &Signal, b: &Signal) -> Ordering {
    weight(a).cmp(&weight(b)).then_with(|| a.cmp(b))
}

/// What goes first where there is no room: the least of these.
fn weight(signal: &Signal) -> (u64, Timestamp) {
    (fresh(signal), signal.observed_at)
}

/// Whether it says more than the one whose place it takes.
fn is_newer(signal: &Signal, held: &Signal) -> bool {
    match signal.kind.is_level() {
        true => (signal.observed_at, signal) > (held.observed_at, held),
        false => signal > held,
    }
}

/// Whether one takes the place of the other.
fn same(held: &Signal, signal: &Signal) -> bool {
    let alike =
        held.kind == signal.kind && held.source == signal.source && held.topic == signal.topic;
    alike && (signal.kind.is_level() || held.id == signal.id)
}

#[cfg(test)]
mod tests;
