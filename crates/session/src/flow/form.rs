//! A text in its normal form, and what its bytes are, side by side.

use smallvec::SmallVec;

use super::normal::{Kept, normalise};
use super::side::{self, BLOCK};

/// A text in its normal form, and what its bytes are.
#[derive(Default)]
pub(crate) struct Form {
    /// The form with a block of letters behind it, so that the last word can be read as far as
    /// any. Letters end nothing and are nothing else.
    padded: Vec<u8>,
    length: usize,
    blocks: SmallVec<[Block; BYTES_USUAL / BLOCK]>,
    /// All classes of its bytes but those of letters and spaces.
    classes: u16,
    /// Whether every byte is where it was in the text, in lower case.
    is_simple: bool,
}

/// What some bytes of a form are: one bit for each, the first the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// They end a token.
    pub(crate) ends: u64,
    /// They are no letters.
    pub(crate) others: u64,
}

/// Room for the bytes of most arguments, with a block behind them.
const BYTES_USUAL: usize = 4 * BLOCK;

impl Form {
    /// Puts the normal form of a text in the place of what it is of.
    pub(crate) fn read(&mut self, text: &str) -> Kept {
        self.is_simple = self.read_simple(text.trim_ascii().as_bytes());
        if self.is_simple {
            return Kept::Whole;
        }
        let kept = normalise(text, &mut self.padded);
        self.pad();
        for block in self.padded.as_chunks().0.iter().take(self.length.div_ceil(BLOCK)) {
            let Seen { ends, letters, classes, .. } = seen(block);
            self.blocks.push(Block { ends, others: !letters });
            self.classes |= classes;
        }
        kept
    }

    /// Reads a trimmed text in lower case, and says whether that is its normal form: whether it is
    /// ASCII without controls and with single spaces only.
    fn read_simple(&mut self, text: &[u8]) -> bool {
        self.padded.clear();
        match self.padded.capacity() {
            0 => self.padded = Vec::with_capacity(BYTES_USUAL.max(text.len() + BLOCK)),
            _ => self.padded.reserve(text.len() + BLOCK),
        }
        self.padded.extend_from_slice(text);
        self.pad();
        let (mut other, mut gaps, mut before) = (0, 0, 0);
        let blocks = self.padded.as_chunks_mut().0.iter_mut();
        for block in blocks.take(self.length.div_ceil(BLOCK)) {
            other |= lower(block);
            let Seen { spaces, ends, letters, classes } = seen(block);
            gaps |= spaces & (spaces << 1 | before);
            before = spaces >> (u64::BITS - 1);
            self.blocks.push(Block { ends, others: !letters });
            self.classes |= classes;
        }
        u64::from(other) | gaps == 0
    }

    /// Forgets what the bytes before were, and puts a block behind those that are there now.
    fn pad(&mut self) {
        self.length = self.padded.len();
        self.padded.extend_from_slice(&[b'a'; BLOCK]);
        self.blocks.clear();
        self.classes = 0;
    }

    /// The form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.padded.get(..self.length).unwrap_or_default()
    }

    /// The same with a block of letters behind it.
    pub(crate) fn padded(&self) -> &[u8] {
        &self.padded
    }

    /// What its bytes are; behind the last there are letters.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether a digit is among its bytes.
    pub(crate) fn has_digit(&self) -> bool {
        self.classes & DIGIT != 0
    }

    /// Whether the text, which this is the form of, may have escapes.
    pub(crate) fn may_have_escapes(&self, text: &str) -> bool {
        match self.is_simple {
            true => self.classes & ESCAPE != 0,
            false => memchr::memchr2(b'%', b'\\', text.as_bytes()).is_some(),
        }
    }
}

/// Puts a block in lower case, and says whether a byte of it is none of ASCII that can be seen.
#[inline]
fn lower(block: &mut [u8; BLOCK]) -> u8 {
    block.iter_mut().fold(0, |other, byte| {
        let seen = *byte;
        *byte |= u8::from(seen.wrapping_sub(b'A') < 26) << 5;
        other | u8::from(seen.wrapping_sub(b' ') > b'~' - b' ')
    })
}

/// What the bytes of a block are.
struct Seen {
    spaces: u64,
    ends: u64,
    letters: u64,
    /// All classes but those of letters and spaces.
    classes: u16,
}

/// So many digits and marks of a block are looked at one by one.
const DIGITS_FEW: u32 = 4;

