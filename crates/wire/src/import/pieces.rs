//! The elements of a list in a JSON text, each with the line that it begins in.

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{IMPORT_ROWS_MAX, ImportFault, lines_in};

/// One element.
pub(super) struct Piece<'t> {
    pub(super) line: u64,
    pub(super) json: &'t str,
}

/// The elements of the list that the text is, or that is the member of one of those names in the
/// object that it is.
pub(super) fn of<'t>(text: &'t str, members: &[&str]) -> Result<Vec<Piece<'t>>, ImportFault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let list = serde::Deserializer::deserialize_any(&mut json, Outer { members });
    let list = list.and_then(|list| json.end().map(|()| list)).map_err(|error| {
        let problem = format!("this is not the JSON that it must be: {error}");
        ImportFault { line: error.line() as u64, problem }
    })?;
    let (mut line, mut seen) = (1, 0);
    let begins = text.as_ptr().addr();
    let piece = |raw: &'t RawValue| {
        let json = raw.get();
        // The pieces are parts of the text, in its order.
        let at = json.as_ptr().addr().saturating_sub(begins);
        line += lines_in(text.as_bytes().get(seen..at).unwrap_or_default());
        seen = at;
        Piece { line, json }
    };
    Ok(list.into_iter().map(piece).collect())
}

/// The list, or the object that holds it.
struct Outer<'m> {
    members: &'m [&'m str],
}

impl<'t> Visitor<'t> for Outer<'_> {
    type Value = Vec<&'t RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a list, or an object with the list `{}`", self.members.join("` or `"))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut pieces = Vec::new();
        while let Some(piece) = list.next_element()? {
            if pieces.len() == IMPORT_ROWS_MAX {
                return Err(A::Error::custom(format!("more than {IMPORT_ROWS_MAX} entries")));
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if !self.members.contains(&&*name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let List(list) = map.next_value()?;
            if found.replace(list).is_some() {
                return Err(A::Error::custom(format!("`{name}` is here twice")));
            }
        }
        found.ok_or_else(|| {
            A::Error::custom(format!("there is no `{}`", self.members.join("` or `")))
        })
    }
}

struct List<'t>(Vec<&'t RawValue>);

impl<'t> Deserialize<'t> for List<'t> {
    fn deserialize<D: serde::Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Outer { members: &[] }).map(Self)
    }
}
