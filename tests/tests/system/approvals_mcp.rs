//! Approvals over MCP, against a running server: a stock client is denied, goes away, comes back in
//! another process, and its call runs once; and how soon it runs after the answer.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of};
use safeconduct_tests::tools::{self, root};
use serde_json::{Value as Json, json};

use crate::world::{config, succeeded, tools as box_tools};

const POLICY: &str = r#"
@id("put") permit (principal, action, resource);
@id("ask") @requestable("approvers=principal.owner; quorum=1; ttl=15m")
forbid (principal, action == Safeconduct::Action::"box.put", resource)
unless { context has approval };
"#;

/// How often the way from the answer to the call is measured.
const ROUNDS: usize = 21;

fn project() -> Project {
    let project = Project::empty();
    project.write("policies/box.cedar", POLICY);
    project.write(
        "catalogue/box.yaml",
        "server: box\nactions:\n  put: { tier: moderate, effect: write }\n",
    );
    project.write("catalogue/box.tools.json", &box_tools().to_string());
    let mut config = config(&project);
    // Of one approver more is wanted here than anybody could bear.
    config["approvals"] = json!({ "asked_per_hour": 100 });
    project.configure(&config);
    project
}

/// Has the agent's owner approve a request once, as it is shown.
fn approve(server: &Server, owner: &str, request: &str) {
    let path = format!("/v1/access-requests/{request}");
    let shown = server.ask("GET", &path, owner, &Json::Null).json();
    let word = json!({ "approve": { "scope": "once" }, "digest": shown["digest"] });
    let answer = server.ask("POST", &format!("{path}/answer"), owner, &word);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn request_of(answer: &Json) -> String {
    let told = &answer["result"]["_meta"]["safeconduct/decision"]["request"]["id"];
    told.as_str().unwrap_or_else(|| panic!("no request in {answer}")).to_owned()
}

/// The stock client.
fn client(server: &Server, token: &str, arguments: &[&str]) -> Option<Command> {
    let python = match tools::python() {
        Ok(python) => python,
        Err(why) => {
            tools::skip("approvals of a stock MCP client", &why);
            return None;
        }
    };
    let mut command = Command::new(python);
    command
        .arg(root().join("tests/peers/approvals.py"))
        .arg(format!("http://{}/mcp/box", server.address))
        .args([token, ""])
        .args(arguments)
        .stdout(Stdio::piped());
    Some(command)
}

/// What the client prints last.
fn said(child: Child) -> Json {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_stock_client_comes_back_in_another_process_and_its_call_runs_once() {
    let project = project();
    let server = Server::start(&project);
    let (agent, owner) = (server.mint("agent").1, server.mint("alice").1);
    let Some(mut first) = client(&server, &agent, &["call", "seven"]) else { return };
    let denied = said(first.spawn().unwrap());
    assert_eq!(denied["is_error"], json!(true), "{denied}");
    let told = &denied["meta"]["safeconduct/decision"]["request"];
    let request = told["id"].as_str().unwrap().to_owned();
    let text = denied["text"].as_str().unwrap();
    for part in [&*request, "principal.owner", "make the very same call again"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert!(!text.contains("seven"), "{text}");
    // The server itself may end meanwhile.
    server.stop();
    let server = Server::start(&project);

    // One that waits meanwhile, in a process of its own.
    let mut waiting = client(&server, &agent, &["wait", &request, "seven"]).unwrap();
    let mut waiting = waiting.spawn().unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"waits": true}"#);
    approve(&server, &owner, &request);
    let permitted: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(waiting.wait().unwrap().success());
    assert_eq!(permitted["status"]["state"], json!("approved"), "{permitted}");
    assert_eq!(permitted["is_error"], json!(false), "{permitted}");
    let tools = permitted["tools"].to_string();
    assert!(tools.contains("safeconduct_request_approval"), "{tools}");

    let again = said(client(&server, &agent, &["call", "seven"]).unwrap().spawn().unwrap());
    assert_eq!(again["is_error"], json!(true), "{again}");
    assert_ne!(again["meta"]["safeconduct/decision"]["request"]["id"], json!(request));
    server.stop();
    let lines = exported(&project);
    let ran = lines.iter().filter(|line| record_of(line)["kind"] == json!("outcome")).count();
    assert_eq!(ran, 1, "it ran once");
    let all: String = lines.iter().map(ToString::to_string).collect();
    assert!(!all.contains("seven"), "an argument's value is in the ledger");
}

#[test]
fn the_call_of_an_agent_that_waits_runs_soon_after_the_answer() {
    let project = project();
    let server = Server::start(&project);
    let (agent, owner) = (server.mint("agent").1, server.mint("alice").1);
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let input = json!({ "id": round.to_string() });
        let mut client = server.mcp("box", &agent);
        let request = request_of(&client.call("put", &input).unwrap());
        let waiting = std::thread::spawn(move || {
            let look = json!({ "request": request, "wait_seconds": 50 });
            let status = client.call("safeconduct_approval_status", &look).unwrap();
            assert_eq!(status["result"]["structuredContent"]["state"], json!("approved"));
            let answer = client.call("put", &input).unwrap();
            (answer, Instant::now())
        });
        let request = pending(&server, &owner);
        let path = format!("/v1/access-requests/{request}");
        let shown = server.ask("GET", &path, &owner, &Json::Null).json();
        let word = json!({ "approve": { "scope": "once" }, "digest": shown["digest"] });
        let begun = Instant::now();
        let answer = server.ask("POST", &format!("{path}/answer"), &owner, &word);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (answer, done) = waiting.join().unwrap();
        assert!(succeeded(&answer), "{answer}");
        took.push(done - begun);
    }
    took.sort();
    let median = took[ROUNDS / 2];
    println!("from the approval to the waiting agent's call: {median:?} at the median");
    assert!(median < Duration::from_millis(50), "{took:?}");
    server.stop();
}

/// The one request that waits.
fn pending(server: &Server, owner: &str) -> String {
    let path = "/v1/access-requests?state=pending";
    let listed = server.ask("GET", path, owner, &Json::Null).json();
    let requests = listed["requests"].as_array().unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(requests.len(), 1, "{listed}");
    requests[0]["id"].as_str().unwrap().to_owned()
}
