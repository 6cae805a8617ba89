//! Following the ledger: every record once, in order, after it is durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_model::Record;
use safeconduct_service::ReadModel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cursor::{Cursor, CursorError};

/// How many records are read at once.
const BATCH: usize = 256;

/// How often it is noted how far the ledger was told on, while nothing new comes.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// How long to wait after the read model failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Someone who hears every record.
pub trait Hears: Send + Sync + 'static {
    /// A record at that place of the ledger. Must not block.
    fn record(&self, sequence: u64, record: &Record);

    /// The first place that it still needs: something of that record is on its way. `next` is the
    /// place of the record that it hears next.
    fn needs(&self, next: u64) -> u64;
}

/// Reads the ledger for everyone who hears it.
pub struct Follower {
    read: Arc<dyn ReadModel>,
    cursor: Cursor,
    hears: Vec<Arc<dyn Hears>>,
}

impl Follower {
    /// One that goes on where that file says, or, where there is none, with what is recorded from
    /// now on: nobody is told of the past.
    ///
    /// # Errors
    /// [`CursorError`] where the file cannot be used.
    pub fn new(
        read: Arc<dyn ReadModel>,
        file: PathBuf,
        begin: u64,
        hears: Vec<Arc<dyn Hears>>,
    ) -> Result<Self, CursorError> {
        Ok(Self { cursor: Cursor::open(file, begin)?, read, hears })
    }

    /// Follows until told to stop.
    pub async fn follow(mut self, stop: CancellationToken) {
        let mut next = self.cursor.at();
        loop {
            if self.read.read_up_to() > next {
                next = self.hear(next).await;
            }
            self.note(next);
            if self.read.read_up_to() > next {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            let read = Arc::clone(&self.read);
            tokio::select! {
                () = stop.cancelled() => return self.note(next),
                _ = timeout(NOTE_EVERY, read.grown_beyond(next)) => {}
            }
        }
    }

    async fn hear(&self, next: u64) -> u64 {
        let read = Arc::clone(&self.read);
        let page = tokio::task::spawn_blocking(move || read.from(next, BATCH)).await;
        let records = match page {
            Ok(Ok(page)) => page.records,
            Ok(Err(error)) => {
                tracing::error!(%error, "what is recorded cannot be told on");
                tokio::time::sleep(AFTER_FAILURE).await;
                return next;
            }
            Err(_) => return next,
        };
        let mut next = next;
        for one in records {
            match safeconduct_ledger::decode(one.leaf.as_bytes()) {
                Ok(record) => {
                    self.hears.iter().for_each(|hears| hears.record(one.sequence, &record));
                }
                Err(error) => {
                    tracing::error!(%error, sequence = one.sequence, "a record cannot be read")
                }
            }
            next = one.sequence + 1;
        }
        next
    }

    fn note(&mut self, next: u64) {
        let needed = self.hears.iter().map(|hears| hears.needs(next)).min().unwrap_or(next);
        if let Err(error) = self.cursor.keep(needed.min(next)) {
            tracing::error!(%error, "how far the ledger was told on cannot be kept");
        }
    }
}
