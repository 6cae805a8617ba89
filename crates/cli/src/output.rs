//! What is printed, and how: the only place that writes to standard output and error.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use safeconduct_policy::Severity;

use crate::exit::CommandError;
use crate::problem;

/// Form of what a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// One JSON document, or one line of JSON for each item of a stream.
    Json,
    /// YAML.
    Yaml,
    /// JUnit XML: test results for CI.
    Junit,
    /// SARIF: findings for code scanners.
    Sarif,
    /// GitHub workflow annotations.
    Github,
    /// Graphviz: pictures of sessions.
    Dot,
    /// Mermaid: pictures of sessions.
    Mermaid,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Where standard error is a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether standard output is to be coloured.
    pub(crate) fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }
}

/// Writes data; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(crate::exit::failed("standard output", error))
        }
        _ => Ok(()),
    }
}

/// Writes a line of data.
pub(crate) fn print_line(line: &str) -> Result<(), CommandError> {
    print(&format!("{line}\n"))
}

/// Writes talk.
pub(crate) fn say(text: &str) {
    // Nothing can be done where standard error is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes what went wrong. What a person wrote and is not valid is data, where a form for programs
/// is wanted: each problem with its place, the offending text and what would be right.
pub(crate) fn complain(format: Format, error: &CommandError) {
    let CommandError::Invalid(problems) = error else {
        return say(&format!("error: {error}"));
    };
    let printed = match format {
        Format::Table | Format::Junit | Format::Dot | Format::Mermaid => {
            return say(&format!("error: {error}"));
        }
        Format::Json | Format::Yaml => document(format, &problem::invalid(problems)),
        Format::Sarif => document(Format::Json, &problem::sarif(problems, Severity::Error)),
        Format::Github => Ok(problem::annotations(problems, Severity::Error, "policy check")),
    };
    if let Err(unprinted) = printed.and_then(|text| print(&text)) {
        say(&format!("error: {error}\nerror: {unprinted}"));
    }
}

/// A value as JSON or YAML; other formats are the command's own.
pub(crate) fn document(format: Format, value: &impl Serialize) -> Result<String, CommandError> {
    let text = match format {
        Format::Yaml => serde_saphyr::to_string(value).map_err(|e| e.to_string()),
        _ => serde_json::to_string_pretty(value).map(|t| t + "\n").map_err(|e| e.to_string()),
    };
    text.map_err(|error| crate::exit::failed("output", error))
}

/// Columns, each as wide as its widest cell; the last one runs free.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A number with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = vec![vec!["a".into(), "long cell".into()], vec!["bcd".into(), "x".into()]];
        assert_eq!(table(&["n", "what"], &rows), "n    what\na    long cell\nbcd  x\n");
    }
}
