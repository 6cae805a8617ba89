//! Erasing attachments where they lie. The leaf, its checksum and the tree stay as they are.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::cursor::Frame;
use crate::frame::{ATTACHMENT_STATE_OFFSET, AttachmentState};
use crate::segment::{self, Disk};

/// An attachment's place in its segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attached {
    frame: u64,
    at: u64,
    bytes: usize,
}

impl Attached {
    /// Where a frame's attachment lies.
    pub(crate) const fn of(frame: &Frame<'_>) -> Self {
        Self {
            frame: frame.offset,
            at: frame.attachment_offset(),
            bytes: frame.header.attachment_bytes,
        }
    }
}

/// Overwrites attachments, given by the first records of their segments.
///
/// In two steps, each durable before the next: they are marked as erased, then overwritten. So a
/// crash in between leaves no attachment that is there by its mark and zero by its bytes; what is
/// marked and not yet zero is finished when the store opens.
pub(crate) fn erase(
    data: &Path,
    disk: &dyn Disk,
    attached: &BTreeMap<u64, Vec<Attached>>,
) -> io::Result<()> {
    let mark = {
        // State and checksum, eight bytes that lie in one sector.
        let mut mark = [0; 8];
        let (state, _checksum) = mark.split_at_mut(4);
        state.copy_from_slice(&AttachmentState::Erased.code().to_le_bytes());
        mark
    };
    for (first, attached) in attached {
        let file = disk.open(&segment::path(data, *first))?;
        for one in attached {
            file.write_all_at(&mark, one.frame + ATTACHMENT_STATE_OFFSET)?;
        }
        file.sync()?;
        for one in attached {
            file.write_all_at(&vec![0; one.bytes], one.at)?;
        }
        file.sync()?;
    }
    Ok(())
}
