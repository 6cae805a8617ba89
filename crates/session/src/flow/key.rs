//! Fingerprints: 64 bits of a value under a session's key.

use std::fmt;

/// What two fingerprints must share to be compared: 16 secret bytes of a session.
///
/// The function is a keyed multiply-and-fold, the same on every machine. It is no cryptographic
/// hash: whoever knows the key can make two values with one fingerprint, whoever does not cannot
/// aim at one. A collision adds the origin of another value; it takes none away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    start: u64,
    step: u64,
    end: u64,
    /// Base of the rolling hash: odd, and 5 modulo 8, so that its powers stay apart.
    base: u64,
}

/// What a fingerprint is of; one of a whole value never equals one of a piece of text by meaning
/// the same bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    /// A value, an address, a number, a date, a word.
    Value = 1,
    /// A value exactly as it is written, with what normalisation takes away.
    Exact = 2,
    /// Bytes that are no text.
    Bytes = 3,
    /// A run of words of a prompt that is longer than any phrase.
    Phrase = 4,
}

impl FlowKey {
    /// From 16 bytes. Equal bytes give equal fingerprints.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let second = u64::from_le_bytes(rest);
        let start = spread(first ^ 0x9E37_79B9_7F4A_7C15);
        let step = spread(second ^ start.rotate_left(23) ^ 0xD1B5_4A32_D192_ED03);
        let end = spread(first.rotate_left(32) ^ step ^ 0x8CB9_2BA7_2F3D_8DD7);
        let base = spread(second.rotate_left(17) ^ end);
        Self { start, step, end, base: base & !7 | 5 }
    }

    /// The fingerprint of these bytes; never 0.
    pub(crate) fn print(&self, domain: Domain, bytes: &[u8]) -> u64 {
        let mut state = self.start ^ (domain as u64).wrapping_mul(0xA076_1D64_78BD_642F);
        let (blocks, tail) = bytes.as_chunks::<16>();
        for block in blocks {
            state = self.absorb(state, block);
        }
        if !tail.is_empty() {
            let (first, last) = ends(tail);
            state = fold(first ^ state, last ^ self.step);
        }
        self.finish(state ^ bytes.len() as u64)
    }

    fn absorb(&self, state: u64, block: &[u8; 16]) -> u64 {
        let both = u128::from_le_bytes(*block);
        fold(both as u64 ^ state, (both >> 64) as u64 ^ self.step)
    }

    /// Turns a state, such as one of the rolling hash, into a fingerprint.
    pub(crate) fn finish(&self, state: u64) -> u64 {
        fold(state ^ self.end, self.step | 1).max(1)
    }

    /// What the rolling hash multiplies by.
    pub(crate) const fn base(&self) -> u64 {
        self.base
    }
}

impl Default for FlowKey {
    fn default() -> Self {
        Self::from_bytes([0; 16])
    }
}

/// The key is a secret.
impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowKey")
    }
}

/// All of one to fifteen bytes in two words, which overlap; the length tells how.
fn ends(bytes: &[u8]) -> (u64, u64) {
    let short = |bytes: &[u8]| {
        let word = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        match (bytes.first_chunk(), bytes.last_chunk(), bytes) {
            (Some(first), Some(last), _) => (word(first), word(last)),
            (_, _, [a, b, c]) => (u64::from_le_bytes([*a, *b, *c, 0, 0, 0, 0, 0]), 0),
            (_, _, [a, b]) => (u64::from(u16::from_le_bytes([*a, *b])), 0),
            (_, _, [a]) => (u64::from(*a), 0),
            _ => (0, 0),
        }
    };
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => short(bytes),
    }
}

/// The finisher of SplitMix64.
const fn spread(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The two halves of the product, one upon the other.
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    product as u64 ^ (product >> 64) as u64
}
