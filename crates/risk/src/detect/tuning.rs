//! The thresholds of the detectors.

/// When a detector speaks. The defaults are meant to be quiet for an agent that does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Decisions of one session within [`Tuning::burst_window_ms`] that are a burst; four times
    /// as many are a bad one.
    pub burst_calls: u64,
    /// The window of bursts, in milliseconds.
    pub burst_window_ms: i64,
    /// Decisions after which an action or a class of resources can be unheard of, for one
    /// identity and intent.
    pub learned_after: u64,
    /// Decisions after which a pair of actions can be.
    pub pairs_learned_after: u64,
    /// Denials in a row; it speaks again at twice and at four times as many, and so on.
    pub denials: u64,
    /// Different days that must have been seen before an hour can be unusual.
    pub hours_learned_days: u64,
    /// An hour is unusual where, with the hours beside it, it has fewer than one in so many
    /// decisions.
    pub hour_rarer_than: u64,
    /// Least decisions in an hour that can be an unusual volume.
    pub volume_calls: u64,
    /// How many times the usual decisions of an hour in which something was done are unusual.
    pub volume_times: u64,
    /// Hours in which something was done that must have been seen before.
    pub volume_learned_hours: usize,
    /// Tasks below one that are a fan-out; it speaks again at twice and at four times as many.
    pub children: u64,
    /// Within how many milliseconds.
    pub children_window_ms: i64,
    /// Actions that the baseline of drift must hold.
    pub drift_learned_after: u64,
    /// The Jensen–Shannon divergence from which on it is drift, in thousandths of a bit.
    pub drift_millibits: u64,
    /// Within how many milliseconds two networks of one session are two places.
    pub places_window_ms: i64,
    /// How long a detector that does not count keeps quiet about the same thing, in milliseconds.
    pub quiet_ms: i64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            burst_calls: 60,
            burst_window_ms: 10_000,
            learned_after: 50,
            pairs_learned_after: 200,
            denials: 5,
            hours_learned_days: 5,
            hour_rarer_than: 200,
            volume_calls: 100,
            volume_times: 4,
            volume_learned_hours: 5,
            children: 8,
            children_window_ms: 3_600_000,
            drift_learned_after: 192,
            drift_millibits: 350,
            places_window_ms: 10 * 60_000,
            quiet_ms: 10 * 60_000,
        }
    }
}
