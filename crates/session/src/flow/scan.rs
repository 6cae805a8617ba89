//! Reads JSON as it comes, without building values and without recursion.

use super::swar;

/// Deepest document that is read by its structure; a deeper one is a text.
pub(crate) const DEPTH_MAX: usize = 1024;

/// Who is told what a document holds.
pub(crate) trait Visitor {
    /// An object or a list begins.
    fn open(&mut self);
    /// It ends; `empty` where nothing was in it.
    fn close(&mut self, content: Content);
    /// The name of the member that follows.
    fn name(&mut self, name: &str);
    /// An element follows.
    fn element(&mut self);
    /// A text.
    fn text(&mut self, text: &str);
    /// A number, as it is written.
    fn number(&mut self, text: &str);
    /// `true`, `false` or `null`.
    fn word(&mut self, word: &str);
    /// A comment, in forms that have such.
    fn comment(&mut self, text: &str) {
        self.text(text);
    }
    /// Whether it has seen enough.
    fn is_full(&self) -> bool;
}

/// Whether a container has anything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing.
    Empty,
    /// Something.
    Some,
}

/// How a document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All of it was read.
    Whole,
    /// The visitor was full.
    Full,
    /// It is no JSON, or too deep.
    NotJson,
}

/// Reads one document. Duplicate names are all told; control characters in texts are let pass.
pub(crate) fn json(text: &str, visitor: &mut impl Visitor) -> End {
    let mut scanner = Scanner { text, at: 0, stack: Vec::new(), unescaped: String::new() };
    match scanner.document(visitor) {
        Some(end) => end,
        None => End::NotJson,
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Whether each container around is an object.
    stack: Vec<Around>,
    unescaped: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Object,
    Array,
}

impl Scanner<'_> {
    fn document(&mut self, visitor: &mut impl Visitor) -> Option<End> {
        loop {
            // A value is due.
            let opened = match self.peek()? {
                b'{' => Some(Around::Object),
                b'[' => Some(Around::Array),
                _ => {
                    self.scalar(visitor)?;
                    None
                }
            };
            if let Some(around) = opened {
                self.at += 1;
                if self.stack.len() >= DEPTH_MAX {
                    return None;
                }
                visitor.open();
                let end = if around == Around::Object { b'}' } else { b']' };
                if self.peek()? == end {
                    self.at += 1;
                    visitor.close(Content::Empty);
                } else {
                    self.stack.push(around);
                    self.head(around, visitor)?;
                    continue;
                }
            }
            if visitor.is_full() {
                return Some(End::Full);
            }
            // A value has ended.
            loop {
                let Some(around) = self.stack.last().copied() else {
                    return self.peek().is_none().then_some(End::Whole);
                };
                match (self.peek()?, around) {
                    (b',', _) => {
                        self.at += 1;
                        self.head(around, visitor)?;
                        break;
                    }
                    (b'}', Around::Object) | (b']', Around::Array) => {
                        self.at += 1;
                        self.stack.pop();
                        visitor.close(Content::Some);
                    }
                    _ => return None,
                }
            }
        }
    }

    /// What comes before a value.
    fn head(&mut self, around: Around, visitor: &mut impl Visitor) -> Option<()> {
        if around == Around::Array {
            visitor.element();
            return Some(());
        }
        if self.peek()? != b'"' {
            return None;
        }
        self.string(|name| visitor.name(name))?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn scalar(&mut self, visitor: &mut impl Visitor) -> Option<()> {
        let first = self.peek()?;
        if first == b'"' {
            return self.string(|text| visitor.text(text));
        }
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
            .count();
        let word = self.text.get(self.at..self.at + length)?;
        match word {
            "true" | "false" | "null" => visitor.word(word),
            _ if first == b'-' || first.is_ascii_digit() => visitor.number(word),
            _ => return None,
        }
        self.at += length;
        Some(())
    }

    /// The text that begins here.
    fn string(&mut self, tell: impl FnOnce(&str)) -> Option<()> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut escaped = false;
        loop {
            end += quote_or_escape(bytes.get(end..)?)?;
            if bytes.get(end) == Some(&b'"') {
                break;
            }
            escaped = true;
            end += 2;
        }
        let raw = self.text.get(start..end)?;
        self.at = end + 1;
        if escaped {
            self.unescaped.clear();
            unescape(raw, &mut self.unescaped);
            tell(&self.unescaped);
        } else {
            tell(raw);
        }
        Some(())
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte > b' ' { Some(byte) } else { self.peek_behind_space() }
    }

    #[inline(never)]
    fn peek_behind_space(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }
}

/// Where the next quote or backslash stands. Most texts are short: of the first 32 bytes eight are
/// looked at side by side.
#[inline]
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    for (number, eight) in bytes.as_chunks::<8>().0.iter().take(NEAR).enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let (quotes, escapes) = (eight ^ swar::of(b'"'), eight ^ swar::of(b'\\'));
        let found = swar::first_zero(quotes) | swar::first_zero(escapes);
        if found != 0 {
            return Some(number * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let from = (bytes.len() / 8).min(NEAR) * 8;
    memchr::memchr2(b'"', b'\\', bytes.get(from..)?).map(|at| from + at)
}

/// Undoes the escapes of JSON, leniently: what is no escape stays as it is.
pub(crate) fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let mut chars = escape.chars().skip(1);
        let (plain, length) = match chars.next() {
            Some('n') => ('\n', 2),
            Some('t') => ('\t', 2),
            Some('r') => ('\r', 2),
            Some('b') => ('\u{8}', 2),
            Some('f') => ('\u{c}', 2),
            Some(c @ ('"' | '\\' | '/')) => (c, 2),
            Some('u') => code_unit(escape, 2).map_or(('\\', 1), |unit| character(escape, unit)),
            _ => ('\\', 1),
        };
        out.push(plain);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// The character of that code unit, and how many bytes its escape has.
fn character(escape: &str, unit: u16) -> (char, usize) {
    if let Some(c) = char::from_u32(u32::from(unit)) {
        return (c, 6);
    }
    let low = escape.get(6..).filter(|rest| rest.starts_with("\\u"));
    let low = low.and_then(|rest| code_unit(rest, 2));
    match low.map(|low| char::decode_utf16([unit, low]).next()) {
        Some(Some(Ok(c))) => (c, 12),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

fn code_unit(escape: &str, at: usize) -> Option<u16> {
    let digits = escape.get(at..at + 4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok())?
}
