//! Problems for programs and CI: JSON, SARIF and GitHub annotations.

use safeconduct_policy::Severity;
use serde_json::{Value as Json, json};

use super::{Problem, Spot};

/// One JSON document that says that something is not valid, and why.
pub(crate) fn invalid(problems: &[Problem]) -> Json {
    json!({ "valid": false, "problems": documents(problems, Severity::Error) })
}

/// Each problem as a JSON object.
pub(crate) fn documents(problems: &[Problem], otherwise: Severity) -> Vec<Json> {
    problems.iter().map(|problem| problem.document(otherwise)).collect()
}

/// A GitHub workflow annotation for each, as lines.
pub(crate) fn annotations(problems: &[Problem], otherwise: Severity, title: &str) -> String {
    let line = |problem: &Problem| {
        let Spot { file, line, column } = problem.spot();
        let severity = problem.severity(otherwise).as_str();
        annotation(severity, (&file, line, column), title, &problem.message())
    };
    problems.iter().map(line).collect()
}

/// One GitHub workflow annotation, as a line.
pub(crate) fn annotation(
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
pub(crate) fn sarif(problems: &[Problem], otherwise: Severity) -> Json {
    let result = |problem: &Problem| {
        let Spot { file, line, column } = problem.spot();
        let mut result = json!({
            "ruleId": "policy-check",
            "level": problem.severity(otherwise).as_str(),
            "message": {"text": problem.message()},
        });
        if let (false, Some(members)) = (file.is_empty(), result.as_object_mut()) {
            let location = json!([{"physicalLocation": {
                "artifactLocation": {"uri": file},
                "region": {"startLine": line.max(1), "startColumn": column.max(1)},
            }}]);
            members.insert("locations".into(), location);
        }
        result
    };
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
            "results": problems.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use safeconduct_policy::Diagnostic;

    use super::*;

    #[test]
    fn an_annotation_is_one_line() {
        let line = annotation("error", ("a,b.yaml", 2, 3), "t:1", "x\ny % z");
        assert_eq!(line, "::error file=a%2Cb.yaml,line=2,col=3,title=t%3A1::x%0Ay %25 z\n");
    }

    #[test]
    fn sarif_has_a_place_only_where_there_is_one() {
        let placed = Diagnostic {
            severity: Severity::Error,
            file: "a.cedar".into(),
            line: 3,
            column: 7,
            end_line: 3,
            text: String::new(),
            message: "wrong".into(),
            help: None,
        };
        let problems = [Problem::from(placed), Problem::from("no place".to_owned())];
        let log = sarif(&problems, Severity::Warning);
        let region = "/runs/0/results/0/locations/0/physicalLocation/region/startLine";
        assert_eq!(log.pointer(region), Some(&json!(3)));
        assert_eq!(log.pointer("/runs/0/results/0/level"), Some(&json!("error")));
        assert_eq!(log.pointer("/runs/0/results/1/locations"), None);
        assert_eq!(log.pointer("/runs/0/results/1/level"), Some(&json!("warning")));
    }
}
