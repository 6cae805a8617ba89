//! Finds in a text what looks like an address, an id, a number or a date, and its words.

use super::canonical;
use super::decode::WRAPPED_MIN;
use super::form::{AT, Block, COLON, COMMA, DIGIT, EDGE, END, Form, LETTER, PART, class, classes};
use super::forms::{Forms, Print, Prints};
use super::key::{Domain, FlowKey};
use super::side::BLOCK;
use super::text::{Places, Sink, Token, Want};

/// Longest token that is taken as one, in bytes of its normal form; a longer one is known by its
/// pieces only.
const TOKEN_BYTES_MAX: usize = 2048;

/// Longest word, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Fewest bytes of a word.
pub(crate) const WORD_BYTES_MIN: usize = 3;

/// Whether letters are a word: there are neither too few nor too many of them.
pub(crate) fn is_word(letters: &[u8]) -> bool {
    (WORD_BYTES_MIN..=WORD_BYTES_MAX).contains(&letters.len())
}

/// Most groups of one number that is written with spaces.
const GROUPS_MAX: usize = 9;

/// Tells the tokens and words of a text in its normal form.
/// Tokens that are long enough to wrap something are also said in `long`.
pub(crate) fn each(key: &FlowKey, form: &Form, long: &mut Places, sink: &mut impl Sink) {
    let (normal, padded) = (form.as_bytes(), form.padded());
    let length = normal.len();
    let mut finder = Finder { key, normal, padded, sink };
    let every_word = finder.sink.wants().words == Want::Yes;
    let mut start = 0;
    // Whether the token so far holds anything but letters.
    let mut other = 0_u64;
    for (number, Block { ends, others }) in form.blocks().iter().enumerate() {
        let (mut ends, others) = (*ends, *others);
        let at = number * BLOCK;
        if !every_word && other == 0 && !has_long_token(ends, length - at, at - start) {
            // Only what is no word is looked at.
            let mut marks = others & !ends;
            while marks != 0 {
                let below = (1_u64 << marks.trailing_zeros()) - 1;
                let behind = ends & !below;
                let start = after_last(ends & below, at).unwrap_or(start);
                if behind == 0 {
                    other = marks;
                    break;
                }
                finder.found(start, at + behind.trailing_zeros() as usize, marks, long);
                marks &= u64::MAX << behind.trailing_zeros();
            }
            start = after_last(ends, at).unwrap_or(start);
            continue;
        }
        let mut from = 0;
        while ends != 0 {
            let end = ends.trailing_zeros();
            ends &= ends - 1;
            // Bits of this block from the token's start up to its end.
            let within = ((1_u64 << end) - 1) & (u64::MAX << from);
            finder.found(start, at + end as usize, other | (others & within), long);
            start = at + end as usize + 1;
            from = end + 1;
            other = 0;
            if from == 64 {
                break;
            }
        }
        other |= if from < 64 { others & (u64::MAX << from) } else { 0 };
    }
    finder.found(start, length, other, long);
}

/// Where the token begins that comes after the last of these ends of a block.
fn after_last(ends: u64, at: usize) -> Option<usize> {
    (ends != 0).then(|| at + (u64::BITS - ends.leading_zeros()) as usize)
}

/// Whether a token that is long enough to wrap something may end or stand in a block of that many
/// bytes, where some before it belong to its first token.
fn has_long_token(ends: u64, length: usize, before: usize) -> bool {
    let within = !ends & first_bits(length);
    let two = within & within >> 1;
    let four = two & two >> 2;
    let eight = four & four >> 4;
    let first = ends.trailing_zeros() as usize;
    before + first >= WRAPPED_MIN || eight & eight >> 8 != 0
}

const _: () = assert!(WRAPPED_MIN == 16);

/// Bytes from the start of a word that are read at once.
const WORD_READ: usize = 16;

/// That many bits, at least one.
fn first_bits(count: usize) -> u64 {
    u64::MAX >> (BLOCK - count.clamp(1, BLOCK))
}

