//! Taking turns: each contestant runs one batch per round, so that whatever disturbs the machine
//! disturbs all of them, and medians are compared.

use rustix::time::{ClockId, clock_gettime};

use crate::section::Failure;

/// One thing to measure.
pub(crate) struct Contestant<'a> {
    pub(crate) name: String,
    /// Does its work that many times.
    run: Box<dyn FnMut(u32) -> Result<(), Failure> + 'a>,
    /// Nanoseconds of this thread's CPU time per operation, one of each round.
    samples: Vec<f64>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl FnMut(u32) -> Result<(), Failure> + 'a,
    ) -> Self {
        Self { name: name.into(), run: Box::new(run), samples: Vec::new() }
    }

    /// Median nanoseconds per operation.
    pub(crate) fn median(&self) -> f64 {
        median(&self.samples)
    }
}

/// Runs `rounds` rounds of a batch each, after one that does not count.
pub(crate) fn compete(
    contestants: &mut [Contestant<'_>],
    rounds: u32,
    batch: u32,
) -> Result<(), Failure> {
    for round in 0..=rounds {
        for contestant in &mut *contestants {
            let began = thread_cpu_ns();
            (contestant.run)(batch)?;
            let spent = thread_cpu_ns() - began;
            if round > 0 {
                contestant.samples.push(spent / f64::from(batch));
            }
        }
    }
    Ok(())
}

/// CPU time of this thread so far, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The middle one; of an even number the lower of the two in the middle. 0 of none.
pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// The sample below which that share of the others lies. 0 of none.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share) as usize).copied().unwrap_or(0.0)
}

/// A cheap sequence of numbers that look random and are the same in every run.
pub(crate) struct Shuffle(pub(crate) u64);

impl Shuffle {
    /// The next number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0, 5.0], 1.0), 5.0);
    }
}
