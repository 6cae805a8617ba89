//! Looking at a data folder: what opening it would find, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use safeconduct_ledger::{CHECKPOINT_BYTES_MAX, CheckpointError, read_unverified};

use crate::cursor::Attachments;
use crate::frame::AttachmentState;
use crate::scan::{self, ScanError, Tail};
use crate::tlog;

/// Where a data folder's parts stand, for `fsck`: what opening it would find.
#[derive(Debug)]
pub struct Condition {
    /// The process that has it open.
    pub owner: Option<String>,
    /// Segments in order: first record, records, bytes that they fill.
    pub segments: Vec<SegmentCondition>,
    /// Records that can be read.
    pub records: u64,
    /// Attachments that are there, and that were erased.
    pub attachments: BTreeMap<&'static str, u64>,
    /// An unfinished batch follows the last record: what a crash leaves (cut at the next start),
    /// or what a running server writes at this moment.
    pub torn: Option<String>,
    /// How many records the published checkpoint claims to sign, whoever signed it, or why it
    /// is none; `None` where nothing is published.
    pub checkpoint: Option<Result<u64, CheckpointError>>,
    /// Why the ledger cannot be opened.
    pub problem: Option<ScanError>,
}

/// One segment, as far as it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentCondition {
    /// Its first record.
    pub first: u64,
    /// Records that could be read.
    pub records: u64,
    /// Where the last of them ends, in bytes.
    pub bytes: u64,
}

/// Looks at a data folder without changing it.
pub fn fsck(data: &Path) -> Condition {
    let mut condition = Condition {
        owner: crate::lock::owner(data),
        segments: Vec::new(),
        records: 0,
        attachments: BTreeMap::new(),
        torn: None,
        checkpoint: checkpoint(data),
        problem: None,
    };
    let mut current: Option<SegmentCondition> = None;
    let scanned = scan::scan(data, Attachments::Check, |first, frame| {
        let bytes = frame.offset + frame.header.frame_bytes();
        match &mut current {
            Some(segment) if segment.first == first => {
                segment.records += 1;
                segment.bytes = bytes;
            }
            _ => {
                condition.segments.extend(current.take());
                current = Some(SegmentCondition { first, records: 1, bytes });
            }
        }
        condition.records += 1;
        let state = match frame.attachment() {
            AttachmentState::None => return,
            AttachmentState::Present => "present",
            AttachmentState::Erased => "erased",
        };
        *condition.attachments.entry(state).or_insert(0) += 1;
    });
    condition.segments.extend(current);
    match scanned {
        Ok(scanned) => {
            if let Tail::Torn(problem) = scanned.tail {
                condition.torn = Some(format!("record {}: {problem}", scanned.records));
            }
        }
        Err(error) => condition.problem = Some(error),
    }
    condition
}

fn checkpoint(data: &Path) -> Option<Result<u64, CheckpointError>> {
    match tlog::read_bounded(&tlog::checkpoint_path(data), CHECKPOINT_BYTES_MAX as u64) {
        Ok(note) => Some(read_unverified(&note).map(|checkpoint| checkpoint.size)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Err(CheckpointError::Malformed)),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(pid) => writeln!(f, "owner: process {pid}")?,
            None => writeln!(f, "owner: none")?,
        }
        for segment in &self.segments {
            let SegmentCondition { first, records, bytes } = segment;
            writeln!(f, "segment {first:020}: {records} records, {bytes} bytes")?;
        }
        writeln!(f, "records: {}", self.records)?;
        for (state, count) in &self.attachments {
            writeln!(f, "attachments {state}: {count}")?;
        }
        if let Some(torn) = &self.torn {
            writeln!(f, "tail: torn at {torn}; it was never answered, and the next start cuts it")?;
        }
        match &self.checkpoint {
            None => writeln!(f, "checkpoint: none; the next start makes one")?,
            Some(Ok(signed)) => writeln!(f, "checkpoint: claims {signed} records")?,
            Some(Err(problem)) => writeln!(f, "checkpoint: {problem}; the next start refuses it")?,
        }
        match &self.problem {
            Some(problem) => {
                writeln!(f, "problem: {problem}")?;
                writeln!(f, "{}", advice(problem))
            }
            None => writeln!(f, "problem: none"),
        }
    }
}

fn advice(problem: &ScanError) -> &'static str {
    match problem {
        ScanError::Io { .. } => "help: see that the file can be read, and run this again",
        ScanError::Segment { .. } => {
            "help: restore the file from a copy, or run the version that wrote it"
        }
        ScanError::Corrupt { .. } => {
            "help: the record was durable once, so it was damaged or changed since; restore the \
             data folder from a copy and compare it with a checkpoint kept elsewhere"
        }
    }
}
