//! The AuthZEN certification scenario: the checks of its suite where they are at hand, and small
//! checks of our own of the same semantics.

use std::process::Command;

use safeconduct_tests::http::Connection;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, verify};
use safeconduct_tests::tools::{self, root};
use serde_json::{Value as Json, json};

/// Basic, Batch and Discovery, and how many checks each has; Search is not offered.
const SUITES: [(&str, usize); 3] = [("cert-2", 24), ("cert-3", 10), ("cert-6", 1)];

fn world() -> (Project, Server, String) {
    let project = Project::copy_of(&root().join("examples/authzen-certification"));
    let server = Server::start(&project);
    let (_, token) = server.mint("certification");
    (project, server, token)
}

#[test]
fn the_certification_suite_passes() {
    let suite = match (tools::evals("authzen"), tools::python()) {
        (Ok(suite), Ok(_)) => suite,
        (Err(why), _) | (_, Err(why)) => return tools::skip("AuthZEN certification", &why),
    };
    let (project, server, token) = world();
    for (name, checks) in SUITES {
        let output = Command::new(tools::python().unwrap())
            .arg(suite.join("run_authzen.py"))
            .arg(format!("http://{}", server.address))
            .arg(suite.join("certification.jsonl"))
            .args(["--suite", name, "--header", &format!("Authorization: Bearer {token}")])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        assert_eq!(
            last,
            format!("{checks} passed, 0 failed"),
            "{name}:\n{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    server.stop();
    verify(&project);
}

fn question(subject: &str, action: &str, resource: &str) -> Json {
    json!({
        "subject": { "type": "user", "id": subject },
        "action": { "name": action },
        "resource": { "type": "record", "id": resource },
    })
}

#[test]
fn properties_and_not_names_decide() {
    let (_project, server, token) = world();
    let decide = |question: &Json| server.evaluate(&token, question)["decision"] == json!(true);
    assert!(decide(&question("alice", "read", "record-1")));
    assert!(!decide(&question("mallory", "read", "record-1")));
    assert!(!decide(&question("bob", "write", "record-1")));
    let mut archived = question("alice", "write", "anything");
    assert!(decide(&archived));
    archived["resource"]["properties"] = json!({ "status": "archived" });
    assert!(!decide(&archived));
    archived["subject"] = json!({ "type": "user", "id": "x", "properties": { "role": "admin" } });
    assert!(decide(&archived));
    let mut delete = question("alice", "delete", "record-1");
    assert!(!decide(&delete));
    delete["action"]["properties"] = json!({ "soft": true });
    assert!(decide(&delete));
}

#[test]
fn batches_stop_where_they_are_told_to() {
    let (_project, server, token) = world();
    let items = json!([
        { "resource": { "type": "record", "id": "record-1" } },
        { "resource": { "type": "record", "id": "record-9" } },
        { "resource": { "type": "record", "id": "record-1" } },
    ]);
    for (semantic, expected) in [
        ("execute_all", &[true, false, true][..]),
        ("deny_on_first_deny", &[true, false]),
        ("permit_on_first_permit", &[true]),
    ] {
        let mut body = question("alice", "read", "unused");
        body["evaluations"] = items.clone();
        body["options"] = json!({ "evaluations_semantic": semantic });
        let response = server.ask("POST", "/access/v1/evaluations", &token, &body);
        assert_eq!(response.status, 200);
        let answers = response.json();
        let answers = answers["evaluations"].as_array().unwrap().iter();
        let decisions: Vec<bool> = answers.map(|a| a["decision"].as_bool().unwrap()).collect();
        assert_eq!(decisions, expected, "{semantic}");
    }
    let response = server.ask(
        "POST",
        "/access/v1/evaluations",
        &token,
        &question("alice", "read", "record-1"),
    );
    let answer = response.json();
    assert_eq!(response.status, 200);
    let single =
        answer["decision"] == json!(true) || answer["evaluations"][0]["decision"] == json!(true);
    assert!(single, "{answer}");
}

#[test]
fn what_is_no_question_is_refused_and_what_is_unknown_is_ignored() {
    let (_project, server, token) = world();
    let good = question("alice", "read", "record-1");
    for (pointer, wrong) in [
        ("subject", Json::Null),
        ("action", json!({})),
        ("resource", json!("record-1")),
        ("subject", json!({ "type": "user", "id": 7 })),
    ] {
        let mut question = good.clone();
        question[pointer] = wrong;
        let response = server.ask("POST", "/access/v1/evaluation", &token, &question);
        assert_eq!(response.status, 400, "{question}: {}", response.text());
    }
    let mut more = good.clone();
    more["made_up"] = json!([1]);
    more["subject"]["made_up"] = json!({});
    assert_eq!(server.evaluate(&token, &more)["decision"], json!(true));
    let authorization = format!("Bearer {token}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("X-Request-ID", "abc-123"),
    ];
    let body = good.to_string();
    let mut connection = Connection::open(server.address).unwrap();
    let path = "/access/v1/evaluation";
    let response = connection.request("POST", path, &headers, body.as_bytes()).unwrap();
    assert_eq!((response.status, response.header("x-request-id")), (200, Some("abc-123")));
    let text = [headers[0], ("Content-Type", "text/plain")];
    let response = connection.request("POST", path, &text, body.as_bytes()).unwrap();
    assert!((400..500).contains(&response.status), "{}", response.status);
    let response = server.ask("GET", "/.well-known/authzen-configuration", "", &Json::Null);
    let metadata = response.json();
    let own = format!("http://{}", server.address);
    assert_eq!(metadata["policy_decision_point"], json!(own));
    assert_eq!(
        metadata["access_evaluation_endpoint"],
        json!(format!("{own}/access/v1/evaluation"))
    );
    let search = json!(format!("{own}/access/v1/search/subject"));
    assert_eq!(metadata["search_subject_endpoint"], search);
}
