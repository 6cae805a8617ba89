//! Eight bytes of a text side by side, in one number: the first byte is the lowest.
//!
//! Each answer has the upper bit of every byte of which it holds, and no other bit.

use super::key::padded;

const ONES: u64 = u64::MAX / 255;
const LOW: u64 = ONES * 0x7F;
const HIGH: u64 = ONES * 0x80;

/// Eight times that byte.
pub(crate) const fn of(byte: u8) -> u64 {
    ONES * byte as u64
}

/// Which bytes are zero.
#[inline]
pub(crate) const fn zeros(eight: u64) -> u64 {
    !((eight & LOW).wrapping_add(LOW) | eight) & HIGH
}

/// The first byte that is zero, and perhaps some behind it.
#[inline]
pub(crate) const fn first_zero(eight: u64) -> u64 {
    eight.wrapping_sub(ONES) & !eight & HIGH
}

/// Letters of ASCII, dashes and underscores.
#[inline]
pub(crate) const fn plain(eight: u64) -> u64 {
    let small = within(eight | of(0x20), b'a', b'z');
    small | zeros(eight ^ of(b'-')) | zeros(eight ^ of(b'_'))
}

/// Which bytes are ASCII of at least `first`, and of at most `last`.
#[inline]
pub(crate) const fn within(eight: u64, first: u8, last: u8) -> u64 {
    let low = eight & LOW;
    let reached = low.wrapping_add(ONES * (0x80 - first as u64));
    let passed = low.wrapping_add(ONES * (0x7F - last as u64));
    reached & !passed & !eight & HIGH
}

/// Whether a digit is among these bytes.
#[inline]
pub(crate) fn has_digit(bytes: &[u8]) -> bool {
    let (eights, rest) = bytes.as_chunks::<8>();
    let digits = |eight: u64| within(eight, b'0', b'9');
    let found = eights.iter().fold(0, |found, eight| found | digits(u64::from_le_bytes(*eight)));
    found != 0 || !rest.is_empty() && digits(padded(rest) as u64) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_is_answered_for_alone(bytes: [u8; 8], first in 0_u8..0x80, last in 0_u8..0x80) {
            prop_assume!(first <= last);
            let answered = |answer: u64| {
                prop_assert_eq!(answer & !HIGH, 0);
                Ok(answer.to_le_bytes().map(|byte| byte != 0))
            };
            let eight = u64::from_le_bytes(bytes);
            let expected = bytes.map(|byte| (first..=last).contains(&byte));
            prop_assert_eq!(answered(within(eight, first, last))?, expected);
            let is_plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
            prop_assert_eq!(answered(plain(eight))?, bytes.map(is_plain));
            let found = first_zero(eight ^ of(last)).trailing_zeros() / 8;
            let at = bytes.iter().position(|byte| *byte == last).unwrap_or(8);
            prop_assert_eq!(found as usize, at);
            prop_assert_eq!(answered(zeros(eight ^ of(last)))?, bytes.map(|byte| byte == last));
            for len in 0..8 {
                prop_assert_eq!(has_digit(&bytes[..len]), bytes[..len].iter().any(u8::is_ascii_digit));
            }
        }
    }
}
