//! What a task itself names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{Integrity, Value};

use super::canonical;
use super::forms::{Ask, Forms, Prints, Sense};
use super::key::{Domain, FlowKey};
use super::normal::{Kept, normalise};
use super::scan::{Content, Visitor};
use super::walk::value;

/// Most fingerprints of what a task names; what comes beyond counts as unseen. Whole values of
/// parameters come first, then addresses and numbers, then words, then ever longer phrases.
pub const NAMED_PRINTS_MAX: usize = 4096;

/// Most words of a phrase that is known as one; a longer text is known by each run of so many.
pub(crate) const PHRASE_WORDS_MAX: usize = 8;

/// What a task itself names, as fingerprints under the session's key.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Ascending, each once.
    pub(crate) prints: Arc<[u64]>,
}

/// Counts only.
impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({} prints)", self.prints.len())
    }
}

impl Named {
    /// Whether that is among them.
    pub(crate) fn has(&self, print: u64) -> bool {
        self.prints.binary_search(&print).is_ok()
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// Both.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.prints.is_empty() {
            self.prints = Arc::clone(&other.prints);
            return;
        }
        let all: BTreeSet<u64> = self.prints.iter().chain(&*other.prints).copied().collect();
        // What was named first stays.
        let room = NAMED_PRINTS_MAX.saturating_sub(self.prints.len());
        let new = all.iter().filter(|print| !self.has(**print)).take(room);
        let mut prints: Vec<u64> = self.prints.iter().copied().chain(new.copied()).collect();
        prints.sort_unstable();
        self.prints = prints.into();
    }
}

/// What a task names: its parameters and its prompt, where they are trusted. Of a task whose
/// parameters are not, nothing: they keep the provenance that they have.
pub fn glean_task(
    key: &FlowKey,
    parameters: &BTreeMap<Arc<str>, Value>,
    prompt: Option<&str>,
    integrity: Integrity,
) -> Named {
    if integrity != Integrity::Trusted {
        return Named::default();
    }
    let mut naming =
        Naming { key: *key, wholes: BTreeSet::new(), texts: Vec::new(), normal: Vec::new() };
    for parameter in parameters.values() {
        value(parameter, &mut naming);
    }
    if let Some(prompt) = prompt {
        naming.texts.push(prompt.into());
    }
    naming.finish()
}

struct Naming {
    key: FlowKey,
    wholes: BTreeSet<u64>,
    texts: Vec<String>,
    normal: Vec<u8>,
}

impl Naming {
    fn whole(&mut self, text: &str) {
        let kept = normalise(text, &mut self.normal);
        if self.normal.is_empty() {
            return;
        }
        put(&self.key, &self.normal, &mut self.wholes);
        if kept == Kept::Altered {
            self.wholes.insert(self.key.print(Domain::Exact, text.trim().as_bytes()));
        }
    }

    fn finish(mut self) -> Named {
        let mut prints = std::mem::take(&mut self.wholes);
        prints = prints.into_iter().take(NAMED_PRINTS_MAX).collect();
        let texts: Vec<Words> =
            self.texts.iter().map(|text| Words::of(text, &mut self.normal)).collect();
        let mut phrases = BTreeSet::new();
        for length in 1..=PHRASE_WORDS_MAX {
            if prints.len() >= NAMED_PRINTS_MAX {
                break;
            }
            for words in &texts {
                words.phrases(length, &mut |phrase| {
                    put(&self.key, phrase, &mut phrases);
                    if length == PHRASE_WORDS_MAX {
                        phrases.insert(self.key.print(Domain::Phrase, phrase));
                    }
                });
            }
            let room = NAMED_PRINTS_MAX.saturating_sub(prints.len());
            let new: Vec<u64> =
                phrases.iter().filter(|p| !prints.contains(p)).take(room).copied().collect();
            prints.extend(new);
            phrases.clear();
        }
        let prints: Vec<u64> = prints.into_iter().collect();
        Named { prints: prints.into() }
    }
}

