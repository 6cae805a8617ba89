//! What is found of one value of the arguments.

use safeconduct_model::{ArgumentRole, Confidentiality, Integrity, Label, RecordId};

use super::canonical;
use super::decode::Bytes;
use super::form::{LETTER, class};
use super::forms::{Ask, Forms, Print, Prints, Sense};
use super::index::{Index, Known};
use super::key::{Domain, FlowKey};
use super::labels::Forgotten;
use super::normal::Kept;
use super::origins::{Carried, EVIDENCE_MAX, Extent, LeafOrigin, Place, Provenance, Seen};
use super::piece::{Density, PIECE};
use super::table::Kind;
use super::task::{Named, PHRASE_WORDS_MAX};
use super::text::{Reader, Sink, Token, Want, Wants};
use super::token::WORD_BYTES_MIN;

/// A value of fewer bytes carries nothing out, and is no part of a text that comes from anywhere.
const TELLING_BYTES_MIN: usize = 4;

/// The same for a number within a text.
const TELLING_DIGITS_MIN: usize = 5;

/// Most parts of addresses that are kept of one value.
const COMPONENTS_MAX: usize = 64;

/// Most addresses of a list that a task names one by one.
const LIST_MAX: usize = 256;

/// What is found, as it is found.
pub(crate) struct Finding<'f> {
    named: &'f Named,
    index: &'f Index,
    role: ArgumentRole,
    /// Bytes of the normal form of what is being looked at.
    bytes: usize,
    shape: Shape,
    /// Whether the task's intent says that it must stand at this place.
    pinned: bool,
    from_task: bool,
    from_trusted: bool,
    untrusted: Option<Extent>,
    /// Parts of addresses, for where the whole is from nowhere better.
    components: Vec<Known<'f>>,
    words: Words,
    label: Label,
    carries: Carried,
    pieces: Vec<(u16, u32)>,
    piece_label: Option<Label>,
    evidence: Vec<(bool, u64, &'f RecordId)>,
}

/// What a value looks like, for what may have been forgotten of it.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    /// Whether it says so little that it is not worth a provenance.
    common: bool,
    /// Whether it is one address that is long enough for pieces.
    address: bool,
    /// Whether it is long enough for pieces.
    long: bool,
    /// Whether a word may stand in it, or it may be a name of a member, which counts as one.
    words: bool,
}

/// How many words of the value stood in untrusted results.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    untrusted: usize,
    elsewhere: usize,
    named: usize,
}

impl<'f> Finding<'f> {
    pub(crate) fn new(named: &'f Named, index: &'f Index, role: ArgumentRole) -> Self {
        Self {
            named,
            index,
            role,
            bytes: 0,
            shape: Shape::default(),
            pinned: false,
            from_task: false,
            from_trusted: false,
            untrusted: None,
            components: Vec::new(),
            words: Words::default(),
            label: Label::LEAST,
            carries: Carried::NOTHING,
            pieces: Vec::new(),
            piece_label: None,
            evidence: Vec::new(),
        }
    }

    /// Takes it for what the task's intent says must stand there.
    pub(crate) const fn name(&mut self) {
        self.pinned = true;
    }

    /// Looks a text up.
    pub(crate) fn text(&mut self, reader: &mut Reader, text: &str) {
        let kept = reader.text(text, self);
        if kept == Kept::Altered {
            // What cannot be seen may still matter where it goes: only the very same counts.
            let exact = reader.key.print(Domain::Exact, text.trim().as_bytes());
            self.from_task &= self.named.has(exact);
            self.from_trusted &=
                self.index.find(exact).is_some_and(|known| known.marks.is_trusted());
        }
    }

    /// Looks a number up.
    pub(crate) fn number(&mut self, reader: &mut Reader, text: &str) {
        reader.number(text, self);
    }

    /// Looks up what stands in the value.
    pub(crate) fn part(&mut self, reader: &mut Reader, text: &str) {
        reader.part(text, self);
    }

    /// What `true`, `false` and `null` come from: they are worth no provenance.
    pub(crate) fn leaf_of_nothing(&mut self, pointer: &str) -> LeafOrigin {
        self.shape.common = true;
        self.role = ArgumentRole::Content;
        self.leaf(Place::Value, pointer)
    }

