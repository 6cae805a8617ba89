//! The head of the ledger in memory: what was submitted, what it rests on, and how far the disk
//! has come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use safeconduct_ledger::LEAF_BYTES_MAX;
use safeconduct_service::{
    AppendError, Entry, LedgerHealth, Proposal, SubmitError, Ticket, Versioned,
};
use tokio::sync::watch;

use crate::options::ATTACHMENT_BYTES_MAX;

/// How far the disk has come.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// How many records are durable.
    durable: u64,
    /// Why nothing more will be.
    failed: Option<Arc<str>>,
}

/// Submitted entries wait here for the committer; callers wait here for the disk.
pub(crate) struct Queue {
    head: Mutex<Head>,
    work: Condvar,
    reached: Condvar,
    durable: AtomicU64,
    progress: watch::Sender<Progress>,
    entries_max: usize,
    bytes_max: usize,
}

struct Head {
    next: u64,
    /// Versions since this process began; both sides of the comparison start at 0 with it.
    versions: HashMap<Versioned, u64>,
    waiting: Vec<Entry>,
    bytes: usize,
    failed: Option<Arc<str>>,
    committer_idle: bool,
    /// Threads that wait for the disk.
    blocked: usize,
    closing: bool,
}

/// What the committer takes from the queue.
pub(crate) struct Work {
    /// Sequence number of the first entry.
    pub(crate) first: u64,
    pub(crate) entries: Vec<Entry>,
}

impl Queue {
    /// A queue behind so many durable records.
    pub(crate) fn new(records: u64, entries_max: usize, bytes_max: usize) -> Self {
        let head = Head {
            next: records,
            versions: HashMap::new(),
            waiting: Vec::new(),
            bytes: 0,
            failed: None,
            committer_idle: false,
            blocked: 0,
            closing: false,
        };
        Self {
            head: Mutex::new(head),
            work: Condvar::new(),
            reached: Condvar::new(),
            durable: AtomicU64::new(records),
            progress: watch::Sender::new(Progress { durable: records, failed: None }),
            entries_max,
            bytes_max,
        }
    }

    pub(crate) fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        let Proposal { entries, reads, writes } = proposal;
        let bytes = entries.iter().map(entry_bytes).sum::<Result<usize, _>>()?;
        let mut head = self.head();
        if let Some(reason) = &head.failed {
            return Err(SubmitError::Failed(Arc::clone(reason)));
        }
        let version = |subject| head.versions.get(subject).copied().unwrap_or(0);
        if reads.iter().any(|(subject, read)| version(subject) != *read) {
            return Err(SubmitError::Stale);
        }
        if head.waiting.len() + entries.len() > self.entries_max {
            return Err(SubmitError::QueueFull { limit: self.entries_max as u64 });
        }
        // Entries that alone exceed the bytes still pass an empty queue: their own limits hold.
        if head.bytes + bytes > self.bytes_max && head.bytes > 0 {
            return Err(SubmitError::QueueFull { limit: self.bytes_max as u64 });
        }
        let first = head.next;
        head.next += entries.len() as u64;
        head.bytes += bytes;
        head.waiting.extend(entries);
        for subject in writes {
            *head.versions.entry(subject).or_insert(0) += 1;
        }
        let ticket = Ticket { first, last: head.next.saturating_sub(1) };
        // A committer that is at work looks again before it sleeps: only an idle one is woken.
        let wake = std::mem::take(&mut head.committer_idle);
        drop(head);
        if wake {
            self.work.notify_one();
        }
        Ok(ticket)
    }

    /// The version that the next proposal must have read.
    pub(crate) fn version(&self, subject: &Versioned) -> u64 {
        self.head().versions.get(subject).copied().unwrap_or(0)
    }

    /// Waits on this thread until that record is durable.
    pub(crate) fn wait_blocking(&self, sequence: u64) -> Result<(), AppendError> {
        let mut head = self.head();
        if sequence >= head.next {
            return Err(AppendError(format!("there is no record {sequence}").into()));
        }
        head.blocked += 1;
        while self.durable() <= sequence && head.failed.is_none() {
            head = self.reached.wait(head).unwrap_or_else(PoisonError::into_inner);
        }
        head.blocked -= 1;
        match &head.failed {
            Some(reason) if self.durable() <= sequence => Err(AppendError(Arc::clone(reason))),
            _ => Ok(()),
        }
    }

    /// How many records are durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// Waits until that record is durable.
    pub(crate) async fn wait(&self, sequence: u64) -> Result<(), AppendError> {
        if self.durable() > sequence {
            return Ok(());
        }
        let mut progress = self.progress.subscribe();
        let reached = |now: &Progress| now.durable > sequence || now.failed.is_some();
        match progress.wait_for(reached).await {
            Ok(now) if now.durable > sequence => Ok(()),
            Ok(now) => Err(AppendError(now.failed.clone().unwrap_or_else(closed))),
            Err(_) => Err(AppendError(closed())),
        }
    }

    pub(crate) fn health(&self) -> LedgerHealth {
        match &self.head().failed {
            None => LedgerHealth::Ready,
            Some(reason) => LedgerHealth::Failed(Arc::clone(reason)),
        }
    }

    /// The committer's side: waits for work. `None` when the queue is closed and empty, or the
    /// ledger has failed.
    pub(crate) fn take(&self) -> Option<Work> {
        let mut head = self.head();
        loop {
            if head.failed.is_some() {
                return None;
            }
            if !head.waiting.is_empty() {
                let entries = std::mem::take(&mut head.waiting);
                head.bytes = 0;
                return Some(Work { first: head.next - entries.len() as u64, entries });
            }
            if head.closing {
                return None;
            }
            head.committer_idle = true;
            head = self.work.wait(head).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The committer's side: so many records are durable now.
    pub(crate) fn advance(&self, durable: u64) {
        self.durable.store(durable, Ordering::SeqCst);
        if self.head().blocked > 0 {
            self.reached.notify_all();
        }
        self.progress.send_modify(|progress| progress.durable = durable);
    }

    /// Nothing is appended any more; whatever waits has failed.
    pub(crate) fn fail(&self, reason: &str) {
        let reason: Arc<str> = {
            let mut head = self.head();
            head.waiting.clear();
            head.bytes = 0;
            Arc::clone(head.failed.get_or_insert_with(|| reason.into()))
        };
        self.progress.send_modify(|progress| progress.failed = Some(reason));
        self.work.notify_all();
        self.reached.notify_all();
    }

    /// What waits is still written; then the committer ends.
    pub(crate) fn close(&self) {
        self.head().closing = true;
        self.work.notify_all();
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        // Nothing panics while it holds the lock; were it otherwise, the head is still whole,
        // since each step is complete before the next.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an entry, within its limits.
fn entry_bytes(entry: &Entry) -> Result<usize, SubmitError> {
    let within = |bytes: usize, limit: usize| {
        if bytes <= limit {
            Ok(bytes)
        } else {
            Err(SubmitError::TooLong { bytes: bytes as u64, limit: limit as u64 })
        }
    };
    let leaf = within(entry.leaf.len(), LEAF_BYTES_MAX)?;
    let attachment = within(entry.attachment.as_ref().map_or(0, Vec::len), ATTACHMENT_BYTES_MAX)?;
    Ok(leaf + attachment)
}

fn closed() -> Arc<str> {
    "the ledger was closed".into()
}
