//! Finds what is Dogwood's in a policy file, and puts plain Cedar of the same length there.
//!
//! What is left has every character where the author wrote it, so that all that is said of places
//! is true of the file.

use std::ops::Range;

/// A policy file without what is Dogwood's.
#[derive(Debug, Default)]
pub(crate) struct Masked {
    /// The text, of the same length. The clause of number `n` is a member of the context in it,
    /// whose name is `prefix` and `n`.
    pub(crate) text: String,
    /// What no name in the text begins with, followed by a digit.
    pub(crate) prefix: String,
    pub(crate) clauses: Vec<Clause>,
    /// Whether there are macros that stand for Cedar.
    pub(crate) cedar_macros: bool,
    /// `guardrails { … }`
    pub(crate) guardrails: Vec<Range<usize>>,
    /// Definitions of macros.
    pub(crate) definitions: Vec<Range<usize>>,
    /// The policies.
    pub(crate) statements: Vec<Range<usize>>,
    /// Clauses and macros whose brackets nest too deep.
    pub(crate) too_deep: Vec<Range<usize>>,
    /// Clauses that are shorter than what stands for them.
    pub(crate) too_short: Vec<Range<usize>>,
}

/// `temporal { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// All of it.
    pub(crate) range: Range<usize>,
    /// Between the braces.
    pub(crate) body: Range<usize>,
}

/// Whether a text may have something of Dogwood's. Where it says not, it has not.
pub(crate) fn may_concern(text: &str) -> bool {
    ["temporal", "guardrail", "def"].into_iter().any(|word| text.contains(word))
}

/// Masks a text; `None` where nothing in it is Dogwood's.
pub(crate) fn mask(text: &str) -> Option<Masked> {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0 };
    let copy = String::with_capacity(text.len());
    let mut masked = Masked { text: copy, prefix: prefix(text), ..Masked::default() };
    let (mut copied, mut found) = (0, false);
    let (mut depth, mut before, mut start) = (0_usize, "", None);
    while let Some((range, token)) = scan.next_token() {
        let word = text.get(range.clone()).unwrap_or_default();
        let first = start.is_none();
        start = start.or(Some(range.start));
        let follows_block = || Scan { text, bytes: text.as_bytes(), at: range.end }.block();
        match token {
            Token::Word if word == "temporal" && before != "." => {
                if let Some(body) = follows_block() {
                    let end = (body.end + 1).min(text.len());
                    let clause = Clause { range: range.start..end, body };
                    masked.text.push_str(text.get(copied..range.start).unwrap_or_default());
                    masked.clause(text, clause, matches!(before, "when" | "unless"));
                    (copied, scan.at, found) = (end, end, true);
                }
            }
            Token::Word if matches!(word, "guardrails" | "guardrail") && before != "." => {
                if let Some(body) = follows_block() {
                    let end = (body.end + 1).min(text.len());
                    masked.guardrails.push(range.start..end);
                    (scan.at, found) = (end, true);
                }
            }
            Token::Word if word == "def" && depth == 0 && first => {
                let mut ahead = Scan { text, bytes: text.as_bytes(), at: range.end };
                let dialect = ahead.next_token();
                let dialect = dialect.and_then(|(range, _)| text.get(range)).unwrap_or_default();
                if matches!(dialect, "cedar" | "temporal") {
                    masked.cedar_macros |= dialect == "cedar";
                    let end = ahead.end_of_definition();
                    masked.text.push_str(text.get(copied..range.start).unwrap_or_default());
                    masked.blank(text.get(range.start..end).unwrap_or_default());
                    masked.definitions.push(range.start..end);
                    (copied, scan.at, start, found) = (end, end, None, true);
                }
            }
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::End if depth == 0 => {
                masked.statements.extend(start.take().map(|start| start..range.end));
            }
            _ => {}
        }
        before = word;
    }
    masked.text.push_str(text.get(copied..).unwrap_or_default());
    let parts = masked.clauses.iter().map(|clause| &clause.range).chain(&masked.definitions);
    let deep =
        parts.filter(|range| nesting(text.get((*range).clone()).unwrap_or_default()) > NESTING_MAX);
    masked.too_deep = deep.cloned().collect();
    found.then_some(masked)
}

/// Deepest nesting of round brackets in a clause or macro: Dogwood's parser tries what stands
/// between them in several ways, and each level multiplies these.
pub(crate) const NESTING_MAX: usize = 8;

