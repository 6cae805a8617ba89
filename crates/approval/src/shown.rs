//! Arguments as people see them before they answer: leaf by leaf, with everything made visible
//! that looks like something else, or like nothing.
//!
//! A character that does not show, turns the direction, or stands among letters of another script
//! is followed or replaced by `⟨U+0430⟩`; the bracket `⟨` itself is always written so, and no text
//! can pretend to have been marked. A line feed ends a line.

use std::collections::BTreeSet;

use safeconduct_model::Value;
use unicode_normalization::is_nfc;
use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

use crate::likeness::is_hidden;

/// Most leaves that are shown; how many more there are is said.
pub const SHOWN_VALUES_MAX: usize = 256;

/// Most characters of one text that are shown: from its beginning and its end. How many lie
/// between is said.
pub const SHOWN_CHARS_MAX: usize = 4096;

/// Arguments, for showing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The leaves, in the order of their pointers; an empty list or object is one.
    pub values: Vec<ShownValue>,
    /// How many more there are.
    pub more: usize,
}

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownValue {
    /// JSON Pointer to it, with the same marks as texts.
    pub pointer: String,
    /// What it is, in JSON's words: `string`, `number`, ...
    pub kind: &'static str,
    /// What it says, line by line.
    pub lines: Vec<String>,
    /// What there is to say of it, its name included.
    pub marks: BTreeSet<Mark>,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// How many characters in its middle are not shown.
    pub left_out: usize,
}

/// Why somebody should look twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It holds control characters other than the ends of lines.
    Control,
    /// It holds characters that do not show.
    Hidden,
    /// It holds characters that change the direction in which it is read.
    Direction,
    /// A word in it has letters of scripts that do not go together.
    MixedScripts,
    /// A word in it looks like one in Latin letters, and has none.
    LooksLatin,
    /// It is written in another Unicode form than is usual (NFC).
    NotNormal,
    /// It is longer than is shown.
    Cut,
}

impl Mark {
    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Hidden => "hidden",
            Self::Direction => "direction",
            Self::MixedScripts => "mixed_scripts",
            Self::LooksLatin => "looks_latin",
            Self::NotNormal => "not_normal",
            Self::Cut => "cut",
        }
    }

    /// What to tell people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Control => "holds control characters",
            Self::Hidden => "holds characters that do not show",
            Self::Direction => "holds characters that change the direction of reading",
            Self::MixedScripts => "mixes letters of scripts that look alike",
            Self::LooksLatin => "looks like Latin letters, and is none",
            Self::NotNormal => "is written in an unusual Unicode form",
            Self::Cut => "is longer than is shown here",
        }
    }
}

/// The arguments, for showing.
pub fn shown(arguments: &Value) -> Shown {
    let mut shown = Shown::default();
    walk(arguments, &mut String::new(), &mut shown);
    shown
}

/// One text, for showing where only a line has room: a name, a reason.
pub fn shown_text(text: &str) -> ShownValue {
    leaf("", "string", text)
}

fn walk(value: &Value, pointer: &mut String, shown: &mut Shown) {
    let mut inner = |token: &str, value: &Value, shown: &mut Shown| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        walk(value, pointer, shown);
        pointer.truncate(length);
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                inner(&index.to_string(), item, shown);
            }
        }
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| inner(name, value, shown));
        }
        _ if shown.values.len() >= SHOWN_VALUES_MAX => shown.more += 1,
        Value::String(text) => shown.values.push(leaf(pointer, value.kind(), text)),
        Value::Null => shown.values.push(leaf(pointer, value.kind(), "null")),
        Value::Bool(truth) => shown.values.push(leaf(pointer, value.kind(), &truth.to_string())),
        Value::Integer(n) => shown.values.push(leaf(pointer, value.kind(), &n.to_string())),
        Value::Number(n) => shown.values.push(leaf(pointer, value.kind(), n.as_str())),
        Value::Array(_) => shown.values.push(leaf(pointer, value.kind(), "[]")),
        Value::Object(_) => shown.values.push(leaf(pointer, value.kind(), "{}")),
    }
}

fn leaf(pointer: &str, kind: &'static str, text: &str) -> ShownValue {
    let mut marks = BTreeSet::new();
    let pointer = visible(pointer, &mut marks).replace('\n', "⟨U+000A⟩");
    if !is_nfc(text) {
        marks.insert(Mark::NotNormal);
    }
    let count = text.chars().count();
    let left_out = count.saturating_sub(SHOWN_CHARS_MAX);
    let seen = match left_out {
        0 => visible(text, &mut marks),
        _ => {
            marks.insert(Mark::Cut);
            let head: String = text.chars().take(SHOWN_CHARS_MAX * 3 / 4).collect();
            let tail: String = text.chars().skip(SHOWN_CHARS_MAX * 3 / 4 + left_out).collect();
            // What is left out is looked at all the same.
            visible(text, &mut marks);
            let head = visible(&head, &mut marks);
            let tail = visible(&tail, &mut marks);
            format!("{head}\n⟨{left_out} characters are not shown⟩\n{tail}")
        }
    };
    let lines = seen.split('\n').map(str::to_owned).collect();
    ShownValue { pointer, kind, lines, marks, bytes: text.len(), left_out }
}

