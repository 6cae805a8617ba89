//! The store: one data folder, owned by one process.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use safeconduct_ledger::{CheckpointError, CheckpointKey, DecodeError, Hash, decode};
use safeconduct_model::Record;
use safeconduct_service::{
    self as service, AppendError, Durable, Ledger, LedgerHealth, Proposal, SubmitError, Ticket,
    Versioned,
};
use thiserror::Error;
use tokio::sync::watch;

use crate::committer::{Batch, Committer};
use crate::cursor::Frame;
use crate::erase::{self, Attached};
use crate::follower::{Followed, Follower};
use crate::frame::AttachmentState;
use crate::index::{Index, Reader};
use crate::keys::{self, KeysError};
use crate::lock::{Lock, LockError};
use crate::open::{self, Recovered};
use crate::options::StoreOptions;
use crate::queue::Queue;
use crate::read_model::{ReadModel, SharedReader};
use crate::scan::ScanError;
use crate::segment::{Disk, RealDisk};
use crate::signal::Signal;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process owns the data folder, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The segments cannot be read as one ledger.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The operating system refused.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The published checkpoint cannot be believed: it was replaced, or the signing key was.
    #[error(
        "`{}`: {problem}; the signing key or the checkpoint was replaced", path.display()
    )]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// Why not.
        problem: CheckpointError,
    },
    /// The published checkpoint is damaged, so nothing shows that no record is gone.
    #[error(
        "`{}` is damaged: it is not a signed checkpoint, so nothing shows that no record is gone; \
         `safeconduct log fsck` says so too and how far the ledger goes; restore the file from a \
         copy, or compare with a checkpoint kept elsewhere (`safeconduct log verify --against \
         FILE`) and then remove it, to have it made again", path.display()
    )]
    Garbled {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The ledger ends before the tree that its own checkpoint signs: records that were durable
    /// are gone.
    #[error(
        "the ledger has {found} records, but its checkpoint signs {signed}: record {found} and \
         all after it are gone; `safeconduct log fsck` explains"
    )]
    Truncated {
        /// Records that there are.
        found: u64,
        /// Records that were signed.
        signed: u64,
    },
    /// The ledger is not the one that its own checkpoint signs.
    #[error(
        "one of the first {signed} records is not the one that the ledger's checkpoint signs; \
         `safeconduct log verify` names it"
    )]
    Changed {
        /// Records that were signed.
        signed: u64,
        /// Root of the tree over those records now.
        root: Hash,
    },
}

/// Why a record cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The operating system refused, or the segment was changed while it was open.
    #[error("the ledger cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The leaf is no record of this version.
    #[error("record {sequence}: {problem}")]
    Decode {
        /// Which record.
        sequence: u64,
        /// Why not.
        problem: DecodeError,
    },
}

/// A record with its place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its sequence number, which is its leaf's index in the tree.
    pub sequence: u64,
    /// The record.
    pub record: Record,
    /// What has become of its attachment.
    pub attachment: AttachmentState,
}

/// The ledger on local segment files, with all that is derived from it. It owns its data folder
/// until it is closed or dropped; both write what still waits.
pub struct Store {
    data: PathBuf,
    queue: Arc<Queue>,
    index: Arc<Index>,
    disk: Arc<dyn Disk>,
    key: Arc<CheckpointKey>,
    signal: Arc<Signal>,
    pub(crate) read_model: ReadModel,
    erasing: Mutex<()>,
    threads: Mutex<Threads>,
    /// Given up last.
    _lock: Lock,
}

