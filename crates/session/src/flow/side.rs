//! Sixteen bytes of a text side by side, eight in each of two numbers.

use super::swar;

/// Some of sixteen bytes, one bit for each, the first the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Some16(u16);

impl Some16 {
    /// As a number.
    pub(crate) const fn bits(self) -> u64 {
        self.0 as u64
    }
}

/// What a tokeniser asks of sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Classes {
    /// Lower-case letters of ASCII, and whatever is not ASCII.
    pub(crate) letters: Some16,
    /// Spaces.
    pub(crate) spaces: Some16,
    /// Digits of ASCII.
    pub(crate) digits: Some16,
}

/// What normalisation asks of sixteen bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lowered {
    /// The bytes, letters of ASCII in lower case.
    pub(crate) bytes: [u8; 16],
    /// Spaces.
    pub(crate) spaces: Some16,
    /// Controls, and whatever is not ASCII.
    pub(crate) others: Some16,
}

fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let bytes = u128::from_le_bytes(*bytes);
    [bytes as u64, (bytes >> 64) as u64]
}

#[inline]
fn some(halves: [u64; 2], of: impl Fn(u64) -> u64) -> Some16 {
    let [low, high] = halves.map(|half| swar::gathered(of(half)) as u16);
    Some16(low | high << 8)
}

/// What a tokeniser asks.
#[inline]
pub(crate) fn classes(bytes: &[u8; 16]) -> Classes {
    let halves = halves(bytes);
    let letters = |half| swar::within(half, b'a', b'z') | half & swar::of(0x80);
    Classes {
        letters: some(halves, letters),
        spaces: some(halves, |half| swar::zeros(half ^ swar::of(b' '))),
        digits: some(halves, |half| swar::within(half, b'0', b'9')),
    }
}

/// Dashes and underscores.
#[inline]
pub(crate) fn dashes(bytes: &[u8; 16]) -> Some16 {
    let is = |half: u64, byte| swar::zeros(half ^ swar::of(byte));
    some(halves(bytes), |half| is(half, b'-') | is(half, b'_'))
}

/// What normalisation asks.
#[inline]
pub(crate) fn lowered(bytes: &[u8; 16]) -> Lowered {
    let halves = halves(bytes);
    let [low, high] = halves.map(|half| half | swar::within(half, b'A', b'Z') >> 2);
    Lowered {
        bytes: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
        spaces: some(halves, |half| swar::zeros(half ^ swar::of(b' '))),
        others: some(halves, |half| swar::within(half, 0x20, 0x7E) ^ swar::of(0x80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_is_answered_for_alone(bytes: [u8; 16]) {
            prop_assert_eq!(lowered(&bytes).bytes, bytes.map(|byte| byte.to_ascii_lowercase()));
            for (at, byte) in bytes.iter().enumerate() {
                let is = |some: Some16| some.bits() >> at & 1 == 1;
                let found = classes(&bytes);
                prop_assert_eq!(is(found.letters), byte.is_ascii_lowercase() || !byte.is_ascii());
                prop_assert_eq!(is(found.spaces), *byte == b' ');
                prop_assert_eq!(is(found.digits), byte.is_ascii_digit());
                prop_assert_eq!(is(dashes(&bytes)), matches!(byte, b'-' | b'_'));
                prop_assert_eq!(is(lowered(&bytes).others), byte.is_ascii_control() || !byte.is_ascii());
            }
        }
    }
}
