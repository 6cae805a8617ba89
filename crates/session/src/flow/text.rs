//! Takes a text apart, in one way for what is read and for what is looked up.

use std::ops::Range;

use smallvec::SmallVec;

use super::canonical;
use super::decode::{self, Bytes, Escapes, Unwrapped};
use super::form::Form;
use super::forms::{Ask, Forms, Print, Prints};
use super::key::{Domain, FlowKey, padded};
use super::normal::Kept;
use super::piece::{self, Density};
use super::side::Short16;
use super::token;

/// Who is told what a text is made of.
pub(crate) trait Sink {
    /// The text that follows, in its normal form.
    fn begin(&mut self, key: &FlowKey, normal: &[u8]);
    /// The whole text, in each of its forms.
    fn whole(&mut self, prints: &[Print]);
    /// Something in it that looks like an address, an id, a number or a date, in each of its forms.
    fn token(&mut self, prints: &[Print], token: Token);
    /// A word of it; its fingerprint is made where it is asked for.
    fn word(&mut self, print: impl FnOnce() -> u64);
    /// A piece of it.
    fn shingle(&mut self, print: u64);
    /// What it wants to be told.
    fn wants(&self) -> Wants;
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A number of that many bytes.
    Number(usize),
    /// Anything else of that many bytes.
    Address(usize),
    /// Bytes that are no text, so many: all that there are.
    Bytes(usize),
    /// The host of an address.
    Host,
    /// A part of an address of that many bytes.
    Component(usize),
}

/// What a sink wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Words, or none.
    pub(crate) words: Want,
    /// The only word or number of a text once more, or only as the whole.
    pub(crate) repeats: Want,
    /// Parts of addresses of so many bytes or more.
    pub(crate) components_min: usize,
    /// Which pieces.
    pub(crate) pieces: Density,
    /// Bytes that are no text.
    pub(crate) bytes: Bytes,
    /// Which forms of a value.
    pub(crate) ask: Ask,
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// A plain name of up to fifteen bytes.
pub(crate) struct ShortName {
    bytes: [u8; 16],
    len: usize,
}

impl ShortName {
    /// Its fingerprint.
    #[inline]
    pub(crate) fn print(&self, key: &FlowKey) -> u64 {
        key.print_short(Domain::Value, self.bytes, self.len)
    }
}

/// Places in a text.
pub(crate) type Places = SmallVec<[Range<usize>; 4]>;

/// What a text is taken apart with; kept from one text to the next.
pub(crate) struct Reader {
    pub(crate) key: FlowKey,
    form: Form,
    inner: Form,
    /// What is short, in lower case.
    lower: Vec<u8>,
    /// Where the longer tokens of the text stand.
    long: Places,
}

impl Reader {
    pub(crate) fn new(key: FlowKey) -> Self {
        Self {
            key,
            form: Form::default(),
            inner: Form::default(),
            lower: Vec::new(),
            long: Places::new(),
        }
    }

    /// Tells what a text is made of, and what is wrapped in it.
    pub(crate) fn text(&mut self, text: &str, sink: &mut impl Sink) -> Kept {
        if self.few_words(text, sink) {
            return Kept::Whole;
        }
        let kept = self.form.read(text);
        self.long.clear();
        take_apart(&self.key, &self.form, &mut self.long, sink);
        let escapes = match self.form.may_have_escapes(text) {
            true => Escapes::Maybe,
            false => Escapes::None,
        };
        if self.long.is_empty() && (escapes == Escapes::None || text.len() < 2) {
            return kept;
        }
        let (key, inner) = (&self.key, &mut self.inner);
        let places = match self.form.as_bytes().len() == text.len() {
            // Every byte is where it was: only longer tokens can wrap anything but escapes.
            true => std::mem::take(&mut self.long),
            false => std::iter::once(0..text.len()).collect(),
        };
        let bytes = sink.wants().bytes;
        decode::each(text, &places, escapes, bytes, &mut |unwrapped| match unwrapped {
            Unwrapped::Text(text) => {
                inner.read(text);
                let within = &mut Within { sink: &mut *sink, bytes: 0 };
                take_apart(key, inner, &mut Places::new(), within);
            }
            Unwrapped::Bytes(bytes) => {
                let print = Print::same(key.print(Domain::Bytes, bytes));
                sink.token(&[print], Token::Bytes(bytes.len()));
            }
        });
        self.long = places;
        kept
    }

