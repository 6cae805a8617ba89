//! The inventory: a directory of others pushes, and files are imported.

use std::net::SocketAddr;
use std::process::Command;

use safeconduct_tests::http::Connection;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, wait_until};
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

const ROWS: usize = 100_000;

/// 100,000 rows, of which three are wrong.
fn bots() -> String {
    let mut text = "id,kind,owner,fallback_owner\n".to_owned();
    for row in 0..ROWS {
        let kind = if [11, 50_000, 99_998].contains(&row) { "robot" } else { "agent" };
        text.push_str(&format!("bot-{row:06},{kind},alice,bob\n"));
    }
    text
}

/// Sends a file; whatever becomes of the connection.
fn send(address: SocketAddr, token: &str, query: &str, file: &str) -> Option<u16> {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "text/csv")];
    let path = format!("/v1/imports?{query}");
    let mut connection = Connection::open(address).ok()?;
    connection.request("POST", &path, &headers, file.as_bytes()).ok().map(|answer| answer.status)
}

/// How many of the file's identities there are.
fn imported(server: &Server) -> usize {
    let (mut count, mut after) = (0, "bot-".to_owned());
    loop {
        let path = format!("/v1/identities?limit=1000&after={after}");
        let page = server.administer("GET", &path, &Json::Null);
        let ids = page["identities"].as_array().unwrap().iter();
        count += ids.filter(|one| one["id"].as_str().unwrap().starts_with("bot-")).count();
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return count,
        }
    }
}

/// The newest import, where there is one.
fn newest(server: &Server) -> Option<Json> {
    let all = server.administer("GET", "/v1/imports", &Json::Null);
    all["imports"].as_array()?.first().cloned()
}

/// Killed at any point of it, an import is whole once the server runs again, or nothing of it is.
#[test]
fn an_import_that_is_killed_is_whole_or_nothing() {
    let file = bots();
    // Before anything of it is there, right after its beginning, and in its middle.
    for point in ["at once", "begun", "half"] {
        let project = world();
        let server = Server::start(&project);
        let (address, token) = (server.address, server.admin().to_owned());
        let (server, answered) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(address, &token, "as=csv&partial=true", &file));
            match point {
                "begun" => wait_until("the import to begin", || newest(&server).is_some()),
                "half" => wait_until("half of it", || {
                    let path = "/v1/identities/bot-050001";
                    server.ask("GET", path, server.admin(), &Json::Null).status == 200
                }),
                _ => {}
            }
            server.kill();
            let answered = sending.join().unwrap();
            (Server::start(&project), answered)
        });
        let there = imported(&server);
        let import = newest(&server);
        match &import {
            None => assert_eq!((there, answered), (0, None), "{point}"),
            Some(import) => {
                assert_eq!(import["state"], "completed", "{point}: {import}");
                assert_eq!(there, ROWS - 3, "{point}: never half");
            }
        }
        assert!(point == "at once" || import.is_some(), "{point}");
        // Sent again, the file changes what is missing and nothing else.
        let again = send(server.address, server.admin(), "as=csv&partial=true", &file);
        assert_eq!(again, Some(200), "{point}");
        assert_eq!(imported(&server), ROWS - 3, "{point}");
        let refused = send(server.address, server.admin(), "as=csv", &file);
        assert_eq!(refused, Some(422), "{point}: three are wrong");
        server.stop();
    }
}
