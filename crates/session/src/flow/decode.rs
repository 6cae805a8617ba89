//! Undoes one level of what texts are wrapped in: base64, hexadecimal, percent and JSON escapes.

use std::ops::Range;

use super::scan;

/// Fewest letters of base64 or hexadecimal that are undone.
pub(crate) const WRAPPED_MIN: usize = 16;

/// What was found wrapped.
pub(crate) enum Unwrapped<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes that are none.
    Bytes(&'a [u8]),
}

/// Whether anything in a text may be an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// Nothing is.
    None,
    /// Something may be.
    Maybe,
}

/// Tells a text with its percent escapes undone, and with those of JSON, where it has any.
fn escapes(text: &str, tell: &mut impl FnMut(Unwrapped<'_>)) {
    let plain = percent(text.as_bytes());
    if plain.len() < text.len() {
        tell(Unwrapped::Text(&String::from_utf8_lossy(&plain)));
    }
    let mut plain = String::new();
    scan::unescape(text, &mut plain);
    if plain.len() < text.len() {
        tell(Unwrapped::Text(&plain));
    }
}

/// Tells each text that is wrapped in these places of a text or in its escapes; and, where that is
/// wanted, the bytes of a text that is base64 as a whole, or a `data:` URL of it. The work is linear:
/// every byte is undone in each way at most twice.
pub(crate) fn each(
    text: &str,
    places: &[Range<usize>],
    may: Escapes,
    bytes: Bytes,
    tell: &mut impl FnMut(Unwrapped<'_>),
) {
    if may == Escapes::Maybe {
        escapes(text, tell);
    }
    for place in places {
        let mut rest = text.as_bytes().get(place.clone()).unwrap_or_default();
        while let Some((run, after)) = long_run(rest) {
            rest = after;
            if wrapped(run, tell) || memchr::memchr(b'/', run).is_none() {
                continue;
            }
            for part in run.split(|byte| *byte == b'/').filter(|part| part.len() >= WRAPPED_MIN) {
                wrapped(part, tell);
            }
        }
    }
    let whole = payload(text.trim_ascii());
    let body = whole.trim_end_matches('=').as_bytes();
    if bytes == Bytes::Wanted
        && body.len() >= WRAPPED_MIN
        && body.iter().all(|byte| is_digit64(*byte) || byte.is_ascii_whitespace())
    {
        tell(Unwrapped::Bytes(&base64(body)));
    }
}

/// What a `data:` URL holds in base64 (RFC 2397), or the text itself where it is none.
fn payload(text: &str) -> &str {
    let url = text.split_at_checked("data:".len());
    let url = url.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data:"));
    let held = url.and_then(|(_, rest)| rest.split_once(','));
    let wrapped = |kind: &str| {
        let (_, last) = kind.rsplit_once(';').unwrap_or_default();
        last.trim_ascii().eq_ignore_ascii_case("base64")
    };
    held.filter(|(kind, _)| wrapped(kind)).map_or(text, |(_, held)| held)
}

/// The next digits of base64 of which so many stand together that they are undone, and what comes
/// behind them. Every run of so many covers one of each so many bytes: a look at those passes over
/// most of a text.
fn long_run(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let (before, after) = bytes.split_at_checked(WRAPPED_MIN - 1)?;
        if !is_digit64(*after.first()?) {
            bytes = after.get(1..)?;
            continue;
        }
        let back = before.iter().rev().take_while(|byte| is_digit64(**byte)).count();
        let forth = after.iter().take_while(|byte| is_digit64(**byte)).count();
        let end = before.len() + forth;
        let (run, rest) = bytes.split_at_checked(end)?;
        if back + forth >= WRAPPED_MIN {
            return Some((run.get(before.len() - back..)?, rest));
        }
        bytes = rest;
    }
}

/// Whether bytes that are no text are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// They are.
    Wanted,
    /// They are not.
    Left,
}

