//! Powers and logarithms of two in integers: the same on every machine.

/// One, in the fixed point of [`exp2_minus`].
pub(crate) const ONE: u64 = 1 << 62;

/// Binary digits after the point of exponents and logarithms.
pub(crate) const BITS: u32 = 16;

/// 2^62 times 2 to the minus 1/2, 1/4, 1/8 …, rounded down.
const ROOTS: [u64; BITS as usize] = [
    3_260_954_456_333_195_553,
    3_877_950_241_171_266_237,
    4_228_934_724_888_366_667,
    4_416_165_660_797_809_419,
    4_512_867_096_753_504_462,
    4_562_008_997_483_360_349,
    4_586_780_255_215_411_730,
    4_599_216_278_082_138_665,
    4_605_446_927_862_164_404,
    4_608_565_417_332_308_034,
    4_610_125_453_837_388_245,
    4_610_905_670_110_601_999,
    4_611_295_827_762_151_833,
    4_611_490_918_967_884_500,
    4_611_588_467_665_893_036,
    4_611_637_242_788_701_950,
];

/// Two to the minus `x`, where `x` has [`BITS`] digits after the point, as a part of [`ONE`].
/// Never more for a greater `x`; 0 from 62 on.
pub(crate) fn exp2_minus(x: u64) -> u64 {
    let whole = x >> BITS;
    if whole >= 62 {
        return 0;
    }
    let mut power = ONE;
    // Digits after the point, the greatest first.
    let mut digits = (x as u16).reverse_bits();
    while digits != 0 {
        let root = ROOTS.get(digits.trailing_zeros() as usize).copied().unwrap_or(ONE);
        power = times(power, root);
        digits &= digits - 1;
    }
    power >> whole
}

/// That part of a number, rounded down.
pub(crate) fn times(number: u64, part: u64) -> u64 {
    // INVARIANT: a part is at most `ONE`, so the product is at most the number.
    ((u128::from(number) * u128::from(part)) >> 62) as u64
}

/// The logarithm to base 2, with [`BITS`] digits after the point, rounded down; 0 for 0.
pub(crate) fn log2(n: u64) -> u64 {
    let Some(whole) = n.checked_ilog2() else { return 0 };
    // The mantissa, from 1 to below 2, with 31 digits after the point.
    let mut mantissa = if whole <= 31 { n << (31 - whole) } else { n >> (whole - 31) };
    let mut log = u64::from(whole);
    for _ in 0..BITS {
        mantissa = (mantissa * mantissa) >> 31;
        let digit = mantissa >> 32;
        mantissa >>= digit;
        log = log << 1 | digit;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_are_exact() {
        assert_eq!(exp2_minus(0), ONE);
        assert_eq!(exp2_minus(1 << BITS), ONE / 2);
        assert_eq!(exp2_minus(u64::MAX), 0);
        assert_eq!(log2(1 << 40), 40 << BITS);
        // log2(3) = 1.58496…
        assert_eq!(log2(3), 103_872);
    }

    proptest! {
        #[test]
        fn both_are_near_what_they_should_be(x in 0..(20_u64 << BITS), n in 1..u64::from(u32::MAX)) {
            let (exact, whole) = (2_f64.powf(-(x as f64) / 65536.0), ONE as f64);
            prop_assert!((exp2_minus(x) as f64 / whole - exact).abs() < 1e-12);
            prop_assert!(exp2_minus(x + 1) < exp2_minus(x));
            prop_assert!(((log2(n) as f64) / 65536.0 - (n as f64).log2()).abs() < 1e-4);
            prop_assert!(log2(n + 1) >= log2(n));
        }
    }
}
