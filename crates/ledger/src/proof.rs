//! Proofs over tiles (RFC 6962 sections 2.1.1 and 2.1.2): that a leaf is in a tree, and that one
//! tree begins another. Each proof is checked against the root before it is handed out, so that a
//! damaged tile gives an error and never a false proof. (The reader of crate `tlog_tiles` that
//! should check tiles itself leaves some unchecked where a tree's last tile holds several of the
//! subtrees that make up its root, so it is not used.)

use std::cell::RefCell;

use thiserror::Error;
use tlog_tiles::{HASH_SIZE, Hash, HashReader, Tile, stored_hash_index};

use crate::tile::{TILE_WIDTH, TileContent, TilePath};

/// Why a proof cannot be made or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf or the older tree is not within the tree.
    #[error("{wanted} is not within a tree of {size} leaves")]
    OutOfRange {
        /// The leaf's index, or the older tree's size.
        wanted: u64,
        /// The tree's size.
        size: u64,
    },
    /// A tile is missing.
    #[error("`{path}` is missing or too short")]
    MissingTile {
        /// Its path.
        path: String,
    },
    /// The tiles are not those of the root.
    #[error("the tiles do not belong to the root")]
    InconsistentTiles,
    /// The proof does not show what it should.
    #[error("the proof does not hold")]
    DoesNotHold,
}

/// The tiles of a tree, read through a closure that is given a path and answers with bytes.
pub struct TileHashes<F> {
    size: u64,
    root: Hash,
    read: F,
}

impl<F: Fn(&TilePath) -> Option<Vec<u8>>> TileHashes<F> {
    /// The tree of that size and root. `read` gives a tile's bytes; it may give those of a wider
    /// tile where the partial one is gone.
    pub const fn new(size: u64, root: Hash, read: F) -> Self {
        Self { size, root, read }
    }
}

/// The hashes, from the leaf upwards, that prove that a leaf is in the tree.
///
/// # Errors
/// [`ProofError`].
pub fn prove_inclusion<F: Fn(&TilePath) -> Option<Vec<u8>>>(
    tiles: &TileHashes<F>,
    index: u64,
) -> Result<Vec<Hash>, ProofError> {
    if index >= tiles.size {
        return Err(ProofError::OutOfRange { wanted: index, size: tiles.size });
    }
    let source = Source { tiles, missing: RefCell::default() };
    let proof = tlog_tiles::prove_record(tiles.size, index, &source).map_err(|_| source.error())?;
    let leaf = source.read_hash(stored_hash_index(0, index)).map_err(|_| source.error())?;
    match check_inclusion(&proof, tiles.size, tiles.root, index, leaf) {
        Ok(()) => Ok(proof),
        Err(_) => Err(ProofError::InconsistentTiles),
    }
}

/// The hashes that prove that the tree of the older, smaller size begins this one. An empty tree
/// begins every tree, without proof.
///
/// # Errors
/// [`ProofError`].
pub fn prove_consistency<F: Fn(&TilePath) -> Option<Vec<u8>>>(
    tiles: &TileHashes<F>,
    older: u64,
) -> Result<Vec<Hash>, ProofError> {
    if older > tiles.size {
        return Err(ProofError::OutOfRange { wanted: older, size: tiles.size });
    }
    if older == 0 {
        return Ok(Vec::new());
    }
    let source = Source { tiles, missing: RefCell::default() };
    let proof = tlog_tiles::prove_tree(tiles.size, older, &source).map_err(|_| source.error())?;
    let older_root = tlog_tiles::tree_hash(older, &source).map_err(|_| source.error())?;
    match check_consistency(&proof, tiles.size, tiles.root, older, older_root) {
        Ok(()) => Ok(proof),
        Err(_) => Err(ProofError::InconsistentTiles),
    }
}

/// Checks that a leaf of that hash is at that place of the tree.
///
/// # Errors
/// [`ProofError`].
pub fn check_inclusion(
    proof: &[Hash],
    size: u64,
    root: Hash,
    index: u64,
    leaf: Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { wanted: index, size });
    }
    tlog_tiles::check_record(&proof.to_vec(), size, root, index, leaf)
        .map_err(|_| ProofError::DoesNotHold)
}

/// Checks that the tree of the older size and root begins the tree of this size and root.
///
/// # Errors
/// [`ProofError`].
pub fn check_consistency(
    proof: &[Hash],
    size: u64,
    root: Hash,
    older: u64,
    older_root: Hash,
) -> Result<(), ProofError> {
    if older > size {
        return Err(ProofError::OutOfRange { wanted: older, size });
    }
    if older == 0 {
        let holds = proof.is_empty() && older_root == crate::EMPTY_ROOT;
        return if holds { Ok(()) } else { Err(ProofError::DoesNotHold) };
    }
    tlog_tiles::check_tree(&proof.to_vec(), size, root, older, older_root)
        .map_err(|_| ProofError::DoesNotHold)
}

/// What crate `tlog_tiles` reads hashes through.
struct Source<'a, F> {
    tiles: &'a TileHashes<F>,
    missing: RefCell<Option<String>>,
}

impl<F> Source<'_, F> {
    fn error(&self) -> ProofError {
        match self.missing.take() {
            Some(path) => ProofError::MissingTile { path },
            None => ProofError::InconsistentTiles,
        }
    }
}

impl<F: Fn(&TilePath) -> Option<Vec<u8>>> Source<'_, F> {
    fn read_hash(&self, index: u64) -> Result<Hash, tlog_tiles::Error> {
        let tile = Tile::from_index(TILE_HEIGHT, index);
        // As wide as it is in this tree: in tile rows, a hash stands for 256 of the row below.
        let first = tile.level_index() << TILE_HEIGHT;
        let row = self.tiles.size.checked_shr(u32::from(tile.level()) * u32::from(TILE_HEIGHT));
        let width = row.unwrap_or(0).saturating_sub(first).min(TILE_WIDTH.into());
        let width = u32::try_from(width).unwrap_or(0);
        let path = TilePath {
            content: TileContent::Hashes { level: tile.level() },
            index: tile.level_index(),
            width: u16::try_from(width).unwrap_or(0),
        };
        match (self.tiles.read)(&path).filter(|bytes| bytes.len() >= width as usize * HASH_SIZE) {
            Some(bytes) => Tile::new(TILE_HEIGHT, tile.level(), tile.level_index(), width, false)
                .hash_at_index(&bytes, index),
            None => {
                *self.missing.borrow_mut() = Some(path.to_string());
                Err(tlog_tiles::Error::InvalidTile)
            }
        }
    }
}

// INVARIANT: as many hashes as indexes, or an error; crate `tlog_tiles` relies on it.
impl<F: Fn(&TilePath) -> Option<Vec<u8>>> HashReader for Source<'_, F> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        indexes.iter().map(|index| self.read_hash(*index)).collect()
    }
}

/// Levels of the tree in a tile: 2 to the power of 8 hashes in its lowest.
const TILE_HEIGHT: u8 = 8;
