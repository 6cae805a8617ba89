//! The head of the ledger in memory: what was submitted, what it rests on, and how far the disk
//! has come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use safeconduct_ledger::LEAF_BYTES_MAX;
use safeconduct_service::{
    AppendError, Entry, LedgerHealth, Proposal, SubmitError, Ticket, Versioned,
};
use tokio::sync::oneshot;

use crate::options::ATTACHMENT_BYTES_MAX;

/// So many proposals in one write are a sign that more come while it is prepared.
const MANY: usize = 8;

/// How long records gather before a write while many come, as long as more come: every write
/// costs as much as some records do, however many it holds. Nobody else waits for it, since a few
/// callers never fill a write with many proposals, however many records each of them brings.
const GATHER: Duration = Duration::from_micros(100);

/// How often, one after the other.
const GATHERS: usize = 3;

/// Who waits for the disk, each for one record. Each is woken once, when its own record is there:
/// records that wait for the next write are many, and waking them too would cost more than the
/// write.
#[derive(Default)]
struct Waiters {
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    /// Why nothing more will be durable.
    failed: Option<Arc<str>>,
}

/// Submitted entries wait here for the committer; callers wait here for the disk.
pub(crate) struct Queue {
    head: Mutex<Head>,
    work: Condvar,
    reached: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    entries_max: usize,
    bytes_max: usize,
}

struct Head {
    next: u64,
    /// Versions since this process began; both sides of the comparison start at 0 with it.
    versions: HashMap<Versioned, u64, RandomState>,
    waiting: Vec<Entry>,
    /// How many proposals brought what waits.
    proposals: usize,
    bytes: usize,
    failed: Option<Arc<str>>,
    committer_idle: bool,
    /// Whether the last write had many proposals.
    many: bool,
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
            versions: HashMap::default(),
            waiting: Vec::new(),
            proposals: 0,
            bytes: 0,
            failed: None,
            committer_idle: false,
            many: false,
            blocked: 0,
            closing: false,
        };
        Self {
            head: Mutex::new(head),
            work: Condvar::new(),
            reached: Condvar::new(),
            durable: AtomicU64::new(records),
            waiters: Mutex::default(),
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
        // The committer may have ended already.
        if head.closing {
            return Err(SubmitError::Failed(closed()));
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
        head.proposals += 1;
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
        let Some(reached) = self.enlist(sequence) else {
            return self.reached(sequence);
        };
        // The sender is dropped where the record will never be there.
        match reached.await {
            Ok(()) => Ok(()),
            Err(_) => self.reached(sequence),
        }
    }

    /// A place among those who wait; `None` where there is nothing to wait for.
    fn enlist(&self, sequence: u64) -> Option<oneshot::Receiver<()>> {
        if self.durable() > sequence {
            return None;
        }
        let mut waiters = self.waiters();
        // Again, under the lock that `advance` takes after it has counted the record.
        if self.durable() > sequence || waiters.failed.is_some() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        waiters.waiting.push((sequence, sender));
        Some(receiver)
    }

    /// What has become of that record, for which nobody waits any more.
    fn reached(&self, sequence: u64) -> Result<(), AppendError> {
        if self.durable() > sequence {
            return Ok(());
        }
        Err(AppendError(self.waiters().failed.clone().unwrap_or_else(closed)))
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
            if !head.waiting.is_empty() && head.many {
                head = self.gather(head);
            }
            if head.failed.is_some() {
                return None;
            }
            if !head.waiting.is_empty() {
                let entries = std::mem::take(&mut head.waiting);
                head.bytes = 0;
                head.many = std::mem::take(&mut head.proposals) >= MANY;
                return Some(Work { first: head.next - entries.len() as u64, entries });
            }
            if head.closing {
                return None;
            }
            head.committer_idle = true;
            head = self.work.wait(head).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets more records come, while they do.
    fn gather<'q>(&'q self, mut head: MutexGuard<'q, Head>) -> MutexGuard<'q, Head> {
        for _ in 0..GATHERS {
            let before = head.waiting.len();
            if head.closing {
                break;
            }
            drop(head);
            std::thread::sleep(GATHER);
            head = self.head();
            if head.waiting.len() <= before {
                break;
            }
        }
        head
    }

    /// The committer's side: so many records are durable now.
    pub(crate) fn advance(&self, durable: u64) {
        self.durable.store(durable, Ordering::SeqCst);
        if self.head().blocked > 0 {
            self.reached.notify_all();
        }
        let reached = {
            let mut waiters = self.waiters();
            waiters.waiting.extract_if(.., |(sequence, _)| *sequence < durable).collect::<Vec<_>>()
        };
        for (_, waiter) in reached {
            // A caller that went away needs no answer.
            let _ = waiter.send(());
        }
    }

    /// Nothing is appended any more; whatever waits has failed.
    pub(crate) fn fail(&self, reason: &str) {
        let reason: Arc<str> = {
            let mut head = self.head();
            head.waiting.clear();
            head.proposals = 0;
            head.bytes = 0;
            Arc::clone(head.failed.get_or_insert_with(|| reason.into()))
        };
        let given_up = {
            let mut waiters = self.waiters();
            waiters.failed = Some(reason);
            std::mem::take(&mut waiters.waiting)
        };
        drop(given_up);
        self.work.notify_all();
        self.reached.notify_all();
    }

    /// Nothing more is taken. What waits is still written; then the committer ends.
    pub(crate) fn close(&self) {
        self.head().closing = true;
        self.work.notify_all();
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
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
