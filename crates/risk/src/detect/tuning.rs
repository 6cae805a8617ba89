//! The thresholds of the detectors.

use safeconduct_wire::config::TuningForm;

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

impl Tuning {
    /// These thresholds, save what a configuration says otherwise.
    #[must_use]
    pub fn with(self, form: &TuningForm) -> Self {
        let count = |said: Option<u32>, shipped| said.map_or(shipped, u64::from);
        let ms = |said: Option<u32>, shipped| said.map_or(shipped, i64::from);
        Self {
            burst_calls: count(form.burst_calls, self.burst_calls),
            burst_window_ms: ms(form.burst_window_ms, self.burst_window_ms),
            learned_after: count(form.learned_after, self.learned_after),
            pairs_learned_after: count(form.pairs_learned_after, self.pairs_learned_after),
            denials: count(form.denials, self.denials),
            hours_learned_days: count(form.hours_learned_days, self.hours_learned_days),
            hour_rarer_than: count(form.hour_rarer_than, self.hour_rarer_than),
            volume_calls: count(form.volume_calls, self.volume_calls),
            volume_times: count(form.volume_times, self.volume_times),
            volume_learned_hours: form
                .volume_learned_hours
                .map_or(self.volume_learned_hours, |hours| hours as usize),
            children: count(form.children, self.children),
            children_window_ms: ms(form.children_window_ms, self.children_window_ms),
            drift_learned_after: count(form.drift_learned_after, self.drift_learned_after),
            drift_millibits: count(form.drift_millibits, self.drift_millibits),
            places_window_ms: ms(form.places_window_ms, self.places_window_ms),
            quiet_ms: ms(form.quiet_ms, self.quiet_ms),
        }
    }
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
