//! The score: evidence that adds up and halves with time.
//!
//! Each signal is worth so much evidence, measured in bits: by its severity, times the confidence
//! of its source, halved once for each half-life of its kind since it was seen. Evidence of
//! different signals is added, and the score is 100 × (1 − 2^−evidence). So one signal more never
//! lowers a score (save one that takes the place of an older word of its source,
//! [`crate::Kind::is_level`]), no number of signals goes over 100, the order of signals does not
//! matter, and without new ones everything goes to 0. All of it is integers, rounded down.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::Timestamp;

use crate::fixed::{BITS, ONE, exp2_minus, times};
use crate::{About, Confidence, Kind, Severity, Signal, Source};

/// Most parts that a score is explained by; the rest is one number.
pub const PARTS_MAX: usize = 16;

/// Longest half-life, in seconds: 90 days.
pub const HALF_LIFE_S_MAX: u32 = 90 * 86_400;

/// How bad it is, in the words that policies use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Below 25.
    #[default]
    Low,
    /// From 25.
    Moderate,
    /// From 50.
    High,
    /// From 80.
    Critical,
}

impl Level {
    /// The level of a score.
    pub const fn of(score: u8) -> Self {
        match score {
            0..25 => Self::Low,
            25..50 => Self::Moderate,
            50..80 => Self::High,
            80.. => Self::Critical,
        }
    }

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// After how long half of a signal is left, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HalfLives {
    changed: BTreeMap<Kind, i64>,
}

/// Why a half-life cannot be set: the configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a half-life of {seconds} s for `{}` is not between 1 and {HALF_LIFE_S_MAX}", kind.as_str())]
pub struct HalfLifeError {
    kind: Kind,
    seconds: u32,
}

impl HalfLives {
    /// Sets the half-life of a kind, in seconds.
    ///
    /// # Errors
    /// [`HalfLifeError`] where it is 0 or over [`HALF_LIFE_S_MAX`].
    pub fn with(mut self, kind: Kind, seconds: u32) -> Result<Self, HalfLifeError> {
        if !(1..=HALF_LIFE_S_MAX).contains(&seconds) {
            return Err(HalfLifeError { kind, seconds });
        }
        self.changed.insert(kind, i64::from(seconds) * 1000);
        Ok(self)
    }

    /// The half-life of a kind, in milliseconds.
    pub fn ms(&self, kind: Kind) -> i64 {
        self.changed.get(&kind).copied().unwrap_or_else(|| kind.half_life_ms())
    }
}

/// A set of kinds of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u64);

const _: () = assert!(Kind::ALL.len() <= 64, "each kind has its bit");

impl Kinds {
    /// Whether that kind is one of them.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u64) != 0
    }

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(move |kind| self.contains(*kind))
    }

    const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u64)
    }
}

/// How risky something is at a point in time: what a decision looks at. [`Risk`] says the same
/// and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RiskScore {
    /// 0 to 100.
    pub score: u8,
    /// The level of that score.
    pub level: Level,
    /// The kinds of all signals that count for something.
    pub kinds: Kinds,
}

/// How risky something is at a point in time, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Risk {
    /// 0 to 100.
    pub score: u8,
    /// The level of that score.
    pub level: Level,
    /// The signals that made it, those that count most first: at most [`PARTS_MAX`].
    pub parts: Vec<RiskPart>,
    /// The kinds of all signals that count for something, those of the others among them.
    pub kinds: Kinds,
    /// How many more signals still count for something.
    pub others: u64,
    /// What they add to the score. With the parts' points it sums up to the score.
    pub others_points: u8,
}

/// What one signal adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskPart {
    /// Its share of the score.
    pub points: u8,
    /// About whom.
    pub about: About,
    /// What was seen.
    pub kind: Kind,
    /// How bad it was.
    pub severity: Severity,
    /// How sure its source is.
    pub confidence: Confidence,
    /// Who says so.
    pub source: Source,
    /// What it is about more exactly.
    pub topic: Arc<str>,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// Its name at its source.
    pub id: Arc<str>,
    /// For people.
    pub detail: Arc<str>,
}

/// The score of signals without its parts: the same as [`assess`] finds, and nothing is kept,
/// ordered or copied for it.
pub fn weigh<'a>(
    signals: impl IntoIterator<Item = &'a Signal>,
    at: Timestamp,
    half_lives: &HalfLives,
) -> RiskScore {
    let (mut total, mut kinds) = (0, Kinds::default());
    for signal in signals {
        let evidence = evidence(signal, at, half_lives);
        if evidence > 0 {
            total += evidence;
            kinds = kinds.with(signal.kind);
        }
    }
    let score = score(total);
    RiskScore { score, level: Level::of(score), kinds }
}

