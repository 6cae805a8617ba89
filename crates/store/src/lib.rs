//! The ledger on local segment files, and the read model in SQLite.
mod committer;
mod cursor;
mod erase;
mod follower;
mod frame;
mod index;
mod keys;
mod lock;
mod open;
mod options;
mod queue;
mod read_model;
mod scan;
mod segment;
mod signal;
mod store;
mod tlog;
mod vault;

#[cfg(test)]
mod tests;

pub use frame::{AttachmentState, FrameProblem};
pub use keys::{KeysError, SIGNING_KEY, VERIFIER_KEY, WRAPPING_KEY};
pub use lock::LockError;
pub use options::{ATTACHMENT_BYTES_MAX, QUEUE_BYTES, QUEUE_ENTRIES, SEGMENT_BYTES, StoreOptions};
pub use read_model::ReadModel;
pub use scan::ScanError;
pub use segment::{LedgerId, SEGMENT_VERSION};
pub use store::{OpenError, Placed, ReadError, Replay, Store};
pub use vault::Vault;
