//! Segment files: names, headers, and how one is made ready before it is needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::frame::Fields;

/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: u64 = 64;

/// The version of the format of segments.
pub const SEGMENT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"SCLEDGER";
const SUFFIX: &str = ".seg";
const SPARE: &str = "spare.tmp";

/// A ledger's own random name, the same in all its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerId(pub [u8; 16]);

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The sequence number of its first record.
    pub(crate) first: u64,
    /// Which ledger it belongs to.
    pub(crate) ledger: LedgerId,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.ledger.0);
        bytes.resize(CHECKED_BYTES, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().unwrap_or([0; HEADER_BYTES as usize])
    }

    /// Reads a header. The error is what is wrong with it, in words.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES as usize]) -> Result<Self, String> {
        let (checked, checksum) = bytes.split_at(CHECKED_BYTES);
        let mut fields = Fields { rest: checked };
        if &fields.take::<8>() != MAGIC {
            return Err("it is no segment of a ledger".into());
        }
        let version = fields.u32();
        if version != SEGMENT_VERSION {
            return Err(format!(
                "its format has version {version}, and this program reads \
                                version {SEGMENT_VERSION}"
            ));
        }
        let _header_bytes = fields.u32();
        if crc32c::crc32c(checked) != (Fields { rest: checksum }).u32() {
            return Err("its header's checksum does not fit".into());
        }
        Ok(Self { first: fields.u64(), ledger: LedgerId(fields.take()) })
    }
}

/// Bytes of the header that its checksum covers.
const CHECKED_BYTES: usize = HEADER_BYTES as usize - 4;

/// The folder of the segments.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("segments")
}

/// Where the segment of that first record lies.
pub(crate) fn path(data: &Path, first: u64) -> PathBuf {
    folder(data).join(format!("{first:020}{SUFFIX}"))
}

/// Where a segment is prepared.
pub(crate) fn spare_path(data: &Path) -> PathBuf {
    folder(data).join(SPARE)
}

/// The first records of all segments, in order, by their names. Other files are passed over.
pub(crate) fn list(data: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for file in fs::read_dir(folder(data))? {
        let name = file?.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
            continue;
        };
        if digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            firsts.extend(digits.parse::<u64>().ok());
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// A segment that is written to. The seam where tests make disks fail.
pub(crate) trait SegmentFile: Send + Sync {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl SegmentFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What makes and opens segments for writing.
pub(crate) trait Disk: Send + Sync {
    /// Makes the spare: a file of that many zero bytes, allocated and durable.
    fn prepare(&self, path: &Path, bytes: u64) -> io::Result<()> {
        prepare(path, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
}

/// The disk as it is.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }
}

/// Zeros are written, not only reserved: a write into blocks that are merely reserved changes
/// metadata, and then each fdatasync waits for the file system's journal too.
fn prepare(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // Some file systems cannot reserve; then the zeros do it.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    zero(&file, 0, bytes)
}

/// Writes zeros and makes them durable, a few megabytes at a time, so that a commit beside it
/// never waits for all of them.
pub(crate) fn zero(file: &File, from: u64, until: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut offset = from;
    while offset < until {
        let step = (until - offset).min(zeros.len() as u64);
        FileExt::write_all_at(file, zeros.get(..step as usize).unwrap_or_default(), offset)?;
        offset += step;
        if (offset - from).is_multiple_of(4 << 20) {
            file.sync_data()?;
        }
    }
    file.sync_all()
}

/// Makes a rename or a new file in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
