//! What the use-cases need from the world outside, as traits. Crate `store` implements them for
//! one machine; another implementation must pass the same conformance tests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use safeconduct_model::{IdentityId, KeyedDigest, RecordId, SessionKey, TaskId, Timestamp};
use thiserror::Error;

/// Something whose version a decision reads, and whose change makes it stale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Versioned {
    /// Identities, tokens, policies and catalogue together: they change rarely.
    World,
    /// One session.
    Session(SessionKey),
    /// One task: its end.
    Task(TaskId),
    /// The access requests of one agent.
    Access(IdentityId),
    /// Everything of access reviews: it changes rarely.
    Reviews,
}

/// Most bytes that lie beside one leaf.
pub const ATTACHED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One leaf to append, with what is stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The canonical bytes of a record; at most 65,535.
    pub leaf: Vec<u8>,
    /// Bytes that can be erased later: a wrapped key, sealed values. At most
    /// [`ATTACHED_BYTES_MAX`].
    pub attachment: Option<Vec<u8>>,
}

/// Entries to append together, if nothing that they rest on has changed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The entries, in order. They get consecutive sequence numbers.
    pub entries: Vec<Entry>,
    /// The version of everything that was read. A subject never written has version 0.
    pub reads: Vec<(Versioned, u64)>,
    /// What the entries change: each one's version goes up by one.
    pub writes: Vec<Versioned>,
}

/// The place of a proposal in the ledger: assigned, not yet durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Sequence number (leaf index, from 0) of the first entry.
    pub first: u64,
    /// Sequence number of the last entry.
    pub last: u64,
}

/// Why a proposal was not queued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// Something it rests on has changed: read again and decide again.
    #[error("what the decision rests on has changed")]
    Stale,
    /// The queue of entries that wait for the disk is full.
    #[error("the ledger's queue is full ({limit} entries or bytes)")]
    QueueFull {
        /// The limit that was met.
        limit: u64,
    },
    /// A leaf or attachment is over its limit.
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// An earlier append failed; nothing is appended until the server is restarted.
    #[error("the ledger stopped after a failed append: {0}")]
    Failed(Arc<str>),
}

/// Why a queued proposal did not become durable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the ledger could not be written: {0}")]
pub struct AppendError(pub Arc<str>);

/// Whether the ledger takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerHealth {
    /// It does.
    Ready,
    /// It does not, and why.
    Failed(Arc<str>),
}

/// The wait for a ticket's entries; resolves once they are on the disk, or failed.
pub struct Durable<'a>(pub Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send + 'a>>);

impl Future for Durable<'_> {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// The append-only log: the one source of truth.
pub trait Ledger: Send + Sync + 'static {
    /// Queues a proposal: checks the versions that it read, assigns sequence numbers and raises
    /// the versions that it writes, all in one step. Never blocks on the disk.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was queued.
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError>;

    /// Waits until the ticket's entries are durable.
    fn durable(&self, ticket: Ticket) -> Durable<'_>;

    /// Whether it takes records.
    fn health(&self) -> LedgerHealth;

    /// Reads the attachment of a durable entry; `None` where there is none or it was erased.
    ///
    /// # Errors
    /// [`AppendError`] where the entry cannot be read.
    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError>;

    /// Reads the leaf of an entry. Waits for the disk where the entry is not durable yet.
    ///
    /// # Errors
    /// [`AppendError`] where the entry cannot be read.
    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError>;

    /// Overwrites the attachments of those entries where they lie. Returns how many there were.
    ///
    /// # Errors
    /// [`AppendError`] where one cannot be overwritten.
    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError>;
}

/// Why keys or sealed values cannot be used. Never holds key material or values.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VaultError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    NoRandomness,
    /// The bytes were not sealed under this key, or were changed.
    #[error("the sealed bytes do not open under this key")]
    NotAuthentic,
}

/// Makes and unwraps the keys of sessions.
pub trait Vault: Send + Sync + 'static {
    /// New keys for a session, and their wrapped form to keep as an attachment.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    fn begin(&self, session: &SessionKey) -> Result<(Arc<dyn SessionKeys>, Vec<u8>), VaultError>;

    /// The keys of a session from their wrapped form.
    ///
    /// # Errors
    /// [`VaultError::NotAuthentic`].
    fn unwrap(
        &self,
        session: &SessionKey,
        wrapped: &[u8],
    ) -> Result<Arc<dyn SessionKeys>, VaultError>;

    /// Keyed digest by which what different sessions ask for is held against each other, under a
    /// key of this server alone.
    ///
    /// # Errors
    /// [`VaultError::NotAuthentic`] where there is no such key.
    fn likeness(&self, bytes: &[u8]) -> Result<KeyedDigest, VaultError>;
}

/// The keys of one session: one digests, one seals.
pub trait SessionKeys: Send + Sync {
    /// Keyed digest of canonical bytes.
    fn digest(&self, canonical: &[u8]) -> KeyedDigest;

    /// Encrypts values that belong to a record; `what` says which (`arguments`, `result`).
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    fn seal(&self, record: &RecordId, what: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError>;

    /// Decrypts what [`SessionKeys::seal`] encrypted for the same record and `what`.
    ///
    /// # Errors
    /// [`VaultError::NotAuthentic`].
    fn open(&self, record: &RecordId, what: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError>;
}

/// The clock.
pub trait Clock: Send + Sync + 'static {
    /// Now. May step back; nothing relies on it for order.
    fn now(&self) -> Timestamp;
}

/// Makes ids that nobody can guess and that never come twice.
pub trait Ids: Send + Sync + 'static {
    /// A new record id with a prefix that names its kind: `dec_…`, `out_…`, `rec_…`.
    fn record(&self, prefix: &'static str) -> RecordId;
}