    /// Whether what it decides makes even a short value telling.
    const fn decides(&self) -> bool {
        !matches!(self.role, ArgumentRole::Content)
    }

    /// Whether it names something by what words it is made of.
    const fn names(&self) -> bool {
        matches!(self.role, ArgumentRole::Address | ArgumentRole::Command)
    }

    fn found(&mut self, known: Known<'f>, extent: Extent) {
        self.label.raise(known.label);
        if known.marks.is_untrusted() {
            self.untrusted = self.untrusted.max(Some(extent));
        }
        if let Some(source) = known.source {
            let evidence = (known.marks.is_untrusted(), source.sequence, &source.record);
            if !self.evidence.contains(&evidence) {
                self.evidence.push(evidence);
                self.evidence.sort_unstable_by(|a, b| b.cmp(a));
                self.evidence.truncate(EVIDENCE_MAX);
            }
        }
    }

    fn carry(&mut self, label: &Label, coverage: u16) {
        if label.confidentiality > Confidentiality::Public || !label.categories.is_empty() {
            self.carries.raise(&Carried {
                confidentiality: label.confidentiality,
                categories: label.categories.clone(),
                coverage,
            });
        }
    }

    /// All that was found of what stands at that place.
    pub(crate) fn leaf(&mut self, place: Place, pointer: &str) -> LeafOrigin {
        self.from_task |= self.pinned;
        self.count_words();
        self.count_pieces();
        let ignored = self.shape.common && !self.decides();
        if !self.from_task && !self.from_trusted {
            for known in std::mem::take(&mut self.components) {
                self.found(known, Extent::Part);
                self.carry(known.label, 1);
            }
        }
        if !self.from_task && !ignored {
            self.remember_the_forgotten();
        }
        // What the task names was said by a person: to say it again lets nothing out.
        let carries = std::mem::replace(&mut self.carries, Carried::NOTHING);
        LeafOrigin {
            pointer: pointer.into(),
            place,
            role: self.role,
            seen: self.seen(),
            untrusted: self.untrusted,
            label: std::mem::take(&mut self.label),
            carries: if self.from_task { Carried::NOTHING } else { carries },
            evidence: self.evidence.iter().map(|(_, _, record)| (*record).clone()).collect(),
        }
    }

    fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        if self.from_task {
            seen.insert(Provenance::FromTask);
        }
        if self.from_trusted {
            seen.insert(Provenance::FromTrusted);
        }
        if self.untrusted.is_some() {
            seen.insert(Provenance::FromUntrusted);
        }
        if seen == Seen::default() {
            seen.insert(Provenance::Unseen);
        }
        seen
    }

    /// A name of several words that all stood in untrusted results comes from there, where it
    /// decides something.
    fn count_words(&mut self) {
        if self.names() && self.words.untrusted > 0 && self.words.elsewhere == 0 {
            self.untrusted = self.untrusted.max(Some(Extent::Part));
            self.label.integrity = Integrity::Untrusted;
        }
    }

    fn count_pieces(&mut self) {
        let coverage = |(id, count): &(u16, u32)| {
            let all = self.index.shingles(*id).unwrap_or(u32::MAX).max(1);
            let share = u64::from(*count) * 1000 / u64::from(all);
            u16::try_from(share.clamp(1, 1000)).unwrap_or(1000)
        };
        if let Some(coverage) = self.pieces.iter().map(coverage).max() {
            let label = self.piece_label.take().unwrap_or_default();
            self.carry(&label, coverage);
        }
    }

    /// Where something was forgotten that this value may have been, it counts as that.
    fn remember_the_forgotten(&mut self) {
        let forgotten: &Forgotten = self.index.forgotten();
        let counted = self.words.untrusted + self.words.elsewhere + self.words.named > 0;
        let kinds = [
            (true, Kind::Value),
            (self.shape.words || counted, Kind::Word),
            (self.shape.long && !self.shape.address, Kind::Shingle),
        ];
        for (_, kind) in kinds.into_iter().filter(|(may, _)| *may) {
            let label = forgotten.of(kind);
            self.label.raise(label);
            if label.integrity == Integrity::Untrusted {
                self.untrusted = self.untrusted.or(Some(Extent::Forgotten));
            }
        }
        if self.bytes >= TELLING_BYTES_MIN {
            self.carry(forgotten.of(Kind::Value), 0);
            if self.shape.long {
                self.carry(forgotten.of(Kind::Shingle), 0);
            }
        }
    }
}

