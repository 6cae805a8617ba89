//! The bytes of a text side by side, of short ones in two numbers and of others in blocks.

use super::swar;

/// Sixteen bytes of a short text, and questions of which each answer has the upper bit of the
/// bytes of which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short16(u128);

impl Short16 {
    /// Of these bytes, letters of ASCII in lower case.
    #[inline]
    pub(crate) fn lowered(bytes: u128) -> Self {
        let lower = |half: u64| half | swar::within(half, b'A', b'Z') >> 2;
        Self(each_half(bytes, lower))
    }

    /// The bytes.
    #[inline]
    pub(crate) const fn bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Letters of ASCII in lower case, dashes and underscores: what plain names are made of.
    #[inline]
    pub(crate) fn plain(self) -> u128 {
        let is = |half: u64, byte| swar::zeros(half ^ swar::of(byte));
        each_half(self.0, |half| swar::within(half, b'a', b'z') | is(half, b'-') | is(half, b'_'))
    }

    /// Spaces.
    #[inline]
    pub(crate) fn spaces(self) -> u128 {
        each_half(self.0, |half| swar::zeros(half ^ swar::of(b' ')))
    }

    /// The answer that holds of the first so many bytes.
    #[inline]
    pub(crate) const fn first(count: usize) -> u128 {
        let all = u128::MAX / 255 * 0x80;
        match count {
            0..16 => all & ((1 << (8 * count)) - 1),
            _ => all,
        }
    }
}

#[inline]
fn each_half(bytes: u128, of: impl Fn(u64) -> u64) -> u128 {
    u128::from(of((bytes >> 64) as u64)) << 64 | u128::from(of(bytes as u64))
}

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// Lower-case letters of ASCII, and whatever is not ASCII: one bit for each byte of a block, the
/// first the lowest.
#[inline]
pub(crate) fn letters(block: &[u8; BLOCK]) -> u64 {
    gathered(block, |byte| (byte.wrapping_sub(b'a') < 26) | (byte >= 0x80))
}

/// Spaces, in the same way.
#[inline]
pub(crate) fn spaces(block: &[u8; BLOCK]) -> u64 {
    gathered(block, |byte| byte == b' ')
}

/// Digits of ASCII, in the same way.
#[inline]
pub(crate) fn digits(block: &[u8; BLOCK]) -> u64 {
    gathered(block, |byte| byte.wrapping_sub(b'0') < 10)
}

/// The bit of each eight bytes of a block.
const PLACES: [[u8; 8]; BLOCK / 8] =
    [[1; 8], [2; 8], [4; 8], [8; 8], [16; 8], [32; 8], [64; 8], [128; 8]];

/// Of which bytes it holds. Each eight bytes have a bit of their own, so that all of them lie upon
/// each other in eight bytes; rows and columns of these are then exchanged.
#[inline]
fn gathered(block: &[u8; BLOCK], holds: impl Fn(u8) -> bool) -> u64 {
    let mut bits = [0; BLOCK];
    for ((bits, byte), place) in bits.iter_mut().zip(block).zip(PLACES.as_flattened()) {
        *bits = u8::from(holds(*byte)).wrapping_neg() & place;
    }
    let eights = bits.as_chunks::<8>().0.iter();
    turned(eights.fold(0, |all, eight| all | u64::from_le_bytes(*eight)))
}

/// Eight rows of eight bits with rows and columns exchanged.
#[inline]
const fn turned(rows: u64) -> u64 {
    let ones = (rows ^ rows >> 7) & 0x00AA_00AA_00AA_00AA;
    let rows = rows ^ ones ^ ones << 7;
    let twos = (rows ^ rows >> 14) & 0x0000_CCCC_0000_CCCC;
    let rows = rows ^ twos ^ twos << 14;
    let fours = (rows ^ rows >> 28) & 0x0000_0000_F0F0_F0F0;
    rows ^ fours ^ fours << 28
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_is_answered_for_alone(bytes: [u8; 16]) {
            let short = Short16::lowered(u128::from_le_bytes(bytes));
            let lowered = short.bytes();
            prop_assert_eq!(lowered, bytes.map(|byte| byte.to_ascii_lowercase()));
            for (at, lower) in lowered.into_iter().enumerate() {
                let is = |some: u128| some >> (8 * at) & 0xFF == 0x80;
                let plain = lower.is_ascii_lowercase() || matches!(lower, b'-' | b'_');
                prop_assert_eq!(is(short.plain()), plain);
                prop_assert_eq!(is(short.spaces()), lower == b' ');
                prop_assert_eq!(Short16::first(at).count_ones() as usize, at);
            }
        }

        #[test]
        fn each_byte_of_a_block_is_answered_for_alone(bytes in prop::collection::vec(any::<u8>(), BLOCK)) {
            let block = bytes.first_chunk().unwrap();
            for (at, byte) in block.iter().enumerate() {
                let is = |some: u64| some >> at & 1 == 1;
                prop_assert_eq!(is(letters(block)), byte.is_ascii_lowercase() || !byte.is_ascii());
                prop_assert_eq!(is(spaces(block)), *byte == b' ');
                prop_assert_eq!(is(digits(block)), byte.is_ascii_digit());
            }
        }
    }
}
