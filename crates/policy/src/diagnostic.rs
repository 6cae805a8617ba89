//! What is wrong with a policy set, said so that its author can mend it.

use std::fmt;
use std::sync::Arc;

use crate::source::DIAGNOSTICS_MAX;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set is loaded.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file; empty where the problem is in no file.
    pub file: Arc<str>,
    /// Line of the offending text, from 1; 0 where it is in no file.
    pub line: u32,
    /// Column of its first character, from 1, in characters; 0 where it is in no file.
    pub column: u32,
    /// Line of its last character.
    pub end_line: u32,
    /// The offending text, at most 200 characters of it.
    pub text: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do instead, where something can be suggested.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        } else if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        write!(f, "{}: {}", self.severity.as_str(), self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// A problem that is in no file.
    pub(crate) fn general(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: Arc::from(""),
            line: 0,
            column: 0,
            end_line: 0,
            text: String::new(),
            message: message.into(),
            help: None,
        }
    }

    /// A problem with a whole file.
    pub(crate) fn in_file(severity: Severity, file: &Arc<str>, message: impl Into<String>) -> Self {
        Self { file: Arc::clone(file), ..Self::general(severity, message) }
    }

    /// The same with advice.
    #[must_use]
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A file's text with the starts of its lines, to say where an offset is.
pub(crate) struct Located<'a> {
    pub(crate) file: &'a Arc<str>,
    pub(crate) text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Located<'a> {
    pub(crate) fn new(file: &'a Arc<str>, text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { file, text, line_starts: std::iter::once(0).chain(newlines).collect() }
    }

    /// Line and column, both from 1, of a byte offset.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
    }

    /// The byte offset of a line and a column, both from 1; of the end where they are beyond it.
    pub(crate) fn offset(&self, line: u32, column: u32) -> usize {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let start = self.line_starts.get(index).copied().unwrap_or(self.text.len());
        let skipped = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        let line = self.text.get(start..).unwrap_or("").lines().next().unwrap_or("");
        start + line.char_indices().nth(skipped).map_or(line.len(), |(at, _)| at)
    }

    /// Line of the last character of a span.
    pub(crate) fn end_line(&self, offset: usize, length: usize) -> u32 {
        self.position(offset + length.saturating_sub(1)).0
    }

    /// A problem at that place.
    pub(crate) fn problem(
        &self,
        severity: Severity,
        (offset, length): (usize, usize),
        message: impl Into<String>,
    ) -> Diagnostic {
        let (line, column) = self.position(offset);
        let text = self.text.get(offset..offset.saturating_add(length)).unwrap_or("");
        Diagnostic {
            severity,
            file: Arc::clone(self.file),
            line,
            column,
            end_line: self.end_line(offset, length),
            text: text.chars().take(200).collect(),
            message: message.into(),
            help: None,
        }
    }

    /// What Cedar found, in our words' shape.
    pub(crate) fn cedar(
        &self,
        severity: Severity,
        found: &dyn miette::Diagnostic,
        otherwise: (usize, usize),
    ) -> Diagnostic {
        let label = found.labels().and_then(|mut labels| labels.next());
        let at = label.as_ref().map_or(otherwise, |label| (label.offset(), label.len()));
        let mut message = strip_policy_id(&found.to_string());
        if let Some(detail) = label.as_ref().and_then(|label| label.label()) {
            message = format!("{message}: {detail}");
        }
        Diagnostic {
            help: found.help().map(|help| help.to_string()),
            ..self.problem(severity, at, message)
        }
    }
}

/// Cedar opens validation messages with its own name of the policy, which nobody wrote.
fn strip_policy_id(message: &str) -> String {
    match message.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")) {
        Some((_, rest)) => rest.to_owned(),
        None => message.to_owned(),
    }
}

/// Why a policy set is refused: everything that is wrong with it, up to [`DIAGNOSTICS_MAX`]
/// problems, in the order of files and lines. The policy author is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct LoadError {
    /// The problems; at least one is an error.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there were.
    pub more: usize,
}

impl LoadError {
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| {
            (a.severity, &a.file, a.line, a.column, &a.message)
                .cmp(&(b.severity, &b.file, b.line, b.column, &b.message))
        });
        diagnostics.dedup();
        let more = diagnostics.len().saturating_sub(DIAGNOSTICS_MAX);
        diagnostics.truncate(DIAGNOSTICS_MAX);
        Self { diagnostics, more }
    }

    fn summary(&self) -> String {
        let first = self.diagnostics.first().map(Diagnostic::to_string).unwrap_or_default();
        match self.diagnostics.len() + self.more {
            0 | 1 => first,
            count => format!("{first} (and {} more problems)", count - 1),
        }
    }
}
