//! Drift: how far what was done lately is from what was done before.
//!
//! The measure is the Jensen–Shannon divergence to base 2, between the distribution of actions in
//! a window of the last [`WINDOW`] and that of everything before it: 0 where they are the same, 1
//! where they have nothing in common. It is computed in integers with 16 digits after the point.

use std::collections::VecDeque;

use super::profile::ActionNo;
use crate::fixed::{BITS, log2};

/// How many actions the window holds.
pub const WINDOW: usize = 64;

/// After how many actions the window is looked at again.
const STRIDE: u32 = 8;

/// From how many actions on the baseline is halved, so that the old past fades.
const BASELINE_MAX: u64 = 8192;

/// The window and its baseline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Drift {
    /// How often each action left the window.
    baseline: Vec<u32>,
    total: u64,
    window: VecDeque<ActionNo>,
    since: u32,
}

impl Drift {
    /// Takes an action in; where it is time to look and the baseline has at least so many, says
    /// how far the window is from it: parts of 2^[`BITS`].
    pub(super) fn take(&mut self, action: ActionNo, baseline_min: u64) -> Option<u64> {
        self.window.push_back(action);
        if self.window.len() <= WINDOW {
            return None;
        }
        if let Some(left) = self.window.pop_front() {
            self.remember(left);
        }
        self.since += 1;
        if self.since < STRIDE || self.total < baseline_min.max(1) {
            return None;
        }
        self.since = 0;
        Some(self.divergence())
    }

    fn remember(&mut self, action: ActionNo) {
        let place = usize::from(action.0);
        if self.baseline.len() <= place {
            self.baseline.resize(place + 1, 0);
        }
        if let Some(count) = self.baseline.get_mut(place) {
            *count += 1;
            self.total += 1;
        }
        if self.total > BASELINE_MAX {
            self.baseline.iter_mut().for_each(|count| *count /= 2);
            self.total = self.baseline.iter().map(|count| u64::from(*count)).sum();
        }
    }

    /// ½ Σ p log(2p/(p+q)) + ½ Σ q log(2q/(p+q)), for p = P/N of the baseline and q = Q/W of the
    /// window. What is not in the window adds p/2, so only what is in it needs logarithms.
    fn divergence(&self) -> u64 {
        let (n, w) = (self.total, self.window.len() as u64);
        let mut window: Vec<ActionNo> = self.window.iter().copied().collect();
        window.sort_unstable();
        let (mut of_baseline, mut of_window, mut shared) = (0_i64, 0_i64, 0);
        for run in window.chunk_by(|a, b| a == b) {
            let q = run.len() as u64;
            let place = run.first().map_or(0, |action| usize::from(action.0));
            let p = u64::from(self.baseline.get(place).copied().unwrap_or(0));
            shared += p;
            // INVARIANT: both counts are below 2^14 and both totals too, so no product overflows.
            let both = log2(p * w + q * n) as i64;
            of_baseline += p as i64 * ((1 << BITS) + log2(p * w) as i64 - both);
            of_window += q as i64 * ((1 << BITS) + log2(q * n) as i64 - both);
        }
        let absent = (n.saturating_sub(shared) << BITS) / n.max(1);
        let baseline = of_baseline / (n.max(1) as i64);
        let window = of_window / (w.max(1) as i64);
        // Rounding can leave a little less than nothing.
        let sum = (baseline + window).max(0).unsigned_abs() + absent;
        (sum / 2).min(1 << BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(baseline: &[u32], window: &[u16]) -> u64 {
        let total = baseline.iter().map(|n| u64::from(*n)).sum();
        let window = window.iter().map(|n| ActionNo(*n)).collect();
        Drift { baseline: baseline.to_vec(), total, window, since: 0 }.divergence()
    }

    fn float(baseline: &[u32], window: &[u16]) -> f64 {
        let n: f64 = baseline.iter().map(|n| f64::from(*n)).sum();
        let term = |x: f64, m: f64| if x == 0.0 { 0.0 } else { x * (x / m).log2() };
        let all = (0..=u16::MAX / 1024).map(|action| {
            let p = f64::from(*baseline.get(usize::from(action)).unwrap_or(&0)) / n;
            let q = window.iter().filter(|a| **a == action).count() as f64 / window.len() as f64;
            let m = (p + q) / 2.0;
            (term(p, m) + term(q, m)) / 2.0
        });
        all.sum()
    }

    #[test]
    fn the_same_is_nothing_and_another_is_all() {
        assert!(of(&[100, 300], &[0, 1, 1, 1]) <= 2);
        assert_eq!(of(&[100, 300], &[2, 3, 4]), 1 << BITS);
        // P = (1, 0), Q = (½, ½): ¾ log 4 − ¾ log 3 + … = 0.31128 bits.
        assert!(of(&[64], &[0, 1]).abs_diff(20_400) < 4);
    }

    proptest! {
        #[test]
        fn it_is_near_what_it_should_be(
            baseline in prop::collection::vec(1..200_u32, 1..40),
            window in prop::collection::vec(0..50_u16, 1..WINDOW),
        ) {
            let exact = float(&baseline, &window);
            prop_assert!((of(&baseline, &window) as f64 / 65536.0 - exact).abs() < 2e-4);
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn the_baseline_is_bounded(actions in prop::collection::vec(0..4_u16, 0..200)) {
            let mut drift = Drift::default();
            for action in actions.iter().cycle().take(10_000) {
                if let Some(divergence) = drift.take(ActionNo(*action), 100) {
                    prop_assert!(divergence <= 1 << BITS);
                }
                prop_assert!(drift.total <= BASELINE_MAX && drift.window.len() <= WINDOW);
            }
        }
    }
}