fn seen(block: &[u8; BLOCK]) -> Seen {
    let (mut letters, spaces) = (side::letters(block), side::spaces(block));
    let (mut ends, mut classes) = (spaces, 0);
    let mut marks = !(letters | ends);
    if marks.count_ones() > DIGITS_FEW {
        let digits = side::digits(block);
        classes |= if digits != 0 { DIGIT } else { 0 };
        marks &= !digits;
    }
    // Of few each is looked at alone.
    while marks != 0 {
        let at = marks.trailing_zeros();
        marks &= marks - 1;
        let class = block.get(at as usize).map_or(MARK, |byte| class(*byte));
        ends |= u64::from(class & END) << at;
        letters |= u64::from(class == LETTER) << at;
        classes |= class;
    }
    Seen { spaces, ends, letters, classes }
}

/// Ends a token.
pub(crate) const END: u16 = 1;
/// Stands in words.
pub(crate) const LETTER: u16 = 2;
/// A digit.
pub(crate) const DIGIT: u16 = 4;
/// Anything else.
pub(crate) const MARK: u16 = 8;
/// A comma: it ends what is no number.
pub(crate) const COMMA: u16 = 16;
/// May stand around a token and is none of it then.
pub(crate) const EDGE: u16 = 32;
/// An at sign: it stands in a mail address.
pub(crate) const AT: u16 = 64;
/// A colon: it stands before the host of a URL.
pub(crate) const COLON: u16 = 128;
/// Begins what may be an escape.
pub(crate) const ESCAPE: u16 = 256;

/// Stands between the parts of an address.
pub(crate) const PART: u16 = 512;

/// All classes in a token.
pub(crate) fn classes(token: &[u8]) -> u16 {
    token.iter().fold(0, |classes, byte| classes | class(*byte))
}

/// What a byte is.
pub(crate) fn class(byte: u8) -> u16 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(MARK)
}

const CLASSES: [u16; 256] = {
    let mut classes = [MARK; 256];
    let mut byte = 0_u8;
    loop {
        let class = match byte {
            b' ' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'{' | b'}'
            | b';' | b'|' | b'\t' | b'\n' => END,
            b'a'..=b'z' | b'-' | b'_' | 0x80.. => LETTER,
            b'0'..=b'9' => DIGIT,
            b',' => COMMA | EDGE,
            b':' => MARK | EDGE | COLON | PART,
            b'@' => MARK | AT,
            b'%' => MARK | EDGE | ESCAPE,
            b'\\' => MARK | ESCAPE | PART,
            b'?' | b'#' | b'=' | b'&' => MARK | EDGE | PART,
            b'.' | b'!' | b'*' | b'~' | b'$' => MARK | EDGE,
            b'/' | b'+' => MARK | PART,
            _ => MARK,
        };
        set(&mut classes, byte, class);
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

#[expect(clippy::indexing_slicing, reason = "a byte is an index into 256 classes, at build time")]
const fn set(classes: &mut [u16; 256], byte: u8, class: u16) {
    classes[byte as usize] = class;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_normal_form_and_says_what_its_bytes_are(
            before in ".{0,90}",
            text in prop_oneof![".{0,150}", "[ -~]{0,150}", "[a-zA-Z ]{0,150}", "[a-z0-9,.%]{0,70}"],
        ) {
            let mut form = Form::default();
            form.read(&before);
            let (mut plain, kept) = (Vec::new(), form.read(&text));
            prop_assert_eq!(kept, normalise(&text, &mut plain));
            prop_assert_eq!(form.as_bytes(), plain.as_slice());
            prop_assert_eq!(form.has_digit(), plain.iter().any(u8::is_ascii_digit));
            prop_assert_eq!(form.may_have_escapes(&text), text.contains(['%', '\\']));
            prop_assert_eq!(form.blocks().len(), plain.len().div_ceil(BLOCK));
            for (at, byte) in plain.iter().enumerate() {
                let block = form.blocks()[at / BLOCK];
                let is = |bits: u64| bits >> (at % BLOCK) & 1 == 1;
                prop_assert_eq!(is(block.ends), class(*byte) == END, "{}", *byte as char);
                prop_assert_eq!(is(block.others), class(*byte) != LETTER, "{}", *byte as char);
            }
            let behind = plain.len() % BLOCK;
            let last = form.blocks().last().filter(|_| behind > 0);
            prop_assert!(last.is_none_or(|last| (last.ends | last.others) >> behind == 0));
        }
    }
}