/// The text with all that deceives made visible.
fn visible(text: &str, marks: &mut BTreeSet<Mark>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() {
            word.push(c);
            continue;
        }
        put_word(&mut word, &mut out, marks);
        match mark_of(c) {
            Some(mark) => {
                marks.extend(mark);
                name(c, &mut out);
            }
            None => out.push(c),
        }
    }
    put_word(&mut word, &mut out, marks);
    out
}

/// A character by its number.
fn name(c: char, out: &mut String) {
    out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
}

/// What a character that is not written as it stands is marked as; the bracket as nothing.
#[expect(clippy::option_option, reason = "whether it is written out, and whether that is odd")]
fn mark_of(c: char) -> Option<Option<Mark>> {
    match c {
        '\n' => None,
        '⟨' => Some(None),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(Some(Mark::Direction))
        }
        c if c.is_control() => Some(Some(Mark::Control)),
        c if is_hidden(c) || c.is_whitespace() && c != ' ' => Some(Some(Mark::Hidden)),
        _ => None,
    }
}

/// Writes a word out; the foreign letters of one that deceives are followed by their numbers.
fn put_word(word: &mut String, out: &mut String, marks: &mut BTreeSet<Mark>) {
    let mark = match word.is_ascii() {
        true => None,
        false if !word.as_str().is_single_script() => Some(Mark::MixedScripts),
        false => {
            let latin = skeleton(word).all(|c| c.is_ascii_alphanumeric());
            let foreign = word.chars().all(|c| !c.is_ascii_alphabetic());
            (latin && foreign).then_some(Mark::LooksLatin)
        }
    };
    for c in word.chars() {
        // Letters that take no room are alphabetic too.
        let hidden = is_hidden(c);
        if hidden {
            marks.insert(Mark::Hidden);
        } else {
            out.push(c);
        }
        if hidden || mark.is_some() && !c.is_ascii() {
            name(c, out);
        }
    }
    marks.extend(mark);
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, Vec<&'static str>) {
        let shown = shown_text(text);
        (shown.lines.join("\n"), shown.marks.iter().map(|mark| mark.as_str()).collect())
    }

    #[test]
    fn what_deceives_is_made_visible() {
        for (text, seen, marks) in [
            ("ada@example.org", "ada@example.org", vec![]),
            ("Grüße an Ωμέγα, 東京", "Grüße an Ωμέγα, 東京", vec![]),
            ("a\u{200b}b", "a⟨U+200B⟩b", vec!["hidden"]),
            ("a\u{202e}b", "a⟨U+202E⟩b", vec!["direction"]),
            ("a\u{7}b\tc", "a⟨U+0007⟩b⟨U+0009⟩c", vec!["control"]),
            ("one\ntwo", "one\ntwo", vec![]),
            ("p\u{430}ypal.com", "p\u{430}⟨U+0430⟩ypal.com", vec!["mixed_scripts"]),
            ("a\u{a0}b", "a⟨U+00A0⟩b", vec!["hidden"]),
            ("⟨U+200B⟩", "⟨U+27E8⟩U+200B⟩", vec![]),
            ("e\u{301}", "e\u{301}", vec!["not_normal"]),
            ("a\u{3164}b", "a⟨U+3164⟩b", vec!["hidden", "mixed_scripts"]),
        ] {
            let (lines, found) = one(text);
            assert_eq!((lines.as_str(), &found), (seen, &marks), "{text:?}");
        }
        let (lines, marks) = one("\u{440}\u{430}\u{443}\u{440}\u{430}l");
        assert!(lines.contains("⟨U+0430⟩") && marks == ["mixed_scripts"], "{lines}");
        let (lines, marks) = one("\u{441}\u{43e}\u{440}\u{435}");
        assert!(lines.contains("⟨U+0441⟩") && marks == ["looks_latin"], "{lines} {marks:?}");
    }

    #[test]
    fn what_is_long_is_cut_in_its_middle_and_says_so() {
        let text = format!("{}\u{202e}{}", "a".repeat(5000), "z".repeat(5000));
        let shown = shown_text(&text);
        assert_eq!((shown.left_out, shown.bytes), (10_001 - SHOWN_CHARS_MAX, text.len()));
        assert!(shown.marks.contains(&Mark::Cut) && shown.marks.contains(&Mark::Direction));
        assert!(shown.lines[0].starts_with("aaa") && shown.lines[2].ends_with("zzz"));
    }

    #[test]
    fn every_leaf_is_there_by_its_pointer() {
        let value = Value::object([
            ("a/b", Value::Array(vec![Value::Integer(1), Value::Null])),
            ("e", Value::Object(Default::default())),
            ("x\u{202e}", Value::from("y")),
        ]);
        let shown = shown(&value);
        let leaves: Vec<_> =
            shown.values.iter().map(|v| (v.pointer.as_str(), v.lines.join(""))).collect();
        let wanted = [("/a~1b/0", "1"), ("/a~1b/1", "null"), ("/e", "{}"), ("/x⟨U+202E⟩", "y")];
        assert_eq!(leaves, wanted.map(|(at, text)| (at, text.to_owned())));
        assert_eq!(shown.values[3].marks, [Mark::Direction].into());
        let many = Value::Array(vec![Value::Null; SHOWN_VALUES_MAX + 3]);
        assert_eq!(super::shown(&many).more, 3);
    }
}
