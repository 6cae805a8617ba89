//! Bounds how deep a text nests before any recursive parser sees it.
//!
//! Cedar's parser, type checker and destructors recurse over expressions. A file of a megabyte of
//! `(` or `!` would overflow a stack, which no code can catch. So the text is scanned once, with
//! no recursion: brackets bound the nesting that is written, operators the nesting that a chain
//! such as `a || b || c` becomes.

use crate::source::{NESTING_MAX, OPERATORS_MAX};

/// Where and how a text nests too deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooDeep {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// In which language a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Policies,
    Schema,
}

/// Refuses a text whose parse could need more stack than [`with_stack`] gives.
pub(crate) fn check(text: &str, language: Language) -> Result<(), TooDeep> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, language };
    let (mut depth, mut operators, mut start) = (0_usize, 0_usize, 0_usize);
    while let Some((offset, token)) = scan.next_token() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Operator => operators += 1,
            // A policy and a schema's declaration end alike.
            Token::End => (operators, start) = (0, offset),
            Token::Other => {}
        }
        if depth > NESTING_MAX {
            let message = format!("brackets nest deeper than the limit of {NESTING_MAX}");
            return Err(TooDeep { offset, message });
        }
        if operators > OPERATORS_MAX {
            let message =
                format!("one policy has more than the limit of {OPERATORS_MAX} operators");
            return Err(TooDeep { offset: start, message });
        }
    }
    Ok(())
}

/// Runs what recurses as deep as [`check`] allows, on a stack that is large enough for it.
pub(crate) fn with_stack<T>(run: impl FnOnce() -> T) -> T {
    /// Measured in unoptimised builds, where frames are largest: 4,000 operators need about
    /// 40 MiB in the type checker. The pages are only touched when they are used.
    const STACK_BYTES: usize = 192 << 20;
    stacker::grow(STACK_BYTES, run)
}

enum Token {
    Open,
    Close,
    Operator,
    End,
    Other,
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    language: Language,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next_token(&mut self) -> Option<(usize, Token)> {
        let offset = self.at;
        let byte = *self.bytes.get(offset)?;
        self.at += 1;
        let token = match byte {
            b'(' | b'[' | b'{' => Token::Open,
            b')' | b']' | b'}' => Token::Close,
            // `<` opens `Set<…>` in schemas and compares in policies.
            b'<' if self.language == Language::Schema => Token::Open,
            b'>' if self.language == Language::Schema => Token::Close,
            b';' => Token::End,
            b'"' => {
                self.skip_string();
                Token::Other
            }
            b'/' if self.peek(0) == b'/' => {
                while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                    self.at += 1;
                }
                Token::Other
            }
            b'.' | b'!' | b'-' | b'+' | b'*' | b'&' | b'|' | b'=' | b'<' | b'>' => Token::Operator,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(offset),
            _ => Token::Other,
        };
        Some((offset, token))
    }

    fn skip_string(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if *byte == b'"' {
                return;
            }
        }
    }

    fn word(&mut self, start: usize) -> Token {
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        match self.bytes.get(start..self.at) {
            Some(b"in" | b"is" | b"has" | b"like" | b"if" | b"when" | b"unless" | b"Set") => {
                Token::Operator
            }
            _ => Token::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_brackets_and_long_chains_are_refused() {
        assert!(check(&"(".repeat(NESTING_MAX), Language::Policies).is_ok());
        assert!(check(&"(".repeat(NESTING_MAX + 1), Language::Policies).is_err());
        assert!(check(&"!".repeat(OPERATORS_MAX + 1), Language::Policies).is_err());
        assert!(check(&"a in ".repeat(OPERATORS_MAX + 1), Language::Policies).is_err());
        assert!(
            check(&"a;!".repeat(OPERATORS_MAX * 2), Language::Policies).is_ok(),
            "counted per policy"
        );
    }

    #[test]
    fn strings_and_comments_do_not_nest() {
        assert!(check(&format!("\"{}\"", "(".repeat(1000)), Language::Policies).is_ok());
        assert!(check(&format!("// {}\n", "(".repeat(1000)), Language::Policies).is_ok());
        assert!(check(&format!(r#""\"{}""#, "[".repeat(1000)), Language::Policies).is_ok());
    }
}
