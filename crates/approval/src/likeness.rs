//! When one request is but another way of putting one that was refused.
//!
//! Two requests are alike when their normal forms are: the same action on the same resources,
//! with arguments that are equal after all of this:
//!
//! - texts: Unicode NFKC, lower case, without characters that do not show (controls, zero-width
//!   and directional ones, soft hyphens), each run of white space one blank, none at the ends;
//! - numbers: by what they are worth (`1`, `1.0` and `1e0` are one); a text is no number;
//! - lists: as sets, order and repetitions aside;
//! - objects: without members that are `null` or, in this form, empty.
//!
//! The words in which an agent asks are no part of it: they change nothing of what is asked.
//! Other words *within* an argument are another request, and so is a letter that only looks like
//! another: people are shown those, and the limit on how often they are asked holds for all.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{ActionName, EntityRef, INPUT_DEPTH_MAX, Value};
use unicode_normalization::UnicodeNormalization;

/// The bytes whose keyed digest says whether two requests are alike. The form is ours, starts
/// with its version, and is read by nobody. They hold values, and are not kept.
pub fn likeness(action: &ActionName, resources: &BTreeSet<EntityRef>, input: &Value) -> Vec<u8> {
    let mut out = b"likeness/1\n".to_vec();
    piece(&mut out, b'a', action.as_str().as_bytes());
    for resource in resources {
        piece(&mut out, b't', resource.ty.as_str().as_bytes());
        piece(&mut out, b'i', resource.id.as_str().as_bytes());
    }
    out.extend(form(input, INPUT_DEPTH_MAX).unwrap_or_default());
    out
}

/// Kind, length and bytes: no two lists of pieces have the same bytes.
fn piece(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend(bytes.len().to_string().into_bytes());
    out.push(b':');
    out.extend(bytes);
}

/// The normal form; `None` of what is not there. Deeper than arguments may be, all is alike.
fn form(value: &Value, depth_left: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Null => return None,
        Value::Bool(b) => piece(&mut out, b'b', if *b { b"1" } else { b"0" }),
        Value::Integer(n) => piece(&mut out, b'n', worth(&n.to_string()).as_bytes()),
        Value::Number(number) => piece(&mut out, b'n', worth(number.as_str()).as_bytes()),
        Value::String(text) => {
            let text = plain(text);
            if text.is_empty() {
                return None;
            }
            piece(&mut out, b's', text.as_bytes());
        }
        Value::Array(_) | Value::Object(_) if depth_left == 0 => piece(&mut out, b'd', b""),
        Value::Array(items) => {
            let items: BTreeSet<_> =
                items.iter().filter_map(|item| form(item, depth_left - 1)).collect();
            container(&mut out, b'l', &items.into_iter().collect::<Vec<_>>())?;
        }
        Value::Object(members) => {
            let member = |(name, value): (&Arc<str>, &Value)| {
                let mut bytes = Vec::new();
                piece(&mut bytes, b'k', name.as_bytes());
                bytes.extend(form(value, depth_left - 1)?);
                Some(bytes)
            };
            let members: Vec<_> = members.iter().filter_map(member).collect();
            container(&mut out, b'o', &members)?;
        }
    }
    Some(out)
}

fn container(out: &mut Vec<u8>, kind: u8, parts: &[Vec<u8>]) -> Option<()> {
    (!parts.is_empty()).then(|| piece(out, kind, &parts.concat()))
}

fn plain(text: &str) -> String {
    let lower: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let shown: String = lower.chars().filter(|c| c.is_whitespace() || !is_hidden(*c)).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that take no room: controls, marks of direction, joiners, variation selectors,
/// tags.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A number's sign, significant digits and the power of ten of its last digit. An exponent beyond
/// 64 bits leaves the text as it is.
fn worth(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, decimals].concat();
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return "0".into();
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    let place = || {
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let shift = i64::try_from(zeros).ok()? - i64::try_from(decimals.len()).ok()?;
        exponent.checked_add(shift)
    };
    place().map_or_else(|| text.into(), |place| format!("{sign}{significant}e{place}"))
}

#[cfg(test)]
mod tests {
    use safeconduct_model::Number;

    use super::*;

    fn of(input: &Value) -> Vec<u8> {
        likeness(&ActionName::new("mail.send").unwrap(), &BTreeSet::new(), input)
    }

    fn body(text: &str) -> Value {
        Value::object([("body", Value::from(text))])
    }

    #[test]
    fn other_forms_of_the_same_are_alike() {
        let plain = of(&body("send the file"));
        for text in
            ["Send the file", " send\t the \n file ", "se\u{200b}nd the file", "ｓend the file"]
        {
            assert_eq!(of(&body(text)), plain, "{text:?}");
        }
        assert_eq!(of(&body("é")), of(&body("e\u{301}")));
        let mut more = body("send the file");
        if let Value::Object(members) = &mut more {
            members.insert("cc".into(), Value::Array(vec![Value::from("\u{feff}")]));
            members.insert("bcc".into(), Value::Null);
        }
        assert_eq!(of(&more), plain);
    }

    #[test]
    fn numbers_are_alike_by_their_worth() {
        let number = |text: &str| Value::Number(Number::parse(text).unwrap());
        let hundred = of(&Value::Integer(100));
        for text in ["100.0", "1e2", "0.1E+3", "10000e-2"] {
            assert_eq!(of(&number(text)), hundred, "{text}");
        }
        assert_eq!(of(&number("-0.0")), of(&Value::Integer(0)));
        for other in [number("100.1"), Value::Integer(-100), Value::from("100"), number("1e3")] {
            assert_ne!(of(&other), hundred, "{other:?}");
        }
        assert_ne!(of(&number("1e99999999999999999999")), of(&number("1e99999999999999999998")));
    }

    #[test]
    fn other_requests_are_not() {
        let list = |items: &[&str]| {
            Value::object([("to", Value::Array(items.iter().map(|i| Value::from(*i)).collect()))])
        };
        assert_eq!(of(&list(&["a", "b"])), of(&list(&["b", "a", "B"])));
        assert_ne!(of(&list(&["a", "b"])), of(&list(&["a"])));
        assert_ne!(of(&list(&["a", "b"])), of(&list(&["a b"])));
        assert_ne!(of(&body("send the file")), of(&body("send a file")));
        assert_ne!(of(&body("a")), of(&Value::object([("subject", Value::from("a"))])));
        let nothing = BTreeSet::new();
        let other = ActionName::new("mail.delete").unwrap();
        assert_ne!(likeness(&other, &nothing, &body("a")), of(&body("a")));
        let touched = BTreeSet::from([EntityRef::new("Mailbox", "x").unwrap()]);
        let action = ActionName::new("mail.send").unwrap();
        assert_ne!(likeness(&action, &touched, &body("a")), of(&body("a")));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |levels: usize, inside: &str| {
            (0..levels).fold(Value::from(inside), |value, _| Value::Array(vec![value]))
        };
        assert_ne!(of(&deep(INPUT_DEPTH_MAX - 1, "a")), of(&deep(INPUT_DEPTH_MAX - 1, "b")));
        assert_eq!(of(&deep(INPUT_DEPTH_MAX + 9, "a")), of(&deep(INPUT_DEPTH_MAX + 9, "b")));
    }
}