/// How deep round brackets nest in a text.
fn nesting(text: &str) -> usize {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0 };
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    while let Some((range, token)) = scan.next_token() {
        match token {
            Token::Open if text.get(range.clone()) == Some("(") => depth += 1,
            Token::Close if text.get(range.clone()) == Some(")") => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

impl Masked {
    fn clause(&mut self, text: &str, clause: Clause, braces: bool) {
        let written = text.get(clause.range.clone()).unwrap_or_default();
        let name = format!("{}{}", self.prefix, self.clauses.len());
        let (open, close) = if braces { ("{", "}") } else { ("", "") };
        match standing(written, &[open, "context", ".", &name, close]) {
            Some(stands) => self.text.push_str(&stands),
            None => {
                self.too_short.push(clause.range.clone());
                self.blank(written);
            }
        }
        self.clauses.push(clause);
    }

    fn blank(&mut self, text: &str) {
        self.text.push_str(&blanked(text));
    }
}

/// A letter that stands before no digit.
fn prefix(text: &str) -> String {
    let pairs = text.as_bytes().iter().zip(text.as_bytes().iter().skip(1));
    let taken: Vec<u8> =
        pairs.filter(|(_, digit)| digit.is_ascii_digit()).map(|(letter, _)| *letter).collect();
    let letters = (b't'..=b'z').chain(b'a'..=b's').chain(b'A'..=b'Z');
    let free = letters.into_iter().find(|letter| !taken.contains(letter));
    free.map_or_else(|| "__temporal_clause_".into(), |letter| char::from(letter).into())
}

/// A text of the same bytes and lines with only these words on them.
fn standing(text: &str, words: &[&str]) -> Option<String> {
    let mut stands = blanked(text);
    let mut from = 0;
    for word in words {
        let fits = |at: &usize| {
            let place = stands.get(*at..*at + word.len());
            place.is_some_and(|place| !place.contains('\n'))
        };
        let at = (from..=stands.len()).find(fits)?;
        stands.replace_range(at..at + word.len(), word);
        from = at + word.len();
    }
    Some(stands)
}

/// A text of the same bytes and lines with nothing on them.
fn blanked(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

enum Token {
    Word,
    Open,
    Close,
    End,
    Other,
}

struct Scan<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn next_token(&mut self) -> Option<(Range<usize>, Token)> {
        loop {
            let start = self.at;
            let byte = *self.bytes.get(start)?;
            self.at += 1;
            let token = match byte {
                b'"' => {
                    self.skip_string();
                    Token::Other
                }
                b'/' if self.bytes.get(self.at) == Some(&b'/') => {
                    let line = self.text.get(start..).and_then(|rest| rest.find('\n'));
                    self.at = line.map_or(self.bytes.len(), |length| start + length);
                    continue;
                }
                b'{' | b'(' | b'[' => Token::Open,
                b'}' | b')' | b']' => Token::Close,
                b';' => Token::End,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    let more = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                    while self.bytes.get(self.at).is_some_and(more) {
                        self.at += 1;
                    }
                    Token::Word
                }
                byte if byte.is_ascii_whitespace() => continue,
                _ => Token::Other,
            };
            return Some((start..self.at, token));
        }
    }

    fn skip_string(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                return;
            }
        }
    }

    /// What is between the braces that open here.
    fn block(&mut self) -> Option<Range<usize>> {
        let (open, Token::Open) = self.next_token()? else { return None };
        if self.text.get(open.clone()) != Some("{") {
            return None;
        }
        let mut depth = 1_usize;
        loop {
            match self.next_token()? {
                (_, Token::Open) => depth += 1,
                (close, Token::Close) => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(open.end..close.start);
                    }
                }
                _ => {}
            }
        }
    }

    /// Behind the semicolon that ends a definition.
    fn end_of_definition(&mut self) -> usize {
        let mut depth = 0_usize;
        while let Some((range, token)) = self.next_token() {
            match token {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::End if depth == 0 => return range.end,
                _ => {}
            }
        }
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_character_stays_where_it_was() {
        let text = "// temporal { in a comment }\n\
            def temporal recent(?w) { formerly within ?w A::\"x\"::request{} };\n\
            @id(\"a; temporal { x }\") permit (principal, action, resource)\n\
            when temporal {\n  formerly within 1h A::Action::\"}\"::request{}\n} \
            unless { context.x && temporal { recent(1h) } };\n\
            forbid (principal, action, resource);";
        let masked = mask(text).unwrap();
        assert_eq!(masked.text.len(), text.len());
        assert_eq!(masked.clauses.len(), 2);
        assert_eq!(masked.statements.len(), 2);
        let newlines =
            |text: &str| -> Vec<usize> { text.match_indices('\n').map(|(at, _)| at).collect() };
        assert_eq!(newlines(&masked.text), newlines(text));
        let words: String = masked.text.split_whitespace().collect();
        assert!(words.contains("when{context.t0}"), "{words}");
        assert!(words.contains("&&context.t1}"), "{words}");
        assert!(!masked.text.contains("def"));
        let at = |range: &std::ops::Range<usize>| text.get(range.clone()).unwrap();
        assert!(at(&masked.statements[0]).starts_with("@id"));
        assert!(at(&masked.clauses[1].body).contains("recent(1h)"));
    }

    #[test]
    fn plain_cedar_is_left_alone() {
        for text in [
            "permit (principal, action, resource) when { context.temporal == 1 };",
            "permit (principal, action, resource) when { \"temporal {\" == \"\" };",
            "permit (principal, action, resource); // def temporal x() {}",
        ] {
            assert!(may_concern(text) && mask(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_and_lines(text in "(temporal|guardrail|def|when|[ \n{}\";/é]|x){0,40}") {
            if let Some(masked) = mask(&text) {
                prop_assert_eq!(masked.text.len(), text.len());
                prop_assert_eq!(masked.text.lines().count(), text.lines().count());
            }
        }
    }
}
