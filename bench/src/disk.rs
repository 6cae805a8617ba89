//! The bare disk: one write of 300 bytes and one fdatasync at a time, into a file that was
//! filled with zeros before.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::report;
use crate::section::Failure;

const RECORD: [u8; 300] = [b'r'; 300];
const FILE_BYTES: usize = 16 << 20;

/// A preallocated file, and where the next record goes.
pub(crate) struct Disk {
    file: File,
    offset: u64,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("fdatasync");
        std::fs::write(&path, vec![0; FILE_BYTES])?;
        let file = File::options().write(true).open(path)?;
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    /// Microseconds that each of so many synchronous writes took.
    pub(crate) fn writes(&mut self, times: u32) -> Result<Vec<f64>, Failure> {
        let mut took = Vec::new();
        for _ in 0..times {
            if self.offset + RECORD.len() as u64 > FILE_BYTES as u64 {
                self.offset = 0;
            }
            let began = Instant::now();
            self.file.write_all_at(&RECORD, self.offset)?;
            self.file.sync_data()?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
            self.offset += RECORD.len() as u64;
        }
        Ok(took)
    }
}

/// A folder on the disk of the work tree, whatever `/tmp` is made of.
pub(crate) fn folder() -> Result<tempfile::TempDir, Failure> {
    let target: PathBuf = report::folder().join("../target");
    std::fs::create_dir_all(&target)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(target)?)
}
