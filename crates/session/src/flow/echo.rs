//! What a result only repeats of its own call.

use safeconduct_model::Value;

use super::decode::Bytes;
use super::digest::{RESULT_BYTES_READ_MAX, RESULT_LEAVES_READ_MAX, looks_like_json};
use super::forms::{Ask, Print};
use super::gleaned::{Gleaned, Source};
use super::key::{Domain, FlowKey};
use super::normal::Kept;
use super::piece::Density;
use super::scan::{self, Content, End, Visitor};
use super::text::{Reader, Sink, Token, Want, Wants};
use super::walk::value;

/// Most fingerprints of what one call has said; of more, anything may be its echo.
const ECHO_PRINTS_MAX: usize = 32_768;

/// The fingerprints of what a call has said: its values, names and words, and every part of an
/// address, in whatever spelling they may come back.
#[derive(Debug, Clone)]
pub struct Echo {
    key: FlowKey,
    /// Ascending, each once.
    prints: Vec<u64>,
    /// It was more than is looked at: anything may be its echo.
    anything: bool,
}

impl Echo {
    /// Of these values; what they say comes from nowhere yet.
    pub fn of(key: &FlowKey, said: &[&Value], _: &Source) -> Self {
        let mut saying = Saying {
            reader: Reader::new(*key),
            heard: Heard { prints: Vec::new(), is_full: false },
            bytes_left: RESULT_BYTES_READ_MAX,
            leaves_left: RESULT_LEAVES_READ_MAX,
            nested: false,
        };
        let ends: Vec<End> = said.iter().map(|said| value(said, &mut saying)).collect();
        saying.heard.sort();
        let anything = saying.is_full() || ends.contains(&End::Full);
        let prints = if anything { Vec::new() } else { saying.heard.prints };
        Self { key: *key, prints, anything }
    }

    /// The key under which they were made.
    pub const fn key(&self) -> FlowKey {
        self.key
    }

    fn holds(&self, print: u64) -> bool {
        self.anything || self.prints.binary_search(&print).is_ok()
    }
}

impl Gleaned {
    /// Whether anything in it is trusted.
    pub fn vouches(&self) -> bool {
        self.groups.iter().any(|group| !group.marks.is_untrusted())
    }

    /// Without trust in what the call itself said: an answer that repeats it ("nothing found for
    /// X") vouches for none of it. What stood in untrusted fields stays as it is. Of a call that
    /// said more than is looked at nothing is vouched for.
    #[must_use]
    pub fn without(mut self, said: &Echo) -> Self {
        for group in self.groups.iter_mut().filter(|group| !group.marks.is_untrusted()) {
            // What is confidential is carried out by whatever may be it.
            if let Some(label) = self.labels.get(usize::from(group.label))
                && said.anything
            {
                self.forgotten.raise(group.marks.kind(), label);
            }
            group.prints.retain(|print| !said.holds(*print));
        }
        self.groups.retain(|group| !group.prints.is_empty());
        self
    }
}

/// What is heard of a call.
struct Heard {
    prints: Vec<u64>,
    is_full: bool,
}

impl Heard {
    fn put(&mut self, prints: impl Iterator<Item = u64>) {
        self.prints.extend(prints);
        if self.prints.len() >= 2 * ECHO_PRINTS_MAX {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.prints.sort_unstable();
        self.prints.dedup();
        if self.prints.len() > ECHO_PRINTS_MAX {
            self.is_full = true;
            self.prints.clear();
        }
    }
}

impl Sink for Heard {
    fn begin(&mut self, _: &FlowKey, _: &[u8]) {}

    fn whole(&mut self, prints: &[Print]) {
        self.put(prints.iter().map(|form| form.print));
    }

    fn token(&mut self, prints: &[Print], _: Token) {
        self.whole(prints);
    }

    fn word(&mut self, print: impl FnOnce() -> u64) {
        let print = print();
        self.put(std::iter::once(print));
    }

    /// Pieces vouch for nothing.
    fn shingle(&mut self, _: u64) {}

