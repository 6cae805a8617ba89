//! Taking a data folder over: lock, read, check, and make the end ready to be written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use safeconduct_ledger::{
    CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointError, CheckpointKey, CheckpointVerifier, Tile,
    TileContent, TilePath, TreeBuilder, leaf_hash,
};

use crate::committer::Place;
use crate::cursor::Attachments;
use crate::erase::{self, Attached};
use crate::index::Index;
use crate::keys::{self, KeysError};
use crate::lock::{self, Lock};
use crate::scan::{self, Scanned, Tail};
use crate::segment::{self, Disk, LedgerId};
use crate::store::OpenError;
use crate::tlog;

/// A ledger that was read through and can be written on.
pub(crate) struct Recovered {
    pub(crate) records: u64,
    pub(crate) index: Index,
    pub(crate) ledger: LedgerId,
    pub(crate) place: Option<Place>,
    /// The tree as it was published; empty where nothing was, or tiles are lost or damaged.
    pub(crate) published: TreeBuilder,
}

/// Makes the folders and takes the lock.
pub(crate) fn take_folder(data: &Path) -> Result<Lock, OpenError> {
    let folder = segment::folder(data);
    keys::make_folder(&folder).map_err(|source| OpenError::Io { path: folder, source })?;
    Ok(lock::take(data)?)
}

pub(crate) fn recover(
    data: &Path,
    disk: &dyn Disk,
    key: &CheckpointKey,
) -> Result<Recovered, OpenError> {
    let io = |source| OpenError::Io { path: data.to_owned(), source };
    let checkpoint = published(data, key)?;
    let mut reading = Reading::new(checkpoint.as_ref());
    let scanned = scan::scan(data, Attachments::Check, |first, frame| {
        for tile in reading.tree.push(leaf_hash(frame.leaf)) {
            if reading.tree.size() <= reading.signed {
                reading.intact &= is_published(data, &tile);
            }
        }
        if reading.tree.size() == reading.signed {
            reading.published = Some(reading.tree.clone());
        }
        reading.offsets.entry(first).or_default().push((frame.header.sequence, frame.offset));
        if !frame.finished {
            reading.unfinished.entry(first).or_default().push(Attached::of(frame));
        }
    })?;
    if let Some(checkpoint) = &checkpoint {
        compare(checkpoint, reading.published.as_ref(), scanned.records)?;
    }
    erase::erase(data, disk, &reading.unfinished).map_err(io)?;
    match fs::remove_file(segment::spare_path(data)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let index = Index::default();
    for first in &scanned.segments {
        let file = File::open(segment::path(data, *first)).map_err(io)?;
        index.add_segment(*first, Arc::new(file));
        index.add_records(reading.offsets.remove(first).unwrap_or_default());
    }
    let ledger = match scanned.ledger {
        Some(ledger) => ledger,
        None => new_ledger_id()?,
    };
    Ok(Recovered {
        records: scanned.records,
        index,
        ledger,
        place: place(data, disk, &scanned).map_err(io)?,
        published: reading.published.filter(|_| reading.intact).unwrap_or_default(),
    })
}

/// What is gathered while the segments are read.
struct Reading {
    tree: TreeBuilder,
    signed: u64,
    published: Option<TreeBuilder>,
    /// Whether all full tiles of the published tree lie where they should.
    intact: bool,
    offsets: BTreeMap<u64, Vec<(u64, u64)>>,
    unfinished: BTreeMap<u64, Vec<Attached>>,
}

impl Reading {
    fn new(checkpoint: Option<&Checkpoint>) -> Self {
        let signed = checkpoint.map_or(0, |checkpoint| checkpoint.size);
        Self {
            tree: TreeBuilder::new(),
            signed,
            published: (signed == 0).then(TreeBuilder::new),
            intact: true,
            offsets: BTreeMap::new(),
            unfinished: BTreeMap::new(),
        }
    }
}

/// The published checkpoint; `None` where nothing is published, since all that is derived may be
/// thrown away and is made again. It is replaced whole and never in part, so one that is no
/// checkpoint was damaged and is refused, as is one that someone else signed: otherwise to write a
/// few bytes over it would be all that it takes to hide a cut-off tail.
fn published(data: &Path, key: &CheckpointKey) -> Result<Option<Checkpoint>, OpenError> {
    let path = tlog::checkpoint_path(data);
    let note = match tlog::read_bounded(&path, CHECKPOINT_BYTES_MAX as u64) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    let verifier = CheckpointVerifier::parse(key.verifier_text())
        .map_err(|problem| KeysError::Signing { path: keys::SIGNING_KEY.into(), problem })?;
    match verifier.verify(&note) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(CheckpointError::Malformed) => Err(OpenError::Garbled { path }),
        Err(problem) => Err(OpenError::Checkpoint { path, problem }),
    }
}

fn compare(
    checkpoint: &Checkpoint,
    tree: Option<&TreeBuilder>,
    records: u64,
) -> Result<(), OpenError> {
    let signed = checkpoint.size;
    match tree {
        Some(tree) if tree.root() == checkpoint.root => Ok(()),
        Some(tree) => Err(OpenError::Changed { signed, root: tree.root() }),
        None => Err(OpenError::Truncated { found: records, signed }),
    }
}

fn new_ledger_id() -> Result<LedgerId, OpenError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| KeysError::NoRandomness)?;
    Ok(LedgerId(id))
}

/// The end of the last segment, ready to be written: a torn tail is cut, and a file that was
/// shortened is filled up.
fn place(data: &Path, disk: &dyn Disk, scanned: &Scanned) -> io::Result<Option<Place>> {
    let Some(first) = scanned.segments.last() else {
        return Ok(None);
    };
    let path = segment::path(data, *first);
    let capacity = fs::metadata(&path)?.len();
    if let Tail::Torn(problem) = scanned.tail {
        tracing::warn!(
            path = %path.display(), offset = scanned.end, record = scanned.records, %problem,
            "the end of the ledger was torn by a crash; what was never answered is cut"
        );
        let file = OpenOptions::new().write(true).open(&path)?;
        segment::zero(&file, scanned.end, capacity)?;
    }
    Ok(Some(Place { file: disk.open(&path)?, offset: scanned.end, capacity }))
}

/// Whether a full tile, and the bundle of its entries, lie where they should.
fn is_published(data: &Path, tile: &Tile) -> bool {
    let kept = tlog::read_tile(data, &tile.path).is_ok_and(|bytes| bytes == tile.bytes);
    let entries = TilePath { content: TileContent::Entries, ..tile.path };
    let is_leaves = tile.path.content == TileContent::Hashes { level: 0 };
    let bundled = !is_leaves || tlog::tile_path(data, &entries).is_file();
    if !kept || !bundled {
        tracing::warn!(tile = %tile.path, "the published tile is lost or damaged; it is made again");
    }
    kept && bundled
}
