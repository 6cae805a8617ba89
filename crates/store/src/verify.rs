//! Verifying a ledger: everything is computed again from the segments and compared with the
//! published tiles, the signed checkpoint and, where there is one, a checkpoint kept elsewhere.
//!
//! Nothing is written and no lock is taken, so it may run beside a server: the checkpoint is read
//! first, and the ledger only grows.

use std::fmt;
use std::io;
use std::path::Path;

use safeconduct_ledger::{
    Audit, CHECKPOINT_BYTES_MAX, Checkpoint, CheckpointError, CheckpointVerifier, Finding, Tile,
    TileContent, TilePath, decode_bundle, first_difference,
};

use crate::cursor::Attachments;
use crate::scan::{self, ScanError, Tail};
use crate::tlog;

/// Most problems that one verification lists. More are counted.
pub const PROBLEMS_MAX: usize = 100;

/// What is wrong with a ledger.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The segments cannot be read as one ledger.
    Segments(ScanError),
    /// What was read is not what was signed, or no sequence of records.
    Finding(Finding),
    /// A published tile is missing.
    MissingTile {
        /// Its path below the published log.
        tile: String,
    },
    /// A published tile says otherwise than the segments.
    Tile {
        /// Its path below the published log.
        tile: String,
        /// The first record of which they differ; `None` for a tile of an upper level, where one
        /// hash stands for many records.
        sequence: Option<u64>,
    },
    /// The published checkpoint cannot be believed.
    Checkpoint(CheckpointError),
    /// There is no published checkpoint, although there are records.
    NoCheckpoint,
    /// The checkpoint kept elsewhere cannot be believed.
    Against(CheckpointError),
    /// An attachment was marked as erased and is not all overwritten. The next start finishes it.
    Unerased {
        /// Which record's.
        sequence: u64,
    },
}

impl Problem {
    /// The first record that is known to be bad.
    pub const fn first_bad(&self) -> Option<u64> {
        match self {
            Self::Segments(ScanError::Corrupt { sequence, .. }) | Self::Unerased { sequence } => {
                Some(*sequence)
            }
            Self::Tile { sequence, .. } => *sequence,
            Self::Segments(ScanError::Segment { first, .. }) => Some(*first),
            Self::Finding(finding) => finding.first_bad(),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments(error) => error.fmt(f),
            Self::Finding(finding) => finding.fmt(f),
            Self::MissingTile { tile } => write!(f, "`{tile}` is missing"),
            Self::Tile { tile, sequence: None } => {
                write!(f, "`{tile}` does not follow from the records")
            }
            Self::Tile { tile, sequence: Some(sequence) } => {
                write!(f, "record {sequence} is not the one that `{tile}` was made of")
            }
            Self::Checkpoint(error) => write!(f, "the published checkpoint: {error}"),
            Self::NoCheckpoint => f.write_str("there is no published checkpoint"),
            Self::Against(error) => write!(f, "the checkpoint to compare with: {error}"),
            Self::Unerased { sequence } => {
                write!(f, "the attachment of record {sequence} is marked as erased and still there")
            }
        }
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records that were read and are whole.
    pub records: u64,
    /// What the published checkpoint signs, where its signature holds.
    pub checkpoint: Option<Checkpoint>,
    /// What is wrong, in the order in which it was found; at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// Problems beyond those that are listed.
    pub more_problems: u64,
    /// Whether an unfinished batch follows the last record: what a crash leaves, or what a server
    /// is writing at this moment.
    pub torn_tail: bool,
}

impl Verified {
    /// Whether nothing is wrong.
    pub const fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }
}

