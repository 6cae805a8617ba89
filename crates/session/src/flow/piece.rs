//! Pieces of longer texts.
//!
//! What is read leaves its normal form behind in pieces of [`PIECE`] bytes that do not overlap;
//! what is looked up is compared at every place. So each copied run of [`COPIED_RUN_FOUND`]
//! bytes holds a piece that is known, with half of what winnowing on both sides would keep.

use super::key::{Domain, FlowKey};

/// Bytes of one piece.
pub(crate) const PIECE: usize = 24;

/// A run of that many bytes of the normal form that was copied from a result is found in an
/// argument. Case, the kind and amount of white space, and invisible characters do not count.
pub const COPIED_RUN_FOUND: usize = 2 * PIECE - 1;

/// Which pieces are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// None.
    None,
    /// Those that do not overlap.
    Apart,
    /// Each.
    Every,
}

/// Tells pieces of a text in its normal form.
pub(crate) fn each(key: &FlowKey, normal: &[u8], density: Density, mut tell: impl FnMut(u64)) {
    match density {
        Density::None => {}
        Density::Apart => {
            let (pieces, _) = normal.as_chunks::<PIECE>();
            pieces.iter().for_each(|piece| tell(key.print_piece(piece)));
        }
        Density::Every => {
            let pieces = normal.windows(PIECE).filter_map(|piece| piece.first_chunk());
            pieces.for_each(|piece| tell(key.print_piece(piece)));
        }
    }
}

impl FlowKey {
    #[inline]
    fn print_piece(&self, piece: &[u8; PIECE]) -> u64 {
        self.print(Domain::Piece, piece)
    }
}