/// The threads that write, until they are told to end.
#[derive(Default)]
struct Threads {
    committer: Option<JoinHandle<()>>,
    follower: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a data folder, makes it where it is missing, and takes it over.
    ///
    /// Every record is read once: its checksum, its place, and the tree over all of them against
    /// the published checkpoint. A torn tail, which only a crash leaves, is cut; whatever else is
    /// wrong is refused.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_on(options, Arc::new(RealDisk))
    }

    pub(crate) fn open_on(options: StoreOptions, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let lock = open::take_folder(&options.data)?;
        Self::open_locked(options, disk, lock)
    }

    pub(crate) fn open_locked(
        options: StoreOptions,
        disk: Arc<dyn Disk>,
        lock: Lock,
    ) -> Result<Self, OpenError> {
        let key = Arc::new(keys::signing_key(&options.keys, &options.origin)?);
        let recovered = open::recover(&options.data, disk.as_ref(), &key)?;
        let Recovered { records, index, ledger, place, published } = recovered;
        let index = Arc::new(index);
        let signal = Arc::new(Signal::default());
        let queue = Arc::new(Queue::new(records, options.queue_entries, options.queue_bytes));
        let committer = Committer {
            data: options.data.clone(),
            ledger,
            segment_bytes: options.segment_bytes,
            disk: Arc::clone(&disk),
            index: Arc::clone(&index),
            queue: Arc::clone(&queue),
            advanced: Box::new({
                let signal = Arc::clone(&signal);
                move || signal.advanced()
            }),
            place,
            spare: None,
            batch: Batch::default(),
        };
        let readers = Arc::new(SharedReader::default());
        let (sender, followed) = watch::channel(Followed::default());
        let follower = Follower {
            data: options.data.clone(),
            ledger,
            key: Arc::clone(&key),
            index: Arc::clone(&index),
            queue: Arc::clone(&queue),
            signal: Arc::clone(&signal),
            followed: sender,
            readers: Arc::clone(&readers),
            publish_every: options.publish_every,
            tree: published,
        };
        let (data, index_of_read_model) = (options.data.clone(), Arc::clone(&index));
        let store = Self {
            read_model: ReadModel { data, index: index_of_read_model, readers, followed },
            data: options.data.clone(),
            queue,
            index,
            disk,
            key,
            signal,
            erasing: Mutex::new(()),
            threads: Mutex::default(),
            _lock: lock,
        };
        let io = |source| OpenError::Io { path: options.data.clone(), source };
        // Each is known as soon as it runs: where the other cannot be had, the drop ends it.
        let committer = spawn("ledger-commit", move || committer.run()).map_err(&io)?;
        store.threads().committer = Some(committer);
        let follower = spawn("ledger-follow", move || follower.run()).map_err(&io)?;
        store.threads().follower = Some(follower);
        Ok(store)
    }

    /// How many records are durable: one more than the last one's sequence number.
    pub fn records(&self) -> u64 {
        self.queue.durable()
    }

    /// The version of a subject that the next proposal must have read. Versions count writes since
    /// this store was opened.
    pub fn version(&self, subject: &Versioned) -> u64 {
        self.queue.version(subject)
    }

    /// The verifier key (`NAME+ID+KEY`, C2SP signed-note) of the ledger's checkpoints.
    pub fn verifier_key(&self) -> &str {
        self.key.verifier_text()
    }

    /// All durable records from that one on, in order, for folding state.
    pub fn replay(&self, from: u64) -> Replay {
        Replay { reader: Reader::new(Arc::clone(&self.index), from), limit: self.records() }
    }

    /// One durable record; `None` where there is none of that number yet.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn record(&self, sequence: u64) -> Result<Option<Placed>, ReadError> {
        if sequence >= self.records() {
            return Ok(None);
        }
        self.index.read(sequence, placed)?.transpose()
    }

    /// The read model.
    pub fn read_model(&self) -> ReadModel {
        self.read_model.clone()
    }

    /// Waits until the read model has taken that record in: reading one's own write.
    pub async fn applied(&self, sequence: u64) {
        service::ReadModel::grown_beyond(&self.read_model, sequence).await;
    }

    /// Publishes a checkpoint over everything that is durable now, and waits for it: as long as
    /// it takes, where the disk refuses. Returns false where the store was closed before.
    pub async fn publish(&self) -> bool {
        let records = self.records();
        let mut followed = self.read_model.followed.clone();
        let before = *followed.borrow_and_update();
        if before.published.is_some_and(|published| published >= records) {
            return true;
        }
        self.signal.publish();
        let reached = |now: &Followed| now.published.is_some_and(|now| now >= records);
        followed.wait_for(reached).await.is_ok()
    }

    /// Takes no more records, writes what still waits, and publishes a last checkpoint: once this
    /// returns, the checkpoint covers every record, unless the disk refuses. The data folder is
    /// given up where the store is dropped. It blocks for as long as the disk takes.
    pub fn finish(&self) {
        self.queue.close();
        // Whoever else finishes it waits here too.
        let mut threads = self.threads();
        if let Some(committer) = threads.committer.take() {
            // A committer that panicked has nothing more to say.
            drop(committer.join());
        }
        self.signal.stop();
        if let Some(follower) = threads.follower.take() {
            drop(follower.join());
        }
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what still waits, publishes a last checkpoint, and gives the data folder up.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Ledger for Store {
    fn submit(&self, proposal: Proposal) -> Result<Ticket, SubmitError> {
        self.queue.submit(proposal)
    }

    fn durable(&self, ticket: Ticket) -> Durable<'_> {
        Durable(Box::pin(self.queue.wait(ticket.last)))
    }

    fn health(&self) -> LedgerHealth {
        self.queue.health()
    }

    fn attachment(&self, sequence: u64) -> Result<Option<Vec<u8>>, AppendError> {
        if sequence >= self.records() {
            return Err(AppendError(format!("record {sequence} is not durable").into()));
        }
        self.index.attachment(sequence).map_err(failed)
    }

    fn leaf(&self, sequence: u64) -> Result<Vec<u8>, AppendError> {
        let missing = || AppendError(format!("there is no record {sequence}").into());
        self.queue.wait_blocking(sequence)?;
        let leaf = self.index.read(sequence, |frame| frame.leaf.to_vec()).map_err(failed)?;
        leaf.ok_or_else(missing)
    }

    fn erase(&self, sequences: &[u64]) -> Result<u64, AppendError> {
        let _one_at_a_time = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attached: BTreeMap<u64, Vec<Attached>> = BTreeMap::new();
        let mut count = 0;
        for sequence in sequences {
            let sequence = *sequence;
            self.queue.wait_blocking(sequence)?;
            let found = self.index.read(sequence, |frame| {
                (frame.attachment() == AttachmentState::Present).then(|| Attached::of(frame))
            });
            let segment = self.index.segment_of(sequence);
            if let (Some(Some(found)), Some(segment)) = (found.map_err(failed)?, segment) {
                attached.entry(segment).or_default().push(found);
                count += 1;
            }
        }
        erase::erase(&self.data, self.disk.as_ref(), &attached).map_err(|error| {
            // The same files hold the records: after a failed write they cannot be relied on.
            self.queue.fail(&error.to_string());
            failed(error)
        })?;
        Ok(count)
    }
}

/// Durable records in order. See [`Store::replay`].
pub struct Replay {
    reader: Reader,
    limit: u64,
}

impl Iterator for Replay {
    type Item = Result<Placed, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.read(self.limit, placed) {
            Ok(placed) => placed,
            Err(error) => {
                // Nothing behind an unreadable record can be relied on.
                self.limit = 0;
                Some(Err(error.into()))
            }
        }
    }
}

fn placed(frame: &Frame<'_>) -> Result<Placed, ReadError> {
    let sequence = frame.header.sequence;
    match decode(frame.leaf) {
        Ok(record) => Ok(Placed { sequence, record, attachment: frame.attachment() }),
        Err(problem) => Err(ReadError::Decode { sequence, problem }),
    }
}

fn failed(error: io::Error) -> AppendError {
    AppendError(error.to_string().into())
}

pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
