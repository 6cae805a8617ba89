//! Texts that only repeat the structured value beside them, as MCP advises servers to send them.

use safeconduct_model::Value;

use super::digest::Part;
use super::key::{Domain, FlowKey};
use super::scan::{self, Content, End, Visitor};
use super::walk::value;

/// What the texts beside a structured value may repeat of it.
pub(super) struct Mirror<'a> {
    key: FlowKey,
    /// The value, and what stands under its only name: servers put what is no object under one.
    wholes: Vec<(&'a Value, Said)>,
    /// Its elements, where there are as many texts: servers send one text for each.
    elements: &'a [Value],
}

impl<'a> Mirror<'a> {
    /// Of the parts of one result: the first is the structured value, where there is one.
    pub(super) fn of(key: FlowKey, parts: &[Part<'a>]) -> Self {
        let texts = parts.iter().filter(|part| matches!(part, Part::Text(_))).count();
        let whole = match parts.first() {
            Some(Part::Value(whole)) if texts > 0 => Some(*whole),
            _ => None,
        };
        let inner = whole.and_then(Value::as_object).filter(|members| members.len() == 1);
        let inner = inner.and_then(|members| members.values().next());
        let elements = match inner {
            Some(Value::Array(items)) if items.len() == texts => items.as_slice(),
            _ => &[],
        };
        let wholes = [whole, inner].into_iter().flatten();
        let wholes = wholes.map(|known| (known, Sum::of_value(key, known))).collect();
        Self { key, wholes, elements }
    }

    /// Whether the text at that place among the texts says what the value says, and nothing else.
    pub(super) fn shows(&self, place: usize, text: &str) -> bool {
        let element = self.elements.get(place);
        if self.wholes.is_empty() {
            return false;
        }
        let is_it = |known: &Value| matches!(known, Value::String(known) if **known == *text);
        if self.wholes.iter().any(|(known, _)| is_it(known)) || element.is_some_and(is_it) {
            return true;
        }
        let Some(said) = Sum::of_text(self.key, text) else { return false };
        self.wholes.iter().any(|(_, known)| *known == said)
            || element.is_some_and(|known| Sum::of_value(self.key, known) == said)
    }
}

/// How many values a document has, and the sum of their fingerprints.
type Said = (u64, u64);

/// What a document says, whatever the order of its members: the sum of its values' fingerprints
/// with their places, under a key that nobody outside knows.
struct Sum {
    key: FlowKey,
    /// The place of each container around, and how many elements it had.
    around: Vec<(u64, u64)>,
    here: u64,
    sum: u64,
    count: u64,
    bytes: Vec<u8>,
}

impl Sum {
    fn new(key: FlowKey) -> Self {
        Self { key, around: Vec::new(), here: 1, sum: 0, count: 0, bytes: Vec::new() }
    }

    fn of_value(key: FlowKey, known: &Value) -> Said {
        let mut sum = Self::new(key);
        value(known, &mut sum);
        (sum.count, sum.sum)
    }

    fn of_text(key: FlowKey, text: &str) -> Option<Said> {
        let mut sum = Self::new(key);
        let end = scan::json(text, &mut sum);
        (end == End::Whole).then_some((sum.count, sum.sum))
    }

    fn print(&mut self, place: u64, kind: u8, text: &[u8]) -> u64 {
        self.bytes.clear();
        self.bytes.extend(place.to_le_bytes());
        self.bytes.push(kind);
        self.bytes.extend(text);
        self.key.print(Domain::Exact, &self.bytes)
    }

    fn add(&mut self, kind: u8, text: &[u8]) {
        let print = self.print(self.here, kind, text);
        self.sum = self.sum.wrapping_add(print);
        self.count += 1;
    }
}

impl Visitor for Sum {
    fn open(&mut self) {
        self.around.push((self.here, 0));
    }

    fn close(&mut self, content: Content) {
        if let Some((place, _)) = self.around.pop() {
            self.here = place;
        }
        if content == Content::Empty {
            self.add(b'e', &[]);
        }
    }

    fn name(&mut self, name: &str) {
        let place = self.around.last().map_or(0, |(place, _)| *place);
        self.here = self.print(place, b'm', name.as_bytes());
    }

    fn element(&mut self) {
        let (place, index) = self.around.last_mut().map_or((0, 0), |(place, count)| {
            *count += 1;
            (*place, *count)
        });
        self.here = self.print(place, b'i', &index.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.add(b't', text.as_bytes());
    }

    fn number(&mut self, text: &str) {
        self.add(b'n', text.as_bytes());
    }

    fn word(&mut self, word: &str) {
        self.add(b'w', word.as_bytes());
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(whole: &Value, texts: &[&str]) -> Vec<bool> {
        let parts: Vec<Part<'_>> = std::iter::once(Part::Value(whole))
            .chain(texts.iter().map(|text| Part::Text(text)))
            .collect();
        let mirror = Mirror::of(FlowKey::from_bytes([1; 16]), &parts);
        texts.iter().enumerate().map(|(place, text)| mirror.shows(place, text)).collect()
    }

    #[test]
    fn a_text_that_says_the_same_is_known_and_no_other() {
        let person = |name: &str, age: i64| {
            Value::object([("name", Value::from(name)), ("age", Value::from(age))])
        };
        let ada = person("ada", 7);
        assert_eq!(shows(&ada, &["{ \"age\": 7,\n\"name\": \"\\u0061da\" }"]), [true]);
        for other in [
            r#"{"age":7,"name":"eve"}"#,
            r#"{"age":7,"name":"ada","name":"ada"}"#,
            r#"{"name":7,"age":"ada"}"#,
            r#"{"age":"7","name":"ada"}"#,
            r#"{"age":7,"name":"ada"} eve"#,
            "ada",
        ] {
            assert_eq!(shows(&ada, &[other]), [false], "{other}");
        }
        let both = Value::Array(vec![person("ada", 7), Value::from("eve")]);
        let wrapped = Value::object([("result", both)]);
        assert_eq!(shows(&wrapped, &[r#"{"name":"ada","age":7}"#, "eve"]), [true, true]);
        assert_eq!(shows(&wrapped, &["eve", r#"{"name":"ada","age":7}"#]), [false, false]);
        assert_eq!(shows(&wrapped, &[r#"[{"name":"ada","age":7},"eve"]"#]), [true]);
        let one = Value::object([("result", Value::from("plain"))]);
        assert_eq!(shows(&one, &["plain"]), [true]);
    }
}
