//! Where tiles lie and how entries are bundled: C2SP tlog-tiles,
//! <https://c2sp.org/tlog-tiles>, sections "Merkle Tree" and "Log entries". Crate `tlog_tiles`
//! names its own paths otherwise.

use std::fmt;

use thiserror::Error;

use crate::LEAF_BYTES_MAX;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// Highest level of a tile.
const LEVEL_MAX: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileContent {
    /// Hashes of a level: leaf hashes at 0, at each level above the roots of full tiles below.
    Hashes {
        /// Which level, at most 63.
        level: u8,
    },
    /// The leaves themselves.
    Entries,
}

/// Where a tile lies: `tile/0/x001/x234/067`, `tile/entries/000.p/17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub content: TileContent,
    /// Which tile of its level, from 0.
    pub index: u64,
    /// How many hashes or entries: 1 to 255 for a partial tile, [`TILE_WIDTH`] for a full one.
    pub width: u16,
}

/// A text is no tile path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a tile path")]
pub struct TilePathError(pub String);

impl TilePath {
    /// The tile that holds the leaf of that index, or its hash, in a tree of that size. `None`
    /// where the tree ends before.
    pub fn of_leaf(content: TileContent, index: u64, size: u64) -> Option<Self> {
        let in_tree = size.checked_sub(index / 256 * 256).filter(|_| index < size)?;
        let width = u16::try_from(in_tree).map_or(TILE_WIDTH, |width| width.min(TILE_WIDTH));
        Some(Self { content, index: index / 256, width })
    }

    /// Parses what is printed, and nothing else.
    ///
    /// # Errors
    /// [`TilePathError`].
    pub fn parse(text: &str) -> Result<Self, TilePathError> {
        parse(text)
            .filter(|path| path.to_string() == text)
            .ok_or_else(|| TilePathError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            TileContent::Hashes { level } => write!(f, "tile/{level}/")?,
            TileContent::Entries => f.write_str("tile/entries/")?,
        }
        let mut above = self.index / 1000;
        let mut groups = Vec::new();
        while above > 0 {
            groups.push(above % 1000);
            above /= 1000;
        }
        groups.iter().rev().try_for_each(|group| write!(f, "x{group:03}/"))?;
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Reads loosely; the caller compares with what would be printed.
fn parse(text: &str) -> Option<TilePath> {
    let rest = text.strip_prefix("tile/")?;
    let (content, rest) = rest.split_once('/')?;
    let content = match content {
        "entries" => TileContent::Entries,
        level => {
            let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
            TileContent::Hashes { level }
        }
    };
    let (place, width) = match rest.split_once(".p/") {
        Some((place, width)) => (place, width.parse().ok().filter(|w| (1..=255).contains(w))?),
        None => (rest, TILE_WIDTH),
    };
    let index = place.split('/').try_fold(0_u64, |index, group| {
        let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index.checked_mul(1000)?.checked_add(group)
    })?;
    Some(TilePath { content, index, width })
}

/// Why bytes are no entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BundleError {
    /// They end within an entry.
    #[error("the bundle ends within entry {entry}")]
    Truncated {
        /// Which entry, from 0.
        entry: usize,
    },
    /// They hold more entries than a tile.
    #[error("the bundle holds more than {TILE_WIDTH} entries")]
    TooMany,
}

/// Appends an entry to a bundle: its length in 16 bits, big-endian, and its bytes. A leaf that is
/// longer than [`LEAF_BYTES_MAX`] cannot exist; were one given, it would be cut there.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) {
    let leaf = leaf.get(..LEAF_BYTES_MAX).unwrap_or(leaf);
    let length = u16::try_from(leaf.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
}

/// The entries of a bundle.
///
/// # Errors
/// [`BundleError`].
pub fn decode_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(BundleError::TooMany);
        }
        let truncated = BundleError::Truncated { entry: entries.len() };
        let (length, behind) = rest.split_first_chunk::<2>().ok_or(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, behind) = behind.split_at_checked(length).ok_or(truncated)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |content, index, width| TilePath { content, index, width }.to_string();
        let hashes = |level| TileContent::Hashes { level };
        assert_eq!(path(hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(hashes(1), 0, 1), "tile/1/000.p/1");
        assert_eq!(path(hashes(0), 1000, 256), "tile/0/x001/000");
        assert_eq!(path(TileContent::Entries, 273, 112), "tile/entries/273.p/112");
        // The example of the specification: a tree of 70,000 leaves.
        let last = TilePath::of_leaf(hashes(0), 69_999, 70_000).unwrap();
        assert_eq!(last.to_string(), "tile/0/273.p/112");
        assert_eq!(TilePath::of_leaf(hashes(0), 70_000, 70_000), None);
        assert_eq!(TilePath::of_leaf(hashes(0), 5, 256).unwrap().width, 256);
    }

    #[test]
    fn no_other_path_is_read() {
        for text in [
            "",
            "tile",
            "tile/0",
            "tile/0/1",
            "tile/00/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/64/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/data/000",
            "tile/0/000.p/01",
            "/tile/0/000",
            "tile/0/1000",
        ] {
            assert!(TilePath::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_reads_what_is_printed(
            index in any::<u64>(), width in 1_u16..=256, level in 0_u8..=63, entries in any::<bool>(),
        ) {
            let content =
                if entries { TileContent::Entries } else { TileContent::Hashes { level } };
            let path = TilePath { content, index, width };
            prop_assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
        }

        #[test]
        fn a_bundle_gives_back_its_entries(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..=256),
        ) {
            let mut bundle = Vec::new();
            entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
            prop_assert_eq!(decode_bundle(&bundle).unwrap(), entries.clone());
            if bundle.pop().is_some() {
                let last = entries.len() - 1;
                prop_assert_eq!(decode_bundle(&bundle), Err(BundleError::Truncated { entry: last }));
            }
        }
    }
}