    /// Tells what stands in a text that is itself only a part.
    pub(crate) fn part(&mut self, text: &str, sink: &mut impl Sink) {
        self.text(text, &mut Within { sink, bytes: 0 });
    }

    /// A plain name in lower case, if it is one and short: most are.
    #[inline]
    pub(crate) fn short_name(&self, name: &str) -> Option<ShortName> {
        if !(1..16).contains(&name.len()) {
            return None;
        }
        let short = Short16::lowered(padded(name.as_bytes()));
        let len = name.len();
        (short.plain() == Short16::first(len)).then_some(ShortName { bytes: short.bytes(), len })
    }

    /// Tells what a short text of plain words is made of, which needs no more than a look at
    /// sixteen bytes; `false` where it is none.
    fn few_words(&self, text: &str, sink: &mut impl Sink) -> bool {
        if !(1..16).contains(&text.len()) {
            return false;
        }
        let short = Short16::lowered(padded(text.as_bytes()));
        let (all, spaces) = (Short16::first(text.len()), short.spaces());
        let ends = all ^ all >> 8 | 0x80;
        if short.plain() | spaces != all || spaces & (spaces << 8 | ends) != 0 {
            return false;
        }
        let bytes = short.bytes();
        let normal = bytes.get(..text.len()).unwrap_or_default();
        sink.begin(&self.key, normal);
        sink.whole(&[Print::same(self.key.print_short(Domain::Value, bytes, text.len()))]);
        let wants = sink.wants();
        if wants.words == Want::Yes && (spaces != 0 || wants.repeats == Want::Yes) {
            normal
                .split(|byte| *byte == b' ')
                .filter(|word| token::is_word(word))
                .for_each(|word| sink.word(|| self.key.print(Domain::Value, word)));
        }
        true
    }

    /// The fingerprint of a plain name in lower case.
    pub(crate) fn name(&mut self, name: &str) -> u64 {
        self.lower.clear();
        self.lower.extend_from_slice(name.as_bytes());
        self.lower.make_ascii_lowercase();
        self.key.print(Domain::Value, &self.lower)
    }

    /// Tells the form of a number that is written so.
    pub(crate) fn number(&mut self, text: &str, sink: &mut impl Sink) {
        let ask = sink.wants().ask;
        if canonical::is_plain_number(text.as_bytes()) {
            sink.begin(&self.key, text.as_bytes());
            let prints = Prints::of_plain_number(&self.key, text.as_bytes(), ask);
            return sink.whole(prints.as_slice());
        }
        self.lower.clear();
        self.lower.extend_from_slice(text.as_bytes());
        self.lower.make_ascii_lowercase();
        sink.begin(&self.key, &self.lower);
        sink.whole(Prints::of(&self.key, &self.lower, Forms::Any, ask).as_slice());
    }
}

fn take_apart(key: &FlowKey, form: &Form, long: &mut Places, sink: &mut impl Sink) {
    let normal = form.as_bytes();
    if normal.is_empty() {
        return;
    }
    sink.begin(key, normal);
    let has = if form.has_digit() { Forms::Any } else { Forms::Own };
    sink.whole(Prints::of(key, normal, has, sink.wants().ask).as_slice());
    token::each(key, form, long, sink);
    piece::each(key, normal, sink.wants().pieces, |print| sink.shingle(print));
}

/// Tells the whole of a text as a part of another.
struct Within<'s, S> {
    sink: &'s mut S,
    bytes: usize,
}

impl<S: Sink> Sink for Within<'_, S> {
    fn begin(&mut self, _: &FlowKey, normal: &[u8]) {
        self.bytes = normal.len();
    }

    fn whole(&mut self, prints: &[Print]) {
        self.sink.token(prints, Token::Address(self.bytes));
    }

    fn token(&mut self, prints: &[Print], token: Token) {
        self.sink.token(prints, token);
    }

    fn word(&mut self, print: impl FnOnce() -> u64) {
        self.sink.word(print);
    }

    fn shingle(&mut self, print: u64) {
        self.sink.shingle(print);
    }

    fn wants(&self) -> Wants {
        self.sink.wants()
    }
}
