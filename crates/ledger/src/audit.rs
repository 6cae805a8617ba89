//! Reading a ledger through and comparing it with what was said of it before.

use std::collections::BTreeMap;
use std::fmt;

use tlog_tiles::Hash;

use crate::{Checkpoint, DecodeError, Tile, TreeBuilder, decode, leaf_hash};

/// Something about a ledger that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Another record follows than should.
    OutOfSequence {
        /// The sequence number that should follow.
        expected: u64,
        /// The sequence number that does.
        found: u64,
    },
    /// A leaf is no record.
    NotARecord {
        /// Its sequence number.
        sequence: u64,
        /// Why not.
        problem: DecodeError,
    },
    /// The ledger ends before the tree that a checkpoint signed.
    Truncated {
        /// Which checkpoint.
        checkpoint: String,
        /// The size that it signed.
        signed: u64,
        /// The records that there are.
        found: u64,
    },
    /// The ledger is not the one that a checkpoint signed: a record before that size was changed,
    /// or the checkpoint is of another history.
    RootDiffers {
        /// Which checkpoint.
        checkpoint: String,
        /// The size that it signed.
        signed: u64,
    },
}

impl Finding {
    /// The first record that is known to be bad.
    pub const fn first_bad(&self) -> Option<u64> {
        match self {
            Self::OutOfSequence { expected, .. } => Some(*expected),
            Self::NotARecord { sequence, .. } => Some(*sequence),
            Self::Truncated { found, .. } => Some(*found),
            Self::RootDiffers { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfSequence { expected, found } => {
                write!(f, "record {expected} should follow, but record {found} does")
            }
            Self::NotARecord { sequence, problem } => write!(f, "record {sequence}: {problem}"),
            Self::Truncated { checkpoint, signed, found } => write!(
                f,
                "{checkpoint} signs {signed} records, but there are only {found}: record {found} \
                 and all after it are gone"
            ),
            Self::RootDiffers { checkpoint, signed } => write!(
                f,
                "{checkpoint} signs other contents for the first {signed} records: one of them \
                 was changed, or the two are of different histories"
            ),
        }
    }
}

/// A ledger that is read through, leaf by leaf.
#[derive(Debug, Default)]
pub struct Audit {
    tree: TreeBuilder,
    /// Sizes at which a checkpoint will be compared, with the root where it was reached.
    roots: BTreeMap<u64, Option<Hash>>,
}

impl Audit {
    /// A new audit, with the checkpoints that it will be compared with.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let tree = TreeBuilder::new();
        let roots = checkpoints
            .into_iter()
            .map(|checkpoint| (checkpoint.size, (checkpoint.size == 0).then(|| tree.root())));
        Self { roots: roots.collect(), tree }
    }

    /// How many leaves were read.
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree over what was read.
    pub const fn tree(&self) -> &TreeBuilder {
        &self.tree
    }

    /// Reads the next leaf. Returns the tiles that it filled, to compare with those kept, and
    /// what is wrong with the leaf. One that is no record is counted all the same, so that
    /// reading can go on; one that is not the next is not.
    pub fn push(&mut self, sequence: u64, leaf: &[u8]) -> (Vec<Tile>, Option<Finding>) {
        if sequence != self.size() {
            let finding = Finding::OutOfSequence { expected: self.size(), found: sequence };
            return (Vec::new(), Some(finding));
        }
        let full = self.tree.push(leaf_hash(leaf));
        if let Some(root) = self.roots.get_mut(&self.tree.size()) {
            *root = Some(self.tree.root());
        }
        let problem = decode(leaf).err();
        (full, problem.map(|problem| Finding::NotARecord { sequence, problem }))
    }

    /// Compares what was read with a checkpoint that [`Audit::new`] was given. `name` says which
    /// one, for the finding.
    pub fn compare(&self, name: &str, checkpoint: &Checkpoint) -> Option<Finding> {
        let checkpoint_name = || name.to_owned();
        match self.roots.get(&checkpoint.size).copied().flatten() {
            Some(root) if root == checkpoint.root => None,
            Some(_) => Some(Finding::RootDiffers {
                checkpoint: checkpoint_name(),
                signed: checkpoint.size,
            }),
            None => Some(Finding::Truncated {
                checkpoint: checkpoint_name(),
                signed: checkpoint.size,
                found: self.size(),
            }),
        }
    }
}

/// The first hash in which a tile that was computed differs from the one that was kept, counted
/// from 0 within the tile. A kept tile that ends early differs where it ends.
pub fn first_difference(computed: &[u8], kept: &[u8]) -> Option<u64> {
    let hashes = |bytes| <[u8]>::chunks(bytes, tlog_tiles::HASH_SIZE);
    let mut kept = hashes(kept);
    let place = hashes(computed).position(|hash| kept.next() != Some(hash))?;
    u64::try_from(place).ok()
}
