//! What is wrong with a document, where, and what would be right.

use std::fmt;

use super::Place;

/// One problem of a document: its author is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostic {
    /// The file, as it was named; empty where there is none.
    pub file: String,
    /// Line from 1; 0 where there are no lines.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
    /// JSON Pointer (RFC 6901) to the value.
    pub pointer: String,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem at a place.
    pub fn new(
        file: &str,
        place: Place,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            pointer: pointer.into(),
            message: message.into(),
            help: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `file:line:column: message (help)`, or by pointer where there are no lines.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "`{}`: {}", self.pointer, self.message)?,
            _ => write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}
