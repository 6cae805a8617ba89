//! The published log: tiles, entry bundles and the signed checkpoint, as C2SP tlog-tiles lays them
//! out. Derived from the segments, and made again where it is lost.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safeconduct_ledger::{
    Checkpoint, CheckpointKey, TILE_WIDTH, TileContent, TilePath, TreeBuilder, leaf_hash,
    push_entry,
};

use crate::index::{Index, Reader};

/// The folder of the published log.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("tlog")
}

/// Where the checkpoint lies.
pub(crate) fn checkpoint_path(data: &Path) -> PathBuf {
    folder(data).join("checkpoint")
}

/// Where a tile lies.
pub(crate) fn tile_path(data: &Path, path: &TilePath) -> PathBuf {
    folder(data).join(path.to_string())
}

/// Reads a tile; a partial one that is gone is read from a full one, whose first part it is.
pub(crate) fn read_tile(data: &Path, path: &TilePath) -> io::Result<Vec<u8>> {
    let read = |path: &TilePath| read_bounded(&tile_path(data, path), TILE_BYTES_MAX);
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.width < TILE_WIDTH => {
            read(&TilePath { width: TILE_WIDTH, ..*path })
        }
        read => read,
    }
}

/// Removes all tiles and bundles.
pub(crate) fn remove_tiles(data: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder(data).join("tile")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Longest tile: 256 entries of 65,535 bytes with their lengths.
const TILE_BYTES_MAX: u64 = 256 * 65_537;

/// Reads a file that is not longer than that.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Writes the published log.
pub(crate) struct Publisher {
    data: PathBuf,
    key: Arc<CheckpointKey>,
    reader: Reader,
    tree: TreeBuilder,
    /// The entries of the last bundle, which is not yet full.
    bundle: Vec<u8>,
    published: Option<u64>,
}

impl Publisher {
    /// Goes on behind a tree that was published before; from the beginning, with an empty one.
    pub(crate) fn resume(
        data: &Path,
        key: Arc<CheckpointKey>,
        index: Arc<Index>,
        tree: TreeBuilder,
    ) -> io::Result<Self> {
        let size = tree.size();
        let mut reader = Reader::new(index, size - size % u64::from(TILE_WIDTH));
        let mut bundle = Vec::new();
        while reader.read(size, |frame| push_entry(&mut bundle, frame.leaf))?.is_some() {}
        Ok(Self { data: data.to_owned(), key, reader, tree, bundle, published: None })
    }

    /// How many records the last published checkpoint signs; `None` before the first.
    pub(crate) const fn published(&self) -> Option<u64> {
        self.published
    }

    /// How many records the tree has.
    pub(crate) const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Takes in durable records, at most so many, and writes the tiles that they fill.
    pub(crate) fn advance(&mut self, durable: u64) -> io::Result<()> {
        loop {
            let (tree, bundle) = (&mut self.tree, &mut self.bundle);
            let read = self.reader.read(durable, |frame| {
                push_entry(bundle, frame.leaf);
                tree.push(leaf_hash(frame.leaf))
            });
            let Some(full) = read? else { return Ok(()) };
            for tile in full {
                if tile.path.content == (TileContent::Hashes { level: 0 }) {
                    let path = TilePath { content: TileContent::Entries, ..tile.path };
                    let bundle = std::mem::take(&mut self.bundle);
                    self.write_full(&path, &bundle)?;
                }
                self.write_full(&tile.path, &tile.bytes)?;
            }
        }
    }

    /// Publishes the tree as it is: partial tiles first, then the checkpoint that needs them.
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        for tile in self.tree.partial_tiles() {
            if tile.path.content == (TileContent::Hashes { level: 0 }) {
                let path = TilePath { content: TileContent::Entries, ..tile.path };
                replace(&tile_path(&self.data, &path), &self.bundle)?;
            }
            replace(&tile_path(&self.data, &tile.path), &tile.bytes)?;
        }
        let checkpoint = Checkpoint { size: self.tree.size(), root: self.tree.root() };
        let note = self.key.sign(&checkpoint).map_err(io::Error::other)?;
        replace_durably(&checkpoint_path(&self.data), &note)?;
        self.published = Some(checkpoint.size);
        Ok(())
    }

    /// Writes a full tile. Its partial forms are then superfluous.
    fn write_full(&self, path: &TilePath, bytes: &[u8]) -> io::Result<()> {
        let full = tile_path(&self.data, path);
        replace(&full, bytes)?;
        match fs::remove_dir_all(full.with_extension("p")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Puts a file in place, whole or not at all. Not durable: what is lost is made again.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_draft(path, bytes).map(drop)?;
    fs::rename(draft(path), path)
}

/// Puts a file in place, and it stays.
fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_draft(path, bytes)?.sync_data()?;
    fs::rename(draft(path), path)
}

fn write_draft(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let draft = draft(path);
    let mut file = match File::create(&draft) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            File::create(&draft)?
        }
        file => file?,
    };
    file.write_all(bytes)?;
    Ok(file)
}

fn draft(path: &Path) -> PathBuf {
    path.with_extension("draft")
}