impl Sink for Finding<'_> {
    fn begin(&mut self, key: &FlowKey, normal: &[u8]) {
        self.bytes = normal.len();
        self.shape = Shape {
            common: is_common(normal),
            address: normal.len() >= PIECE && is_address(normal),
            long: normal.len() >= PIECE,
            words: may_have_word(normal)
                || !normal.is_empty()
                    && normal.len() < WORD_BYTES_MIN
                    && normal.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'-')),
        };
        if !self.named.is_empty() && (is_said(self.named, key, normal) || self.is_list(key, normal))
        {
            self.from_task = true;
        }
    }

    fn whole(&mut self, prints: &[Print]) {
        self.from_task |= is_named(self.named, self.role, prints);
        for form in prints {
            let Some(known) = self.index.find(form.print) else { continue };
            let word = known.marks.kind() == Kind::Word;
            if !self.decides() && (self.shape.common || word) {
                continue;
            }
            self.from_trusted |= known.marks.is_trusted()
                && form.sense.vouches(self.role)
                && (form.sense != Sense::Same || !self.is_repeated(prints));
            self.found(known, Extent::Whole);
            if !word && self.bytes >= TELLING_BYTES_MIN && !self.shape.common {
                self.carry(known.label, 1000);
            }
        }
    }

    fn token(&mut self, prints: &[Print], token: Token) {
        let telling = match token {
            Token::Number(bytes) => {
                bytes >= TELLING_DIGITS_MIN || self.role == ArgumentRole::Amount
            }
            Token::Address(bytes) | Token::Bytes(bytes) | Token::Component(bytes) => {
                bytes >= TELLING_BYTES_MIN
            }
            Token::Host => true,
        };
        if !telling || is_named(self.named, self.role, prints) {
            return;
        }
        let index = self.index;
        let found = prints.iter().filter_map(|form| index.find(form.print));
        for known in found.filter(|known| known.marks.kind() == Kind::Value) {
            self.found_part(known, token);
        }
    }

    fn word(&mut self, print: impl FnOnce() -> u64) {
        let print = print();
        let untrusted = self.index.find(print).is_some_and(|known| known.marks.is_untrusted());
        let count = match (self.named.has(print), untrusted) {
            (true, _) => &mut self.words.named,
            (_, true) => &mut self.words.untrusted,
            _ => &mut self.words.elsewhere,
        };
        *count += 1;
    }

    fn shingle(&mut self, print: u64) {
        let Some(known) = self.index.find(print) else { return };
        if known.marks.kind() != Kind::Shingle {
            return;
        }
        self.found(known, Extent::Part);
        self.piece_label.get_or_insert_default().raise(known.label);
        let id = known.source_id;
        match self.pieces.iter_mut().find(|(other, _)| *other == id) {
            Some((_, count)) => *count += 1,
            None => self.pieces.push((id, 1)),
        }
    }

    fn wants(&self) -> Wants {
        Wants {
            // Elsewhere it matters only that there are words.
            words: if self.names() { Want::Yes } else { Want::No },
            repeats: Want::Yes,
            components_min: TELLING_BYTES_MIN,
            pieces: Density::Every,
            bytes: Bytes::Wanted,
            ask: Ask::Look,
        }
    }
}

impl<'f> Finding<'f> {
    /// Whether a value whose fingerprints these are was only repeated of the call itself: what
    /// other spellings of it would leave too is not there any more.
    fn is_repeated(&self, prints: &[Print]) -> bool {
        let is_there = |print| self.index.find(print).is_some_and(|known| known.marks.is_trusted());
        prints.iter().any(|form| form.shared && !is_there(form.print))
    }

