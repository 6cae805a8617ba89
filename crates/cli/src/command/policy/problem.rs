//! Problems of what people write, for programs and CI: each has a place, a severity and words.

use serde_json::{Value as Json, json};

/// One problem, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// `error` or `warning`.
    pub(super) severity: &'static str,
    /// The file; empty where it is in none.
    pub(super) file: String,
    /// From 1; 0 where it is in no file.
    pub(super) line: u32,
    /// From 1; 0 where it is in no file.
    pub(super) column: u32,
    /// What is wrong.
    pub(super) message: String,
}

impl Problem {
    /// Takes `file:line:column: severity: message` apart; what has no place stays whole.
    pub(super) fn parse(text: &str, otherwise: &'static str) -> Self {
        let whole = || Self {
            severity: otherwise,
            file: String::new(),
            line: 0,
            column: 0,
            message: text.to_owned(),
        };
        let mut parsed = placed(text).unwrap_or_else(whole);
        for severity in ["error", "warning"] {
            let prefix = format!("{severity}: ");
            if let Some(rest) = parsed.message.strip_prefix(&prefix) {
                parsed.severity = severity;
                parsed.message = rest.to_owned();
                break;
            }
        }
        if parsed.severity.is_empty() {
            parsed.severity = otherwise;
        }
        parsed
    }

    /// As it is printed in a JSON document.
    pub(super) fn document(&self) -> Json {
        json!({
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
        })
    }
}

fn placed(text: &str) -> Option<Problem> {
    for (at, _) in text.match_indices(':') {
        let (file, rest) = (text.get(..at)?, text.get(at + 1..)?);
        let numbers = rest.split_once(": ").and_then(|(place, message)| {
            let (line, column) = place.split_once(':')?;
            Some((line.parse().ok()?, column.parse().ok()?, message))
        });
        if let Some((line, column, message)) = numbers {
            return Some(Problem {
                severity: "",
                file: file.to_owned(),
                line,
                column,
                message: message.to_owned(),
            });
        }
    }
    None
}

/// One GitHub workflow annotation, as a line.
pub(super) fn annotation(
    severity: &str,
    (file, line, column): (&str, u32, u32),
    title: &str,
    message: &str,
) -> String {
    let property = |text: &str| {
        let data = data(text);
        data.replace(':', "%3A").replace(',', "%2C")
    };
    let place = match (file.is_empty(), line) {
        (true, _) => String::new(),
        (false, 0) => format!("file={},", property(file)),
        (false, _) => format!("file={},line={line},col={column},", property(file)),
    };
    format!("::{severity} {place}title={}::{}\n", property(title), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A SARIF 2.1.0 log of problems.
pub(super) fn sarif(problems: &[Problem]) -> Json {
    let results: Vec<Json> = problems
        .iter()
        .map(|problem| {
            let mut result = json!({
                "ruleId": "policy-check",
                "level": problem.severity,
                "message": {"text": problem.message},
            });
            if let (false, Some(members)) = (problem.file.is_empty(), result.as_object_mut()) {
                let location = json!([{"physicalLocation": {
                    "artifactLocation": {"uri": problem.file},
                    "region": {
                        "startLine": problem.line.max(1),
                        "startColumn": problem.column.max(1),
                    },
                }}]);
                members.insert("locations".into(), location);
            }
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "safeconduct",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [{
                    "id": "policy-check",
                    "shortDescription": {"text": "policies, schema and catalogue must be valid"},
                }],
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_taken_apart() {
        let problem = Problem::parse("a/b.cedar:3:7: warning: no: such `x:1:2: y`", "error");
        assert_eq!((problem.severity, &*problem.file), ("warning", "a/b.cedar"));
        assert_eq!((problem.line, problem.column), (3, 7));
        assert_eq!(problem.message, "no: such `x:1:2: y`");
    }

    #[test]
    fn a_problem_without_place_stays_whole() {
        let problem = Problem::parse("catalogue: action `a:b` is odd", "error");
        assert_eq!((problem.line, &*problem.file), (0, ""));
        assert_eq!(problem.message, "catalogue: action `a:b` is odd");
    }

    #[test]
    fn an_annotation_is_one_line() {
        let line = annotation("error", ("a,b.yaml", 2, 3), "t:1", "x\ny % z");
        assert_eq!(line, "::error file=a%2Cb.yaml,line=2,col=3,title=t%3A1::x%0Ay %25 z\n");
    }

    #[test]
    fn sarif_has_a_place_only_where_there_is_one() {
        let problems = [
            Problem::parse("a.cedar:3:7: error: wrong", "error"),
            Problem::parse("no place", "warning"),
        ];
        let log = sarif(&problems);
        let region = "/runs/0/results/0/locations/0/physicalLocation/region/startLine";
        assert_eq!(log.pointer(region), Some(&json!(3)));
        assert_eq!(log.pointer("/runs/0/results/1/locations"), None);
        assert_eq!(log.pointer("/runs/0/results/1/level"), Some(&json!("warning")));
    }
}
