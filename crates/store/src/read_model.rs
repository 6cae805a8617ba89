//! The read model: an index over the ledger's records in SQLite. It holds no leaf, only where to
//! find them, so the segments stay the one place that says what happened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags, params_from_iter};
use safeconduct_ledger::CHECKPOINT_BYTES_MAX;
use safeconduct_model::{EntityId, EntityType, RecordId};
use safeconduct_service::{
    self as service, Grown, Page, ReadError, ReadRecord, RecordQuery, SeenAs, USES_MAX, UseQuery,
    UsedRights, UsesPage,
};
use tokio::sync::watch;

use crate::follower::{FollowError, Followed};
use crate::index::{Index, Reader};
use crate::tlog;

mod apply;
mod filter;
mod row;
mod uses;

pub(crate) use apply::Applier;

/// Where the read model lies.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("read.sqlite")
}

/// Removes it, with what SQLite keeps beside it.
pub(crate) fn remove(data: &Path) -> io::Result<()> {
    for name in ["read.sqlite", "read.sqlite-wal", "read.sqlite-shm"] {
        match fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The connection that queries use; none while the read model is made again.
#[derive(Default)]
pub(crate) struct SharedReader {
    connection: Mutex<Option<Connection>>,
}

impl SharedReader {
    pub(crate) fn replace(&self, data: &Path) -> Result<(), FollowError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path(data), flags)?;
        *self.lock() = Some(connection);
        Ok(())
    }

    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers questions about the ledger's records from the read model.
#[derive(Clone)]
pub struct ReadModel {
    pub(crate) data: PathBuf,
    pub(crate) index: Arc<Index>,
    pub(crate) readers: Arc<SharedReader>,
    pub(crate) followed: watch::Receiver<Followed>,
}

impl std::fmt::Debug for ReadModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadModel").field("data", &self.data).finish_non_exhaustive()
    }
}

impl ReadModel {
    /// Sequence numbers that fit a statement, with how far the read model had come when they did.
    fn sequences(
        &self,
        statement: &str,
        parameters: &[rusqlite::types::Value],
    ) -> Result<(Vec<u64>, u64), ReadError> {
        let mut connection = self.readers.lock();
        let connection = connection
            .as_mut()
            .ok_or_else(|| ReadError("it is being made again; try again shortly".into()))?;
        let run = || {
            // One transaction, so that both answers are of one moment.
            let transaction = connection.transaction()?;
            let applied = apply::applied(&transaction)?.unwrap_or(0);
            let mut prepared = transaction.prepare_cached(statement)?;
            let rows = prepared.query_map(params_from_iter(parameters), |row| {
                row.get::<_, i64>(0).map(i64::cast_unsigned)
            })?;
            Ok((rows.collect::<rusqlite::Result<Vec<u64>>>()?, applied))
        };
        let mut run = run;
        run().map_err(|error: rusqlite::Error| ReadError(error.to_string().into()))
    }

    fn page(&self, sequences: &[u64], read_up_to: u64) -> Result<Page, ReadError> {
        let read = |sequence: &u64| {
            let leaf = self.index.read(*sequence, |frame| text(frame.leaf)).map_err(failed)?;
            let leaf = leaf.ok_or_else(|| missing(*sequence))??;
            Ok(ReadRecord { sequence: *sequence, leaf })
        };
        let records = sequences.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { records, read_up_to })
    }
}

impl service::ReadModel for ReadModel {
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError> {
        let (statement, parameters) = filter::statement(query);
        let (sequences, read_up_to) = self.sequences(&statement, &parameters)?;
        self.page(&sequences, read_up_to)
    }

    fn record(&self, id: &RecordId) -> Result<Page, ReadError> {
        let id = rusqlite::types::Value::Text(id.as_str().to_owned());
        let statement = "SELECT seq FROM records WHERE id = ?1 ORDER BY seq LIMIT 1";
        let (sequences, read_up_to) = self.sequences(statement, &[id])?;
        self.page(&sequences, read_up_to)
    }

    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        let read_up_to = self.read_up_to();
        let mut reader = Reader::new(Arc::clone(&self.index), sequence);
        let mut records = Vec::new();
        while records.len() < limit.min(service::PAGE_RECORDS_MAX) {
            let sequence = reader.next_sequence();
            let read = reader.read(read_up_to, |frame| text(frame.leaf)).map_err(failed)?;
            let Some(leaf) = read else { break };
            records.push(ReadRecord { sequence, leaf: leaf? });
        }
        Ok(Page { records, read_up_to })
    }

    fn uses(&self, query: &UseQuery) -> Result<UsesPage, ReadError> {
        let mut connection = self.readers.lock();
        let connection = connection
            .as_mut()
            .ok_or_else(|| ReadError("it is being made again; try again shortly".into()))?;
        let mut run = || {
            let transaction = connection.transaction()?;
            let read_up_to = apply::applied(&transaction)?.unwrap_or(0);
            Ok((uses::query(&transaction, query)?, read_up_to))
        };
        let (mut uses, read_up_to) =
            run().map_err(|error: rusqlite::Error| ReadError(error.to_string().into()))?;
        let more = uses.len() > USES_MAX;
        uses.truncate(USES_MAX);
        Ok(UsesPage { uses, more, read_up_to })
    }

    fn used_rights(&self, query: &UseQuery) -> Result<UsedRights, ReadError> {
        let connection = self.readers.lock();
        let connection = connection
            .as_ref()
            .ok_or_else(|| ReadError("it is being made again; try again shortly".into()))?;
        uses::rights(connection, query).map_err(|error| ReadError(error.to_string().into()))
    }

    fn entities(
        &self,
        seen: SeenAs,
        ty: &EntityType,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        let connection = self.readers.lock();
        let connection = connection
            .as_ref()
            .ok_or_else(|| ReadError("it is being made again; try again shortly".into()))?;
        let found = uses::entities(connection, (seen, ty), after, limit);
        found.map_err(|error| ReadError(error.to_string().into()))
    }

    fn read_up_to(&self) -> u64 {
        self.followed.borrow().applied
    }

    fn grown_beyond(&self, records: u64) -> Grown<'_> {
        let mut followed = self.followed.clone();
        Grown(Box::pin(async move {
            // An error means that the store was closed: there never will be more.
            drop(followed.wait_for(|followed| followed.applied > records).await);
        }))
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        let path = tlog::checkpoint_path(&self.data);
        match tlog::read_bounded(&path, CHECKPOINT_BYTES_MAX as u64) {
            Ok(note) => String::from_utf8(note)
                .map(Some)
                .map_err(|_| ReadError("the checkpoint is not text".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn text(leaf: &[u8]) -> Result<Arc<str>, ReadError> {
    std::str::from_utf8(leaf).map(Arc::from).map_err(|_| ReadError("a leaf is not text".into()))
}

fn failed(error: io::Error) -> ReadError {
    ReadError(error.to_string().into())
}

fn missing(sequence: u64) -> ReadError {
    ReadError(format!("record {sequence} is not in the ledger").into())
}
