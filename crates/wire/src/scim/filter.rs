//! Filters (RFC 7644, section 3.4.2.2), of them what directories ask to find one of theirs:
//! attributes that equal texts, and all of several.

use super::{GROUP, ScimError, USER, without_schema};

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 4096;

/// Most comparisons of one filter.
const TERMS_MAX: usize = 8;

/// An attribute that equals a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The attribute, in lower case, without its schema.
    pub attribute: String,
    /// The value: a text, or `true` or `false`.
    pub value: String,
}

/// Reads a filter: every term has to hold.
///
/// # Errors
/// [`ScimError::Filter`].
pub fn filter(text: &str) -> Result<Vec<Term>, ScimError> {
    let no = |why: &str| ScimError::Filter(why.to_owned());
    if text.len() > FILTER_BYTES_MAX {
        return Err(no("it is too long"));
    }
    let mut rest = text.trim();
    let mut terms = Vec::new();
    loop {
        let (attribute, after) = word(rest);
        let (operator, after) = word(after);
        if !is_attribute(attribute) {
            return Err(no("an attribute is expected"));
        }
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(no("only `eq` is served"));
        }
        let (value, after) = value(after).ok_or_else(|| no("a value is expected"))?;
        let attribute = without_schema(attribute, &[USER, GROUP]).to_ascii_lowercase();
        terms.push(Term { attribute, value });
        if terms.len() > TERMS_MAX {
            return Err(no("it has too many terms"));
        }
        let (and, after) = word(after);
        match and {
            "" => return Ok(terms),
            and if and.eq_ignore_ascii_case("and") => rest = after,
            _ => return Err(no("only `and` is served between terms")),
        }
    }
}

/// The next word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(' ').unwrap_or((text, ""))
}

pub(super) fn is_attribute(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "$-_.:".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && name.chars().all(fits)
}

/// A value in JSON, and what comes after it.
fn value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    if !text.starts_with('"') {
        let (value, rest) = word(text);
        let value = ["true", "false"].into_iter().find(|word| value.eq_ignore_ascii_case(word))?;
        return Some((value.to_owned(), rest));
    }
    let mut json = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = json.next()?.ok()?;
    let rest = text.get(json.byte_offset()..)?;
    (rest.is_empty() || rest.starts_with(' ')).then_some((value, rest))
}
