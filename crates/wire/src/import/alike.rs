//! Names that people cannot tell apart.
//!
//! Two names are one where they differ only in case or in Unicode form (NFKC), or where one of
//! them is not plain ASCII and both look alike (the skeletons of UTS #39 are equal). Within
//! ASCII, `l` and `1` are left to whoever gives names: machines number things.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use safeconduct_model::IdentityId;
use unicode_normalization::UnicodeNormalization as _;

/// How two names are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// They are equal.
    Same,
    /// They differ only in case or in Unicode form.
    Case,
    /// They look alike.
    Look,
}

/// Names, to be asked for those that are like another one. Each has the place at which it was put.
#[derive(Debug, Default)]
pub struct Alikes {
    /// By the form without case.
    folded: HashMap<Box<str>, (IdentityId, usize), RandomState>,
    /// By skeleton: the first of plain ASCII, and the first other one.
    looks: HashMap<Box<str>, [Option<usize>; 2], RandomState>,
}

impl Alikes {
    /// Which name is like that one, at which place, and how.
    pub fn like(&self, id: &IdentityId) -> Option<(Twin, usize)> {
        let folded = folded(id.as_str());
        if let Some((other, place)) = self.folded.get(&*folded) {
            return Some((if other == id { Twin::Same } else { Twin::Case }, *place));
        }
        let [ascii, others] = self.looks.get(&*look(&folded))?;
        let other = others.or(ascii.filter(|_| !folded.is_ascii()));
        other.map(|place| (Twin::Look, place))
    }

    /// Puts a name in. Where one like it is there already, says so.
    pub fn put(&mut self, id: &IdentityId, place: usize) -> Option<(Twin, usize)> {
        let like = self.like(id);
        let folded = folded(id.as_str());
        let plain = folded.is_ascii();
        let looks = self.looks.entry(look(&folded)).or_default();
        let [ascii, others] = looks;
        (if plain { ascii } else { others }).get_or_insert(place);
        if let Entry::Vacant(free) = self.folded.entry(folded) {
            free.insert((id.clone(), place));
        }
        like
    }
}

/// Whether two names are one, though they are not equal.
pub fn are_alike(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one != other && one.eq_ignore_ascii_case(other);
    }
    let (one_folded, other_folded) = (folded(one), folded(other));
    one != other && (one_folded == other_folded || look(&one_folded) == look(&other_folded))
}

/// A name without case, in normal form.
fn folded(text: &str) -> Box<str> {
    if text.is_ascii() {
        return text.to_ascii_lowercase().into();
    }
    text.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>().into()
}

/// What a name without case looks like.
fn look(folded: &str) -> Box<str> {
    unicode_security::skeleton(folded).collect::<String>().into()
}

/// Whether all of a text shows.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(is_hidden)
}

/// Characters that take no room: controls, marks of direction, joiners, variation selectors,
/// tags.
pub(super) const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}'
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> IdentityId {
        IdentityId::new(text).unwrap()
    }

    #[test]
    fn names_that_look_alike_are_found() {
        for (one, other) in [
            ("ada", "Ada"),
            ("Straße", "strasse\u{0}".trim_end_matches('\0')),
            ("ada", "ａｄａ"),
            ("ada", "аda"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("ﬁle-bot", "file-bot"),
        ] {
            let alike = are_alike(one, other);
            let mut alikes = Alikes::default();
            assert_eq!(alikes.put(&id(one), 0), None);
            assert_eq!(alikes.put(&id(other), 1).is_some(), alike, "{one} {other}");
            // ß is written as ss by some and is no other letter by Unicode's own lower case.
            assert_eq!(alike, one != "Straße", "{one} {other}");
        }
    }

    #[test]
    fn names_that_machines_number_are_not() {
        let mut alikes = Alikes::default();
        for (place, name) in
            ["bot-1", "bot-l", "bot-0", "bot-o", "modern", "modem"].iter().enumerate()
        {
            assert_eq!(alikes.put(&id(name), place), None, "{name}");
        }
        // A Cyrillic o beside both.
        assert!(matches!(alikes.like(&id("bot-о")), Some((Twin::Look, 2 | 3))));
        assert_eq!(alikes.like(&id("BOT-1")), Some((Twin::Case, 0)));
        assert_eq!(alikes.like(&id("bot-1")), Some((Twin::Same, 0)));
    }
}