/// Bytes that are read back from a day or a year: the longest name of a month, and marks.
const MONTH_READ: usize = 16;

/// Whether a word begins with the first three letters of a month.
#[inline]
fn may_be_month(word: &[u8]) -> bool {
    let [a, b, c, ..] = *word else { return false };
    let letters = u32::from_le_bytes([a, b, c, 0]);
    MONTHS.get(month_place(letters)) == Some(&letters)
}

/// A place for three letters: no two months have one.
const fn month_place(letters: u32) -> usize {
    (letters.wrapping_mul(0x3B6F_E507) >> 28) as usize
}

const MONTHS: [u32; 16] = {
    let mut months = [0; 16];
    let mut rest = b"janfebmaraprmayjunjulaugsepoctnovdec".as_slice();
    while let [a, b, c, after @ ..] = rest {
        put_month(&mut months, u32::from_le_bytes([*a, *b, *c, 0]));
        rest = after;
    }
    months
};

#[expect(clippy::indexing_slicing, reason = "four bits are an index into 16 places, at build time")]
const fn put_month(months: &mut [u32; 16], letters: u32) {
    let place = month_place(letters);
    assert!(months[place] == 0);
    months[place] = letters;
}

struct Finder<'a, S> {
    key: &'a FlowKey,
    normal: &'a [u8],
    /// The same with a block of letters behind it.
    padded: &'a [u8],
    sink: &'a mut S,
}

