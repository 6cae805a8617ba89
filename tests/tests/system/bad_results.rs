//! Results that no tool should give: each is passed on or refused in bounded time, and whoever may
//! have read any of it is taken to have read it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use safeconduct_tests::case::Case;
use safeconduct_tests::mcp::Client;
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, verify, wait_until};
use safeconduct_tests::tools::root;
use serde_json::{Value as Json, json};

/// Longer than any of them may take, with a slow machine and no optimisation.
const BOUND: Duration = Duration::from_secs(45);

/// A result, written as text: some are too deep for a tree.
struct Bad {
    what: &'static str,
    result: String,
}

fn text(what: &'static str, text: &str) -> Bad {
    let block = json!({ "content": [{ "type": "text", "text": text }], "resultType": "complete" });
    Bad { what, result: block.to_string() }
}

fn structured(what: &'static str, content: &str) -> Bad {
    let result =
        format!("{{\"content\":[],\"structuredContent\":{content},\"resultType\":\"complete\"}}");
    Bad { what, result }
}

fn nested(depth: usize) -> String {
    format!("{}\"eve@evil.example\"{}", "[".repeat(depth), "]".repeat(depth))
}

fn many_leaves() -> String {
    let mut leaves = String::from("[0");
    (1..1_000_000).for_each(|n| write!(leaves, ",{n}").unwrap());
    leaves + "]"
}

/// Words, addresses and numbers that all differ: what an index would like to keep.
fn flood() -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut text = String::new();
    for _ in 0..150_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 4 {
            0 => write!(text, "u{state:x}@h{}.example ", state % 1_000_003),
            1 => write!(text, "https://h{}.example/{state:x} ", state % 1_000_003),
            2 => write!(text, "{state} "),
            _ => write!(text, "w{state:x} "),
        }
        .unwrap();
    }
    text
}

fn all() -> Vec<Bad> {
    vec![
        text("100 MB", &"lorem ipsum ".repeat(100_000_000 / 12)),
        text("a million leaves in a text", &many_leaves()),
        structured("a million leaves", &many_leaves()),
        text("10,000 levels in a text", &nested(10_000)),
        structured("10,000 levels", &nested(10_000)),
        text("random tokens", &flood()),
        text("one token", &"x".repeat(2_000_000)),
        text("invisible", &"\u{200b}\u{2060}".repeat(500_000)),
        text("escapes in escapes", &"\\\"\\u005c".repeat(300_000)),
    ]
}

fn project() -> Project {
    Project::of(&Case::read(&root().join("tests/cases/flow/sessions.yaml")))
}

fn call(client: &mut Client, tool: &str) -> Json {
    client.call(tool, &json!({})).unwrap()
}

#[test]
fn results_that_are_none() {
    let project = project();
    let mut server = Server::start(&project);
    let mut passed_on = 0;
    for bad in all() {
        let (_, token) = server.mint("assistant");
        tell(&project, &bad.result);
        let begun = Instant::now();
        let answer = call(&mut server.mcp("desk", &token), "web");
        let took = begun.elapsed();
        assert!(took < BOUND, "{}: {took:?}", bad.what);
        let _ = std::fs::remove_file(project.next_of("desk"));
        let refused = answer["error"].is_object() || answer["result"]["isError"] == json!(true);
        let drop = || call(&mut server.mcp("desk", &token), "drop").to_string();
        if refused {
            // Nothing of it has reached the agent.
            assert!(answer.to_string().len() < 2_000, "{}: {answer}", bad.what);
            assert!(!drop().contains("not-after-untrusted"), "{}", bad.what);
        } else {
            // The outcome is recorded after the answer has left.
            let raised = || drop().contains("not-after-untrusted");
            wait_until(&format!("the session to have read {}", bad.what), raised);
            passed_on += 1;
        }
        println!("{}: {} in {took:?}", bad.what, if refused { "refused" } else { "passed on" });
        assert!(server.is_up() && server.is_ready(), "{}: {}", bad.what, server.talk());
        assert!(!server.talk().contains("panicked"), "{}", server.talk());
    }
    server.stop();
    verify(&project);
    let lines = exported(&project);
    let outcomes = lines.iter().map(record_of).filter(|record| record["kind"] == "outcome");
    let read = |record: &&Json| record["body"]["label"]["integrity"] == "untrusted";
    assert_eq!(outcomes.filter(read).count(), passed_on);
    assert!(passed_on >= 5, "only {passed_on} of {} were passed on", all().len());
}

/// Has the live server answer that, whole or not at all.
fn tell(project: &Project, result: &str) {
    let file = project.next_of("desk");
    let beside: &Path = &file.with_extension("part");
    std::fs::write(beside, result).unwrap();
    std::fs::rename(beside, file).unwrap();
}
