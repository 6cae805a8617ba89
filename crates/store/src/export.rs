//! Copies for elsewhere: the records as NDJSON, the checkpoint as it was signed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use safeconduct_ledger::CHECKPOINT_BYTES_MAX;

use crate::cursor::{Attachments, Frame};
use crate::frame::{AttachmentState, Header};
use crate::scan::{self, ScanError};
use crate::{segment, tlog};

/// Writes the leaves of the records from `from` on, before `until`, one a line: NDJSON. Returns
/// how many. It stops at the first record that cannot be read; [`fsck`] says why.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    data: &Path,
    from: u64,
    until: Option<u64>,
    out: &mut dyn io::Write,
) -> Result<u64, ExportError> {
    let mut written = 0;
    let mut failed = None;
    let until = until.unwrap_or(u64::MAX);
    scan::scan(data, Attachments::Skip, |_, frame| {
        if failed.is_none() && (from..until).contains(&frame.header.sequence) {
            let line = out.write_all(frame.leaf).and_then(|()| out.write_all(b"\n"));
            match line {
                Ok(()) => written += 1,
                Err(error) => failed = Some(error),
            }
        }
    })?;
    match failed {
        None => Ok(written),
        Some(error) => Err(ExportError::Write(error)),
    }
}

/// A record as it lies in the segments.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// Its place.
    pub sequence: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What has become of what lies beside it.
    pub attachment: AttachmentState,
    /// Where that lies, if it is there.
    pub beside: Option<Beside>,
}

/// A place where something lies beside a record, to be read when it is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// The first record of its segment.
    segment: u64,
    offset: u64,
    header: Header,
}

impl Beside {
    fn of(segment: u64, frame: &Frame<'_>) -> Option<Self> {
        let (offset, header) = (frame.attachment_offset(), frame.header);
        let present = frame.attachment() == AttachmentState::Present;
        present.then_some(Self { segment, offset, header })
    }

    /// Reads it, from the data folder that its place was found in.
    ///
    /// # Errors
    /// The operating system's; or it is damaged, or was erased since.
    pub fn read(&self, data: &Path) -> io::Result<Vec<u8>> {
        attachment(&segment::path(data, self.segment), &self.header, self.offset)
    }
}

/// Reads the records in order, from the segments alone: no server is needed, and one may run
/// meanwhile. An error of `visit` ends what is given to it, and is what comes of this.
///
/// # Errors
/// [`ExportError`].
pub fn read(
    data: &Path,
    visit: &mut dyn FnMut(Leaf<'_>) -> io::Result<()>,
) -> Result<u64, ExportError> {
    let mut failed = None;
    let scanned = scan::scan(data, Attachments::Skip, |segment, frame| {
        let (sequence, attachment) = (frame.header.sequence, frame.attachment());
        let beside = Beside::of(segment, frame);
        if failed.is_none() {
            failed = visit(Leaf { sequence, bytes: frame.leaf, attachment, beside }).err();
        }
    })?;
    match failed {
        None => Ok(scanned.records),
        Some(error) => Err(ExportError::Write(error)),
    }
}

/// What lies beside those records, as far as it is there: all of it is held in memory.
///
/// # Errors
/// [`ExportError`].
pub fn attachments(
    data: &Path,
    wanted: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, Vec<u8>>, ExportError> {
    let mut found = BTreeMap::new();
    let mut failed = None;
    scan::scan(data, Attachments::Skip, |first, frame| {
        let sequence = frame.header.sequence;
        if failed.is_some() || !wanted.contains(&sequence) {
            return;
        }
        if frame.attachment() == AttachmentState::Present {
            match attachment(&segment::path(data, first), &frame.header, frame.attachment_offset())
            {
                Ok(bytes) => drop(found.insert(sequence, bytes)),
                Err(error) => failed = Some(error),
            }
        }
    })?;
    match failed {
        None => Ok(found),
        Some(error) => Err(ExportError::Beside(error)),
    }
}

fn attachment(path: &Path, header: &Header, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; header.attachment_bytes];
    File::open(path)?.read_exact_at(&mut bytes, offset)?;
    if header.attachment_holds(&bytes) {
        return Ok(bytes);
    }
    let sequence = header.sequence;
    Err(io::Error::other(format!("what lies beside record {sequence} is damaged, or was erased")))
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The segments cannot be read as one ledger.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What was read cannot be written, or not be used.
    #[error("cannot write the export: {0}")]
    Write(io::Error),
    /// What lies beside a record cannot be read.
    #[error("cannot read what lies beside a record: {0}")]
    Beside(io::Error),
}

/// The published checkpoint of a data folder, as it lies there, to keep elsewhere; `None` where
/// there is none.
///
/// # Errors
/// The operating system's.
pub fn published_checkpoint(data: &Path) -> io::Result<Option<Vec<u8>>> {
    match tlog::read_bounded(&tlog::checkpoint_path(data), CHECKPOINT_BYTES_MAX as u64) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
