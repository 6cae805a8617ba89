//! What was fetched, kept for a while: the rules of when to fetch again.
//!
//! Time is the process's own, which never steps. At most one fetch per cache runs at a time; while
//! it does, what is there is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Longest wait after failed fetches.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// When to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// What is older is fetched again.
    pub(crate) refresh: Duration,
    /// What is older counts no more.
    pub(crate) stale: Duration,
    /// For a key that is not there, one fetch within this span.
    pub(crate) unknown: Duration,
}

/// Why somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Whatever is good still.
    Good,
    /// Something newer: what was there lacks a key.
    Newer,
}

/// What was fetched last.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    schedule: Schedule,
    current: ArcSwapOption<Entry<T>>,
    generation: AtomicU64,
    attempts: Mutex<Attempts>,
}

#[derive(Debug)]
struct Entry<T> {
    value: Arc<T>,
    at: Instant,
    refresh: Duration,
}

#[derive(Debug, Default)]
struct Attempts {
    last: Option<Instant>,
    failures: u32,
}

impl<T> Cache<T> {
    pub(crate) fn new(schedule: Schedule) -> Self {
        let (current, attempts) = (ArcSwapOption::empty(), Mutex::default());
        Self { schedule, current, generation: AtomicU64::new(0), attempts }
    }

