//! Records, canonical bytes, the Merkle tree over them, checkpoints and proofs.
//!
//! A record becomes a *leaf*: the canonical JSON (RFC 8785) of one version-1 record. Leaves are
//! hashed into the Merkle tree of RFC 6962, published as the tiles of C2SP tlog-tiles, and its
//! root is signed in the checkpoints of C2SP tlog-checkpoint. Anyone who holds the verifier key
//! can check all of it offline.
//!
//! What this crate deliberately does not do: it opens no file, reads no clock and draws no
//! randomness. Keys come as arguments, tiles through a closure; crate `store` keeps the bytes.
//!
//! ```
//! use safeconduct_ledger::{decode, encode, leaf_hash, TreeBuilder};
//! use safeconduct_model::{Body, Record, RecordId, Timestamp};
//!
//! let record = Record {
//!     id: RecordId::new("rec_1")?,
//!     at: Timestamp::from_millis(0),
//!     trace: None,
//!     parent: None,
//!     body: Body::ServerStarted { version: "0.1.0".into() },
//! };
//! let leaf = encode(&record)?;
//! assert_eq!(decode(&leaf)?, record);
//!
//! let mut tree = TreeBuilder::new();
//! tree.push(leaf_hash(&leaf));
//! assert_eq!(tree.root(), leaf_hash(&leaf));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod canonical;
mod checkpoint;
mod number;
mod proof;
mod record;
mod tile;
mod tree;

pub use audit::{Audit, Finding, first_difference};
pub use canonical::{canonical, write_canonical, write_canonical_string};
pub use checkpoint::{
    CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointError, CheckpointKey, CheckpointVerifier, KeyError,
    Origin, read_unverified,
};
pub use proof::{
    ProofError, TileHashes, check_consistency, check_inclusion, prove_consistency, prove_inclusion,
};
pub use record::{DecodeError, EncodeError, LEAF_BYTES_MAX, RECORD_VERSION, decode, encode};
pub use tile::{
    BundleError, TILE_WIDTH, TileContent, TilePath, TilePathError, decode_bundle, push_entry,
};
pub use tlog_tiles::Hash;
pub use tree::{EMPTY_ROOT, Tile, TreeBuilder, leaf_hash};
