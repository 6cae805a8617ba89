//! Copies for elsewhere: the records as NDJSON, the checkpoint as it was signed.

use std::io;
use std::path::Path;

use safeconduct_ledger::CHECKPOINT_BYTES_MAX;

use crate::cursor::Attachments;
use crate::scan::{self, ScanError};
use crate::tlog;

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

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The segments cannot be read as one ledger.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What was read cannot be written.
    #[error("cannot write the export: {0}")]
    Write(io::Error),
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
