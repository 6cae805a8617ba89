//! One target and what waits for it: in order, one try at a time, in bounded room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeconduct_service::Awaited;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::counts::Counts;

/// Most messages that wait for one target. Where more come, the oldest is dropped, and that is
/// loud.
pub const LANE_MAX: usize = 1000;

/// Longest wait between two tries, in milliseconds.
const BACKOFF_MS_MAX: u64 = 300_000;

/// How long to wait after so many failed tries, in milliseconds: a second, doubled with each, at
/// most five minutes; and up to half of that more, so that not everybody comes back at once.
pub fn backoff_ms(tries: u32, name: &str) -> u64 {
    let base = 1000_u64.checked_shl(tries.saturating_sub(1).min(20)).unwrap_or(BACKOFF_MS_MAX);
    let base = base.min(BACKOFF_MS_MAX);
    let digest = Sha256::digest(format!("{name}/{tries}").as_bytes());
    let spread = digest.first().map_or(0, |byte| u64::from(*byte));
    base + base / 2 * spread / 256
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It arrived.
    Delivered,
    /// It may arrive later; not before so many seconds, where the target says so.
    Later {
        /// Why it did not.
        why: String,
        /// What the target says.
        after_s: Option<u32>,
    },
    /// It never will.
    Never(String),
}

/// How one target is told.
pub(crate) trait Tells<T>: Send + Sync + 'static {
    /// Tries once.
    fn tell<'a>(&'a self, message: &'a T) -> Awaited<'a, Tried>;
}

/// A target and what waits for it.
pub(crate) struct Lane<T> {
    name: String,
    tries_max: u32,
    tells: Box<dyn Tells<T>>,
    counts: Arc<Counts>,
    waiting: Mutex<VecDeque<(u64, Arc<T>)>>,
    more: Notify,
}

impl<T: Send + Sync + 'static> Lane<T> {
    pub(crate) fn new(
        name: String,
        tries_max: u32,
        tells: Box<dyn Tells<T>>,
        counts: Arc<Counts>,
    ) -> Self {
        let (waiting, more) = (Mutex::default(), Notify::new());
        Self { name, tries_max, tells, counts, waiting, more }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<T>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message of that record in.
    pub(crate) fn put(&self, sequence: u64, message: Arc<T>) {
        let mut waiting = self.waiting();
        self.counts.put();
        waiting.push_back((sequence, message));
        if waiting.len() > LANE_MAX {
            // The first is on its way: it is not taken from whoever carries it.
            waiting.remove(1);
            let why = format!("more than {LANE_MAX} messages wait; the oldest are dropped");
            tracing::error!(channel = %self.name, "MESSAGES ARE DROPPED: {why}");
            self.counts.dropped(&self.name, &why);
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// The first record of which something is on its way.
    pub(crate) fn needs(&self) -> Option<u64> {
        self.waiting().iter().map(|(sequence, _)| *sequence).min()
    }

    /// Tells the target, until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let first = self.waiting().front().cloned();
            let Some((_, message)) = first else {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.more.notified() => continue,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.carry(&message) => {}
            }
            self.waiting().pop_front();
        }
    }

    async fn carry(&self, message: &T) {
        for tries in 1..=self.tries_max {
            let (why, after_s) = match self.tells.tell(message).await {
                Tried::Delivered => return self.counts.delivered(&self.name),
                Tried::Later { why, after_s } => (why, after_s),
                Tried::Never(why) => {
                    self.counts.failed();
                    return self.give_up(tries, &why);
                }
            };
            self.counts.failed();
            if tries == self.tries_max {
                return self.give_up(tries, &why);
            }
            tracing::warn!(channel = %self.name, tries, why, "a message did not arrive yet");
            let wait = backoff_ms(tries, &self.name);
            let wait = wait.max(u64::from(after_s.unwrap_or(0)).min(3600) * 1000);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn give_up(&self, tries: u32, why: &str) {
        tracing::error!(channel = %self.name, tries, why, "A MESSAGE WAS GIVEN UP: NOBODY WAS TOLD");
        self.counts.given_up(&self.name, why);
    }
}
