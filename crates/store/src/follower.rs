//! The follower: the one thread that derives, right behind the durable records: the read model
//! and the published log. Never on the way of a decision.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use safeconduct_ledger::{CheckpointKey, TreeBuilder};
use tokio::sync::watch;

use crate::index::{Index, Reader};
use crate::queue::Queue;
use crate::read_model::{Applier, SharedReader};
use crate::segment::LedgerId;
use crate::signal::Signal;
use crate::tlog::Publisher;

/// Records that one transaction of the read model takes in.
const RECORDS_AT_ONCE: u64 = 4096;

/// Between two transactions: records gather, and a transaction for each would cost more.
const GATHER: Duration = Duration::from_millis(3);

/// The same while many come: the more records share a transaction, the less each of them costs.
/// Each pause follows the one before where so many records have gathered by then.
const GATHER_MANY: [(u64, Duration); 2] =
    [(16, Duration::from_millis(47)), (512, Duration::from_millis(150))];

/// After a failure of what is derived.
const RETRY: Duration = Duration::from_secs(1);

/// How far the follower has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Followed {
    /// Records that the read model has taken in.
    pub(crate) applied: u64,
    /// Records that the last published checkpoint signs.
    pub(crate) published: Option<u64>,
}

pub(crate) struct Follower {
    pub(crate) data: PathBuf,
    pub(crate) ledger: LedgerId,
    pub(crate) key: Arc<CheckpointKey>,
    pub(crate) index: Arc<Index>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) followed: watch::Sender<Followed>,
    pub(crate) readers: Arc<SharedReader>,
    pub(crate) publish_every: Duration,
    /// The tree as it was published before.
    pub(crate) tree: TreeBuilder,
}

impl Follower {
    /// Follows until it is asked to stop and has caught up.
    pub(crate) fn run(mut self) {
        // Decisions come first: on Linux this lowers the calling thread alone.
        if let Err(error) = rustix::process::setpriority_process(None, 10) {
            tracing::debug!(%error, "the follower runs at the priority of decisions");
        }
        let mut applier: Option<Applier> = None;
        let mut publisher: Option<Publisher> = None;
        let mut last = None;
        loop {
            let asked = self.signal.take();
            let durable = self.queue.durable();
            let applied = self.apply(&mut applier, durable);
            let now = asked.publish || asked.stop;
            let published = self.publish(&mut publisher, durable, &mut last, now);
            let failed = log("read model", applied) | log("published log", published);
            if asked.stop && (failed || self.caught_up(durable)) {
                return;
            }
            if failed {
                self.signal.pause(RETRY);
            } else if self.followed.borrow().applied < durable {
                // More is there already.
            } else if self.followed.borrow().published == Some(durable) {
                self.signal.wait(None, || self.queue.durable() > durable);
                self.gather(durable);
            } else {
                let due = last.map_or(Duration::ZERO, |last: Instant| {
                    self.publish_every.saturating_sub(last.elapsed())
                });
                self.signal.wait(Some(due), || self.queue.durable() > durable);
                if !due.is_zero() {
                    self.gather(durable);
                }
            }
        }
    }

    /// Lets records gather behind the first `known`: not for long, unless many come.
    fn gather(&self, known: u64) {
        self.signal.pause(GATHER);
        for (many, pause) in GATHER_MANY {
            if self.queue.durable().saturating_sub(known) < many {
                return;
            }
            self.signal.pause(pause);
        }
    }

    fn caught_up(&self, durable: u64) -> bool {
        let followed = *self.followed.borrow();
        let all = durable == self.queue.durable();
        all && followed.applied == durable && followed.published == Some(durable)
    }

    fn apply(&self, applier: &mut Option<Applier>, durable: u64) -> Result<(), FollowError> {
        let current = match applier {
            Some(current) => current,
            None => {
                let opened = Applier::open(&self.data, self.ledger, &self.index, durable)?;
                self.readers.replace(&self.data)?;
                applier.insert(opened)
            }
        };
        let until = durable.min(current.applied() + RECORDS_AT_ONCE);
        let mut reader = Reader::new(Arc::clone(&self.index), current.applied());
        match current.apply(&mut reader, &self.index, until) {
            Ok(()) => {
                let applied = current.applied();
                self.followed.send_if_modified(|followed| {
                    std::mem::replace(&mut followed.applied, applied) != applied
                });
                Ok(())
            }
            Err(error) => {
                // Begun again from what was committed; where that is damaged, from nothing.
                *applier = None;
                if error.is_damage() {
                    self.readers.close();
                    crate::read_model::remove(&self.data)?;
                }
                Err(error)
            }
        }
    }

    fn publish(
        &mut self,
        publisher: &mut Option<Publisher>,
        durable: u64,
        last: &mut Option<Instant>,
        now: bool,
    ) -> Result<(), FollowError> {
        let current = match publisher {
            Some(current) => current,
            None => {
                let tree = std::mem::take(&mut self.tree);
                let (key, index) = (Arc::clone(&self.key), Arc::clone(&self.index));
                publisher.insert(Publisher::resume(&self.data, key, index, tree)?)
            }
        };
        let result = Self::publish_with(current, durable, last, now, self.publish_every);
        if result.is_err() {
            // Begun again from the first record: which files were written nobody knows.
            *publisher = None;
        }
        let published = result?;
        self.followed.send_if_modified(|followed| {
            std::mem::replace(&mut followed.published, published) != published
        });
        Ok(())
    }

    fn publish_with(
        publisher: &mut Publisher,
        durable: u64,
        last: &mut Option<Instant>,
        now: bool,
        every: Duration,
    ) -> io::Result<Option<u64>> {
        publisher.advance(durable)?;
        let due = now || last.is_none_or(|last| last.elapsed() >= every);
        if due && publisher.published() != Some(publisher.size()) {
            publisher.publish()?;
            *last = Some(Instant::now());
        }
        Ok(publisher.published())
    }
}

/// Why something derived cannot be written. The ledger is not touched by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Decode(#[from] safeconduct_ledger::DecodeError),
}

impl FollowError {
    /// Whether the database itself is damaged, as opposed to a disk that is full or a ledger that
    /// cannot be read.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Sqlite(error) = self else {
            return false;
        };
        matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
    }
}

fn log(what: &'static str, result: Result<(), FollowError>) -> bool {
    match result {
        Ok(()) => false,
        Err(error) => {
            tracing::error!(%error, what, "cannot be derived from the ledger; it is tried again");
            true
        }
    }
}
