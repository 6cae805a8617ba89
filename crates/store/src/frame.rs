//! Frames: how a leaf and its attachment lie in a segment. docs/ledger-format.md draws them.

use std::fmt;

use safeconduct_ledger::LEAF_BYTES_MAX;
use safeconduct_service::Entry;

use crate::options::ATTACHMENT_BYTES_MAX;

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 40;

/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;

/// Where in a frame the state and checksum of its attachment lie: the only bytes of a header that
/// ever change.
pub(crate) const ATTACHMENT_STATE_OFFSET: u64 = 32;

/// The first four bytes of each frame, `SCF1`.
pub(crate) const MARKER: u32 = u32::from_le_bytes(*b"SCF1");

/// What has become of an entry's attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachmentState {
    /// There never was one.
    None,
    /// It is there.
    Present,
    /// It was overwritten.
    Erased,
}

impl AttachmentState {
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Present => 1,
            Self::Erased => 2,
        }
    }

    const fn of(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Present),
            2 => Some(Self::Erased),
            _ => None,
        }
    }
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameProblem {
    /// It does not begin as frames do.
    Marker,
    /// Its lengths are impossible.
    Length,
    /// It reaches beyond the end of its file.
    BeyondFile,
    /// Its leaf or header does not have its checksum.
    LeafChecksum,
    /// Its attachment does not have its checksum.
    AttachmentChecksum,
    /// Its attachment is in a state that does not exist.
    AttachmentState,
    /// It holds another record than should follow.
    Sequence {
        /// The record that it holds.
        found: u64,
    },
    /// The bytes that fill it up are not zero.
    Padding,
    /// There is nothing where a frame should be.
    Missing,
}

impl fmt::Display for FrameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker => f.write_str("no frame begins there"),
            Self::Length => f.write_str("its length is impossible"),
            Self::BeyondFile => f.write_str("it reaches beyond the end of the file"),
            Self::LeafChecksum => f.write_str("its checksum does not fit"),
            Self::AttachmentChecksum => f.write_str("its attachment's checksum does not fit"),
            Self::AttachmentState => f.write_str("its attachment's state is unknown"),
            Self::Sequence { found } => write!(f, "record {found} is in its place"),
            Self::Padding => f.write_str("the bytes that fill it up are not zero"),
            Self::Missing => f.write_str("it is not there"),
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) leaf_bytes: usize,
    pub(crate) sequence: u64,
    /// The first record that was written in the same batch.
    pub(crate) batch: u64,
    pub(crate) attachment_bytes: usize,
    pub(crate) attachment: AttachmentState,
    leaf_checksum: u32,
    attachment_checksum: u32,
    /// Checksum of the header's own part that never changes, to continue with the leaf.
    checked: u32,
}

impl Header {
    /// Reads a header; the lengths are possible afterwards.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameProblem> {
        let (fixed, rest) = bytes.split_at(28);
        let mut fields = Fields { rest: fixed };
        if fields.u32() != MARKER {
            return Err(FrameProblem::Marker);
        }
        let leaf_bytes = fields.u32() as usize;
        let sequence = fields.u64();
        let batch = fields.u64();
        let attachment_bytes = fields.u32() as usize;
        let possible = (1..=LEAF_BYTES_MAX).contains(&leaf_bytes)
            && attachment_bytes <= ATTACHMENT_BYTES_MAX
            && batch <= sequence;
        if !possible {
            return Err(FrameProblem::Length);
        }
        let mut fields = Fields { rest };
        let leaf_checksum = fields.u32();
        let attachment = AttachmentState::of(fields.u32()).ok_or(FrameProblem::AttachmentState)?;
        let attachment_checksum = fields.u32();
        let possible = (attachment == AttachmentState::None) == (attachment_bytes == 0)
            && (attachment == AttachmentState::Present || attachment_checksum == 0);
        if !possible {
            return Err(FrameProblem::AttachmentState);
        }
        Ok(Self {
            leaf_bytes,
            sequence,
            batch,
            attachment_bytes,
            attachment,
            leaf_checksum,
            attachment_checksum,
            checked: crc32c::crc32c(fixed),
        })
    }

    /// Bytes of the whole frame, with what fills it up to the next.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        frame_bytes(self.leaf_bytes, self.attachment_bytes)
    }

    pub(crate) fn leaf_holds(&self, leaf: &[u8]) -> bool {
        crc32c::crc32c_append(self.checked, leaf) == self.leaf_checksum
    }

    /// An erased attachment need not be all zero: where a crash cut the overwriting short, the
    /// store finishes it when it opens.
    pub(crate) fn attachment_holds(&self, attachment: &[u8]) -> bool {
        self.attachment != AttachmentState::Present
            || crc32c::crc32c(attachment) == self.attachment_checksum
    }
}

/// Bytes of a frame that holds so much.
pub(crate) const fn frame_bytes(leaf: usize, attachment: usize) -> u64 {
    (HEADER_BYTES as u64 + leaf as u64 + attachment as u64).next_multiple_of(ALIGNMENT)
}

/// Appends the frame of an entry.
pub(crate) fn push_frame(out: &mut Vec<u8>, sequence: u64, batch: u64, entry: &Entry) {
    let start = out.len();
    let attachment = entry.attachment.as_deref().unwrap_or_default();
    // INVARIANT: `submit` refuses leaves and attachments over their limits, so lengths fit.
    out.extend_from_slice(&MARKER.to_le_bytes());
    out.extend_from_slice(&(entry.leaf.len() as u32).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(&(attachment.len() as u32).to_le_bytes());
    let checked = crc32c::crc32c(out.get(start..).unwrap_or_default());
    let state =
        if attachment.is_empty() { AttachmentState::None } else { AttachmentState::Present };
    out.extend_from_slice(&crc32c::crc32c_append(checked, &entry.leaf).to_le_bytes());
    out.extend_from_slice(&state.code().to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(attachment).to_le_bytes());
    out.extend_from_slice(&entry.leaf);
    out.extend_from_slice(attachment);
    let frame = frame_bytes(entry.leaf.len(), attachment.len());
    out.resize(start + frame as usize, 0);
}

/// Little-endian fields, one after the other; zero beyond the end.
pub(crate) struct Fields<'a> {
    pub(crate) rest: &'a [u8],
}

impl Fields<'_> {
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.rest = rest;
                *field
            }
            None => [0; N],
        }
    }
}
