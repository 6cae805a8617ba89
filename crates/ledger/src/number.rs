//! Numbers that are no `i64`, in one notation.
//!
//! The text of a number is read as an exact decimal: sign, digits without zeros at either end, and
//! the place of the point. It is written as ECMAScript's `Number::toString` writes (RFC 8785
//! section 3.2.2.3 defers to it): plain up to 21 digits before the point and 6 zeros behind it,
//! with an exponent beyond. Where the shortest text that reads back as the same double has those
//! very digits, that is RFC 8785 to the byte: `1.50` gives `1.5`, `1e9` gives `1000000000`, `-0`
//! gives `0`. Any other number keeps all its digits, as in `18446744073709551615` or
//! `0.1000000000000000055511151231257827`, where RFC 8785 alone would round and two different
//! arguments could share a digest.
//!
//! One exponent does not fit that rule: a number whose exponent is beyond 64 bits is kept as it
//! was written. Such texts are still distinct from each other and from all others.

use crate::canonical::{write_integer, write_unsigned};

/// Appends the canonical text of a JSON number's text.
pub(crate) fn write_number(text: &str, out: &mut Vec<u8>) {
    let (unsigned, negative) = match text.strip_prefix('-') {
        Some(unsigned) => (unsigned, true),
        None => (text, false),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let trailing = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let Some(significant) = digits.get(leading..digits.len().saturating_sub(trailing)) else {
        // Nothing but zeros, counted from both ends: RFC 8785 writes minus zero as zero.
        out.push(b'0');
        return;
    };
    let point = exponent
        .parse::<i64>()
        .ok()
        .and_then(|exponent| exponent.checked_add(signed(whole.len()) - signed(leading)));
    let Some(point) = point else {
        out.extend_from_slice(text.as_bytes());
        return;
    };
    if negative {
        out.push(b'-');
    }
    write_decimal(significant, point, out);
}

/// Appends `0.DIGITS` times ten to the power of `point`, by the steps of ECMAScript's
/// `Number::toString`.
fn write_decimal(digits: &[u8], point: i64, out: &mut Vec<u8>) {
    let count = signed(digits.len());
    if count <= point && point <= 21 {
        out.extend_from_slice(digits);
        zeros(point - count, out);
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else if -6 < point && point <= 0 {
        out.extend_from_slice(b"0.");
        zeros(-point, out);
        out.extend_from_slice(digits);
    } else {
        let (first, rest) = digits.split_at(digits.len().min(1));
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.push(b'e');
        match point.checked_sub(1) {
            Some(exponent) if exponent < 0 => write_integer(exponent, out),
            Some(exponent) => {
                out.push(b'+');
                write_unsigned(exponent.unsigned_abs(), out);
            }
            // The smallest exponent of all: 64 bits hold it, but not the one below.
            None => out.extend_from_slice(b"-9223372036854775809"),
        }
    }
}

fn zeros(count: i64, out: &mut Vec<u8>) {
    let count = usize::try_from(count).unwrap_or(0);
    out.resize(out.len() + count, b'0');
}

/// A number's text has at most 64 bytes, so its lengths fit.
const fn signed(length: usize) -> i64 {
    length as i64
}
