//! The inventory: a directory of others pushes, and files are imported.

use std::process::Command;

use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

fn world() -> Project {
    let project = Project::empty();
    project.configure(&json!({
        "version": 1,
        "identities": [
            { "id": "alice", "kind": "user" },
            { "id": "bob", "kind": "user" },
            { "id": "directory", "kind": "service_account", "owner": "alice",
              "fallback_owner": "bob", "roles": ["operator"] },
        ],
    }));
    project
}

/// What a directory may find otherwise than it wrote it: whether a person may act is always said.
const KNOWN: &str = "did not remove attribute 'active'";

#[test]
fn a_directory_of_others_pushes_people_and_groups() {
    let python = match tools::python() {
        Ok(python) => python,
        Err(why) => return tools::skip("scim2-tester", &why),
    };
    let project = world();
    let server = Server::start(&project);
    let (_, token) = server.mint("directory");
    let script = tools::root().join("tests/peers/scim_directory.py");
    let url = format!("http://{}", server.address);
    let output = Command::new(python).arg(script).args([&url, &token]).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{talk}");
    let said: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["checks"].as_u64().unwrap() > 50, "{said}");
    let wrong = said["wrong"].as_array().unwrap().iter().filter_map(Json::as_str);
    let wrong: Vec<_> = wrong.filter(|problem| !problem.contains(KNOWN)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    server.stop();
}

#[test]
fn a_file_is_imported_whole_or_not_at_all() {
    let project = world();
    let server = Server::start(&project);
    let file = project.config().with_file_name("agents.csv");
    let ask = |arguments: &[&str]| {
        let output = tools::command()
            .arg("--config")
            .arg(project.config())
            .arg("estate")
            .args(arguments)
            .env("SAFECONDUCT_URL", format!("http://{}", server.address))
            .env("SAFECONDUCT_TOKEN", server.admin())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let path = file.display().to_string();
    let rows = "id,kind,owner,fallback_owner\nnight,agent,alice,bob\nday,robot,alice,bob\n";
    std::fs::write(&file, rows).unwrap();
    let (code, said) = ask(&["import", &path, "--as", "csv"]);
    assert!(code == Some(3) && said.contains("agents.csv:3: `kind`"), "{said}");
    assert!(said.contains("nothing is imported: 1 of 2 identities is wrong"), "{said}");
    let (code, said) = ask(&["import", &path, "--as", "csv", "--partial"]);
    assert!(code == Some(0) && said.contains("1 new, 0 changed, 0 as they were"), "{said}");
    let (_, said) = ask(&["import", &path, "--as", "csv", "--partial"]);
    assert!(said.contains("0 new, 0 changed, 1 as they were"), "{said}");
    let (_, one) = ask(&["who", "night"]);
    assert!(one.contains("alice") && one.contains("from csv"), "{one}");
    server.stop();
}