/// Makes a score of signals. The same signal twice counts twice: [`crate::Signals`] keeps each
/// once.
pub fn assess<'a>(
    signals: impl IntoIterator<Item = &'a Signal>,
    at: Timestamp,
    half_lives: &HalfLives,
) -> Risk {
    let mut weighed: Vec<(u64, &Signal)> = signals
        .into_iter()
        .map(|signal| (evidence(signal, at, half_lives), signal))
        .filter(|(evidence, _)| *evidence > 0)
        .collect();
    let total: u64 = weighed.iter().map(|(evidence, _)| evidence).sum();
    let score = score(total);
    // Of all: nobody hides one kind of signal behind many of others.
    let kinds = weighed.iter().fold(Kinds::default(), |all, (_, signal)| all.with(signal.kind));
    let others = weighed.len().saturating_sub(PARTS_MAX) as u64;
    if others > 0 {
        // Only those that are shown need an order.
        weighed.select_nth_unstable_by(PARTS_MAX, most_first);
        weighed.truncate(PARTS_MAX);
    }
    weighed.sort_unstable_by(most_first);

    // Points are what the running sum crosses, so that they add up.
    let (mut sum, mut given) = (0, 0);
    let parts = weighed.into_iter().map(|(evidence, signal)| {
        sum += evidence;
        let reached = share(score, sum, total);
        let points = reached - given;
        given = reached;
        RiskPart::of(signal, points)
    });
    let parts = parts.collect();
    Risk { score, level: Level::of(score), parts, kinds, others, others_points: score - given }
}

fn most_first((a, one): &(u64, &Signal), (b, other): &(u64, &Signal)) -> Ordering {
    b.cmp(a).then_with(|| one.cmp(other))
}

impl RiskPart {
    fn of(signal: &Signal, points: u8) -> Self {
        Self {
            points,
            about: signal.about.clone(),
            kind: signal.kind,
            severity: signal.severity,
            confidence: signal.confidence,
            source: signal.source.clone(),
            topic: Arc::clone(&signal.topic),
            observed_at: signal.observed_at,
            id: Arc::clone(&signal.id),
            detail: Arc::clone(&signal.detail),
        }
    }
}

/// What is left of a signal, in bits with [`BITS`] digits after the point. One that was seen in
/// the future is fresh.
fn evidence(signal: &Signal, at: Timestamp, half_lives: &HalfLives) -> u64 {
    if at >= signal.expires_at {
        return 0;
    }
    let fresh = fresh(signal);
    let age = signal_age(signal, at);
    let half_life = half_lives.ms(signal.kind).unsigned_abs().max(1);
    // INVARIANT: a signal lives at most `LIFETIME_MS_MAX`, below 2^33, where it was checked.
    let halvings = age.min(1 << 40) * (1 << BITS) / half_life;
    // To a 256th of a half-life: finer than the score, and it halves the work.
    times(fresh, exp2_minus(halvings & !0xff))
}

/// What a signal is worth when it is seen, in bits with [`BITS`] digits after the point.
pub(crate) fn fresh(signal: &Signal) -> u64 {
    weight(signal.severity) * u64::from(signal.confidence.as_percent()) / 100
}

fn signal_age(signal: &Signal, at: Timestamp) -> u64 {
    at.ms_since(signal.observed_at).unsigned_abs()
}

/// −log2(1 − weight/100) with [`BITS`] digits after the point, rounded up, so that one signal
/// alone scores its weight.
const fn weight(severity: Severity) -> u64 {
    match severity {
        Severity::Info => 0,
        Severity::Low => 15_366,
        Severity::Moderate => 40_730,
        Severity::High => 99_260,
        Severity::Critical => 217_706,
    }
}

fn score(evidence: u64) -> u8 {
    let share = times(100, ONE - exp2_minus(evidence));
    // INVARIANT: a part of 100 fits a byte.
    share.min(100) as u8
}

fn share(score: u8, sum: u64, total: u64) -> u8 {
    let share = (u64::from(score) * sum).checked_div(total).unwrap_or(0);
    // INVARIANT: the sum of some is at most the sum of all.
    share.min(u64::from(score)) as u8
}

#[cfg(test)]
mod tests;
