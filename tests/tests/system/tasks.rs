//! Tasks of a running server: over at every connection at once, and kept over a restart.

use safeconduct_tests::http::{Connection, Response};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use serde_json::{Value as Json, json};

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("worker") permit (principal == Safeconduct::Agent::"worker", action, resource)
when { context.action.name == "crm.read" };
@id("ada") permit (principal == Safeconduct::User::"ada", action, resource)
when { context.action.name == "crm.read" };
"#;

fn project() -> Project {
    let project = Project::empty();
    project.write("policies/p.cedar", POLICIES);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object",
        "properties": {"case": {"type": "string"}}}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    let intent = json!({
        "intent": "work", "version": 1, "description": "Work on one case.",
        "parameters": {"case": {"type": "identifier"}},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "required", "longest": "10m",
        "budget": {"calls": 3}, "tier_max": "low",
        "envelope": [{"action": "crm.read", "arguments": {"/case": {"equals": "${case}"}}}],
    });
    project.write("intents/work.yaml", &intent.to_string());
    let upstream = project.upstream("crm", &tools);
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "upstreams": {"crm": upstream},
        "identities": [
            {"id": "ada", "kind": "user"},
            {"id": "worker", "kind": "agent", "owner": "ada", "fallback_owner": "ada",
                "pep": {"subjects": []}},
        ],
    }));
    project
}

/// Asks whether the worker may read a case in a task, over a connection of its own.
fn ask(connection: &mut Connection, token: &str, handle: &str, case: &str) -> Vec<String> {
    let question = json!({
        "subject": {"type": "Agent", "id": "worker"},
        "action": {"name": "crm.read", "properties": {"case": case}},
        "resource": {"type": "Server", "id": "crm"},
    });
    let authorization = format!("Bearer {token}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Safeconduct-Task", handle),
    ];
    let body = question.to_string();
    let response: Response =
        connection.request("POST", "/access/v1/evaluation", &headers, body.as_bytes()).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    let answer = response.json();
    let reasons = answer["context"]["reasons"].as_array().unwrap().iter();
    match answer["decision"].as_bool() {
        Some(true) => Vec::new(),
        _ => reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect(),
    }
}

fn begin(server: &Server, ada: &str) -> Json {
    let body = json!({"intent": "work", "agent": "worker", "parameters": {"case": "C-1"}});
    let begun = server.ask("POST", "/v1/tasks", ada, &body);
    assert_eq!(begun.status, 201, "{}", begun.text());
    begun.json()
}

#[test]
fn a_task_that_ends_is_over_at_every_connection_and_a_restart_keeps_the_others() {
    let project = project();
    let server = Server::start(&project);
    let (ada, worker) = (server.mint("ada").1, server.mint("worker").1);
    let (one, other) = (begin(&server, &ada), begin(&server, &ada));
    let text = |begun: &Json, name: &str| begun[name].as_str().unwrap().to_owned();
    let (first, second) = (text(&one, "handle"), text(&other, "handle"));
    let mut here = Connection::open(server.address).unwrap();
    let mut there = Connection::open(server.address).unwrap();
    for connection in [&mut here, &mut there] {
        assert!(ask(connection, &worker, &first, "C-1").is_empty());
        assert_eq!(ask(connection, &worker, &first, "C-2"), ["outside_intent"]);
    }
    assert!(ask(&mut here, &worker, &second, "C-1").is_empty());
    let path = format!("/v1/tasks/{}/end", text(&one, "task"));
    assert_eq!(server.ask("POST", &path, &worker, &json!({})).status, 200);
    assert_eq!(ask(&mut there, &worker, &first, "C-1"), ["task_ended"]);

    server.kill();
    let server = Server::start(&project);
    let mut connection = Connection::open(server.address).unwrap();
    let shown =
        server.administer("GET", &format!("/v1/tasks/{}", text(&other, "task")), &Json::Null);
    assert_eq!((&shown["state"], &shown["used"]["calls"]), (&json!("active"), &json!(1)));
    assert_eq!(shown["mandate"]["parameters"], json!({"case": "C-1"}));
    assert_eq!(ask(&mut connection, &worker, &second, "C-2"), ["outside_intent"]);
    assert!(ask(&mut connection, &worker, &second, "C-1").is_empty());
    assert!(ask(&mut connection, &worker, &second, "C-1").is_empty());
    assert_eq!(ask(&mut connection, &worker, &second, "C-1"), ["task_budget_spent"]);
    assert_eq!(ask(&mut connection, &worker, &first, "C-1"), ["task_ended"]);
    server.stop();
}