impl<S: Sink> Finder<'_, S> {
    #[inline]
    fn found(&mut self, start: usize, end: usize, other: u64, long: &mut Places) {
        if start >= end {
            return;
        }
        if end - start >= WRAPPED_MIN {
            long.push(start..end);
        }
        match other {
            0 => self.word(start, end),
            _ => self.token(start, end),
        }
    }

    fn token(&mut self, start: usize, end: usize) {
        let token = self.normal.get(start..end).unwrap_or_default();
        if token.first().is_some_and(u8::is_ascii_digit) {
            self.month_before(start);
        }
        let known = classes(token);
        // A comma belongs to a number; in anything else it ends a token.
        if known & COMMA != 0 && canonical::number(trimmed(token).1).is_none() {
            let mut from = start;
            for part in token.split(|byte| *byte == b',') {
                self.trimmed(from, part, classes(part));
                from += part.len() + 1;
            }
        } else {
            self.trimmed(start, token, known);
        }
    }

    fn trimmed(&mut self, start: usize, token: &[u8], known: u16) {
        let (skipped, trimmed) = trimmed(token);
        let start = start + skipped;
        if trimmed.is_empty() || trimmed.len() > TOKEN_BYTES_MAX {
            return;
        }
        let same = trimmed.len() == token.len();
        let classes = if same { known } else { classes(trimmed) };
        let token = trimmed;
        if classes == LETTER {
            return self.word(start, start + token.len());
        }
        if classes & DIGIT == 0 {
            return self.address(token, classes);
        }
        let ask = self.sink.wants().ask;
        let plain = canonical::is_plain_number(token);
        let repeats = token.len() == self.normal.len();
        let told = repeats && self.sink.wants().repeats == Want::No;
        if repeats && !plain && canonical::number(token).is_none() {
            // The whole text was told in each of its forms.
            self.parts(token, classes);
        } else if told {
            // So was a number.
        } else if plain {
            let prints = Prints::of_plain_number(self.key, token, ask);
            self.sink.token(prints.as_slice(), Token::Number(token.len()));
        } else {
            let prints = Prints::of(self.key, token, Forms::Any, ask);
            if prints.is_number() {
                self.sink.token(prints.as_slice(), Token::Number(token.len()));
            } else {
                self.sink.token(prints.as_slice(), Token::Address(token.len()));
                self.parts(token, classes);
            }
        }
        self.groups(start, token);
    }

    #[inline]
    fn word(&mut self, start: usize, end: usize) {
        let length = end - start;
        if !(WORD_BYTES_MIN..=WORD_BYTES_MAX).contains(&length) {
            return;
        }
        let Some(block) = self.padded.get(start..).and_then(|rest| rest.first_chunk()) else {
            return;
        };
        if self.sink.wants().words == Want::Yes {
            let (key, normal) = (self.key, self.normal);
            self.sink.word(|| match length {
                ..WORD_READ => key.print_short(Domain::Value, *block, length),
                _ => key.print(Domain::Value, normal.get(start..end).unwrap_or_default()),
            });
        }
    }

    /// The date around the name of a month, where a word that is one stands before a token that
    /// begins with a digit, as its day or year does.
    fn month_before(&mut self, start: usize) {
        let Some(before) = self.normal.get(..start).and_then(|text| text.strip_suffix(b" ")) else {
            return;
        };
        let from = before.len().saturating_sub(MONTH_READ);
        let read = before.get(from..).unwrap_or_default();
        let marks = read.iter().rev().take_while(|byte| class(**byte) & EDGE != 0).count();
        let read = read.get(..read.len() - marks).unwrap_or_default();
        let ends = |byte: &u8| class(*byte) & (END | COMMA) != 0;
        let word = read.iter().rposition(ends).map_or(0, |at| at + 1);
        let (skipped, name) = trimmed(read.get(word..).unwrap_or_default());
        if may_be_month(name) && canonical::month(name).is_some() {
            self.date_around(from + word + skipped, name.len());
        }
    }

    /// An address without a digit.
    fn address(&mut self, token: &[u8], classes: u16) {
        // The whole text was told.
        if token.len() < self.normal.len() {
            let prints = Prints::of(self.key, token, Forms::Own, self.sink.wants().ask);
            self.sink.token(prints.as_slice(), Token::Address(token.len()));
        }
        self.parts(token, classes);
    }

    /// What stands in an address.
    fn parts(&mut self, token: &[u8], classes: u16) {
        let (key, sink) = (self.key, &mut *self.sink);
        // `to=alice@example.com`, `mailto:alice@example.com`
        let at = if classes & AT != 0 { memchr::memchr(b'@', token) } else { None };
        let before = at.and_then(|at| token.get(..at)).unwrap_or_default();
        if let Some(mark) = before.iter().rposition(|byte| matches!(byte, b'=' | b':' | b'/')) {
            let mail = token.get(mark + 1..).unwrap_or_default();
            let print = Print::same(key.print(Domain::Value, mail));
            sink.token(&[print], Token::Address(mail.len()));
        }
        if classes & COLON != 0
            && let Some(host) = host(token, classes)
        {
            sink.token(&[Print::same(key.print(Domain::Value, host))], Token::Host);
        }
        let fewest = sink.wants().components_min;
        if fewest < token.len() {
            for part in token.split(|byte| class(*byte) & PART != 0) {
                if part.len() < fewest || part.len() == token.len() {
                    continue;
                }
                let (has, is) = (Forms::of(part), Token::Component(part.len()));
                if has == Forms::Own && !part.contains(&b'.') {
                    // A word: it has no other form.
                    sink.token(&[Print::same(key.print(Domain::Value, part))], is);
                } else {
                    let prints = Prints::of(key, part, has, sink.wants().ask);
                    sink.token(prints.as_slice(), is);
                }
            }
        }
    }

    /// Account and telephone numbers that are written in groups, from the first group on: each
    /// length that may be meant.
    fn groups(&mut self, start: usize, token: &[u8]) {
        let account = matches!(token, [a, b, c, d] if a.is_ascii_lowercase()
            && b.is_ascii_lowercase() && c.is_ascii_digit() && d.is_ascii_digit());
        let bracket = start.checked_sub(1).and_then(|at| self.normal.get(at)) == Some(&b'(');
        let digits = token.iter().all(u8::is_ascii_digit);
        let telephone = (token.starts_with(b"+") || token.starts_with(b"0") || bracket && digits)
            && token.len() <= 16;
        if !account && !telephone {
            return;
        }
        // A bracket belongs to what it stands before.
        let opened = usize::from(bracket && telephone);
        let rest = self.normal.get(start - opened..).unwrap_or_default();
        let mut end = token.len() + opened;
        for _ in 0..GROUPS_MAX {
            let gap =
                rest.iter().skip(end).take_while(|byte| matches!(byte, b' ' | b'(' | b')')).count();
            let from = end + gap;
            let group = rest.get(from..).unwrap_or_default();
            let length = group
                .iter()
                .take(20)
                .take_while(|byte| {
                    byte.is_ascii_alphanumeric() || telephone && matches!(byte, b'-' | b'.' | b'/')
                })
                .count();
            if gap == 0 || length == 0 {
                return;
            }
            end = from + length;
            let written = rest.get(..end).unwrap_or_default();
            let written = if account { written } else { trimmed(written).1 };
            let prints = Prints::of_groups(self.key, written, self.sink.wants().ask);
            if !prints.as_slice().is_empty() {
                self.sink.token(prints.as_slice(), Token::Address(written.len()));
            }
        }
    }

    /// A date around the name of its month.
    fn date_around(&mut self, start: usize, length: usize) {
        let before = self.normal.get(..start).unwrap_or_default().trim_ascii_end();
        let day =
            before.iter().rev().take(4).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let from_day = before.len() - day;
        let after = |words: usize| {
            let mut end = start + length;
            for _ in 0..words {
                let rest = self.normal.get(end..)?;
                let gap =
                    rest.iter().take(2).take_while(|b| matches!(b, b' ' | b'.' | b',')).count();
                let word =
                    rest.iter().skip(gap).take(5).take_while(|b| b.is_ascii_alphanumeric()).count();
                let comma = usize::from(rest.get(gap + word) == Some(&b','));
                end += gap + word + comma;
            }
            Some(end)
        };
        for (from, words) in [(from_day, 1), (start, 2)] {
            let written =
                after(words).and_then(|end| self.normal.get(from..end)).unwrap_or_default();
            let written = trimmed(written).1;
            if canonical::date(written).is_some() {
                let prints = Prints::of(self.key, written, Forms::Any, self.sink.wants().ask);
                return self.sink.token(prints.as_slice(), Token::Address(written.len()));
            }
        }
    }
}

