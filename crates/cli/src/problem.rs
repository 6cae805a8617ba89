//! What is wrong with something that a person wrote, as it was found: with its place, the
//! offending text and what would be right, up to where it is printed.

mod formats;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_policy as policy;
use safeconduct_wire::document;
use serde_json::{Map, Value as Json};

pub(crate) use formats::*;

/// One problem.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    found: Found,
    /// The folder in which its file lies, where that is not the one that was named.
    folder: Option<PathBuf>,
}

/// Where it was found.
#[derive(Debug, Clone)]
enum Found {
    /// In a policy or a schema.
    Policy(policy::Diagnostic),
    /// In a YAML or JSON document.
    Document(document::Diagnostic),
    /// Anywhere else, in words.
    Words(String),
}

/// Where a problem stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The file; empty where it is in none.
    pub(crate) file: String,
    /// From 1; 0 where there are no lines.
    pub(crate) line: u32,
    /// From 1, in characters; 0 where there are no lines.
    pub(crate) column: u32,
}

impl Problem {
    /// The same, in a file that lies in that folder.
    #[must_use]
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The stable word for what kind of thing is wrong.
    pub(crate) const fn code(&self) -> &'static str {
        match self.found {
            Found::Policy(_) => "policy",
            Found::Document(_) => "document",
            Found::Words(_) => "project",
        }
    }

    /// How bad it is: what was found in words, or in a document, is as bad as `otherwise`.
    pub(crate) const fn severity(&self, otherwise: policy::Severity) -> policy::Severity {
        match &self.found {
            Found::Policy(found) => found.severity,
            Found::Document(_) | Found::Words(_) => otherwise,
        }
    }

    /// Where it is, the file as it would be typed from here.
    pub(crate) fn spot(&self) -> Spot {
        let (file, line, column) = match &self.found {
            Found::Policy(found) => (&*found.file, found.line, found.column),
            Found::Document(found) => (found.file.as_str(), found.line, found.column),
            Found::Words(_) => ("", 0, 0),
        };
        let placed = self.folder.as_ref().map(|folder| folder.join(file));
        let placed = placed.filter(|path| !file.is_empty() && fs::exists(path).unwrap_or(false));
        Spot { file: placed.map_or_else(|| file.to_owned(), |path| from_here(&path)), line, column }
    }

    /// What is wrong, and what would be right where that is known.
    pub(crate) fn message(&self) -> String {
        match &self.found {
            Found::Policy(policy::Diagnostic { message, help, .. }) => match help {
                Some(help) => format!("{message} (help: {help})"),
                None => message.clone(),
            },
            Found::Document(document::Diagnostic { message, help, pointer, line, .. }) => {
                let place = if *line == 0 { format!("`{pointer}`: ") } else { String::new() };
                match help {
                    Some(help) => format!("{place}{message} ({help})"),
                    None => format!("{place}{message}"),
                }
            }
            Found::Words(words) => words.clone(),
        }
    }

    /// As it is printed in a JSON document: each part on its own.
    pub(crate) fn document(&self, otherwise: policy::Severity) -> Json {
        let Spot { file, line, column } = self.spot();
        let mut members = Map::new();
        let mut put = |name: &str, value: Json| members.insert(name.to_owned(), value);
        put("severity", self.severity(otherwise).as_str().into());
        put("code", self.code().into());
        put("file", file.into());
        put("line", line.into());
        put("column", column.into());
        let (message, help) = match &self.found {
            Found::Policy(found) => {
                put("end_line", found.end_line.into());
                if !found.text.is_empty() {
                    put("text", found.text.as_str().into());
                }
                (found.message.as_str(), found.help.as_deref())
            }
            Found::Document(found) => {
                if !found.pointer.is_empty() {
                    put("pointer", found.pointer.as_str().into());
                }
                (found.message.as_str(), found.help.as_deref())
            }
            Found::Words(words) => (words.as_str(), None),
        };
        put("message", message.into());
        if let Some(help) = help {
            put("help", help.into());
        }
        Json::Object(members)
    }
}

/// As people read it: `file:line:column: severity: message (help)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Found::Policy(found) => found.fmt(f),
            Found::Document(found) => found.fmt(f),
            Found::Words(words) => f.write_str(words),
        }
    }
}

impl From<Found> for Problem {
    fn from(found: Found) -> Self {
        Self { found, folder: None }
    }
}

impl From<policy::Diagnostic> for Problem {
    fn from(found: policy::Diagnostic) -> Self {
        Found::Policy(found).into()
    }
}

impl From<document::Diagnostic> for Problem {
    fn from(found: document::Diagnostic) -> Self {
        Found::Document(found).into()
    }
}

impl From<String> for Problem {
    fn from(words: String) -> Self {
        Found::Words(words).into()
    }
}

fn from_here(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use safeconduct_policy::Severity;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_of_a_policy_keeps_its_parts() {
        let found = policy::Diagnostic {
            severity: Severity::Warning,
            file: "a.cedar".into(),
            line: 3,
            column: 7,
            end_line: 4,
            text: "input.amont".into(),
            message: "no: such `x:1:2: y`".into(),
            help: Some("did you mean `amount`?".into()),
        };
        let text = found.to_string();
        let problem = Problem::from(found);
        assert_eq!(problem.to_string(), text);
        assert_eq!(
            problem.document(Severity::Error),
            json!({
                "severity": "warning",
                "code": "policy",
                "file": "a.cedar",
                "line": 3,
                "column": 7,
                "end_line": 4,
                "text": "input.amont",
                "message": "no: such `x:1:2: y`",
                "help": "did you mean `amount`?",
            })
        );
    }

    #[test]
    fn a_problem_in_words_has_no_place() {
        let problem = Problem::from("catalogue: action `a:1:2: b` is odd".to_owned());
        let document = problem.document(Severity::Error);
        assert_eq!(document["file"], "");
        assert_eq!(document["line"], 0);
        assert_eq!(document["message"], "catalogue: action `a:1:2: b` is odd");
        assert_eq!(document["severity"], "error");
    }
}