    /// Counts what was put in.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What is there and not stale, without fetching.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.good().map(|entry| Arc::clone(&entry.value))
    }

    /// Puts something in that was not fetched here.
    pub(crate) fn put(&self, value: T) {
        self.store(value, None);
    }

    /// What is there counts as fetched now.
    pub(crate) fn touch(&self) {
        if let Some(entry) = self.current.load_full() {
            let (value, refresh) = (Arc::clone(&entry.value), entry.refresh);
            self.current.store(Some(Arc::new(Entry { value, at: Instant::now(), refresh })));
        }
    }

    /// What is good, fetched again where that is due and allowed. `load` gives what it fetched,
    /// and after how long its publisher wants it to be fetched again.
    pub(crate) async fn get<E: std::fmt::Display>(
        &self,
        name: &str,
        want: Want,
        load: impl AsyncFnOnce(Option<Arc<T>>) -> Result<(T, Option<Duration>), E>,
    ) -> Option<Arc<T>> {
        let before = self.good();
        let due = before.as_ref().is_none_or(|entry| entry.at.elapsed() >= entry.refresh);
        if want == Want::Good && !due {
            return before.map(|entry| Arc::clone(&entry.value));
        }
        let mut attempts = match (&before, want) {
            // Somebody fetches already, and what is there is good: nobody waits.
            (Some(entry), Want::Good) => match self.attempts.try_lock() {
                Ok(attempts) => attempts,
                Err(_) => return Some(Arc::clone(&entry.value)),
            },
            _ => self.attempts.lock().await,
        };
        let now = self.good();
        let newer = match (&now, &before) {
            (Some(now), Some(before)) => now.at > before.at,
            (now, _) => now.is_some(),
        };
        if newer || !self.may_try(&attempts, want) {
            return now.map(|entry| Arc::clone(&entry.value));
        }
        // Counted before it is made: a caller that gives up halfway has tried all the same.
        let failures = attempts.failures;
        *attempts = Attempts { last: Some(Instant::now()), failures: failures.saturating_add(1) };
        match load(self.any()).await {
            Ok((value, refresh)) => {
                attempts.failures = 0;
                self.store(value, refresh);
            }
            Err(error) => {
                tracing::warn!(trust = name, %error, failures = failures + 1, "keys not fetched");
            }
        }
        self.peek()
    }

    fn may_try(&self, attempts: &Attempts, want: Want) -> bool {
        let Some(last) = attempts.last else { return true };
        let back_off = match attempts.failures {
            0 => Duration::ZERO,
            n => Duration::from_secs(1 << n.min(6)).min(BACK_OFF_MAX),
        };
        let wait = match want {
            Want::Good => back_off,
            Want::Newer => back_off.max(self.schedule.unknown),
        };
        last.elapsed() >= wait
    }

    fn store(&self, value: T, refresh: Option<Duration>) {
        let refresh = refresh.unwrap_or(self.schedule.refresh).min(self.schedule.refresh);
        let entry = Entry { value: Arc::new(value), at: Instant::now(), refresh };
        self.current.store(Some(Arc::new(entry)));
        // After, so that whoever reads a count and then the value never counts an older value as
        // newer than it is.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What was fetched last, however old.
    fn any(&self) -> Option<Arc<T>> {
        self.current.load().as_ref().map(|entry| Arc::clone(&entry.value))
    }

    fn good(&self) -> Option<Arc<Entry<T>>> {
        self.current.load_full().filter(|entry| entry.at.elapsed() < self.schedule.stale)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    fn cache() -> Cache<u32> {
        Cache::new(Schedule {
            refresh: Duration::from_secs(300),
            stale: Duration::from_secs(3600),
            unknown: Duration::from_secs(30),
        })
    }

    /// Counts fetches; each gives its number, or fails.
    struct Server {
        fetches: Cell<u32>,
        up: Cell<bool>,
    }

    impl Server {
        fn new() -> Self {
            Self { fetches: Cell::new(0), up: Cell::new(true) }
        }

        async fn ask(&self, cache: &Cache<u32>, want: Want) -> Option<u32> {
            let load = async |_: Option<Arc<u32>>| {
                self.fetches.set(self.fetches.get() + 1);
                if self.up.get() { Ok((self.fetches.get(), None)) } else { Err("down") }
            };
            cache.get("test", want, load).await.map(|value| *value)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fresh_is_not_fetched_again() {
        let (cache, server) = (cache(), Server::new());
        assert_eq!(server.ask(&cache, Want::Good).await, Some(1));
        advance(Duration::from_secs(299)).await;
        assert_eq!(server.ask(&cache, Want::Good).await, Some(1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(server.ask(&cache, Want::Good).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_cause_one_fetch_in_a_span_however_many_come() {
        let (cache, server) = (cache(), Server::new());
        server.ask(&cache, Want::Good).await;
        for _ in 0..1000 {
            server.ask(&cache, Want::Newer).await;
        }
        assert_eq!(server.fetches.get(), 1);
        advance(Duration::from_secs(30)).await;
        for _ in 0..1000 {
            server.ask(&cache, Want::Newer).await;
        }
        assert_eq!(server.fetches.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_the_last_good_is_served_until_it_is_stale() {
        let (cache, server) = (cache(), Server::new());
        assert_eq!(server.ask(&cache, Want::Good).await, Some(1));
        server.up.set(false);
        for _ in 0..3599 {
            advance(Duration::from_secs(1)).await;
            assert_eq!(server.ask(&cache, Want::Good).await, Some(1));
        }
        // 3300 s of failing: 2, 4, 8, 16, 32, then one a minute.
        assert!((55..65).contains(&server.fetches.get()), "{}", server.fetches.get());
        advance(Duration::from_secs(1)).await;
        assert_eq!(server.ask(&cache, Want::Good).await, None);
        server.up.set(true);
        advance(BACK_OFF_MAX).await;
        assert!(server.ask(&cache, Want::Good).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answered_is_not_asked_by_every_request() {
        let (cache, server) = (cache(), Server::new());
        server.up.set(false);
        for _ in 0..1000 {
            assert_eq!(server.ask(&cache, Want::Good).await, None);
        }
        assert_eq!(server.fetches.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_fetches_the_others_are_served() {
        let (cache, server) = (cache(), Server::new());
        server.ask(&cache, Want::Good).await;
        advance(Duration::from_secs(300)).await;
        let slow = cache.get("test", Want::Good, async |_| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok::<_, &str>((7, None))
        });
        let quick = async {
            let begun = Instant::now();
            tokio::task::yield_now().await;
            (server.ask(&cache, Want::Good).await, begun.elapsed())
        };
        let (slow, quick) = tokio::join!(slow, quick);
        assert_eq!(quick, (Some(1), Duration::ZERO));
        assert_eq!(slow.map(|value| *value), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_in_ages_unless_it_is_touched() {
        let cache = cache();
        cache.put(1);
        advance(Duration::from_secs(3599)).await;
        cache.touch();
        advance(Duration::from_secs(3599)).await;
        assert_eq!(cache.peek().as_deref(), Some(&1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(cache.peek(), None);
    }
}
