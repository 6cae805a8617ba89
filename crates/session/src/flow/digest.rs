//! From a result to what it leaves behind.

use safeconduct_model::{Label, Returns, Value};

use super::decode::Bytes;
use super::gleaned::{GLEANED_PRINTS_MAX, Gleaned, Group, Source};
use super::key::{Domain, FlowKey};
use super::labels::{Forgotten, Labels};
use super::normal::Kept;
use super::pattern::{Patterns, Walk};
use super::piece::Density;
use super::scan::{self, Content, End, Visitor};
use super::sheaf::{Sheaf, Stalk};
use super::table::{Kind, MARKS, Marks};
use super::text::{Reader, Sink, Token, Want, Wants};
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
    /// A text, which may itself be JSON or YAML; the patterns of fields apply inside it then.
    Text(&'a str),
    /// What is no text: an image, say.
    Bytes(&'a [u8]),
}

/// What a result leaves behind. The work is linear in the size of the result, and bounded by
/// [`RESULT_BYTES_READ_MAX`], [`RESULT_LEAVES_READ_MAX`] and [`GLEANED_PRINTS_MAX`].
///
/// Where two patterns of the same length speak for one field, both labels count. A document that
/// cannot be read by its structure (malformed, cut off, too deep) may hold every field anywhere,
/// and is worth the worst of them.
pub fn digest_result(
    key: &FlowKey,
    parts: &[Part<'_>],
    returns: &Returns,
    source: Source,
) -> Gleaned {
    let size = |part: &Part<'_>| match part {
        Part::Json(bytes) | Part::Bytes(bytes) => bytes.len(),
        Part::Text(text) => text.len(),
        Part::Value(_) => 0,
    };
    let mut basket = Basket::for_bytes(parts.iter().map(size).sum());
    let default = basket.labels.number(&returns.default);
    let highest = basket.labels.number(&returns.highest());
    let fields: Vec<_> = returns
        .fields
        .iter()
        .map(|field| (&*field.pointer, basket.labels.number(&field.label)))
        .collect();
    let patterns = Patterns::new(default, fields.into_iter(), |a, b| basket.labels.join(a, b));
    let digest = Digest {
        reader: Reader::new(*key),
        walk: Walk::new(&patterns, default),
        basket,
        default,
        highest,
        depth: Depth::Result,
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

struct Digest<'p> {
    reader: Reader,
    walk: Walk<'p, u8>,
    basket: Basket,
    default: u8,
    highest: u8,
    depth: Depth,
    bytes_left: usize,
    leaves_left: usize,
}

impl<'p> Digest<'p> {
    fn run(mut self, parts: &[Part<'_>], patterns: &'p Patterns<u8>, source: Source) -> Gleaned {
        for part in parts {
            self.walk = Walk::new(patterns, self.default);
            let end = match part {
                Part::Json(bytes) => self.json(bytes),
                Part::Value(root) => value(root, &mut self),
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
            None => return End::Whole,
            Some(b'{' | b'[') => match scan::json(text, self) {
                End::NotJson => self.unreadable(text),
                end => end,
            },
            Some(_) if looks_like_yaml(text) => match yaml(text, self) {
                End::NotJson => self.unreadable(text),
                end => end,
            },
            Some(_) => {
                self.basket.under(self.default);
                self.pieces(text);
                End::Whole
            }
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
        let kept = self.reader.text(text, &mut self.basket);
        if kept == Kept::Altered {
            let print = self.reader.key.print(Domain::Exact, text.trim().as_bytes());
            self.basket.put(Kind::Value, print);
        }
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

impl Visitor for Digest<'_> {
    fn open(&mut self) {
        if self.depth == Depth::Result {
            self.walk.open();
        }
    }

    fn close(&mut self, content: Content) {
        if self.depth == Depth::Result {
            self.walk.close();
            if content == Content::Empty {
                self.basket.under(self.walk.says());
            }
        }
    }

    fn name(&mut self, name: &str) {
        if self.depth == Depth::Result {
            self.walk.member(name, |a, b| self.basket.labels.join(a, b));
        }
        self.basket.under(self.walk.says());
        if !self.afford(name.len()) {
            return;
        }
        if is_plain_name(name) {
            self.basket.word(self.reader.name(name));
        } else {
            self.pieces(name);
        }
    }

    fn element(&mut self) {
        if self.depth == Depth::Result {
            self.walk.element(|a, b| self.basket.labels.join(a, b));
        }
    }

    fn text(&mut self, text: &str) {
        self.basket.under(self.walk.says());
        if self.depth == Depth::Result && looks_like_json(text) {
            self.depth = Depth::Nested;
            scan::json(text, self);
            self.depth = Depth::Result;
        }
        self.pieces(text);
    }

    fn number(&mut self, text: &str) {
        self.basket.under(self.walk.says());
        if self.afford(text.len()) {
            self.reader.number(text, &mut self.basket);
        }
    }

    fn word(&mut self, word: &str) {
        self.basket.under(self.walk.says());
        if self.afford(word.len()) {
            self.basket.put(Kind::Value, self.reader.key.print(Domain::Value, word.as_bytes()));
        }
    }

    fn is_full(&self) -> bool {
        self.bytes_left == 0 || self.leaves_left == 0
    }
}

/// A name such as schemas have: it says nothing of where a value came from.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.len() <= 40
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
}

/// Whether a text may be a document of its own.
pub(crate) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_ascii();
    matches!(
        (text.as_bytes().first(), text.as_bytes().last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    )
}

/// Which fingerprints give way first: the least label, and under one label what tells least.
pub(crate) fn class(label: &Label, kind: Kind) -> u8 {
    let rank = (label.integrity as u8) << 2 | label.confidentiality as u8;
    rank * 3 + (Kind::Shingle as u8 - kind as u8)
}

/// The fingerprints of one result, as they come.
struct Basket {
    sheaf: Sheaf,
    labels: Labels,
    /// The label of what is being read.
    now: u8,
    /// What follows from it, for each kind: the marks and the class.
    kinds: [(Marks, u8); 3],
    /// Words that came lately: most words come again and again.
    lately: Vec<u64>,
    /// Numbers of the labels that were seen, as bits.
    seen: u128,
    forgotten: Forgotten,
    /// Classes below this one are no longer kept.
    floor: u8,
    shingles: u32,
}

/// How many words are remembered as having come lately.
const LATELY: usize = 1024;

impl Basket {
    fn for_bytes(bytes: usize) -> Self {
        Self {
            sheaf: Sheaf::with_room(bytes / 8),
            labels: Labels::default(),
            now: u8::MAX,
            kinds: [(Marks::default(), 0); 3],
            lately: vec![0; LATELY],
            seen: 0,
            forgotten: Forgotten::default(),
            floor: 0,
            shingles: 0,
        }
    }

    fn under(&mut self, label: u8) {
        if self.now == label {
            return;
        }
        self.now = label;
        self.seen |= 1_u128.checked_shl(u32::from(label)).unwrap_or(0);
        self.lately.fill(0);
        let labels = &self.labels;
        self.kinds =
            Kind::ALL.map(|kind| (labels.marks(label, kind), class(labels.label(label), kind)));
    }

    /// Whether another fingerprint of that kind would change anything. It would not where its
    /// class is shut, so that all of it counts as forgotten, and nothing is there that another
    /// label could be joined to.
    fn has_use_for(&self, kind: Kind) -> bool {
        let [value, word, shingle] = self.kinds;
        let (_, class) = match kind {
            Kind::Value => value,
            Kind::Word => word,
            Kind::Shingle => shingle,
        };
        class >= self.floor || self.seen.count_ones() > 1
    }

    fn is_untrusted(&self) -> bool {
        let [(marks, _), ..] = self.kinds;
        marks.is_untrusted()
    }

    fn forget_all(&mut self, label: u8) {
        self.under(label);
        self.forgotten.raise_all(self.labels.label(label));
    }

    fn put(&mut self, kind: Kind, print: u64) {
        let [value, word, shingle] = self.kinds;
        let (marks, class) = match kind {
            Kind::Value => value,
            Kind::Word => word,
            Kind::Shingle => shingle,
        };
        let (labels, now) = (&mut self.labels, self.now);
        let mut join = |known: &mut Stalk| {
            if (known.label, known.marks) != (now, marks) {
                known.label = labels.join(known.label, now);
                known.marks = known.marks.join(marks);
            }
        };
        if class >= self.floor && self.sheaf.len() < GLEANED_PRINTS_MAX {
            return self.sheaf.put(print, Stalk { label: now, marks }, join);
        }
        if let Some(known) = self.sheaf.find(print) {
            return join(known);
        }
        if self.make_room(class) {
            self.sheaf.put(print, Stalk { label: now, marks }, |_| {});
        } else {
            self.forgotten.raise(kind, self.labels.label(now));
        }
    }

    /// Makes room for a fingerprint of that class; `false` where nothing lower is there.
    fn make_room(&mut self, incoming: u8) -> bool {
        if incoming < self.floor {
            return false;
        }
        let labels = &self.labels;
        let of = |stalk: &Stalk| class(labels.label(stalk.label), stalk.marks.kind());
        let lowest = self.sheaf.iter().map(|(_, stalk)| of(&stalk)).min().unwrap_or(incoming);
        if incoming <= lowest {
            self.shut(incoming + 1);
            return false;
        }
        let forgotten = &mut self.forgotten;
        self.sheaf.retain(|stalk| {
            let keep = of(stalk) > lowest;
            if !keep {
                forgotten.raise(stalk.marks.kind(), labels.label(stalk.label));
            }
            keep
        });
        self.shut(lowest + 1);
        true
    }

    /// Keeps nothing more below that class. What comes of it may not even be looked at, so it
    /// counts as forgotten from now on.
    fn shut(&mut self, floor: u8) {
        self.floor = floor;
        let label = self.labels.label(self.now);
        for (kind, (_, class)) in Kind::ALL.into_iter().zip(self.kinds) {
            if class < floor {
                self.forgotten.raise(kind, label);
            }
        }
    }

    fn finish(self, source: Source) -> Gleaned {
        let mut label = self.forgotten.label();
        let mut order: Vec<(&Label, usize)> =
            self.labels.all().iter().enumerate().map(|(at, label)| (label, at)).collect();
        for (seen, at) in &order {
            if self.seen >> at & 1 == 1 {
                label.raise(seen);
            }
        }
        order.sort_unstable();
        let mut numbers = vec![0_u8; order.len()];
        let mut labels = Vec::new();
        for (known, at) in order {
            if let Some(number) = numbers.get_mut(at) {
                *number = labels.len() as u8;
            }
            labels.push(known.clone());
        }
        let mut groups: Vec<Group> = Vec::new();
        // Which group each label with each marks has; none yet is beyond them.
        let mut places = vec![usize::MAX; numbers.len() * MARKS];
        for (print, stalk) in self.sheaf.sorted() {
            let label = numbers.get(usize::from(stalk.label)).copied().unwrap_or(0);
            // A label that had to stand for others may have become untrusted behind its back.
            let marks = stalk.marks.join(self.labels.marks(stalk.label, stalk.marks.kind()));
            let place = places.get_mut(usize::from(label) * MARKS + usize::from(marks.byte()));
            match place.as_ref().and_then(|place| groups.get_mut(**place)) {
                Some(group) => group.prints.push(print),
                None => {
                    place.into_iter().for_each(|place| *place = groups.len());
                    groups.push(Group { label, marks, prints: vec![print] });
                }
            }
        }
        groups.sort_unstable_by_key(|group| (group.label, group.marks));
        let (shingles, forgotten) = (self.shingles, self.forgotten);
        Gleaned { source, label, labels, groups, shingles, forgotten }
    }
}

impl Sink for Basket {
    fn begin(&mut self, _: &FlowKey, _: &[u8]) {}

    fn whole(&mut self, print: u64) {
        self.put(Kind::Value, print);
    }

    fn token(&mut self, print: u64, token: Token) {
        match token {
            Token::Number(_) | Token::Address(_) => self.put(Kind::Value, print),
            // A host is as good as its address only where it does harm.
            Token::Host if self.is_untrusted() => self.put(Kind::Value, print),
            Token::Host | Token::Component(_) => {}
        }
    }

    fn word(&mut self, print: u64) {
        if !self.is_untrusted() {
            return;
        }
        if let Some(last) = self.lately.get_mut(print as usize % LATELY) {
            if *last == print {
                return;
            }
            *last = print;
        }
        self.put(Kind::Word, print);
    }

    fn shingle(&mut self, print: u64) {
        self.shingles = self.shingles.saturating_add(1);
        self.put(Kind::Shingle, print);
    }

    fn wants(&self) -> Wants {
        let words = self.is_untrusted() && self.has_use_for(Kind::Word);
        Wants {
            words: if words { Want::Yes } else { Want::No },
            components: Want::No,
            pieces: if self.has_use_for(Kind::Shingle) { Density::Apart } else { Density::None },
            bytes: Bytes::Left,
        }
    }
}
