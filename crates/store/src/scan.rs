//! Reading all segments in order: what is there, where it ends, and what is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::cursor::{Attachments, CHUNK_SEQUENTIAL, Cursor, Frame, Step};
use crate::frame::{ALIGNMENT, FrameProblem, HEADER_BYTES, Header, MARKER};
use crate::segment::{self, LedgerId, SegmentHeader};

/// Why the segments cannot be read as one ledger.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The operating system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A segment's header is wrong: the file is of another version, or damaged.
    #[error("`{}` cannot be used: {problem}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The first record that it should hold.
        first: u64,
    },
    /// A record that was once durable is damaged or missing. Nothing is repaired: what is lost
    /// cannot be made again, and what was changed must be seen.
    #[error(
        "the ledger is corrupt at record {sequence} (`{}`, offset {offset}): {problem}; \
         `safeconduct log fsck` explains",
        path.display()
    )]
    Corrupt {
        /// The first bad record.
        sequence: u64,
        /// The file that should hold it.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        problem: FrameProblem,
    },
}

/// Where the ledger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros follow the last record, or nothing.
    Clean,
    /// The beginnings of a batch follow that was never finished, and so never answered.
    Torn(FrameProblem),
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// How many records there are.
    pub(crate) records: u64,
    /// The first records of all segments; empty for a ledger that has none yet.
    pub(crate) segments: Vec<u64>,
    /// Offset behind the last record, in the last segment.
    pub(crate) end: u64,
    pub(crate) tail: Tail,
    /// The ledger's own name, where it has a segment.
    pub(crate) ledger: Option<LedgerId>,
}

/// Reads every record. `visit` gets each frame with the first record of its segment.
pub(crate) fn scan(
    data: &Path,
    attachments: Attachments,
    mut visit: impl FnMut(u64, &Frame<'_>),
) -> Result<Scanned, ScanError> {
    let folder = segment::folder(data);
    let segments = segment::list(data).map_err(|source| ScanError::Io { path: folder, source })?;
    let mut found = Scanned {
        records: 0,
        segments: segments.clone(),
        end: segment::HEADER_BYTES,
        tail: Tail::Clean,
        ledger: None,
    };
    for (place, first) in segments.iter().enumerate() {
        let path = segment::path(data, *first);
        let io = |source| ScanError::Io { path: path.clone(), source };
        if *first != found.records {
            // The records between are gone, with the file that held them or the end of the last.
            let before = place.checked_sub(1).and_then(|before| segments.get(before));
            return Err(ScanError::Corrupt {
                sequence: found.records,
                path: before.map_or(path.clone(), |before| segment::path(data, *before)),
                offset: found.end,
                problem: FrameProblem::Missing,
            });
        }
        let file = Arc::new(File::open(&path).map_err(io)?);
        let header = read_header(&path, &file, *first)?;
        if found.ledger.is_some_and(|ledger| ledger != header.ledger) {
            let problem = "it belongs to another ledger".into();
            return Err(ScanError::Segment { path, problem, first: *first });
        }
        found.ledger = Some(header.ledger);

        let start = segment::HEADER_BYTES;
        let mut cursor =
            Cursor::new(Arc::clone(&file), *first, start, attachments, CHUNK_SEQUENTIAL);
        let stopped = loop {
            match cursor.step().map_err(io)? {
                Step::Frame(frame) => visit(*first, &frame),
                Step::End => break None,
                Step::Bad(problem) => break Some(problem),
            }
        };
        found.records = cursor.next_sequence();
        found.end = cursor.offset();
        let beyond = beyond(&file, found.records, found.end).map_err(io)?;
        let is_last = place + 1 == segments.len();
        found.tail = match (stopped, beyond) {
            (None, Beyond::Zeros) => Tail::Clean,
            (problem, Beyond::Unfinished) if is_last => {
                Tail::Torn(problem.unwrap_or(FrameProblem::Missing))
            }
            // The file ends within a frame, and all that is there of it is zeros.
            (Some(problem), Beyond::Zeros) if is_last => Tail::Torn(problem),
            (problem, _) => {
                return Err(ScanError::Corrupt {
                    sequence: found.records,
                    path,
                    offset: found.end,
                    problem: problem.unwrap_or(FrameProblem::Missing),
                });
            }
        };
    }
    Ok(found)
}

/// Reads and checks a segment's header.
pub(crate) fn read_header(
    path: &Path,
    file: &File,
    first: u64,
) -> Result<SegmentHeader, ScanError> {
    let mut bytes = [0; segment::HEADER_BYTES as usize];
    let refused = |problem| ScanError::Segment { path: path.to_owned(), problem, first };
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(refused("it ends within its header".into()));
        }
        Err(source) => {
            return Err(ScanError::Io { path: path.to_owned(), source });
        }
    }
    let header = SegmentHeader::parse(&bytes).map_err(refused)?;
    if header.first != first {
        return Err(refused(format!(
            "its header says that it begins with record {}",
            header.first
        )));
    }
    Ok(header)
}

/// What lies behind the last good record.
enum Beyond {
    Zeros,
    /// Something, but nothing that shows that the next record was ever durable.
    Unfinished,
    /// A record of a later batch. A batch is begun only when the one before it is durable, so the
    /// record that should have come first was durable too.
    Later,
}

fn beyond(file: &Arc<File>, expected: u64, from: u64) -> io::Result<Beyond> {
    let mut rest = Vec::new();
    let mut reader = file.as_ref();
    io::Seek::seek(&mut reader, io::SeekFrom::Start(from))?;
    reader.read_to_end(&mut rest)?;
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(Beyond::Zeros);
    }
    let marker = MARKER.to_le_bytes();
    // Frames begin at multiples of eight, and `from` is one.
    for (place, start) in rest.chunks(ALIGNMENT as usize).enumerate() {
        if !start.starts_with(&marker) {
            continue;
        }
        let at = place * ALIGNMENT as usize;
        let Some(frame) = rest.get(at..) else {
            continue;
        };
        let Some(header) = frame.first_chunk::<HEADER_BYTES>() else {
            continue;
        };
        let Ok(header) = Header::parse(header) else {
            continue;
        };
        let leaf = frame.get(HEADER_BYTES..HEADER_BYTES + header.leaf_bytes);
        if header.batch > expected && leaf.is_some_and(|leaf| header.leaf_holds(leaf)) {
            return Ok(Beyond::Later);
        }
    }
    Ok(Beyond::Unfinished)
}
