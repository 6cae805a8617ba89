//! What is wrong with a text that should be JSON, and where.

use std::fmt;

/// Longest member name that an error's pointer shows, in bytes; the rest is left out.
const TOKEN_BYTES_SHOWN: usize = 64;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonProblem {
    /// There are more bytes than the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// The text ends before the value does.
    Truncated,
    /// A character stands where it cannot.
    Unexpected {
        /// The character.
        found: char,
        /// What could stand there.
        wanted: &'static str,
    },
    /// Something follows the value.
    Trailing,
    /// The value is nested more deeply than the limit.
    TooDeep {
        /// The limit, counted as `Value::depth` counts.
        limit: usize,
    },
    /// An object has two members of one name.
    DuplicateMember,
    /// A number has more than 64 bytes.
    NumberTooLong,
    /// A string holds a control character that is not escaped.
    ControlCharacter,
    /// A backslash is followed by what JSON does not know.
    UnknownEscape,
    /// A `\u` escape names half of a surrogate pair, without its other half.
    UnpairedSurrogate,
}

impl JsonProblem {
    /// The stable word for this kind of problem.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::NotUtf8 => "not_utf8",
            Self::ByteOrderMark => "byte_order_mark",
            Self::Truncated => "truncated",
            Self::Unexpected { .. } => "unexpected",
            Self::Trailing => "trailing",
            Self::TooDeep { .. } => "too_deep",
            Self::DuplicateMember => "duplicate_member",
            Self::NumberTooLong => "number_too_long",
            Self::ControlCharacter => "control_character",
            Self::UnknownEscape => "unknown_escape",
            Self::UnpairedSurrogate => "unpaired_surrogate",
        }
    }
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "the text has more than {limit} bytes"),
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::ByteOrderMark => f.write_str("the text begins with a byte order mark"),
            Self::Truncated => f.write_str("the text ends before the value does"),
            Self::Unexpected { found, wanted } => write!(f, "found {found:?}, expected {wanted}"),
            Self::Trailing => f.write_str("something follows the value"),
            Self::TooDeep { limit } => write!(f, "nested more than {limit} levels deep"),
            Self::DuplicateMember => f.write_str("the object has two members of this name"),
            Self::NumberTooLong => f.write_str("the number has more than 64 bytes"),
            Self::ControlCharacter => f.write_str("a control character must be escaped"),
            Self::UnknownEscape => f.write_str("JSON does not know this escape"),
            Self::UnpairedSurrogate => f.write_str("half of a surrogate pair stands alone"),
        }
    }
}

/// Why a text is refused, and where: the sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (line {line}, column {column}, at `{pointer}`)")]
pub struct JsonError {
    /// What is wrong.
    pub problem: JsonProblem,
    /// Where, in bytes from 0.
    pub offset: usize,
    /// Where, in lines from 1.
    pub line: usize,
    /// Where, in characters from 1.
    pub column: usize,
    /// JSON Pointer (RFC 6901) to the value; long names in it are cut.
    pub pointer: String,
}

impl JsonError {
    /// Locates a problem in the bytes that were read. Costs a pass over them, so it is done only
    /// once something is wrong.
    pub(super) fn new(bytes: &[u8], failure: Failure) -> Self {
        let Failure { problem, offset, mut path } = failure;
        let before = bytes.get(..offset).unwrap_or(bytes);
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        // A character begins at every byte that does not continue one.
        let begins = |b: &&u8| **b & 0xC0 != 0x80;
        path.reverse();
        Self {
            problem,
            offset,
            line: 1 + before.iter().filter(|&&b| b == b'\n').count(),
            column: 1 + before.get(line_start..).unwrap_or_default().iter().filter(begins).count(),
            pointer: path.iter().fold(String::new(), |pointer, token| pointer + "/" + token),
        }
    }
}

/// A problem on its way out of the parser; each level adds its token to the path, so that a
/// message that is well pays nothing for it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) problem: JsonProblem,
    pub(super) offset: usize,
    /// Reference tokens, innermost first.
    path: Vec<String>,
}

impl Failure {
    #[cold]
    pub(super) const fn new(problem: JsonProblem, offset: usize) -> Self {
        Self { problem, offset, path: Vec::new() }
    }

    #[cold]
    pub(super) fn in_member(mut self, name: &str) -> Self {
        let shown: String = match name.char_indices().find(|(at, _)| *at >= TOKEN_BYTES_SHOWN) {
            Some((end, _)) => name.get(..end).unwrap_or_default().to_owned() + "…",
            None => name.to_owned(),
        };
        self.path.push(shown.replace('~', "~0").replace('/', "~1"));
        self
    }

    #[cold]
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.path.push(index.to_string());
        self
    }
}
