//! Ways to read a text: as it stands, or with the escapes of URLs and of JSON undone. Each byte
//! that is read knows which bytes of the text it came from.

/// A text, read in one way.
#[derive(Clone)]
pub(super) struct View {
    /// What is read.
    pub(super) bytes: Vec<u8>,
    /// Where each byte starts in the text; one more than there are bytes: the end.
    starts: Vec<usize>,
    /// Where the last, incomplete escape starts in the text; its end where there is none.
    pub(super) complete_to: usize,
}

/// One step of reading.
enum Token {
    /// So many bytes stand for these.
    Escape(usize, Vec<u8>),
    /// One byte stands for itself.
    Plain,
    /// An escape may have begun, and the text ends.
    Incomplete,
}

impl View {
    /// The text as it stands.
    pub(super) fn raw(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), starts: (0..=text.len()).collect(), complete_to: text.len() }
    }

    /// Where in the text the bytes `from..to` of the view stand.
    pub(super) fn span(&self, from: usize, to: usize) -> (usize, usize) {
        let at = |index: usize| self.starts.get(index).copied();
        let end = self.starts.last().copied().unwrap_or_default();
        let start = at(from).unwrap_or(end);
        // An escape that stands for several bytes belongs to the span if one of them does.
        let last = to.checked_sub(1).filter(|last| *last >= from).and_then(at);
        let past =
            |last| self.starts.get(to..).and_then(|s| s.iter().find(|s| **s > last).copied());
        (start, last.map_or(start, |last| past(last).unwrap_or(end)))
    }

    /// The first byte of the view that comes from that place or behind it.
    pub(super) fn index_of(&self, place: usize) -> usize {
        self.starts.partition_point(|start| *start < place).min(self.bytes.len())
    }

    /// The place itself where a byte of the view starts there, or the nearest before it.
    pub(super) fn boundary(&self, place: usize) -> usize {
        let index = self.starts.partition_point(|start| *start <= place);
        self.starts.get(index.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// With `%XX` undone; `None` where there is none.
    pub(super) fn percent_decoded(&self) -> Option<Self> {
        self.decoded(b'%', percent)
    }

    /// With `+` read as a space, as forms write it; `None` where there is none.
    pub(super) fn plus_decoded(&self) -> Option<Self> {
        self.decoded(b'+', |_| Token::Escape(1, vec![b' ']))
    }

    /// With the escapes of JSON strings undone; `None` where there is none.
    pub(super) fn json_decoded(&self) -> Option<Self> {
        self.decoded(b'\\', json)
    }

    fn decoded(&self, mark: u8, read: impl Fn(&[u8]) -> Token) -> Option<Self> {
        if !self.bytes.contains(&mark) {
            return None;
        }
        let end = self.starts.last().copied().unwrap_or_default();
        let (mut bytes, mut starts) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let (mut index, mut complete_to) = (0, self.complete_to);
        // What an incomplete escape will stand for is not known: no escape reaches into it.
        let known = self.index_of(self.complete_to);
        while let Some(rest) = self.bytes.get(index..).filter(|rest| !rest.is_empty()) {
            let start = self.starts.get(index).copied().unwrap_or(end);
            let sure = self.bytes.get(index..known).unwrap_or_default();
            let token = if sure.first() == Some(&mark) { read(sure) } else { Token::Plain };
            let length = match token {
                Token::Escape(length, read) => {
                    starts.extend(std::iter::repeat_n(start, read.len()));
                    bytes.extend(read);
                    length
                }
                Token::Plain => {
                    starts.push(start);
                    bytes.extend(rest.first());
                    1
                }
                Token::Incomplete => {
                    complete_to = complete_to.min(start);
                    starts.push(start);
                    bytes.extend(rest.first());
                    1
                }
            };
            index += length;
        }
        starts.push(end);
        Some(Self { bytes, starts, complete_to })
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

fn percent(rest: &[u8]) -> Token {
    match rest.get(1..3) {
        Some(digits) => match hex(digits).and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => Token::Escape(3, vec![byte]),
            None => Token::Plain,
        },
        None if rest.iter().skip(1).all(u8::is_ascii_hexdigit) => Token::Incomplete,
        None => Token::Plain,
    }
}

fn json(rest: &[u8]) -> Token {
    let plain = |byte: u8| Token::Escape(2, vec![byte]);
    match rest.get(1) {
        None => Token::Incomplete,
        Some(b'b') => plain(8),
        Some(b'f') => plain(12),
        Some(b'n') => plain(b'\n'),
        Some(b'r') => plain(b'\r'),
        Some(b't') => plain(b'\t'),
        Some(b'u') => json_unicode(rest),
        Some(byte @ (b'"' | b'\\' | b'/')) => plain(*byte),
        Some(_) => Token::Plain,
    }
}

fn json_unicode(rest: &[u8]) -> Token {
    let unit = |from: usize| match rest.get(from..from + 4) {
        Some(digits) => hex(digits).map(Some).ok_or(()),
        None => Ok(None),
    };
    let digits = |from: usize| rest.iter().skip(from).all(u8::is_ascii_hexdigit);
    let escape = |length, code| match char::from_u32(code) {
        Some(c) => Token::Escape(length, c.to_string().into_bytes()),
        None => Token::Plain,
    };
    let first = match unit(2) {
        Ok(Some(first)) => first,
        Ok(None) if digits(2) => return Token::Incomplete,
        _ => return Token::Plain,
    };
    if !(0xD800..0xDC00).contains(&first) {
        return escape(6, first);
    }
    // The second half of a pair (RFC 8259 section 7).
    match (rest.get(6), rest.get(7), unit(8)) {
        (None, ..) | (Some(b'\\'), None, _) => Token::Incomplete,
        (Some(b'\\'), Some(b'u'), Ok(None)) if digits(8) => Token::Incomplete,
        (Some(b'\\'), Some(b'u'), Ok(Some(second))) if (0xDC00..0xE000).contains(&second) => {
            escape(12, 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        }
        _ => Token::Plain,
    }
}