    fn wants(&self) -> Wants {
        Wants {
            words: Want::Yes,
            repeats: Want::Yes,
            components_min: 1,
            pieces: Density::None,
            bytes: Bytes::Wanted,
            ask: Ask::Look,
        }
    }
}

/// A call's values and names, within bounds.
struct Saying {
    reader: Reader,
    heard: Heard,
    bytes_left: usize,
    leaves_left: usize,
    /// Whether a text is read that is a document of its own.
    nested: bool,
}

impl Saying {
    fn hear(&mut self, text: &str) {
        if !self.afford(text.len()) {
            return;
        }
        if self.reader.text(text, &mut self.heard) == Kept::Altered {
            let exact = self.reader.key.print(Domain::Exact, text.trim().as_bytes());
            self.heard.word(|| exact);
        }
    }

    fn afford(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(0);
        self.leaves_left = self.leaves_left.saturating_sub(1);
        left.is_some()
    }
}

impl Visitor for Saying {
    fn open(&mut self) {}

    fn close(&mut self, _: Content) {}

    fn name(&mut self, name: &str) {
        self.hear(name);
    }

    fn element(&mut self) {}

    fn text(&mut self, text: &str) {
        if !self.nested && looks_like_json(text) {
            self.nested = true;
            scan::json(text, self);
            self.nested = false;
        }
        self.hear(text);
    }

    fn number(&mut self, text: &str) {
        if self.afford(text.len()) {
            self.reader.number(text, &mut self.heard);
        }
    }

    fn word(&mut self, word: &str) {
        if self.afford(word.len()) {
            self.heard.word(|| self.reader.key.print(Domain::Value, word.as_bytes()));
        }
    }

    fn is_full(&self) -> bool {
        self.bytes_left == 0 || self.leaves_left == 0 || self.heard.is_full
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{ArgumentRole, ArgumentUse, Integrity, Label, RecordId, Returns};

    use super::super::{Flow, Part, Provenance, digest_result};
    use super::*;

    fn look_up(result: &str, integrity: Integrity) -> Vec<Provenance> {
        let mut flow = Flow::keyed([3; 16]);
        let said = Value::object([("q", Value::from("eve@evil.example"))]);
        let source = Source { sequence: 1, record: RecordId::new("dec_1").unwrap() };
        let returns = Returns::uniform(Label { integrity, ..Label::LEAST });
        let echo = Echo::of(&flow.key(), &[&said], &source);
        let gleaned = digest_result(&flow.key(), &[Part::Text(result)], &returns, source);
        let bytes = gleaned.without(&echo).encode();
        flow.fold(&Gleaned::decode(&bytes).unwrap());
        let to = ArgumentUse { argument: "/to".into(), role: ArgumentRole::Address };
        let sent = Value::object([("to", Value::from("EVE@evil.example"))]);
        let origins = flow.look_up(&sent, &[to]);
        let leaf = origins.at("/to").unwrap();
        Provenance::ALL.into_iter().filter(|provenance| leaf.is(*provenance)).collect()
    }

    #[test]
    fn what_a_call_said_is_not_vouched_for_by_its_answer() {
        let echo = "nothing found for eve@evil.example";
        assert_eq!(look_up(echo, Integrity::Trusted), [Provenance::Unseen]);
        assert_eq!(
            look_up(r#"{"q": "eve@evil.example"}"#, Integrity::Trusted),
            [Provenance::Unseen]
        );
        // What anyone could have written stays what it is.
        assert_eq!(look_up(echo, Integrity::Untrusted), [Provenance::FromUntrusted]);
    }

    /// What lies beyond what is looked at of a call may be its echo too.
    #[test]
    fn of_a_call_that_says_more_than_is_looked_at_nothing_comes_back() {
        let key = FlowKey::from_bytes([3; 16]);
        let source = Source { sequence: 1, record: RecordId::new("dec_1").unwrap() };
        let many = vec![Value::from(0); super::super::RESULT_LEAVES_READ_MAX];
        let few = Value::Array(many.iter().take(9).cloned().collect());
        let many = Value::Array(many.into_iter().chain([Value::from("eve")]).collect());
        let trusted = Returns::uniform(Label::LEAST);
        let prints = |said: &Value| {
            let gleaned = digest_result(&key, &[Part::Text("eve")], &trusted, source.clone());
            gleaned.without(&Echo::of(&key, &[said], &source)).prints()
        };
        assert_eq!((prints(&few), prints(&many)), (1, 0));
    }
}
