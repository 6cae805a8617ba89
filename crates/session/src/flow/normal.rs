//! The normal form of a text: what two values must share to count as one.
//!
//! Unicode NFKC, lower case, white space collapsed and trimmed, invisible and control characters
//! gone. Lower case is that of single characters (`char::to_lowercase`), with the final sigma as
//! any sigma; `ß` and `ss` stay two. Letters that only look alike (`а` and `a`) stay two too.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// Whether normalisation took away more than case and white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// No: texts with this normal form look the same.
    Whole,
    /// It did: a character that cannot be seen, or one that was only compatible.
    Altered,
}

/// Puts the normal form of a text in the place of what `out` holds.
pub(crate) fn normalise(text: &str, out: &mut Vec<u8>) -> Kept {
    out.clear();
    out.reserve(text.len());
    let mut kept = Kept::Whole;
    let mut gap = false;
    for &byte in text.as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C => gap = true,
            0x80.. => return normalise_any(text, out),
            0..0x20 | 0x7F => kept = Kept::Altered,
            _ => {
                if gap && !out.is_empty() {
                    out.push(b' ');
                }
                gap = false;
                out.push(byte.to_ascii_lowercase());
            }
        }
    }
    kept
}

/// The same for any text.
fn normalise_any(text: &str, out: &mut Vec<u8>) -> Kept {
    let visible = || text.chars().filter(|c| !is_invisible(*c));
    let plain = is_nfkc_quick(visible()) == IsNormalized::Yes;
    let mut kept = match text.chars().any(is_invisible) {
        true => Kept::Altered,
        false => Kept::Whole,
    };
    if plain {
        let lower: String = visible().flat_map(lower).collect();
        if is_nfkc_quick(lower.chars()) == IsNormalized::Yes {
            collapse(lower.chars(), out);
            return kept;
        }
    }
    if visible().nfkc().ne(visible().nfc()) {
        kept = Kept::Altered;
    }
    let once: String =
        visible().nfkc().filter(|c| !is_invisible(*c)).flat_map(lower).nfkc().collect();
    // What lower case made may fold and compose once more; after that it stays.
    let twice = once.chars().filter(|c| !is_invisible(*c)).nfkc().flat_map(lower).nfkc();
    collapse(twice, out);
    kept
}

fn lower(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
}

fn collapse(chars: impl Iterator<Item = char>, out: &mut Vec<u8>) {
    out.clear();
    let mut gap = false;
    for c in chars {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && !out.is_empty() {
            out.push(b' ');
        }
        gap = false;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Characters that nobody sees: controls that are no white space, and what Unicode calls
/// default ignorable (zero-width, direction marks, variation selectors, tags, fillers).
fn is_invisible(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' => false,
        '\u{0}'..='\u{7e}' => c < ' ',
        _ => {
            c.is_control()
                || matches!(c,
                    '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
                    | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                    | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                    | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                    | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                    | '\u{e0000}'..='\u{e0fff}')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> (String, Kept) {
        let mut out = Vec::new();
        let kept = normalise(text, &mut out);
        (String::from_utf8(out).unwrap(), kept)
    }

    #[test]
    fn case_space_and_compatibility_do_not_count() {
        for (text, same) in [
            ("  Alice\t Smith\n", "alice smith"),
            ("ÄRGER", "a\u{308}rger"),
            ("ﬁle Ⅷ １２", "file viii 12"),
            ("Ὀδυσσεύς", "ὀδυσσεύσ"),
            ("a\u{a0}b\u{2003}c", "a b c"),
        ] {
            assert_eq!(normal(text).0, normal(same).0, "{text}");
        }
        assert_ne!(normal("pаypal").0, normal("paypal").0, "Cyrillic a");
    }

    #[test]
    fn what_cannot_be_seen_is_gone_and_said() {
        for text in ["al\u{200b}ice", "al\u{1}ice", "\u{feff}alice", "alice\u{e0041}", "ａlice"] {
            assert_eq!(normal(text), ("alice".into(), Kept::Altered), "{text:?}");
        }
        assert_eq!(normal("Zürich ").1, Kept::Whole);
    }
}
