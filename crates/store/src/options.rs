//! Where a store lies and how large its parts may become.

use std::path::PathBuf;
use std::time::Duration;

use safeconduct_ledger::Origin;

/// Longest attachment, in bytes. A longer one is refused with
/// [`SubmitError::TooLong`](safeconduct_service::SubmitError::TooLong).
pub const ATTACHMENT_BYTES_MAX: usize = safeconduct_service::ATTACHED_BYTES_MAX;

/// Bytes of a segment file, unless [`StoreOptions::segment_bytes`] says otherwise.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Entries that may wait for the disk, unless [`StoreOptions::queue_entries`] says otherwise.
pub const QUEUE_ENTRIES: usize = 65_536;

/// Bytes that may wait for the disk, unless [`StoreOptions::queue_bytes`] says otherwise.
pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder. Created where it is missing.
    pub data: PathBuf,
    /// The folder of the keys, outside the data folder. Created where it is missing.
    pub keys: PathBuf,
    /// The name of the ledger, for a signing key that is made now. A key that exists has its own.
    pub origin: Origin,
    /// Bytes of a new segment file. A segment is larger where one entry alone needs it.
    pub segment_bytes: u64,
    /// Entries that may wait for the disk.
    pub queue_entries: usize,
    /// Bytes that may wait for the disk.
    pub queue_bytes: usize,
    /// Shortest time between two checkpoints while records keep coming.
    pub publish_every: Duration,
}

impl StoreOptions {
    /// With the usual sizes.
    pub const fn new(data: PathBuf, keys: PathBuf, origin: Origin) -> Self {
        Self {
            data,
            keys,
            origin,
            segment_bytes: SEGMENT_BYTES,
            queue_entries: QUEUE_ENTRIES,
            queue_bytes: QUEUE_BYTES,
            publish_every: Duration::from_millis(200),
        }
    }
}