/// Verifies a data folder. `verifier` is the ledger's verifier key, best kept elsewhere too;
/// `against` is a signed checkpoint that was kept elsewhere.
///
/// # Errors
/// The operating system's, where the published checkpoint cannot be read. Whatever is wrong with
/// the ledger itself is in the answer.
pub fn verify(
    data: &Path,
    verifier: &CheckpointVerifier,
    against: Option<&[u8]>,
) -> io::Result<Verified> {
    let mut verified = Verified::default();
    let kept = match against.map(|note| verifier.verify(note)) {
        None => None,
        Some(Ok(checkpoint)) => Some(checkpoint),
        Some(Err(error)) => {
            verified.add(Problem::Against(error));
            None
        }
    };
    let mut published = false;
    match tlog::read_bounded(&tlog::checkpoint_path(data), CHECKPOINT_BYTES_MAX as u64) {
        Ok(note) => {
            published = true;
            match verifier.verify(&note) {
                Ok(checkpoint) => verified.checkpoint = Some(checkpoint),
                Err(error) => verified.add(Problem::Checkpoint(error)),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    read(data, &mut verified, kept.as_ref());
    if !published && verified.records > 0 {
        verified.add(Problem::NoCheckpoint);
    }
    Ok(verified)
}

fn read(data: &Path, verified: &mut Verified, kept: Option<&Checkpoint>) {
    let checkpoint = verified.checkpoint.clone();
    let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let mut audit = Audit::new(checkpoint.iter().chain(kept));
    // The leaves of the bundle that is not yet full, to compare with the published one.
    let mut bundle: Vec<Vec<u8>> = Vec::new();
    let scanned = scan::scan(data, Attachments::Check, |_, frame| {
        let sequence = frame.header.sequence;
        bundle.push(frame.leaf.to_vec());
        let (full, finding) = audit.push(sequence, frame.leaf);
        finding.into_iter().for_each(|finding| verified.add(Problem::Finding(finding)));
        if !frame.finished {
            verified.add(Problem::Unerased { sequence });
        }
        if audit.size() <= signed {
            full.iter().for_each(|tile| compare(data, tile, &bundle, verified));
        }
        if audit.size() == signed {
            let partial = audit.tree().partial_tiles();
            partial.iter().for_each(|tile| compare(data, tile, &bundle, verified));
        }
        if !full.is_empty() {
            bundle.clear();
        }
    });
    verified.records = audit.size();
    match scanned {
        Ok(scanned) => verified.torn_tail = scanned.tail != Tail::Clean,
        Err(error) => {
            // What lies behind a bad record was not read: what it lacks would be no news.
            verified.add(Problem::Segments(error));
            return;
        }
    }
    let named = [
        ("the published checkpoint", checkpoint.as_ref()),
        ("the checkpoint kept elsewhere", kept),
    ];
    for (name, checkpoint) in named {
        let finding = checkpoint.and_then(|checkpoint| audit.compare(name, checkpoint));
        finding.into_iter().for_each(|finding| verified.add(Problem::Finding(finding)));
    }
}

/// Compares a tile, and the bundle of its entries, with what is published.
fn compare(data: &Path, tile: &Tile, leaves: &[Vec<u8>], verified: &mut Verified) {
    let TileContent::Hashes { level } = tile.path.content else {
        return;
    };
    let first = tile.path.index.saturating_mul(256);
    match tlog::read_tile(data, &tile.path) {
        Ok(kept) => {
            if let Some(place) = first_difference(&tile.bytes, &kept) {
                let sequence = (level == 0).then(|| first.saturating_add(place));
                verified.add(Problem::Tile { tile: tile.path.to_string(), sequence });
            }
        }
        Err(_) => verified.add(Problem::MissingTile { tile: tile.path.to_string() }),
    }
    if level == 0 {
        let path = TilePath { content: TileContent::Entries, ..tile.path };
        match tlog::read_tile(data, &path) {
            Ok(kept) => {
                let entries = decode_bundle(&kept).unwrap_or_default();
                let mut entries = entries.into_iter();
                let differs = leaves.iter().position(|leaf| entries.next() != Some(leaf));
                if let Some(place) = differs {
                    let sequence = Some(first + place as u64);
                    verified.add(Problem::Tile { tile: path.to_string(), sequence });
                }
            }
            Err(_) => verified.add(Problem::MissingTile { tile: path.to_string() }),
        }
    }
}
