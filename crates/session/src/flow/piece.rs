//! Pieces of longer texts.
//!
//! What is read leaves every [`PIECE`]th run of [`PIECE`] letters and digits behind; what is looked
//! up is compared at every place. So each copied run of [`COPIED_RUN_FOUND`] letters and digits
//! holds a piece that is known, with half of what winnowing both sides would keep.

use super::key::{Domain, FlowKey};

/// Letters and digits of one piece, in bytes of the normal form.
pub(crate) const PIECE: usize = 20;

/// A run of that many letters and digits (bytes of the normal form; other characters do not
/// count) that was copied from a result is found in an argument.
pub const COPIED_RUN_FOUND: usize = 2 * PIECE - 1;

/// Which pieces are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// Those that do not overlap.
    Apart,
    /// Each.
    Every,
}

/// Tells pieces of a text in its normal form; `letters` is room to work in.
pub(crate) fn each(
    key: &FlowKey,
    normal: &[u8],
    letters: &mut Vec<u8>,
    density: Density,
    mut tell: impl FnMut(u64),
) {
    if normal.len() < PIECE {
        return;
    }
    compact(normal, letters);
    let say = |piece: &[u8]| tell(key.print(Domain::Piece, piece));
    match density {
        Density::Apart => letters.chunks_exact(PIECE).for_each(say),
        Density::Every => letters.windows(PIECE).for_each(say),
    }
}

/// Whether a byte of the normal form counts.
pub(crate) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte >= 0x80
}

/// Copies letters and digits only, without a branch for each.
fn compact(normal: &[u8], letters: &mut Vec<u8>) {
    letters.clear();
    letters.resize(normal.len(), 0);
    let mut count = 0;
    for byte in normal {
        if let Some(slot) = letters.get_mut(count) {
            *slot = *byte;
        }
        count += usize::from(is_letter(*byte));
    }
    letters.truncate(count);
}
