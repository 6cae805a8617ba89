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
    /// A piece of a longer text.
    Piece = 5,
    /// The one form of a number or a day that is written otherwise.
    Number = 6,
    /// A telephone number that is nothing else.
    Telephone = 7,
    /// The digits of what may be a telephone number.
    Digits = 8,
    /// The letters and digits of an account number, whatever stood between them.
    Account = 9,
    /// An address of the web without its scheme.
    Web = 10,
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
        Self { start, step, end }
    }

    /// What tells keys apart without giving one away: fingerprints under another key are found by
    /// nothing, so that whoever keeps them says with this under which they were made.
    pub fn tag(&self) -> [u8; 8] {
        self.print(Domain::Exact, b"safeconduct flow key").to_le_bytes()
    }

    /// The fingerprint of these bytes; never 0.
    #[inline]
    pub(crate) fn print(&self, domain: Domain, bytes: &[u8]) -> u64 {
        let mut state = self.begin(domain);
        let (blocks, tail) = bytes.as_chunks::<16>();
        for block in blocks {
            state = self.absorb(state, u128::from_le_bytes(*block));
        }
        if !tail.is_empty() {
            state = self.absorb(state, padded(tail));
        }
        self.finish(state ^ bytes.len() as u64)
    }

    /// The fingerprint of a value of one to fifteen bytes, at the start of these sixteen.
    #[inline]
    pub(crate) fn print_short(&self, domain: Domain, bytes: [u8; 16], len: usize) -> u64 {
        let kept = KEPT.get(len).copied().unwrap_or(u128::MAX);
        let state = self.absorb(self.begin(domain), u128::from_le_bytes(bytes) & kept);
        self.finish(state ^ len as u64)
    }

    #[inline]
    fn begin(&self, domain: Domain) -> u64 {
        self.start ^ (domain as u64).wrapping_mul(0xA076_1D64_78BD_642F)
    }

    #[inline]
    fn absorb(&self, state: u64, both: u128) -> u64 {
        fold(both as u64 ^ state, (both >> 64) as u64 ^ self.step)
    }

    #[inline]
    fn finish(&self, state: u64) -> u64 {
        fold(state ^ self.end, self.step | 1).max(1)
    }
}

/// The first bytes of sixteen, by how many.
const KEPT: [u128; 16] = {
    let mut kept = [0; 16];
    let (mut rest, mut bits) = (kept.as_mut_slice(), 0);
    while let [first, after @ ..] = rest {
        *first = (1_u128 << bits) - 1;
        bits += 8;
        rest = after;
    }
    kept
};

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

/// One to fifteen bytes with zeros behind them.
#[inline]
pub(crate) fn padded(bytes: &[u8]) -> u128 {
    let len = bytes.len() as u32;
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let high = u128::from(u64::from_le_bytes(*last)) >> (8 * (16 - len.clamp(8, 16)));
            u128::from(u64::from_le_bytes(*first)) | high << 64
        }
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                let high = u64::from(u32::from_le_bytes(*last)) >> (8 * (8 - len.clamp(4, 8)));
                u128::from(u64::from(u32::from_le_bytes(*first)) | high << 32)
            }
            // Of one to three, the first, the middle and the last are all.
            _ => {
                let at = |place: usize| match bytes.get(place) {
                    Some(byte) => u32::from(*byte) << (8 * place),
                    None => 0,
                };
                u128::from(at(0) | at(bytes.len() / 2) | at(bytes.len().saturating_sub(1)))
            }
        },
    }
}

/// The finisher of SplitMix64.
const fn spread(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The two halves of the product, one upon the other.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_have_one_print() {
        let key = FlowKey::from_bytes([9; 16]);
        let text = *b"abcdefghijklmnopqrstuvwxyz012345";
        for len in 1..16 {
            let mut zeros = [0; 16];
            zeros[..len].copy_from_slice(&text[..len]);
            assert_eq!(padded(&text[..len]), u128::from_le_bytes(zeros), "{len}");
            let short = key.print_short(Domain::Value, text[..16].try_into().unwrap(), len);
            assert_eq!(key.print(Domain::Value, &text[..len]), short, "{len}");
        }
        let all: std::collections::BTreeSet<u64> =
            (0..=32).map(|len| key.print(Domain::Value, &text[..len])).collect();
        assert_eq!(all.len(), 33);
        let other = FlowKey::from_bytes([8; 16]);
        assert_ne!(key.print(Domain::Value, b"a"), other.print(Domain::Value, b"a"));
        assert_ne!(key.tag(), other.tag());
        assert_ne!(key.print(Domain::Value, b"a"), key.print(Domain::Exact, b"a"));
    }

    /// Fingerprints are sealed in ledgers: another program must make the same.
    #[test]
    fn a_print_is_the_same_everywhere() {
        let key = FlowKey::from_bytes([1; 16]);
        let print = key.print(Domain::Value, b"mallory@evil.example");
        assert_eq!(print, GOLDEN, "{print:#x}");
    }

    const GOLDEN: u64 = 0xacf4_e520_e32a_2b90;
}
