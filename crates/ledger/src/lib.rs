//! Records, canonical bytes, the Merkle tree over them, checkpoints and proofs.
