//! Where each record lies: per segment, the offset of every 64th record. The rest is a short walk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::cursor::{Attachments, CHUNK_LOOKUP, CHUNK_SEQUENTIAL, Cursor, Step};
use crate::frame::AttachmentState;

/// Records between two offsets that are kept.
const STRIDE: u64 = 64;

/// One segment, open for reading.
#[derive(Debug)]
struct Indexed {
    first: u64,
    file: Arc<File>,
    /// Offsets of records `first`, `first + 64`, and so on.
    marks: Vec<u64>,
}

/// The segments and their offsets. It holds durable records only.
#[derive(Debug, Default)]
pub(crate) struct Index {
    segments: RwLock<Vec<Indexed>>,
}

impl Index {
    /// A new last segment.
    pub(crate) fn add_segment(&self, first: u64, file: Arc<File>) {
        let segment = Indexed { first, file, marks: Vec::new() };
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Records of the last segment, in order, with their offsets.
    pub(crate) fn add_records(&self, records: impl IntoIterator<Item = (u64, u64)>) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = segments.last_mut() else {
            return;
        };
        for (sequence, offset) in records {
            if sequence.saturating_sub(last.first).is_multiple_of(STRIDE) {
                last.marks.push(offset);
            }
        }
    }

    /// A cursor near that record, at or before it.
    fn near(&self, sequence: u64, attachments: Attachments, chunk: usize) -> Option<Cursor> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let place = segments.partition_point(|segment| segment.first <= sequence).checked_sub(1)?;
        let segment = segments.get(place)?;
        let mark = (sequence - segment.first) / STRIDE;
        let offset = segment.marks.get(usize::try_from(mark).ok()?)?;
        let next = segment.first + mark * STRIDE;
        Some(Cursor::new(Arc::clone(&segment.file), next, *offset, attachments, chunk))
    }

    /// A cursor at that record.
    pub(crate) fn seek(&self, sequence: u64, chunk: usize) -> io::Result<Option<Cursor>> {
        let Some(mut cursor) = self.near(sequence, Attachments::Skip, chunk) else {
            return Ok(None);
        };
        while cursor.next_sequence() < sequence {
            match cursor.step()? {
                Step::Frame(_) => {}
                Step::End | Step::Bad(_) => return Err(unreadable(cursor.next_sequence())),
            }
        }
        Ok(Some(cursor))
    }

    /// The first record of the segment that holds that record.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<u64> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let place = segments.partition_point(|segment| segment.first <= sequence).checked_sub(1)?;
        segments.get(place).map(|segment| segment.first)
    }

    /// Reads one record's frame.
    pub(crate) fn read<T>(
        &self,
        sequence: u64,
        read: impl FnOnce(&crate::cursor::Frame<'_>) -> T,
    ) -> io::Result<Option<T>> {
        let Some(mut cursor) = self.seek(sequence, CHUNK_LOOKUP)? else {
            return Ok(None);
        };
        match cursor.step()? {
            Step::Frame(frame) => Ok(Some(read(&frame))),
            Step::End | Step::Bad(_) => Err(unreadable(sequence)),
        }
    }
}

impl Index {
    /// Reads one record's attachment; `None` where there is none, or none any more. What it holds
    /// is authenticated by its own encryption, beside the checksum.
    pub(crate) fn attachment(&self, sequence: u64) -> io::Result<Option<Vec<u8>>> {
        let found = self.read(sequence, |frame| (frame.header, frame.attachment_offset()))?;
        let Some((header, at)) = found else {
            return Ok(None);
        };
        let file = self.file_of(sequence);
        let (AttachmentState::Present, Some(file)) = (header.attachment, file) else {
            return Ok(None);
        };
        let mut bytes = vec![0; header.attachment_bytes];
        file.read_exact_at(&mut bytes, at)?;
        if header.attachment_holds(&bytes) {
            return Ok(Some(bytes));
        }
        // It may have been erased while it was read.
        match self.read(sequence, |frame| frame.attachment())? {
            Some(AttachmentState::Present) | None => Err(unreadable(sequence)),
            Some(_) => Ok(None),
        }
    }

    fn file_of(&self, sequence: u64) -> Option<Arc<File>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let place = segments.partition_point(|segment| segment.first <= sequence).checked_sub(1)?;
        segments.get(place).map(|segment| Arc::clone(&segment.file))
    }
}

fn unreadable(sequence: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("record {sequence} cannot be read"))
}

/// Reads durable records in order, from segment to segment.
pub(crate) struct Reader {
    index: Arc<Index>,
    cursor: Option<Cursor>,
    next: u64,
}

impl Reader {
    pub(crate) const fn new(index: Arc<Index>, from: u64) -> Self {
        Self { index, cursor: None, next: from }
    }

    /// The record that comes next.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Reads the next record, or nothing where it is not before `limit`.
    pub(crate) fn read<T>(
        &mut self,
        limit: u64,
        read: impl FnOnce(&crate::cursor::Frame<'_>) -> T,
    ) -> io::Result<Option<T>> {
        if self.next >= limit {
            return Ok(None);
        }
        // What was read ahead may have been written since, or the next segment may have begun:
        // then it is looked up again, once.
        if let Some(cursor) = &mut self.cursor
            && let Step::Frame(frame) = cursor.step()?
        {
            self.next += 1;
            return Ok(Some(read(&frame)));
        }
        let Some(mut cursor) = self.index.seek(self.next, CHUNK_SEQUENTIAL / 4)? else {
            return Err(unreadable(self.next));
        };
        let answer = match cursor.step()? {
            Step::Frame(frame) => read(&frame),
            Step::End | Step::Bad(_) => return Err(unreadable(self.next)),
        };
        self.next += 1;
        self.cursor = Some(cursor);
        Ok(Some(answer))
    }
}