/// A token without the marks around it, and how many bytes came before.
fn trimmed(token: &[u8]) -> (usize, &[u8]) {
    let edge = |byte: &u8| class(*byte) & EDGE != 0;
    let start = token.iter().position(|byte| !edge(byte)).unwrap_or(token.len());
    let end = token.iter().rposition(|byte| !edge(byte)).map_or(start, |at| at + 1);
    (start, strip_currency(token.get(start..end).unwrap_or_default()))
}

/// A number without the sign of a currency around it.
fn strip_currency(token: &[u8]) -> &[u8] {
    if token.first().is_none_or(|byte| *byte < 0x80) && token.last().is_none_or(|byte| *byte < 0x80)
    {
        return token;
    }
    ["€", "£", "¥"].iter().fold(token, |token, sign| {
        let token = token.strip_prefix(sign.as_bytes()).unwrap_or(token);
        token.strip_suffix(sign.as_bytes()).unwrap_or(token)
    })
}

/// The host of a URL.
fn host(token: &[u8], classes: u16) -> Option<&[u8]> {
    let mut behind = token;
    let rest = loop {
        let colon = behind.iter().position(|byte| *byte == b':')?;
        behind = behind.get(colon + 1..)?;
        if let Some(rest) = behind.strip_prefix(b"//") {
            break rest;
        }
    };
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'\\');
    let end = rest.iter().position(ends).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let user = match classes & AT {
        0 => 0,
        _ => authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1),
    };
    let host = authority.get(user..)?;
    let port = host.iter().rposition(|byte| *byte == b':').unwrap_or(host.len());
    host.get(..port).filter(|host| !host.is_empty())
}
