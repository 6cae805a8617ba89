//! Takes a text apart, in one way for what is read and for what is looked up.

use super::canonical::{self, Short};
use super::key::{Domain, FlowKey};
use super::normal::{Kept, normalise};
use super::shingle::{self, Density};

/// Longest token that is taken as one, in bytes of its normal form.
const TOKEN_BYTES_MAX: usize = 2048;

/// Longest word.
const WORD_BYTES_MAX: usize = 64;

/// Who is told what a text is made of.
pub(crate) trait Sink {
    /// The text that follows, in its normal form.
    fn begin(&mut self, key: &FlowKey, normal: &[u8]) {
        let _ = (key, normal);
    }
    /// A form of the whole text.
    fn whole(&mut self, print: u64);
    /// Something in it that looks like an address, an id, a number or a date.
    fn token(&mut self, print: u64, token: Token);
    /// A word of it.
    fn word(&mut self, print: u64);
    /// A piece of it.
    fn shingle(&mut self, print: u64);
    /// How dense its pieces are wanted, if at all.
    fn density(&self) -> Density;
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A number of that many bytes.
    Number(usize),
    /// Anything else of that many bytes.
    Address(usize),
    /// A part of an address.
    Host,
}

/// What a text is taken apart with; kept from one text to the next.
pub(crate) struct Reader {
    pub(crate) key: FlowKey,
    pub(crate) normal: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(key: FlowKey) -> Self {
        Self { key, normal: Vec::new() }
    }

    /// Tells what a text is made of.
    pub(crate) fn text(&mut self, text: &str, sink: &mut impl Sink) -> Kept {
        let kept = normalise(text, &mut self.normal);
        sink.begin(&self.key, &self.normal);
        whole(&self.key, &self.normal, |print| sink.whole(print));
        tokens(&self.key, &self.normal, sink);
        shingle::each(&self.key, &self.normal, sink.density(), |print| sink.shingle(print));
        kept
    }

    /// Tells the form of a number that is written so.
    pub(crate) fn number(&mut self, text: &str, sink: &mut impl Sink) {
        self.normal.clear();
        self.normal.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        sink.begin(&self.key, &self.normal);
        whole(&self.key, &self.normal, |print| sink.whole(print));
    }
}

/// The fingerprints of the forms of a whole value in its normal form.
pub(crate) fn whole(key: &FlowKey, normal: &[u8], mut tell: impl FnMut(u64)) {
    let mut say = |bytes: &[u8]| tell(key.print(Domain::Value, bytes));
    if normal.len() > 128 || !normal.iter().any(u8::is_ascii_digit) {
        say(normal);
        return;
    }
    match canonical::number(normal).or_else(|| canonical::date(normal)) {
        Some(form) => say(form.as_bytes()),
        None => say(normal),
    }
    let more: [Option<Short>; 2] = [canonical::telephone(normal), canonical::account(normal)];
    more.iter().flatten().for_each(|form| say(form.as_bytes()));
}

/// Splits where addresses end.
fn tokens(key: &FlowKey, normal: &[u8], sink: &mut impl Sink) {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>()[]{},;|".contains(byte);
    for token in normal.split(ends) {
        let token = trimmed(token);
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            continue;
        }
        let plain =
            |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80 || matches!(byte, b'-' | b'_');
        if token.iter().all(plain) {
            if (3..=WORD_BYTES_MAX).contains(&token.len()) {
                sink.word(key.print(Domain::Value, token));
            }
        } else if let Some(number) = canonical::number(token) {
            sink.token(key.print(Domain::Value, number.as_bytes()), Token::Number(token.len()));
        } else {
            whole(key, token, |print| sink.token(print, Token::Address(token.len())));
        }
    }
}

fn trimmed(token: &[u8]) -> &[u8] {
    let edge = |byte: &u8| b".:!?*_~#$%".contains(byte);
    let start = token.iter().position(|byte| !edge(byte)).unwrap_or(token.len());
    let end = token.iter().rposition(|byte| !edge(byte)).map_or(start, |at| at + 1);
    token.get(start..end).unwrap_or_default()
}
