//! From when on something is wrong.

use safeconduct_model::Timestamp;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// From when on something is wrong. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// How long a right must not have been used, and must have been held, to be unused; and the
    /// window over which is looked what of it was used.
    pub unused_after_ms: i64,
    /// How long an identity must not have acted, and must have been registered, to be dormant.
    pub dormant_after_ms: i64,
    /// Longest life of a token.
    pub token_life_ms: i64,
    /// For how long a lease may outlive its task: it is being taken back.
    pub lease_grace_ms: i64,
    /// For how long something that happened is held against anybody.
    pub recent_ms: i64,
    /// From how many decisions of one enforcement point about one action on it is said that they
    /// lack something, and from how many answers on that somebody does not read.
    pub least_sample: u64,
    /// From how many in a hundred answers that are yes on nobody has read them.
    pub yes_percent: u64,
    /// Below which median from the request to the answer nobody has read it.
    pub read_ms: i64,
    /// From how many answers in one go on nobody has read them.
    pub batch: u64,
    /// From how many calls within a minute on it is no person who acts.
    pub calls_a_minute: u64,
    /// From how many different hours of one day (UTC) on it is no person who acts.
    pub hours_a_day: u32,
    /// From how many returns to a credential used before on two use an identity in turns.
    pub returns: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            unused_after_ms: 90 * DAY_MS,
            dormant_after_ms: 90 * DAY_MS,
            token_life_ms: 90 * DAY_MS,
            lease_grace_ms: 10 * 60_000,
            recent_ms: 30 * DAY_MS,
            least_sample: 10,
            yes_percent: 95,
            read_ms: 10_000,
            batch: 10,
            calls_a_minute: 60,
            hours_a_day: 20,
            returns: 3,
        }
    }
}

/// The time of a look, and since when is known what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The time of the look.
    pub now: Timestamp,
    /// When the ledger's first record was made.
    pub tracked_since: Timestamp,
}

impl Window {
    /// How long ago that was, in milliseconds.
    pub fn ago_ms(&self, at: Timestamp) -> i64 {
        self.now.ms_since(at)
    }

    /// How long it is known what happens, in milliseconds.
    pub fn tracked_ms(&self) -> i64 {
        self.ago_ms(self.tracked_since)
    }
}
