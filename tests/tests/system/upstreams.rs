//! Servers behind the gateway that die, keep silent, answer twice, or answer with what is no
//! answer; and clients that leave while a call is under way.

use std::time::Instant;

use safeconduct_tests::http::{Connection, head};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, verify, wait_until};
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT, succeeded, told};

/// A project whose server may take three seconds for a call, and answer with a megabyte.
fn impatient() -> Project {
    let project = world::project();
    let mut config = world::config(&project);
    config["upstreams"]["box"]["timeout_s"] = json!(3);
    config["upstreams"]["box"]["result_bytes_max"] = json!(1 << 20);
    project.configure(&config);
    project
}

/// What is recorded of the calls, in order: execution and detail.
fn outcomes(project: &Project) -> Vec<(String, String)> {
    let lines = exported(project);
    let outcomes = lines.iter().map(record_of).filter(|record| record["kind"] == "outcome");
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    outcomes.map(|r| (text(&r["body"]["execution"]), text(&r["body"]["detail"]))).collect()
}

#[test]
fn each_failure_has_its_outcome() {
    let project = impatient();
    let mut server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let behaviours: [(&str, bool, &[&str]); 6] = [
        ("silent", false, &["unknown"]),
        ("garbage", false, &["unknown", "failed"]),
        ("other_id", false, &["unknown", "failed"]),
        ("huge", false, &["failed", "unknown"]),
        ("twice", true, &["succeeded"]),
        ("die", false, &["unknown"]),
    ];
    for (behave, well, _) in behaviours {
        let mut client = server.mcp("box", &token);
        let begun = Instant::now();
        let answer = client.call("put", &json!({ "id": behave, "behave": behave })).unwrap();
        let answered = begun.elapsed();
        assert_eq!(succeeded(&answer), well, "{behave}: {answer}");
        assert!(well || !told(&answer).is_empty(), "{behave}: {answer}");
        assert!(answer.to_string().len() < 10_000, "{behave}: a long answer");
        assert!(server.is_up() && server.is_ready(), "{behave}: {}", server.talk());
        let bounded = |text: String| text.contains("1048576") || text.contains("in time");
        assert!(behave != "huge" || bounded(told(&answer)), "{answer}");
        // The next call finds a server that works, if need be a new one.
        wait_until("a call that succeeds", || {
            let mut client = server.mcp("box", &token);
            succeeded(&client.call("put", &json!({ "id": "after" })).unwrap())
        });
        println!("{behave}: answered in {answered:?}, well again in {:?}", begun.elapsed());
    }
    server.stop();
    verify(&project);
    let lines = exported(&project);
    let found = outcomes(&project);
    let reached = world::reached(&project);
    let permits = lines.iter().map(record_of).filter(|r| r["body"]["decision"] == json!("permit"));
    let permits = permits.count();
    assert_eq!(found.len(), permits, "each permit has one outcome: {found:?}");
    assert!(permits >= reached.len(), "{permits} permits for {} calls", reached.len());
    // In the order of the calls, the successes after them left out.
    let mut failed = found.iter().filter(|(execution, detail)| {
        execution != "succeeded" && execution != "not_executed" && detail != "restart"
    });
    for (behave, well, expected) in behaviours {
        if !well {
            let (execution, detail) =
                failed.next().unwrap_or_else(|| panic!("{behave}: {found:?}"));
            assert!(expected.contains(&&**execution), "{behave}: {execution} {detail}");
            assert!(!detail.is_empty(), "{behave}: {execution} without a reason");
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_call() {
    let project = world::project();
    let server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let until = project.path("go");
    let mut client = server.mcp("box", &token);
    let arguments = json!({ "id": "held", "behave": "hold", "until": until });
    let (headers, body) =
        client.message("tools/call", json!({ "name": "put", "arguments": arguments }));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(&head("POST", "/mcp/box", &headers, Some(body.len()))).unwrap();
    connection.send(body.as_bytes()).unwrap();
    wait_until("the call to reach the server", || !world::reached(&project).is_empty());
    drop(connection);
    // Others are not held up meanwhile.
    let mut other = server.mcp("box", &token);
    assert!(succeeded(&other.call("put", &json!({ "id": "other" })).unwrap()));
    project.write("go", "");
    assert!(succeeded(&other.call("put", &json!({ "id": "later" })).unwrap()));
    server.stop();
    verify(&project);
    let found = outcomes(&project);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|(e, _)| ["succeeded", "unknown"].contains(&&**e)), "{found:?}");
}

#[test]
fn a_server_that_does_not_start() {
    let project = world::project();
    let mut config = world::config(&project);
    config["upstreams"]["box"]["stdio"]["command"] = json!("/nonexistent/program");
    project.configure(&config);
    let mut server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let answer = server.mcp("box", &token).call("put", &json!({ "id": "x" })).unwrap();
    assert!(!succeeded(&answer) && !told(&answer).is_empty(), "{answer}");
    assert!(server.is_up() && server.is_ready());
    // Decisions do not need it.
    assert_eq!(server.evaluate(&token, &world::may_put(AGENT, "x"))["decision"], json!(true));
    server.stop();
    verify(&project);
}