    /// What stands in the value was seen.
    fn found_part(&mut self, known: Known<'f>, token: Token) {
        match token {
            Token::Number(_) | Token::Address(_) => {
                self.found(known, Extent::Part);
                self.carry(known.label, 1);
            }
            Token::Bytes(_) => {
                self.found(known, Extent::Part);
                self.carry(known.label, 1000);
            }
            Token::Host | Token::Component(_) if self.components.len() < COMPONENTS_MAX => {
                self.components.push(known);
            }
            // No room: what is untrusted counts all the same.
            Token::Host | Token::Component(_) => {
                if let Some(last) =
                    self.components.last_mut().filter(|_| known.marks.is_untrusted())
                {
                    *last = known;
                }
            }
        }
    }
}

impl Finding<'_> {
    /// Whether it is a list of addresses each of which the task names. What may be read as a number
    /// is none, and digits with nothing but spaces between them may as well be one address.
    fn is_list(&self, key: &FlowKey, normal: &[u8]) -> bool {
        if matches!(self.role, ArgumentRole::Command | ArgumentRole::Amount) {
            return false;
        }
        let is_parted = memchr::memchr2(b',', b';', normal).is_some();
        let parts = normal.split(|byte| b" ,;".contains(byte)).filter(|part| !part.is_empty());
        let named = |part: &[u8]| {
            let forms = |part| Prints::of(key, part, Forms::of(part), Ask::Look);
            is_address(part)
                && (is_parted || part.iter().any(u8::is_ascii_alphabetic))
                && is_named(self.named, self.role, forms(part).as_slice())
        };
        parts.clone().nth(1).is_some()
            && parts.clone().count() <= LIST_MAX
            && parts.clone().all(named)
            && canonical::number(normal).is_none()
    }
}

/// Whether the task names a value with these fingerprints, where it decides that.
fn is_named(named: &Named, role: ArgumentRole, prints: &[Print]) -> bool {
    !named.is_empty() && prints.iter().any(|form| form.sense.vouches(role) && named.has(form.print))
}

/// Whether a text of more words than a phrase has stands in the task: each run of so many does.
fn is_said(named: &Named, key: &FlowKey, normal: &[u8]) -> bool {
    let gaps: Vec<usize> =
        normal.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(at, _)| at).collect();
    if gaps.len() < PHRASE_WORDS_MAX {
        return false;
    }
    let starts = std::iter::once(0).chain(gaps.iter().map(|gap| gap + 1));
    let ends = gaps.iter().copied().skip(PHRASE_WORDS_MAX - 1).chain([normal.len()]);
    starts.zip(ends).all(|(start, end)| {
        let run = normal.get(start..end).unwrap_or_default();
        named.has(key.print(Domain::Phrase, run))
    })
}

/// Whether a value in its normal form says so little that it may come from anywhere: nothing, a
/// single character, a number of one digit, or a word that forms and switches are full of.
fn is_common(normal: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"true", b"false", b"null", b"none", b"yes", b"no", b"on", b"off", b"ok", b"all", b"any",
        b"asc", b"desc", b"low", b"medium", b"high", b"normal", b"default", b"auto", b"json",
        b"text", b"html", b"utf-8", b"get", b"post", b"put", b"open", b"closed", b"active", b"new",
        b"day", b"week", b"month", b"year", b"name", b"date", b"id", b"title",
    ];
    match normal {
        [] | [_] | [b'-', b'0'..=b'9'] => true,
        // None of them is longer, or begins with a digit: most values are seen to be none at once.
        [b'0'..=b'9', ..] | [_, _, _, _, _, _, _, _, ..] => false,
        _ => WORDS.contains(&normal),
    }
}

/// Whether so many letters stand together that they may be a word.
fn may_have_word(normal: &[u8]) -> bool {
    let mut letters = 0;
    normal.iter().any(|byte| {
        letters = if class(*byte) == LETTER { letters + 1 } else { 0 };
        letters == WORD_BYTES_MIN
    })
}

/// Whether a value in its normal form is one address: no space, and a mark or a digit in it.
fn is_address(normal: &[u8]) -> bool {
    !normal.contains(&b' ')
        && normal
            .iter()
            .any(|b| b.is_ascii_digit() || matches!(b, b'@' | b'/' | b'\\' | b'.' | b':'))
}