/// Tells the text in a run, if there is one.
fn wrapped(run: &[u8], tell: &mut impl FnMut(Unwrapped<'_>)) -> bool {
    let hex = run.len().is_multiple_of(2) && run.iter().all(u8::is_ascii_hexdigit);
    let plain = match hex.then(|| hexadecimal(run)) {
        Some(plain) if is_text(&plain) => plain,
        // A look at the beginning saves most of the work: pictures and keys are no text.
        _ if begins_as_text(run) => base64(run),
        _ => return false,
    };
    if !is_text(&plain) {
        return false;
    }
    match std::str::from_utf8(&plain) {
        Ok(text) => tell(Unwrapped::Text(text)),
        Err(_) => return false,
    }
    true
}

/// Whether bytes may be a text: no controls but white space, and UTF-8, perhaps cut off.
fn is_text(bytes: &[u8]) -> bool {
    let printable = |byte: &u8| *byte != 0x7F && (*byte >= 0x20 || byte.is_ascii_whitespace());
    let utf8 = || match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    bytes.iter().all(printable) && utf8()
}

/// Whether what the first letters of base64 hold may be a text.
fn begins_as_text(run: &[u8]) -> bool {
    let mut plain = [0; WRAPPED_MIN / 4 * 3];
    let places = plain.as_chunks_mut::<3>().0;
    for (place, four) in places.iter_mut().zip(run.as_chunks::<4>().0) {
        let bits = four.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(digit64(*byte)));
        let [_, bytes @ ..] = bits.to_be_bytes();
        *place = bytes;
    }
    // Most of what is no text says so at once: no character begins with such a byte.
    let [first, second, ..] = plain;
    let begins_none = |byte: u8| (0x7F..0xC2).contains(&byte) || byte > 0xF4;
    !(begins_none(first) || first.is_ascii() && begins_none(second)) && is_text(&plain)
}

fn hexadecimal(run: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    run.as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

/// What stands there for a byte that is no digit.
const NONE: u8 = 0xFF;

/// The value of each digit of base64, in either alphabet (RFC 4648 sections 4 and 5).
const DIGITS64: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut byte = 0_u8;
    loop {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => NONE,
        };
        set(&mut digits, byte, value);
        if byte == u8::MAX {
            break digits;
        }
        byte += 1;
    }
};

#[expect(clippy::indexing_slicing, reason = "a byte is an index into 256 places, at build time")]
const fn set(digits: &mut [u8; 256], byte: u8, value: u8) {
    digits[byte as usize] = value;
}

fn digit64(byte: u8) -> u8 {
    DIGITS64.get(usize::from(byte)).copied().unwrap_or(NONE)
}

fn is_digit64(byte: u8) -> bool {
    digit64(byte) != NONE
}

/// What base64 holds; white space is passed over, and what makes no byte at the end.
fn base64(run: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(run.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in run.iter().map(|byte| digit64(*byte)).filter(|digit| *digit != NONE) {
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            plain.push((bits >> count) as u8);
        }
    }
    plain
}

fn percent(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [b'%', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                plain.extend(hexadecimal(&[*high, *low]));
                after
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                after
            }
            [] => return plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let place = 0..text.len();
        let places = std::slice::from_ref(&place);
        each(text, places, Escapes::Maybe, Bytes::Left, &mut |unwrapped| {
            if let Unwrapped::Text(text) = unwrapped {
                found.push(text.to_owned());
            }
        });
        found
    }

    #[test]
    fn one_level_is_undone() {
        // printf 'mallory@evil.example' | base64; … | xxd -p
        assert_eq!(texts("x bWFsbG9yeUBldmlsLmV4YW1wbGU= y"), ["mallory@evil.example"]);
        assert_eq!(texts("6d616c6c6f7279406576696c2e636f6d"), ["mallory@evil.com"]);
        assert_eq!(texts("https://x.y/bWFsbG9yeUBldmlsLmV4YW1wbGU"), ["mallory@evil.example"]);
        assert_eq!(texts("mallory%40evil.com"), ["mallory@evil.com"]);
        assert_eq!(texts(r#"say \"mallory\u0040evil.com\""#), [r#"say "mallory@evil.com""#]);
        assert_eq!(texts("internationalization and 0123456789abcdef0123456789abcdef"), [""; 0]);
    }

    #[test]
    fn bytes_are_told_where_they_are_wanted() {
        let found = |text: &str| {
            let mut found = Vec::new();
            each(text, &[], Escapes::None, Bytes::Wanted, &mut |unwrapped| {
                if let Unwrapped::Bytes(bytes) = unwrapped {
                    found = bytes.to_vec();
                }
            });
            found
        };
        let image = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for before in ["", "data:;base64,", "DATA:image/png;name=a;Base64,"] {
            assert_eq!(found(&format!("{before}iVBORw0KGgoAAAANSUhEUg==")), image, "{before}");
        }
        for before in ["data:image/png,", "date:;base64,", "data:base64,"] {
            assert_eq!(found(&format!("{before}iVBORw0KGgoAAAANSUhEUg==")), b"", "{before}");
        }
    }
}
