//! The ledger on local segment files, and what is derived from it: the read model in SQLite and
//! the published log of tiles and checkpoints.
//!
//! Segments are the truth. One committer thread writes all that waits with one write and one
//! fdatasync, so that many callers share the wait; a follower thread derives the rest a few
//! milliseconds behind, and whatever of that is lost or damaged is made again from the segments.
//! docs/ledger-format.md describes every file.
//!
//! What this crate deliberately does not do: it decides nothing and knows no rule of what may be
//! recorded; it never repairs a record that was once durable; it never retries a failed fdatasync;
//! and it serves nobody but its own process.
//!
//! ```
//! use safeconduct_ledger::{Origin, encode};
//! use safeconduct_model::{Body, Record, RecordId, Timestamp};
//! use safeconduct_service::{Entry, Ledger, Proposal};
//! use safeconduct_store::{Store, StoreOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let record = Record {
//! #     id: RecordId::new("rec_1")?,
//! #     at: Timestamp::from_millis(0),
//! #     trace: None,
//! #     parent: None,
//! #     body: Body::ServerStarted { version: "0.1.0".into() },
//! # };
//! let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
//! let mut options = StoreOptions::new(data, keys, Origin::new("example.com/ledger")?);
//! # options.segment_bytes = 64 * 1024;
//! let store = Store::open(options)?;
//! let entry = Entry { leaf: encode(&record)?, attachment: None };
//! let entries = vec![entry];
//! let ticket = store.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() })?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! store.durable(ticket).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! assert_eq!(store.records(), 1);
//! # Ok(())
//! # }
//! ```

mod committer;
mod cursor;
mod erase;
mod export;
mod follower;
mod frame;
mod fsck;
mod index;
mod keys;
mod lock;
mod open;
mod options;
mod prove;
mod queue;
mod read_model;
mod rebuild;
mod scan;
mod segment;
mod signal;
mod store;
mod tlog;
mod token_keys;
mod vault;
mod verify;

#[cfg(test)]
mod tests;

pub use export::{Beside, ExportError, Leaf, attachments, export, published_checkpoint, read};
pub use frame::{AttachmentState, FrameProblem};
pub use fsck::{Condition, SegmentCondition, fsck};
pub use keys::{KeysError, SIGNING_KEY, VERIFIER_KEY, WRAPPING_KEY};
pub use lock::LockError;
pub use options::{ATTACHMENT_BYTES_MAX, QUEUE_BYTES, QUEUE_ENTRIES, SEGMENT_BYTES, StoreOptions};
pub use prove::{ProveError, Prover};
pub use read_model::ReadModel;
pub use scan::ScanError;
pub use segment::{LedgerId, SEGMENT_VERSION};
pub use store::{OpenError, Placed, ReadError, Replay, Store};
pub use token_keys::TokenKeyFolder;
pub use vault::Vault;
pub use verify::{PROBLEMS_MAX, Problem, Verified, verify};
