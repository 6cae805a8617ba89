//! Many calls of one credential at once are one sequence, and its budget is exact.

use std::sync::Mutex;

use safeconduct_tests::server::{Server, exported, record_of, verify};
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT, may_put, succeeded};

const CALLS: u64 = 64;
const BUDGET: u64 = 40;

#[test]
fn sixty_four_calls_at_once() {
    let project = world::project();
    let mut config = world::config(&project);
    config["sessions"]["calls"] = json!(BUDGET);
    project.configure(&config);
    let server = Server::start(&project);
    let (session, token) = server.mint(AGENT);
    let permitted = Mutex::new(0);
    std::thread::scope(|scope| {
        for n in 0..CALLS {
            let (server, token, permitted) = (&server, &token, &permitted);
            scope.spawn(move || {
                let id = n.to_string();
                // One session over both edges: half of the calls each.
                let permit = if n % 2 == 0 {
                    succeeded(&server.mcp("box", token).call("put", &json!({ "id": id })).unwrap())
                } else {
                    server.evaluate(token, &may_put(AGENT, &id))["decision"] == json!(true)
                };
                *permitted.lock().unwrap() += u64::from(permit);
            });
        }
    });
    assert_eq!(*permitted.lock().unwrap(), BUDGET);
    let state = server.administer("GET", &format!("/v1/sessions/{AGENT}/{session}"), &Json::Null);
    assert_eq!((&state["sequence"], &state["steps"]), (&json!(CALLS), &json!(BUDGET)), "{state}");
    server.stop();
    verify(&project);
    let lines = exported(&project);
    let decided = lines.iter().map(record_of).filter(|record| record["kind"] == "decision");
    let sequence: Vec<u64> = decided.map(|r| r["body"]["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=CALLS).collect::<Vec<_>>());
    assert!(world::reached(&project).len() as u64 <= BUDGET);
    // What is spent stays spent over a restart.
    let server = Server::start(&project);
    let answer = server.evaluate(&token, &may_put(AGENT, "x"));
    assert_eq!(answer["context"]["reasons"][0]["code"], json!("budget_spent"), "{answer}");
    server.stop();
}
