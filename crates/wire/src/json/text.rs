//! Strings: the plain run is copied once, escapes are put together in a scratch text.

use std::sync::Arc;

use super::error::{Failure, JsonProblem};

/// Reads a string whose first byte after the quote is at `start`; gives it with the offset
/// behind its closing quote.
pub(super) fn string(
    text: &str,
    start: usize,
    scratch: &mut String,
) -> Result<(Arc<str>, usize), Failure> {
    let end = plain_run(text.as_bytes(), start);
    if text.as_bytes().get(end) == Some(&b'"') {
        return Ok((run(text, start, end).into(), end + 1));
    }
    scratch.clear();
    let (mut start, mut end) = (start, end);
    loop {
        scratch.push_str(run(text, start, end));
        match text.as_bytes().get(end) {
            Some(b'"') => return Ok((scratch.as_str().into(), end + 1)),
            Some(b'\\') => {
                let (c, next) = escape(text, end)?;
                scratch.push(c);
                start = next;
            }
            Some(_) => return Err(Failure::new(JsonProblem::ControlCharacter, end)),
            None => return Err(Failure::new(JsonProblem::Truncated, end)),
        }
        end = plain_run(text.as_bytes(), start);
    }
}

/// The string without escapes whose first byte after the quote is at `start`, with the offset
/// behind its closing quote.
pub(super) fn plain(text: &str, start: usize) -> Option<(&str, usize)> {
    let end = plain_run(text.as_bytes(), start);
    (text.as_bytes().get(end) == Some(&b'"')).then(|| (run(text, start, end), end + 1))
}

/// The text between two offsets that both stand at ASCII characters.
fn run(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

/// The offset of the first quote, backslash or control character from `at`, or the end.
fn plain_run(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let mut rest = bytes.get(at..).unwrap_or_default();
    let mut skipped = 0;
    // Eight bytes at a time: a byte below `n` borrows into its high bit when `n` is taken away
    // from it. A borrow may spill into higher bytes, so the word is searched from its lowest
    // byte; that is why it is read as little-endian.
    while let Some((chunk, behind)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let below = |w: u64, n: u64| w.wrapping_sub(ONES * n) & !w;
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslashes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = (below(word, 0x20) | quotes | backslashes) & HIGHS;
        if found != 0 {
            return at + skipped + found.trailing_zeros() as usize / 8;
        }
        skipped += 8;
        rest = behind;
    }
    let special = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
    at + skipped + rest.iter().position(special).unwrap_or(rest.len())
}

/// Reads the escape whose backslash is at `at`; gives its character with the offset behind it.
fn escape(text: &str, at: usize) -> Result<(char, usize), Failure> {
    let short = |c: char| Ok((c, at + 2));
    match text.as_bytes().get(at + 1) {
        Some(b'"') => short('"'),
        Some(b'\\') => short('\\'),
        Some(b'/') => short('/'),
        Some(b'b') => short('\u{8}'),
        Some(b'f') => short('\u{c}'),
        Some(b'n') => short('\n'),
        Some(b'r') => short('\r'),
        Some(b't') => short('\t'),
        Some(b'u') => unicode_escape(text, at),
        Some(_) => Err(Failure::new(JsonProblem::UnknownEscape, at)),
        None => Err(Failure::new(JsonProblem::Truncated, at + 1)),
    }
}

fn unicode_escape(text: &str, at: usize) -> Result<(char, usize), Failure> {
    let unpaired = || Failure::new(JsonProblem::UnpairedSurrogate, at);
    let high = code_unit(text, at)?;
    if !(0xD800..=0xDFFF).contains(&high) {
        return Ok((char::from_u32(high).ok_or_else(unpaired)?, at + 6));
    }
    if high >= 0xDC00 || text.as_bytes().get(at + 6..at + 8) != Some(b"\\u") {
        return Err(unpaired());
    }
    let low = code_unit(text, at + 6)?;
    if !(0xDC00..=0xDFFF).contains(&low) {
        return Err(unpaired());
    }
    let c = char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
    Ok((c.ok_or_else(unpaired)?, at + 12))
}

/// The four hexadecimal digits of a `\u` escape whose backslash is at `at`.
fn code_unit(text: &str, at: usize) -> Result<u32, Failure> {
    let Some(digits) = text.as_bytes().get(at + 2..at + 6) else {
        return Err(Failure::new(JsonProblem::Truncated, text.len()));
    };
    digits.iter().try_fold(0, |unit, &digit| {
        let digit = char::from(digit).to_digit(16);
        digit.map(|d| unit << 4 | d).ok_or(Failure::new(JsonProblem::UnknownEscape, at))
    })
}
