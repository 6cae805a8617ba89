//! Folding records into the read model.

use std::path::Path;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use safeconduct_ledger::leaf_hash;

use super::row::Row;
use super::uses::{self, Uses};
use crate::follower::FollowError;
use crate::index::{Index, Reader};
use crate::segment::LedgerId;

/// Of another version it is made again.
const SCHEMA_VERSION: &str = "4";

pub(super) const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        parent TEXT,
        identity TEXT,
        token TEXT,
        action TEXT,
        decision TEXT
    );
    CREATE TABLE reasons (
        policy TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (policy, seq)
    ) WITHOUT ROWID;
    CREATE INDEX records_by_id ON records (id);
    CREATE INDEX records_by_time ON records (at);
    CREATE INDEX records_by_kind ON records (kind) WHERE kind <> 'decision';
    CREATE INDEX records_by_parent ON records (parent) WHERE parent IS NOT NULL;
    CREATE INDEX records_by_identity ON records (identity) WHERE identity IS NOT NULL;
    CREATE INDEX records_by_action ON records (action) WHERE action IS NOT NULL;
    CREATE INDEX records_denied ON records (seq) WHERE decision = 'deny';
";

/// Writes the read model.
pub(crate) struct Applier {
    connection: Connection,
    applied: u64,
    uses: Uses,
}

impl Applier {
    /// Opens it, or makes it anew where it is lost, damaged, of another version or ledger, or not
    /// a fold of this ledger's records.
    pub(crate) fn open(
        data: &Path,
        ledger: LedgerId,
        index: &Index,
        records: u64,
    ) -> Result<Self, FollowError> {
        match Self::resume(data, ledger, index, records) {
            Ok(Some(applier)) => return Ok(applier),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the read model cannot be used"),
        }
        super::remove(data)?;
        let connection = connect(data)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(uses::SCHEMA)?;
        let values = [("schema", SCHEMA_VERSION.to_owned()), ("ledger", hex::encode(ledger.0))];
        for (name, value) in values {
            connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![name, value])?;
        }
        Ok(Self { connection, applied: 0, uses: Uses::default() })
    }

    /// The read model that lies there, if it is one of this ledger.
    fn resume(
        data: &Path,
        ledger: LedgerId,
        index: &Index,
        records: u64,
    ) -> Result<Option<Self>, FollowError> {
        if !super::path(data).exists() {
            return Ok(None);
        }
        let connection = connect(data)?;
        let schema: Option<String> = meta(&connection, "schema")?;
        let of: Option<String> = meta(&connection, "ledger")?;
        let applied = applied(&connection)?.unwrap_or(0);
        let last: Option<String> = meta(&connection, "last")?;
        let known = schema.as_deref() == Some(SCHEMA_VERSION)
            && of == Some(hex::encode(ledger.0))
            && applied <= records;
        if !known {
            tracing::warn!("the read model is of another version or ledger; it is made again");
            return Ok(None);
        }
        if let Some(sequence) = applied.checked_sub(1) {
            let leaf = index.read(sequence, |frame| hex::encode(leaf_hash(frame.leaf).0))?;
            if leaf != last {
                tracing::warn!("the read model is not of these records; it is made again");
                return Ok(None);
            }
        }
        // Pages that were damaged are found where they are read; this finds the rest early.
        let whole: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if whole != "ok" {
            tracing::warn!(problem = whole, "the read model is damaged; it is made again");
            return Ok(None);
        }
        Ok(Some(Self { connection, applied, uses: Uses::default() }))
    }

    /// How many records it has taken in.
    pub(crate) const fn applied(&self) -> u64 {
        self.applied
    }

    /// Takes in the records before `until`, in one transaction.
    pub(crate) fn apply(
        &mut self,
        reader: &mut Reader,
        index: &Index,
        until: u64,
    ) -> Result<(), FollowError> {
        if self.applied >= until {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        let mut last = None;
        let mut statements = Statements::of(&transaction)?;
        loop {
            let sequence = reader.next_sequence();
            let read = reader.read(until, |frame| {
                last = (sequence + 1 == until).then(|| leaf_hash(frame.leaf));
                let mut row = Row::of(frame.leaf)?;
                statements.insert(sequence, &row)?;
                match row.told.take() {
                    Some(told) => self.uses.take(told, sequence, &transaction, index),
                    None => Ok(()),
                }
            })?;
            let Some(inserted) = read else { break };
            inserted?;
        }
        drop(statements);
        self.uses.flush(&transaction)?;
        let hash = last.map(|hash| hex::encode(hash.0));
        transaction.execute("REPLACE INTO meta VALUES ('last', ?1)", [hash])?;
        let applied = until.cast_signed();
        transaction.execute("REPLACE INTO meta VALUES ('applied', ?1)", [applied])?;
        transaction.commit()?;
        self.applied = until;
        Ok(())
    }
}

/// How many records a read model has taken in.
pub(super) fn applied(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    Ok(meta::<i64>(connection, "applied")?.map(i64::cast_unsigned))
}

fn meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

fn connect(data: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(super::path(data))?;
    // What is lost in a crash is derived again, so commits need not wait for the disk.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(connection)
}

/// The statements of one transaction, prepared once.
struct Statements<'c> {
    record: CachedStatement<'c>,
    reason: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn of(transaction: &'c Transaction<'_>) -> rusqlite::Result<Self> {
        const RECORD: &str = "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        const REASON: &str = "INSERT OR IGNORE INTO reasons VALUES (?1, ?2)";
        Ok(Self {
            record: transaction.prepare_cached(RECORD)?,
            reason: transaction.prepare_cached(REASON)?,
        })
    }

    fn insert(&mut self, sequence: u64, row: &Row<'_>) -> rusqlite::Result<()> {
        let sequence = sequence.cast_signed();
        for policy in &row.policies {
            self.reason.execute(params![policy, sequence])?;
        }
        self.record.execute(params![
            sequence,
            row.id,
            row.at,
            row.kind,
            row.parent,
            row.identity,
            row.token,
            row.action,
            row.decision,
        ])?;
        Ok(())
    }
}