/// Adds what a value vouches for.
fn put(key: &FlowKey, normal: &[u8], prints: &mut BTreeSet<u64>) {
    let forms = Prints::of(key, normal, Forms::of(normal), Ask::Keep);
    let vouching = forms.as_slice().iter().filter(|form| form.sense != Sense::Like);
    prints.extend(vouching.map(|form| form.print));
}

/// Parameters are walked for their values; names of members are values too.
impl Visitor for Naming {
    fn open(&mut self) {}

    fn close(&mut self, _: Content) {}

    fn name(&mut self, name: &str) {
        self.whole(name);
    }

    fn element(&mut self) {}

    fn text(&mut self, text: &str) {
        self.whole(text);
        self.texts.push(text.to_owned());
    }

    fn number(&mut self, text: &str) {
        self.whole(text);
    }

    fn word(&mut self, word: &str) {
        self.whole(word);
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// The words of a text, with what may stand around them and is none of them.
struct Words {
    normal: Vec<u8>,
    /// Where each word starts and ends in the normal form.
    words: Vec<(usize, usize)>,
}

impl Words {
    fn of(text: &str, normal: &mut Vec<u8>) -> Self {
        normalise(text, normal);
        let mut words = Vec::new();
        let mut at = 0;
        for word in normal.split(|byte| *byte == b' ') {
            words.push((at, at + word.len()));
            at += word.len() + 1;
        }
        Self { normal: normal.clone(), words }
    }

    /// Each phrase of so many words, in each way that its edges may be read.
    fn phrases(&self, length: usize, tell: &mut dyn FnMut(&[u8])) {
        for run in self.words.windows(length) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let head = self.normal.get(first.0..first.1).unwrap_or_default();
            let tail = self.normal.get(last.0..last.1).unwrap_or_default();
            for skip in leading(head) {
                for cut in trailing(tail) {
                    let phrase = self.normal.get(first.0 + skip..last.1 - cut.min(last.1));
                    if let Some(phrase) = phrase.filter(|phrase| !phrase.is_empty()) {
                        tell(phrase);
                    }
                }
            }
            if length == 1 {
                within(head, tell);
            }
        }
    }
}

/// What stands between marks of a list or brackets in one word: `a@b.example,c@d.example`. The
/// groups of a number are no values.
fn within(word: &[u8], tell: &mut dyn FnMut(&[u8])) {
    let brackets = |byte: &u8| b";|<>()[]\"'`".contains(byte);
    let mut part = |part: &[u8]| {
        for cut in trailing(part) {
            let part = part.get(..part.len() - cut.min(part.len())).unwrap_or_default();
            if !part.is_empty() && part.len() < word.len() {
                tell(part);
            }
        }
    };
    for piece in word.split(brackets) {
        match has_number_in_groups(piece) {
            true => part(piece),
            false => piece.split(|byte| *byte == b',').for_each(&mut part),
        }
    }
}

/// Whether a comma of it parts the groups of a number, or its decimals.
fn has_number_in_groups(text: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let ends = text.iter().position(digit).zip(text.iter().rposition(digit));
    let digits = ends.and_then(|(from, to)| text.get(from..=to)).unwrap_or_default();
    digits.contains(&b',') && canonical::number(digits).is_some()
}

/// Marks that may stand before a word and are none of it.
fn leading(word: &[u8]) -> impl Iterator<Item = usize> {
    let marks = word.iter().take_while(|byte| b"\"'`([{<#$*_@".contains(byte)).count();
    [0, marks].into_iter().take(if marks == 0 { 1 } else { 2 })
}

/// Marks that may stand after a word: all of them, those after the last quote, or none.
fn trailing(word: &[u8]) -> impl Iterator<Item = usize> {
    let is_mark = |byte: &&u8| b"\"'`)]}>.,;:!?*_%".contains(byte);
    let marks = word.iter().rev().take_while(is_mark).count();
    let possessive =
        [&b"'s"[..], "\u{2019}s".as_bytes()].into_iter().find(|end| word.ends_with(end));
    (0..=marks.min(4)).chain(possessive.map(<[u8]>::len))
}
