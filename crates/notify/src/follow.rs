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

/// Where it is kept how far each was told.
#[derive(Debug, Clone)]
pub struct CursorFiles {
    /// The folder of the files.
    pub folder: PathBuf,
    /// The file that one version kept for everyone together: each goes on from there, once.
    pub of_all: &'static str,
}

/// Reads the ledger for everyone who hears it.
pub struct Follower {
    read: Arc<dyn ReadModel>,
    hearers: Vec<Hearer>,
}

/// One who hears, and how far it was told: of its own, so that what is stuck on the way to one has
/// nothing told again to another.
struct Hearer {
    hears: Arc<dyn Hears>,
    cursor: Cursor,
    /// The place at which this process began to tell it.
    from: u64,
}

impl Follower {
    /// One that goes on for each where its file says, or, where there is none, with what is
    /// recorded from now on: nobody is told of the past. `hears` names the file of each, and who
    /// hears, where anybody does now: who does not is not told later of what came meanwhile.
    ///
    /// # Errors
    /// [`CursorError`] where a file cannot be used.
    pub fn new(
        read: Arc<dyn ReadModel>,
        files: &CursorFiles,
        begin: u64,
        hears: Vec<(&'static str, Option<Arc<dyn Hears>>)>,
    ) -> Result<Self, CursorError> {
        let of_all = files.folder.join(files.of_all);
        // It is removed once each has its own: after a crash in between, it counts still.
        let begin = Cursor::read(&of_all)?.unwrap_or(begin);
        let mut hearers = Vec::with_capacity(hears.len());
        for (file, hears) in hears {
            let file = files.folder.join(file);
            match hears {
                Some(hears) => {
                    let cursor = Cursor::open(file, begin)?;
                    hearers.push(Hearer { hears, from: cursor.at(), cursor });
                }
                None => Cursor::remove(&file)?,
            }
        }
        Cursor::remove(&of_all)?;
        Ok(Self { read, hearers })
    }

    /// Whether nobody hears.
    pub const fn is_empty(&self) -> bool {
        self.hearers.is_empty()
    }

    /// Follows until told to stop.
    pub async fn follow(mut self, stop: CancellationToken) {
        let Some(mut next) = self.hearers.iter().map(|one| one.from).min() else { return };
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
                    let due = self.hearers.iter().filter(|hearer| one.sequence >= hearer.from);
                    due.for_each(|hearer| hearer.hears.record(one.sequence, &record));
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
        for Hearer { hears, cursor, from } in &mut self.hearers {
            // While others catch up, it is not told again of what it was told before.
            let needed = hears.needs(next).min(next).max(*from);
            if let Err(error) = cursor.keep(needed) {
                tracing::error!(%error, "how far the ledger was told on cannot be kept");
            }
        }
    }
}
