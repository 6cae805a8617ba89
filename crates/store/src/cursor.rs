//! Reading a segment frame by frame.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::frame::{AttachmentState, FrameProblem, HEADER_BYTES, Header};

/// A frame as it was read.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) offset: u64,
    pub(crate) header: Header,
    pub(crate) leaf: &'a [u8],
    /// False where an erasure was begun and some of its bytes are not yet zero. Known only where
    /// attachments are checked.
    pub(crate) finished: bool,
}

impl Frame<'_> {
    pub(crate) const fn attachment_offset(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + self.header.leaf_bytes as u64
    }

    pub(crate) const fn attachment(&self) -> AttachmentState {
        self.header.attachment
    }
}

/// What lies at the cursor.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// The frame that should.
    Frame(Frame<'a>),
    /// Nothing: the file ends, or zeros follow where a header would be.
    End,
    /// Something else.
    Bad(FrameProblem),
}

/// Whether attachments are read and held against their checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attachments {
    Check,
    Skip,
}

/// A place in a segment. It stays where it is unless a frame was read.
pub(crate) struct Cursor {
    file: Arc<File>,
    next: u64,
    offset: u64,
    attachments: Attachments,
    chunk: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Cursor {
    /// A cursor at the frame of record `next`, which lies at `offset`. `chunk` is how many bytes
    /// are read at once.
    pub(crate) const fn new(
        file: Arc<File>,
        next: u64,
        offset: u64,
        attachments: Attachments,
        chunk: usize,
    ) -> Self {
        Self { file, next, offset, attachments, chunk, buffer: Vec::new(), buffer_at: 0 }
    }

    /// The record that should come next.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Where its frame should lie.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the frame at the cursor and moves behind it.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        let offset = self.offset;
        let Some(header) = self.bytes(offset, HEADER_BYTES)?.and_then(<[u8]>::first_chunk) else {
            return Ok(Step::End);
        };
        if header == &[0; HEADER_BYTES] {
            return Ok(Step::End);
        }
        let header = match Header::parse(header) {
            Ok(header) => header,
            Err(problem) => return Ok(Step::Bad(problem)),
        };
        let mut finished = true;
        if self.attachments == Attachments::Check && header.attachment_bytes > 0 {
            let at = offset + (HEADER_BYTES + header.leaf_bytes) as u64;
            match self.bytes(at, header.attachment_bytes)? {
                None => return Ok(Step::Bad(FrameProblem::BeyondFile)),
                Some(attachment) if !header.attachment_holds(attachment) => {
                    return Ok(Step::Bad(FrameProblem::AttachmentChecksum));
                }
                Some(attachment) => {
                    finished = header.attachment != AttachmentState::Erased
                        || attachment.iter().all(|byte| *byte == 0);
                }
            }
        }
        let content = HEADER_BYTES + header.leaf_bytes + header.attachment_bytes;
        let padding = (header.frame_bytes() as usize).saturating_sub(content);
        let padding = if self.attachments == Attachments::Check { padding } else { 0 };
        match self.bytes(offset + content as u64, padding)? {
            None => return Ok(Step::Bad(FrameProblem::BeyondFile)),
            Some(padding) if padding.iter().any(|byte| *byte != 0) => {
                return Ok(Step::Bad(FrameProblem::Padding));
            }
            Some(_) => {}
        }
        let Some(leaf) = self.bytes(offset + HEADER_BYTES as u64, header.leaf_bytes)? else {
            return Ok(Step::Bad(FrameProblem::BeyondFile));
        };
        if !header.leaf_holds(leaf) {
            return Ok(Step::Bad(FrameProblem::LeafChecksum));
        }
        if header.sequence != self.next {
            return Ok(Step::Bad(FrameProblem::Sequence { found: header.sequence }));
        }
        self.next += 1;
        self.offset += header.frame_bytes();
        // Read again from the buffer: a borrow that is returned cannot have been moved past.
        let leaf = self.bytes(offset + HEADER_BYTES as u64, header.leaf_bytes)?.unwrap_or_default();
        Ok(Step::Frame(Frame { offset, header, leaf, finished }))
    }

    /// So many bytes of the file from there on, read ahead where need be; `None` where the file
    /// ends before.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let buffered = at
            .checked_sub(self.buffer_at)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip.saturating_add(length) <= self.buffer.len());
        let skip = match buffered {
            Some(skip) => skip,
            None => {
                self.fill(at, length.max(self.chunk))?;
                0
            }
        };
        Ok(self.buffer.get(skip..skip + length))
    }

    fn fill(&mut self, at: u64, length: usize) -> io::Result<()> {
        self.buffer.resize(length, 0);
        self.buffer_at = at;
        let mut filled = 0;
        while let Some(rest) = self.buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

/// Bytes read at once when a segment is read through.
pub(crate) const CHUNK_SEQUENTIAL: usize = 1 << 20;

/// Bytes read at once when one record is looked up.
pub(crate) const CHUNK_LOOKUP: usize = 16 << 10;
