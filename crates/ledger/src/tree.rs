//! The Merkle tree of RFC 6962, grown leaf by leaf, in the tiles of C2SP tlog-tiles.

use tlog_tiles::{Hash, node_hash, record_hash};

use crate::tile::{TILE_WIDTH, TileContent, TilePath};

/// The root of the tree without leaves: SHA-256 of nothing (RFC 6962 section 2.1).
pub const EMPTY_ROOT: Hash = tlog_tiles::EMPTY_HASH;

/// The hash of a leaf: SHA-256 over a zero byte and the leaf.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    record_hash(leaf)
}

/// A tree that remembers only its right edge: at most 255 hashes on each of at most eight levels.
#[derive(Debug, Clone, Default)]
pub struct TreeBuilder {
    size: u64,
    /// Level by level the hashes of the tile that is not yet full. Level 0 holds leaf hashes, a
    /// level above it the roots of full tiles.
    rows: Vec<Vec<Hash>>,
}

/// A tile of hashes, and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// Where.
    pub path: TilePath,
    /// Its hashes, one after the other.
    pub bytes: Vec<u8>,
}

impl TreeBuilder {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, given by its hash. Returns the tiles that it filled, lowest level first:
    /// they never change again.
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        self.size += 1;
        let mut full = Vec::new();
        let mut carried = leaf;
        for level in 0..8 {
            let Some(row) = self.rows.get_mut(usize::from(level)) else {
                self.rows.push(vec![carried]);
                break;
            };
            row.push(carried);
            if row.len() < usize::from(TILE_WIDTH) {
                break;
            }
            carried = perfect_root(row);
            let index = tiles_before(self.size, level).saturating_sub(1);
            full.push(tile(level, index, row));
            row.clear();
        }
        full
    }

    /// The tiles at the right edge that are not yet full, lowest level first.
    pub fn partial_tiles(&self) -> Vec<Tile> {
        let rows = (0_u8..).zip(&self.rows).filter(|(_, row)| !row.is_empty());
        rows.map(|(level, row)| tile(level, tiles_before(self.size, level), row)).collect()
    }

    /// The root of the tree so far: [`EMPTY_ROOT`] without leaves.
    pub fn root(&self) -> Hash {
        let mut peaks: Vec<Hash> = self.rows.iter().rev().flat_map(|row| peaks(row)).collect();
        let Some(mut root) = peaks.pop() else {
            return EMPTY_ROOT;
        };
        while let Some(left) = peaks.pop() {
            root = node_hash(left, root);
        }
        root
    }
}

/// How many full tiles a level has in a tree of that size.
fn tiles_before(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
}

fn tile(level: u8, index: u64, row: &[Hash]) -> Tile {
    let width = u16::try_from(row.len()).unwrap_or(TILE_WIDTH);
    Tile {
        path: TilePath { content: TileContent::Hashes { level }, index, width },
        bytes: row.iter().flat_map(|hash| hash.0).collect(),
    }
}

/// The roots of the perfect subtrees that a row falls into, largest first.
fn peaks(row: &[Hash]) -> Vec<Hash> {
    let mut rest = row;
    let mut peaks = Vec::new();
    while let Some(exponent) = rest.len().checked_ilog2() {
        let (subtree, behind) = rest.split_at(1 << exponent);
        peaks.push(perfect_root(subtree));
        rest = behind;
    }
    peaks
}

/// The root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => EMPTY_ROOT,
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(perfect_root(left), perfect_root(right))
        }
    }
}
