//! Pieces of longer texts: a rolling hash over letters and digits, winnowed.

use super::key::FlowKey;

/// Letters and digits of one piece, in bytes of the normal form.
pub(crate) const PIECE: usize = 20;

/// Of that many pieces that follow each other, at least one is kept.
const WINDOW: usize = 21;

/// A run of that many letters and digits (bytes of the normal form; other characters do not
/// count) that was copied from a result is found in an argument.
pub const COPIED_RUN_FOUND: usize = PIECE + WINDOW - 1;

/// Which pieces are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// None.
    None,
    /// The least of each window.
    Winnowed,
    /// Each.
    Every,
}

/// Tells pieces of a text in its normal form.
pub(crate) fn each(key: &FlowKey, normal: &[u8], density: Density, mut tell: impl FnMut(u64)) {
    if density == Density::None || normal.len() < PIECE {
        return;
    }
    let counts = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    let base = key.base();
    let away = (0..PIECE).fold(1_u64, |power, _| power.wrapping_mul(base));
    let (mut state, mut seen) = (0_u64, 0_usize);
    let mut old = normal.iter().filter(|byte| counts(byte));
    let mut window = Window::new();
    for byte in normal.iter().filter(|byte| counts(byte)) {
        state = state.wrapping_mul(base).wrapping_add(u64::from(*byte) + 1);
        seen += 1;
        if seen > PIECE {
            let gone = old.next().map_or(0, |byte| u64::from(*byte) + 1);
            state = state.wrapping_sub(gone.wrapping_mul(away));
        }
        if seen >= PIECE {
            let print = key.finish(state);
            match density {
                Density::Every => tell(print),
                _ => {
                    if let Some(least) = window.push(print) {
                        tell(least);
                    }
                }
            }
        }
    }
    // A text of less than a window has a piece too.
    if density == Density::Winnowed && seen >= PIECE && seen < COPIED_RUN_FOUND {
        tell(window.least());
    }
}

struct Window {
    ring: [u64; WINDOW],
    count: usize,
    least: u64,
    /// When the least was pushed.
    at: usize,
}

impl Window {
    const fn new() -> Self {
        Self { ring: [u64::MAX; WINDOW], count: 0, least: u64::MAX, at: 0 }
    }

    const fn least(&self) -> u64 {
        self.least
    }

    /// Takes a piece in, and gives the least of a full window where it is another than before.
    fn push(&mut self, print: u64) -> Option<u64> {
        if let Some(slot) = self.ring.get_mut(self.count % WINDOW) {
            *slot = print;
        }
        self.count += 1;
        let new = if print <= self.least {
            (self.least, self.at) = (print, self.count);
            true
        } else if self.at + WINDOW <= self.count {
            // The least has left: the last of the equals is the least now.
            let ages = (0..WINDOW).map(|age| {
                let at = self.count - 1 - age;
                (self.ring.get(at % WINDOW).copied().unwrap_or(u64::MAX), age)
            });
            let (least, age) = ages.min().unwrap_or((u64::MAX, 0));
            (self.least, self.at) = (least, self.count - age);
            true
        } else {
            self.count == WINDOW
        };
        (new && self.count >= WINDOW).then_some(self.least)
    }
}
