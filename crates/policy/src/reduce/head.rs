//! Where the parts of a statement's scope stand in its text.

use std::ops::Range;

/// The places of a statement's scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) principal: Part,
    pub(super) action: Part,
    pub(super) resource: Part,
    /// Whether it has an `@id`.
    pub(super) is_named: bool,
}

/// One part of a scope: what is asked of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// After the variable's name, up to the end of what is asked of it; empty where nothing is.
    pub(super) asked: Range<usize>,
    /// The items of its list, where it has one.
    pub(super) items: Vec<Range<usize>>,
    /// Whether a comment stands in it.
    pub(super) comment: bool,
}

/// One piece of a policy's text that is not white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Text,
    Comment,
    Sign(u8),
}

/// Takes a text apart, byte by byte: all that a scope is made of is ASCII, save what stands in
/// texts and comments.
struct Tokens<'t> {
    bytes: &'t [u8],
    at: usize,
    end: usize,
}

impl Iterator for Tokens<'_> {
    type Item = (Token, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        let start = self.at;
        let first = self.byte(start)?;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
        let token = match first {
            b'"' => {
                self.at += 1;
                while let Some(byte) = self.byte(self.at) {
                    self.at += if byte == b'\\' { 2 } else { 1 };
                    if byte == b'"' {
                        break;
                    }
                }
                Token::Text
            }
            b'/' if self.byte(start + 1) == Some(b'/') => {
                while self.byte(self.at).is_some_and(|byte| byte != b'\n') {
                    self.at += 1;
                }
                Token::Comment
            }
            _ if is_word(first) => {
                while self.byte(self.at).is_some_and(is_word) {
                    self.at += 1;
                }
                Token::Word
            }
            sign => {
                self.at += 1;
                Token::Sign(sign)
            }
        };
        self.at = self.at.min(self.end);
        Some((token, start..self.at))
    }
}

impl Tokens<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        if at < self.end { self.bytes.get(at).copied() } else { None }
    }
}

impl Head {
    /// The scope of the statement that stands there; `None` where it is not laid out as expected.
    pub(super) fn of(text: &str, range: Range<usize>) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut tokens = Tokens { bytes, at: range.start, end: range.end.min(bytes.len()) };
        let is = |range: &Range<usize>, word: &str| text.get(range.clone()) == Some(word);
        let (mut is_named, mut after_at) = (false, false);
        loop {
            let (token, at) = tokens.next()?;
            match token {
                Token::Sign(b'@') => after_at = true,
                Token::Word if after_at => {
                    is_named |= is(&at, "id");
                    after_at = false;
                }
                Token::Word if is(&at, "permit") || is(&at, "forbid") => break,
                _ => {}
            }
        }
        loop {
            match tokens.next()? {
                (Token::Comment, _) => {}
                (Token::Sign(b'('), _) => break,
                _ => return None,
            }
        }
        let mut part = |name: &str| part(&mut tokens, text, name);
        let (principal, action) = (part("principal")?, part("action")?);
        Some(Self { principal, action, resource: part("resource")?, is_named })
    }
}

/// Reads one part with the sign that ends it.
fn part(tokens: &mut Tokens<'_>, text: &str, name: &str) -> Option<Part> {
    let (start, mut end) = loop {
        match tokens.next()? {
            (Token::Comment, _) => {}
            (Token::Word, at) if text.get(at.clone()) == Some(name) => break (at.end, at.end),
            _ => return None,
        }
    };
    let (mut items, mut comment, mut waiting) = (Vec::new(), false, false);
    let (mut depth, mut item): (usize, Option<Range<usize>>) = (0, None);
    loop {
        let (token, at) = tokens.next()?;
        match token {
            // One that comes after all that is asked is no part of it.
            Token::Comment => {
                waiting = true;
                continue;
            }
            Token::Sign(b',' | b')') if depth == 0 => break,
            Token::Sign(b'[') => depth += 1,
            Token::Sign(b']') => {
                depth = depth.checked_sub(1)?;
                items.extend(item.take());
            }
            Token::Sign(b',') => items.extend(item.take()),
            _ if depth > 0 => {
                let from = item.as_ref().map_or(at.start, |item| item.start);
                item = Some(from..at.end);
            }
            _ => {}
        }
        comment |= std::mem::take(&mut waiting);
        end = at.end;
    }
    Some(Part { asked: start..end, items, comment })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_between_comments_and_texts() {
        let text = "// permit (\n@id(\"a, ) permit (\") @control(\"x\")\npermit (\n  principal, // who\n  \
                    action in [N::Action::\"a\", // one\n    N::Action::\"b,]\"],\n  resource is \
                    N::Path in N::Path::\"/é\\\"\" // that\n) when { true };";
        let head = Head::of(text, 0..text.len()).unwrap();
        let said = |part: &Part| text.get(part.asked.clone()).unwrap();
        assert!(head.is_named);
        assert_eq!(said(&head.principal), "");
        assert!(!head.principal.comment);
        assert!(head.action.comment && !head.resource.comment);
        let items: Vec<_> =
            head.action.items.iter().map(|item| text.get(item.clone()).unwrap()).collect();
        assert_eq!(items, ["N::Action::\"a\"", "N::Action::\"b,]\""]);
        assert_eq!(said(&head.resource), " is N::Path in N::Path::\"/é\\\"\"");
    }
}
