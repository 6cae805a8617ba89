//! The committer: the one thread that writes segments. One write and one fdatasync for all that
//! waits.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::frame::{frame_bytes, push_frame};
use crate::index::Index;
use crate::queue::{Queue, Work};
use crate::segment::{self, Disk, LedgerId, SegmentFile, SegmentHeader};

/// Bytes that are written at once, unless one entry alone is longer.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Where the next frame goes.
pub(crate) struct Place {
    pub(crate) file: Box<dyn SegmentFile>,
    /// Where in the segment.
    pub(crate) offset: u64,
    /// Bytes of the segment.
    pub(crate) capacity: u64,
}

pub(crate) struct Committer {
    pub(crate) data: PathBuf,
    pub(crate) ledger: LedgerId,
    pub(crate) segment_bytes: u64,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) index: Arc<Index>,
    pub(crate) queue: Arc<Queue>,
    /// Called when records have become durable.
    pub(crate) advanced: Box<dyn Fn() + Send>,
    pub(crate) place: Option<Place>,
    pub(crate) spare: Option<JoinHandle<io::Result<()>>>,
    pub(crate) batch: Batch,
}

/// Frames that will be written together.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Each record with its offset in the segment.
    records: Vec<(u64, u64)>,
}

impl Committer {
    /// Commits until the queue is closed. A failure is final: after a failed fdatasync nobody
    /// knows which pages are on the disk, so there is no second try.
    pub(crate) fn run(mut self) {
        while let Some(work) = self.queue.take() {
            if let Err(error) = self.commit(work) {
                tracing::error!(%error, "the ledger cannot be written; it takes no more records");
                self.queue.fail(&error.to_string());
            }
        }
        if let Some(spare) = self.spare.take() {
            // A spare that could not be made matters only when it is needed.
            drop(spare.join());
        }
    }

    fn commit(&mut self, work: Work) -> io::Result<()> {
        let mut batch = work.first;
        for (sequence, entry) in (work.first..).zip(&work.entries) {
            let attachment = entry.attachment.as_ref().map_or(0, Vec::len);
            let bytes = frame_bytes(entry.leaf.len(), attachment);
            let pending = self.batch.bytes.len() as u64;
            let room = self.place.as_ref().map_or(0, |place| place.capacity - place.offset);
            let full = pending + bytes > room;
            if full || pending > BATCH_BYTES as u64 {
                self.flush()?;
                batch = sequence;
            }
            if full {
                self.begin_segment(sequence, bytes)?;
            }
            let Some(place) = &self.place else {
                return Err(io::Error::other("no segment"));
            };
            let offset = place.offset + self.batch.bytes.len() as u64;
            self.batch.records.push((sequence, offset));
            push_frame(&mut self.batch.bytes, sequence, batch, entry);
        }
        self.flush()?;
        self.prepare_spare();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some((last, _)) = self.batch.records.last().copied() else {
            return Ok(());
        };
        let Some(place) = &mut self.place else {
            return Ok(());
        };
        place.file.write_all_at(&self.batch.bytes, place.offset)?;
        place.file.sync()?;
        place.offset += self.batch.bytes.len() as u64;
        self.index.add_records(self.batch.records.drain(..));
        self.batch.bytes.clear();
        self.batch.bytes.shrink_to(BATCH_BYTES);
        self.queue.advance(last + 1);
        (self.advanced)();
        Ok(())
    }

    /// Begins the segment of that record, with room for a frame of that size.
    fn begin_segment(&mut self, first: u64, bytes: u64) -> io::Result<()> {
        let spare_path = segment::spare_path(&self.data);
        let wanted = self.segment_bytes.max(segment::HEADER_BYTES + bytes);
        // A spare that could not be made is tried again: space may have been freed since.
        let prepared = match self.spare.take().map(JoinHandle::join) {
            Some(Ok(Ok(()))) => self.segment_bytes,
            _ => 0,
        };
        if prepared < wanted {
            self.disk.prepare(&spare_path, wanted)?;
        }
        let file = self.disk.open(&spare_path)?;
        let header = SegmentHeader { first, ledger: self.ledger };
        file.write_all_at(&header.encode(), 0)?;
        file.sync()?;
        let path = segment::path(&self.data, first);
        fs::rename(&spare_path, &path)?;
        segment::sync_folder(&segment::folder(&self.data))?;
        self.index.add_segment(first, Arc::new(File::open(&path)?));
        self.place = Some(Place { file, offset: segment::HEADER_BYTES, capacity: wanted });
        Ok(())
    }

    /// Makes the next segment ready while this one still has room, beside the committer.
    fn prepare_spare(&mut self) {
        let filling = self.place.as_ref().is_some_and(|p| p.offset > p.capacity / 2);
        if self.spare.is_some() || !filling {
            return;
        }
        let (disk, path, bytes) =
            (Arc::clone(&self.disk), segment::spare_path(&self.data), self.segment_bytes);
        let prepare = move || disk.prepare(&path, bytes);
        self.spare = std::thread::Builder::new().name("ledger-spare".into()).spawn(prepare).ok();
    }
}
