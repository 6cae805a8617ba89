//! Pieces of longer texts: a rolling hash over letters and digits, winnowed.

use super::key::FlowKey;

/// Letters and digits of one piece, in bytes of the normal form.
pub(crate) const PIECE: usize = 24;

/// Of that many pieces that follow each other, at least one is kept.
const WINDOW: usize = 25;

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

/// What pieces are made with; kept from one text to the next.
#[derive(Default)]
pub(crate) struct Pieces {
    /// The letters and digits of the text.
    letters: Vec<u8>,
    /// The rolling hash at the end of each piece.
    states: Vec<u64>,
}

impl Pieces {
    /// Tells pieces of a text in its normal form.
    pub(crate) fn each(
        &mut self,
        key: &FlowKey,
        normal: &[u8],
        density: Density,
        mut tell: impl FnMut(u64),
    ) {
        if density == Density::None || normal.len() < PIECE {
            return;
        }
        self.roll(key, normal);
        match density {
            Density::Every => self.states.iter().for_each(|state| tell(key.finish(*state))),
            _ => winnow(&self.states, |state| tell(key.finish(state))),
        }
    }

    fn roll(&mut self, key: &FlowKey, normal: &[u8]) {
        self.letters.clear();
        self.states.clear();
        let counts = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte >= 0x80;
        self.letters.extend(normal.iter().filter(counts));
        let Some((first, rest)) = self.letters.split_at_checked(PIECE) else { return };
        let base = key.base();
        let value = |byte: &u8| u64::from(*byte) + 1;
        let add = |state: u64, byte: &u8| state.wrapping_mul(base).wrapping_add(value(byte));
        let mut state = first.iter().fold(0, add);
        let away = (0..PIECE).fold(1_u64, |power, _| power.wrapping_mul(base));
        self.states.push(state);
        self.states.extend(rest.iter().zip(&self.letters).map(|(new, old)| {
            state = add(state, new).wrapping_sub(value(old).wrapping_mul(away));
            state
        }));
    }
}

/// Tells the least of each window, the last of equals; of less than a window, the least of all.
fn winnow(states: &[u64], mut tell: impl FnMut(u64)) {
    let (mut least, mut at) = (u64::MAX, 0);
    let mut told = None;
    for (now, state) in states.iter().enumerate() {
        if *state <= least {
            (least, at) = (*state, now);
        } else if at + WINDOW <= now {
            let from = now + 1 - WINDOW;
            let window = states.get(from..=now).unwrap_or_default();
            least = u64::MAX;
            for (age, state) in window.iter().enumerate() {
                if *state <= least {
                    (least, at) = (*state, from + age);
                }
            }
        }
        if now + 1 >= WINDOW && told != Some(least) {
            tell(least);
            told = Some(least);
        }
    }
    if told.is_none() && !states.is_empty() {
        tell(least);
    }
}
