//! `safeconduct identity import`: the identities of a file, through the API.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use reqwest::Method;
use safeconduct_wire::document::{self, YamlLimits, read_json};
use safeconduct_wire::identity::{IdentitiesForm, IdentityForm};
use serde_json::{Map, Value, json};

use super::segment;
use crate::args::{Remote, Shared};
use crate::client::Client;
use crate::exit::{CommandError, Exit, failed, invalid, not_valid};
use crate::output::{counted, print_line};

/// Most bytes of a file.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The columns that a CSV file may have.
const COLUMNS: [&str; 8] =
    ["id", "kind", "status", "owner", "fallback_owner", "environment", "groups", "roles"];

/// Runs the command. Nothing is sent before the whole file has been checked; what the server
/// refuses then ends the import there, and running it again is harmless.
pub(super) async fn run(
    shared: &Shared,
    file: &Path,
    remote: &Remote,
) -> Result<Exit, CommandError> {
    let identities = read(file)?;
    let client = Client::new(shared, remote)?;
    for (done, identity) in identities.iter().enumerate() {
        let id = identity.id.0.as_str();
        let body = serde_json::to_value(identity).map_err(|error| failed("identity", error))?;
        let path = format!("/v1/identities/{}", segment(id));
        client.call(Method::PUT, &path, &[], Some(&body)).await.map_err(|error| {
            let before = counted(done, "identity", "identities");
            CommandError::Failed(format!("`{id}`, after {before}: {error}"))
        })?;
    }
    print_line(&format!("registered {}", counted(identities.len(), "identity", "identities")))?;
    Ok(Exit::Ok)
}

/// Every identity of a file.
fn read(file: &Path) -> Result<Vec<IdentityForm>, CommandError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| failed(&name, error))?;
    if text.len() > FILE_BYTES_MAX {
        let problem = format!("{name}: is longer than {FILE_BYTES_MAX} bytes");
        return Err(not_valid(problem));
    }
    let csv = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let identities = if csv { of_csv(&name, &text) } else { of_yaml(&name, &text) };
    let identities = identities.map_err(invalid)?;
    let problems = problems(&name, &identities);
    if problems.is_empty() { Ok(identities) } else { Err(invalid(problems)) }
}

fn of_yaml(name: &str, text: &str) -> Result<Vec<IdentityForm>, Vec<String>> {
    let limits = YamlLimits { bytes: FILE_BYTES_MAX, nodes: 4_000_000 };
    match document::read::<IdentitiesForm>(name, text, limits) {
        Ok(document) => Ok(document.content.identities),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn of_csv(name: &str, text: &str) -> Result<Vec<IdentityForm>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| vec![format!("{name}: {error}")])?.clone();
    let mut columns = Vec::new();
    for column in &head {
        if !COLUMNS.contains(&column) || columns.contains(&column) {
            let known = COLUMNS.join("`, `");
            let problem = format!("{name}:1: column `{column}` is not one of `{known}`, once");
            return Err(vec![problem]);
        }
        columns.push(column);
    }
    let (mut identities, mut problems) = (Vec::new(), Vec::new());
    for row in reader.records() {
        match row {
            Ok(row) => {
                let line = row.position().map_or(0, csv::Position::line);
                let cells = columns.iter().copied().zip(&row);
                match of_row(cells) {
                    Ok(identity) => identities.push(identity),
                    Err(problem) => problems.push(format!("{name}:{line}: {problem}")),
                }
            }
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    if problems.is_empty() { Ok(identities) } else { Err(problems) }
}

/// An empty cell says nothing.
fn of_row<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<IdentityForm, String> {
    let mut members = Map::new();
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        let value = match column {
            "groups" | "roles" => Value::from(cell.split_whitespace().collect::<Vec<_>>()),
            _ => json!(cell),
        };
        members.insert(column.to_owned(), value);
    }
    read_json(Value::from(members).to_string().as_bytes()).map_err(|error| error.to_string())
}

fn problems(name: &str, identities: &[IdentityForm]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (index, identity) in identities.iter().enumerate() {
        let id = identity.id.0.as_str();
        if seen.insert(id, index).is_some() {
            problems.push(format!("{name}: identity `{id}` is here twice"));
        }
        let kind = identity.kind.0;
        let owned = identity.owner.is_some() && identity.fallback_owner.is_some();
        if kind != safeconduct_model::IdentityKind::User && !owned {
            problems.push(format!(
                "{name}: identity `{id}` of kind {} needs `owner` and `fallback_owner`",
                kind.as_str()
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_csv_say_the_same() {
        let yaml = "identities:\n- { id: bot, kind: agent, owner: ada, fallback_owner: bob, \
                    environment: test, groups: [clerks, night], roles: [auditor] }\n\
                    - { id: ada, kind: user }\n";
        let csv = "id,kind,owner,fallback_owner,environment,roles,groups\n\
                   bot,agent,ada,bob,test,auditor,clerks night\nada,user,,,,,\n";
        let read = of_csv("i.csv", csv).unwrap();
        assert_eq!(of_yaml("i.yaml", yaml).unwrap(), read);
        assert_eq!(read.len(), 2);
        assert_eq!(problems("i", &read), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_line() {
        let of = |csv| of_csv("i.csv", csv).unwrap_err().join("; ");
        assert!(of("id,kind\nbot,robot\n").starts_with("i.csv:2: "));
        assert!(of("id,kind,colour\n").contains("`colour`"));
        assert!(of("id,kind,kind\n").contains("`kind`"));
        assert!(of("id,kind\nbot\n").contains("i.csv"));
        let twice = of_csv("i.csv", "id,kind\na,user\na,user\nb,agent\n").unwrap();
        let problems = problems("i.csv", &twice);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
