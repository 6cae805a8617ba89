//! Proofs that a record is in the signed log, from the published files alone: no server is asked.

use std::io;
use std::path::{Path, PathBuf};

use safeconduct_ledger::{
    CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointError, CheckpointVerifier, Hash, ProofError,
    TileHashes, check_inclusion, leaf_hash, prove_inclusion,
};

use crate::tlog;

/// Why nothing can be proved, or why a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The operating system refused.
    #[error("cannot read the checkpoint: {0}")]
    Read(io::Error),
    /// Nothing was signed yet.
    #[error("there is no checkpoint yet")]
    Unsigned,
    /// The checkpoint is not one of that key.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(CheckpointError),
    /// The record is not where it should be in the tree that was signed, or a tile is damaged.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Proves records against the newest checkpoint of a data folder.
#[derive(Debug)]
pub struct Prover {
    data: PathBuf,
    checkpoint: Checkpoint,
    note: Vec<u8>,
}

impl Prover {
    /// With the checkpoint that is published now, whose signature is verified.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn open(data: &Path, verifier: &CheckpointVerifier) -> Result<Self, ProveError> {
        let path = tlog::checkpoint_path(data);
        let note = match tlog::read_bounded(&path, CHECKPOINT_BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ProveError::Unsigned);
            }
            read => read.map_err(ProveError::Read)?,
        };
        let checkpoint = verifier.verify(&note).map_err(ProveError::Checkpoint)?;
        Ok(Self { data: data.to_owned(), checkpoint, note })
    }

    /// What was signed.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint as it was signed: what anyone can verify again.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The hashes, from the leaf upwards, that prove that this leaf is the record of that place.
    /// The proof is checked before it is handed out.
    ///
    /// # Errors
    /// [`ProveError::Proof`]; its [`ProofError::OutOfRange`] where the record is not signed yet.
    pub fn prove(&self, sequence: u64, leaf: &[u8]) -> Result<Vec<Hash>, ProveError> {
        let Checkpoint { size, root } = self.checkpoint;
        let tiles = TileHashes::new(size, root, |path| tlog::read_tile(&self.data, path).ok());
        let proof = prove_inclusion(&tiles, sequence)?;
        check_inclusion(&proof, size, root, sequence, leaf_hash(leaf))?;
        Ok(proof)
    }
}
