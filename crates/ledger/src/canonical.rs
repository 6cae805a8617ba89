//! Canonical bytes: one text for one value, so that a digest of it means something.
//!
//! For every value whose numbers an IEEE 754 double holds as they were written, these are the
//! bytes of RFC 8785. That RFC says nothing of other numbers (it rounds them away before it
//! begins); here they keep every digit, in the same notation, so that two numbers that differ
//! never share bytes: `1.50` is `1.5`, but `18446744073709551615` stays what it is.

use std::cmp::Ordering;
use std::sync::Arc;

use safeconduct_model::Value;

use crate::number::write_number;

/// The canonical bytes of a value.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_canonical(value, &mut out);
    out
}

/// Appends the canonical bytes of a value.
///
/// It recurses as deep as the value is; values come in with a bounded depth
/// ([`safeconduct_model::INPUT_DEPTH_MAX`]).
pub fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(n) => write_integer(*n, out),
        Value::Number(n) => write_number(n.as_str(), out),
        Value::String(text) => write_canonical_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) if members.keys().all(|name| sorts_as_bytes(name)) => {
            write_members(members.iter(), out);
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| utf16_order(a, b));
            write_members(sorted.into_iter(), out);
        }
    }
}

fn write_members<'a>(members: impl Iterator<Item = (&'a Arc<str>, &'a Value)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (name, value)) in members.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_canonical_string(name, out);
        out.push(b':');
        write_canonical(value, out);
    }
    out.push(b'}');
}

/// Whether a name sorts the same by UTF-8 bytes, as a `BTreeMap` does, and by UTF-16 code units,
/// as RFC 8785 section 3.2.3 wants. They differ only from U+E000 on, where UTF-16 puts the
/// surrogates of later characters first; 0xEE is the first byte of U+E000.
fn sorts_as_bytes(name: &str) -> bool {
    name.bytes().fold(true, |sorts, byte| sorts & (byte < 0xee))
}

fn utf16_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Appends a text as RFC 8785 section 3.2.2.2 writes it: quoted, only quotation mark, backslash
/// and control characters escaped, each in one way.
pub fn write_canonical_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if needs_escape(text.as_bytes()) {
        text.bytes().for_each(|byte| write_escaped(byte, out));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

/// Whether a text holds a quotation mark, a backslash or a control character. Eight bytes are
/// looked at at a time: most texts are a few words long.
fn needs_escape(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // Some byte below `n` borrows into its own high bit when `n` is taken away from it.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        found | below(word, 0x20) | is(word, b'"') | is(word, b'\\')
    });
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    found & HIGHS != 0 || rest.iter().any(special)
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        0x00..0x20 => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&hex_digits(byte));
            return;
        }
        _ => {
            out.push(byte);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Two lowercase hexadecimal digits.
pub(crate) const fn hex_digits(byte: u8) -> [u8; 2] {
    [hex_digit(byte >> 4), hex_digit(byte & 15)]
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

/// Appends an integer in decimal.
pub(crate) fn write_integer(n: i64, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    write_unsigned(n.unsigned_abs(), out);
}

/// Appends an unsigned integer in decimal.
pub(crate) fn write_unsigned(mut n: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // INVARIANT: a remainder by ten fits a byte.
        out.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests;
