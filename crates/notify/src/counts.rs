//! What was sent out, and what was not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use safeconduct_service::DeliveryCounts;

/// The numbers of one kind of thing that goes out. Cheap to share.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    failed_tries: AtomicU64,
    given_up: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
    trouble: Mutex<std::collections::BTreeMap<String, String>>,
}

impl Counts {
    /// The numbers now.
    pub fn now(&self) -> DeliveryCounts {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        DeliveryCounts {
            delivered: read(&self.delivered),
            failed_tries: read(&self.failed_tries),
            given_up: read(&self.given_up),
            dropped: read(&self.dropped),
            waiting: read(&self.waiting),
        }
    }

    /// The first target that cannot be reached, and why.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.iter().next().map(|(target, why)| format!("{target}: {why}"))
    }

    pub(crate) fn put(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    fn gone(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, target: &str) {
        self.gone();
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).remove(target);
    }

    pub(crate) fn failed(&self) {
        self.failed_tries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn in_trouble(&self, target: &str, why: &str) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.insert(target.to_owned(), why.to_owned());
    }

    pub(crate) fn given_up(&self, target: &str, why: &str) {
        self.gone();
        self.given_up.fetch_add(1, Ordering::Relaxed);
        self.in_trouble(target, why);
    }

    pub(crate) fn dropped(&self, target: &str, why: &str) {
        self.gone();
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.in_trouble(target, why);
    }

    /// Takes out what nobody wants any more.
    pub(crate) fn withdrawn(&self, count: usize) {
        self.waiting.fetch_sub(count as u64, Ordering::Relaxed);
    }
}
