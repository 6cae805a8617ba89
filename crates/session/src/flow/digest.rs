//! From a result to what it leaves behind.

use safeconduct_model::{Returns, Value};

use super::basket::Basket;
use super::demand::Demand;
use super::gleaned::{Gleaned, Source};
use super::key::{Domain, padded};
use super::mirror::Mirror;
use super::normal::Kept;
use super::pattern::{Patterns, Walk};
use super::scan::{self, Content, End, Visitor};
use super::swar;
use super::table::Kind;
use super::text::{Reader, Sink as _, Want};
use super::walk::value;
use super::yaml::{looks_like_yaml, yaml};

/// Most bytes of one result that are looked at; what comes beyond is forgotten.
pub const RESULT_BYTES_READ_MAX: usize = 8 * 1024 * 1024;

/// Most values of one result that are looked at; what comes beyond is forgotten.
pub const RESULT_LEAVES_READ_MAX: usize = 200_000;

/// A part of what a result is made of for the agent.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// JSON. What is not is taken for a text in which every field may stand.
    Json(&'a [u8]),
    /// A structured value.
    Value(&'a Value),
    /// A text, which may itself be JSON or YAML; the patterns of fields apply inside it then, as
    /// [`digest_result`] says.
    Text(&'a str),
    /// What is no text: an image, say.
    Bytes(&'a [u8]),
    /// A value that stands beside the result: `_meta`, a link. No pattern of a field is about it.
    Around(&'a Value),
}

/// What a result leaves behind, taken apart for a session (`&Flow`) or under a key alone
/// (`&FlowKey`). A session whose index is full has no room for words and pieces under some labels:
/// for it they are not made, and counted as forgotten at once. The work is linear in the size of the result, and bounded by
/// [`RESULT_BYTES_READ_MAX`], [`RESULT_LEAVES_READ_MAX`] and [`super::GLEANED_PRINTS_MAX`].
///
/// Where two patterns of the same length speak for one field, both labels count. A document that
/// cannot be read by its structure (malformed, cut off, too deep) may hold every field anywhere,
/// and is worth the worst of them; so is a comment in it, and a text that is no document.
///
/// Patterns vouch for the result itself: for the first part where that is structured, and else for
/// the only text. Of whatever stands beside it they say nothing good: there the default counts
/// where it is worse. A text that only repeats the structured value is not read twice.
pub fn digest_result(
    demand: impl Into<Demand>,
    parts: &[Part<'_>],
    returns: &Returns,
    source: Source,
) -> Gleaned {
    digest(demand.into(), parts, returns, source)
}

fn digest(demand: Demand, parts: &[Part<'_>], returns: &Returns, source: Source) -> Gleaned {
    let size = |part: &Part<'_>| match part {
        Part::Json(bytes) | Part::Bytes(bytes) => bytes.len(),
        Part::Text(text) => text.len(),
        Part::Value(_) | Part::Around(_) => 0,
    };
    let bytes = parts.iter().map(size).sum();
    let mut basket = Basket::new(bytes, &returns.default, demand.floor);
    let default = basket.labels.number(&returns.default);
    let highest = basket.labels.number(&returns.highest());
    let fields: Vec<_> = returns
        .fields
        .iter()
        .map(|field| (&*field.pointer, basket.labels.number(&field.label)))
        .collect();
    let patterns = Patterns::new(default, fields.into_iter(), |a, b| basket.labels.join(a, b));
    let digest = Digest {
        reader: Reader::new(demand.key),
        walk: Walk::new(&patterns, default),
        basket,
        default,
        highest,
        depth: Depth::Result,
        vouch: Vouch::All,
        bytes_left: RESULT_BYTES_READ_MAX,
        leaves_left: RESULT_LEAVES_READ_MAX,
    };
    digest.run(parts, &patterns, source)
}

/// What stands in a document that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The result itself.
    Result,
    /// A text of it that is itself a document.
    Nested,
}

/// What the patterns of fields may say of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vouch {
    /// Whatever they say.
    All,
    /// Nothing better than the default.
    Nothing,
}

impl Vouch {
    /// For the part at that place.
    fn of(parts: &[Part<'_>], place: usize) -> Self {
        let structured =
            |part: Option<&Part<'_>>| matches!(part, Some(Part::Json(_) | Part::Value(_)));
        let is_text = |part: &&Part<'_>| matches!(part, Part::Text(_));
        let is_all = match parts.get(place) {
            Some(Part::Text(_)) => {
                !structured(parts.first()) && parts.iter().filter(is_text).count() == 1
            }
            part => place == 0 && structured(part),
        };
        if is_all { Self::All } else { Self::Nothing }
    }
}

struct Digest<'w, 'p> {
    reader: Reader,
    walk: Walk<'w, 'p, u8>,
    basket: Basket,
    default: u8,
    highest: u8,
    depth: Depth,
    vouch: Vouch,
    bytes_left: usize,
    leaves_left: usize,
}

impl<'w, 'p> Digest<'w, 'p> {
    fn run(
        mut self,
        parts: &[Part<'_>],
        patterns: &'w Patterns<'p, u8>,
        source: Source,
    ) -> Gleaned {
        let mirror = Mirror::of(self.reader.key, parts);
        let mut texts = 0;
        for (place, part) in parts.iter().enumerate() {
            self.walk = Walk::new(patterns, self.default);
            self.vouch = Vouch::of(parts, place);
            if let Part::Text(text) = part {
                texts += 1;
                if mirror.shows(texts - 1, text) {
                    continue;
                }
            }
            let end = match part {
                Part::Json(bytes) => self.json(bytes),
                Part::Value(root) | Part::Around(root) => value(root, &mut self),
                Part::Text(text) => self.free_text(text),
                Part::Bytes(bytes) => {
                    self.basket.under(self.default);
                    if !bytes.is_empty() && self.afford(bytes.len()) {
                        let print = self.reader.key.print(Domain::Bytes, bytes);
                        self.basket.put(Kind::Value, print);
                    }
                    End::Whole
                }
            };
            if end == End::Full {
                self.basket.forget_all(self.highest);
            }
        }
        self.basket.finish(source)
    }

    fn json(&mut self, bytes: &[u8]) -> End {
        match std::str::from_utf8(bytes) {
            Ok(text) => match scan::json(text, self) {
                End::NotJson => self.unreadable(text),
                end => end,
            },
            Err(_) => self.unreadable(&String::from_utf8_lossy(bytes)),
        }
    }

    fn free_text(&mut self, text: &str) -> End {
        match text.trim_start().bytes().next() {
            None => End::Whole,
            Some(b'{' | b'[') => match scan::json(text, self) {
                End::NotJson => self.unreadable(text),
                end => end,
            },
            Some(_) if looks_like_yaml(text) => match yaml(text, self) {
                End::NotJson => self.unreadable(text),
                end => end,
            },
            // It may be a document all the same, in a form that nobody knows.
            Some(_) => self.unreadable(text),
        }
    }

    /// A document that is none: every field may stand anywhere in it.
    fn unreadable(&mut self, text: &str) -> End {
        self.basket.under(self.highest);
        self.pieces(text);
        End::Whole
    }

    /// Takes a text apart, as far as there are bytes left.
    fn pieces(&mut self, text: &str) {
        let read = text.floor_char_boundary(self.bytes_left.min(text.len()));
        self.bytes_left -= read;
        self.leaves_left = self.leaves_left.saturating_sub(1);
        if read < text.len() {
            self.basket.forget_all(self.highest);
        }
        if !self.basket.has_use_for(Kind::Value) {
            return;
        }
        let text = text.get(..read).unwrap_or_default();
        self.basket.pass_over(text.len());
        let kept = self.reader.text(text, &mut self.basket);
        if kept == Kept::Altered {
            let print = self.reader.key.print(Domain::Exact, text.trim().as_bytes());
            self.basket.put(Kind::Value, print);
        }
    }

    /// What is read next has the label of this place.
    #[inline]
    fn under_what_is_said(&mut self) {
        let says = self.walk.says();
        let says = match self.vouch {
            Vouch::All => says,
            Vouch::Nothing => self.basket.labels.join(self.default, says),
        };
        self.basket.under(says);
    }

    fn afford(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(0);
        self.leaves_left = self.leaves_left.saturating_sub(1);
        if left.is_none() {
            self.basket.forget_all(self.highest);
        }
        left.is_some()
    }
}

impl Visitor for Digest<'_, '_> {
    fn open(&mut self) {
        if self.depth == Depth::Result {
            self.walk.open();
        }
    }

    fn close(&mut self, content: Content) {
        if self.depth == Depth::Result {
            self.walk.close();
            if content == Content::Empty {
                self.under_what_is_said();
            }
        }
    }

    fn name(&mut self, name: &str) {
        if self.depth == Depth::Result {
            self.walk.member(name, |a, b| self.basket.labels.join(a, b));
        }
        self.under_what_is_said();
        if !self.afford(name.len()) {
            return;
        }
        if self.basket.wants().words == Want::No && is_plain_name(name) {
            return self.basket.pass_over(0);
        }
        match self.reader.short_name(name) {
            Some(name) => self.basket.word(|| name.print(&self.reader.key)),
            None if is_plain_name(name) => self.basket.word(|| self.reader.name(name)),
            None => self.pieces(name),
        }
    }

    fn element(&mut self) {
        if self.depth == Depth::Result {
            self.walk.element(|a, b| self.basket.labels.join(a, b));
        }
    }

    fn text(&mut self, text: &str) {
        self.under_what_is_said();
        if self.depth == Depth::Result && looks_like_json(text) {
            self.depth = Depth::Nested;
            scan::json(text, self);
            self.depth = Depth::Result;
        }
        self.pieces(text);
    }

    fn number(&mut self, text: &str) {
        self.under_what_is_said();
        if self.afford(text.len()) {
            self.reader.number(text, &mut self.basket);
        }
    }

    fn word(&mut self, word: &str) {
        self.under_what_is_said();
        if self.afford(word.len()) {
            self.basket.put(Kind::Value, self.reader.key.print(Domain::Value, word.as_bytes()));
        }
    }

    /// Whoever wrote it, it is no field.
    fn comment(&mut self, text: &str) {
        self.basket.under(self.highest);
        self.pieces(text);
    }

    fn is_full(&self) -> bool {
        self.bytes_left == 0 || self.leaves_left == 0
    }
}

/// Fewer bytes are looked at one by one sooner than side by side.
const FEW: usize = 6;

/// A name such as schemas have: it says nothing of where a value came from.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    if (1..FEW).contains(&name.len()) {
        return name.bytes().all(is_plain);
    }
    if (FEW..16).contains(&name.len()) {
        // Most are: they are looked at side by side.
        let bytes = padded(name.as_bytes());
        let all = u64::MAX / 255 * 0x80;
        let all_plain = |half: u64, len: usize| {
            let behind = swar::of(b'a').checked_shl(8 * len as u32).unwrap_or(0);
            swar::plain(half | behind) == all
        };
        let len = name.len();
        return all_plain(bytes as u64, len)
            && (len <= 8 || all_plain((bytes >> 64) as u64, len.saturating_sub(8)));
    }
    name.len() <= 40 && name.bytes().all(is_plain)
}

/// Whether a text may be a document of its own.
pub(crate) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_ascii();
    matches!(
        (text.as_bytes().first(), text.as_bytes().last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}
