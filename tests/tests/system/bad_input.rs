//! Bytes that no client should send: each gets a clear error, a Deny where a decision was asked,
//! and the server goes on.

use std::net::SocketAddr;

use safeconduct_tests::http::{Connection, Response, head};
use safeconduct_tests::mcp::{self, REVISION};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, exported, record_of, verify, wait_until};
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT};

/// A request as bytes, with what its sender gets.
struct Bad {
    what: &'static str,
    body: Vec<u8>,
    statuses: &'static [u16],
}

fn bad(what: &'static str, body: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Bad {
    Bad { what, body: body.into(), statuses }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Bodies that are wrong whatever they were meant for; `good` is one that would be taken.
fn bodies(good: &Json) -> Vec<Bad> {
    let text = good.to_string();
    let end = &text[..text.len() - 1];
    let mut not_utf8 = format!("{end},\"x\":\"").into_bytes();
    not_utf8.extend_from_slice(b"\xff\xfe\"}");
    vec![
        bad("nothing", "", &[400]),
        bad("truncated", end, &[400]),
        bad("no JSON", "hello", &[400]),
        bad("two values", format!("{text}{text}"), &[400]),
        bad("not UTF-8", not_utf8, &[400]),
        bad("a lone surrogate", format!("{end},\"x\":\"\\ud800\"}}"), &[400]),
        bad("a duplicate key", format!("{end},\"a\":1,\"a\":2}}"), &[400]),
        bad("a duplicate key, escaped", format!("{end},\"ab\":1,\"\\u0061b\":2}}"), &[400]),
        bad("deep", format!("{end},\"x\":{}}}", nested(100_000)), &[400]),
        bad("oversize", format!("{end},\"x\":\"{}\"}}", "x".repeat(5 << 20)), &[413]),
        bad("a comment", format!("{end}/* */}}"), &[400]),
        bad("a number of no kind", format!("{end},\"x\":01}}"), &[400]),
        bad("a control character", format!("{end},\"x\":\"\n\"}}"), &[400]),
        bad("a byte order mark", format!("\u{feff}{text}"), &[400]),
    ]
}

fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut connection = Connection::open(address).unwrap();
    connection.request("POST", path, headers, body).unwrap()
}

/// No decision, no call: what was refused left nothing but its refusal.
fn nothing_happened(project: &Project) {
    verify(project);
    assert_eq!(world::reached(project), Vec::<String>::new());
    let lines = exported(project);
    let permits = lines.iter().map(record_of).filter(|r| r["body"]["decision"] == json!("permit"));
    assert_eq!(permits.count(), 0);
}

#[test]
fn questions_that_are_none() {
    let project = world::project();
    let mut server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        for bad in bodies(&world::may_put(AGENT, "x")) {
            let response = post(server.address, path, &headers, &bad.body);
            let told = response.text();
            assert!(
                bad.statuses.contains(&response.status),
                "{path}, {}: {} {told}",
                bad.what,
                response.status
            );
            assert!(!told.is_empty() && told.len() < 2_000, "{path}, {}: {told}", bad.what);
        }
        assert!(server.is_up() && server.is_ready(), "{}", server.talk());
    }
    server.stop();
    nothing_happened(&project);
}

#[test]
fn messages_that_are_none() {
    let project = world::project();
    let mut server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let mut client = server.mcp("box", &token);
    let (headers, body) =
        client.message("tools/call", json!({ "name": "put", "arguments": { "id": "x" } }));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let good: Json = serde_json::from_str(&body).unwrap();
    let mut all = bodies(&good);
    for (what, pointer, value) in [
        ("an id that is no integer", "/id", json!(1.5)),
        ("an id that is null", "/id", Json::Null),
        ("an id that is an object", "/id", json!({})),
        ("another JSON-RPC", "/jsonrpc", json!("1.0")),
        ("a method that is a number", "/method", json!(7)),
        ("parameters that are a list", "/params", json!([1])),
        (
            "another revision in the body",
            "/params/_meta/io.modelcontextprotocol~1protocolVersion",
            json!("2025-11-25"),
        ),
        ("another tool than the header", "/params/name", json!("burn")),
        ("another method than the header", "/method", json!("tools/list")),
    ] {
        let mut message = good.clone();
        *message.pointer_mut(pointer).unwrap() = value;
        all.push(bad(what, message.to_string(), &[400]));
    }
    all.push(bad("a batch", json!([good.clone()]).to_string(), &[400]));
    for bad in all {
        let response = post(server.address, "/mcp/box", &headers, &bad.body);
        let told = response.text();
        assert!(
            bad.statuses.contains(&response.status),
            "{}: {} {told}",
            bad.what,
            response.status
        );
        let message = response.json();
        assert!(message["error"]["message"].is_string(), "{}: {told}", bad.what);
    }
    let unknown = [("unknown", "2099-01-01"), ("odd", "\u{e4}"), ("old", "2024-11-05")];
    for (what, revision) in unknown {
        let changed = headers.iter().map(|(name, value)| match *name {
            "MCP-Protocol-Version" => (*name, revision),
            _ => (*name, *value),
        });
        let changed: Vec<_> = changed.collect();
        let response = post(server.address, "/mcp/box", &changed, body.as_bytes());
        assert_eq!(response.status, 400, "{what} revision: {}", response.text());
    }
    for (what, name) in
        [("duplicate tool header", "Mcp-Name"), ("duplicate revision", "MCP-Protocol-Version")]
    {
        let twice: Vec<_> = headers.iter().copied().chain([(name, "burn")]).collect();
        let response = post(server.address, "/mcp/box", &twice, body.as_bytes());
        assert_eq!(response.status, 400, "{what}: {}", response.text());
    }
    let response = post(server.address, "/mcp/nobody", &headers, body.as_bytes());
    assert_eq!(response.status, 404, "{}", response.text());
    assert!(server.is_up() && server.is_ready(), "{}", server.talk());
    server.stop();
    nothing_happened(&project);
}

#[test]
fn strangers() {
    let project = world::project();
    let server = Server::start(&project);
    let (id, token) = server.mint(AGENT);
    let question = world::may_put(AGENT, "x");
    assert_eq!(server.evaluate(&token, &question)["decision"], json!(true));
    let made_up = "sc_0000000000000000000000000000000000000000000000000000000000000000";
    server.administer("POST", &format!("/v1/tokens/{id}/revoke"), &Json::Null);
    for (what, token) in [("revoked", &*token), ("unknown", made_up), ("empty", "")] {
        for path in ["/access/v1/evaluation", "/v1/whoami", "/v1/records", "/mcp/box"] {
            let method = if path.starts_with("/v1") { "GET" } else { "POST" };
            let response = server.ask(method, path, token, &question);
            assert_eq!(response.status, 401, "{what} token at {path}: {}", response.text());
            let challenge = response.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{what} token at {path}: `{challenge}`");
        }
    }
    // Names of pages that rebind a name to this machine.
    let (_, token) = server.mint(AGENT);
    let authorization = format!("Bearer {token}");
    for (name, value) in [("Host", "evil.test"), ("Origin", "https://evil.test")] {
        let mut request = head(
            "POST",
            "/mcp/box",
            &[
                ("Authorization", &*authorization),
                ("Content-Type", "application/json"),
                (name, value),
            ],
            Some(2),
        );
        if name == "Host" {
            let text = String::from_utf8(request).unwrap().replacen("Host: localhost\r\n", "", 1);
            request = text.into_bytes();
        }
        let mut connection = Connection::open(server.address).unwrap();
        connection.send(&request).unwrap();
        connection.send(b"{}").unwrap();
        let response = connection.response().unwrap();
        assert!([403, 421].contains(&response.status), "{name}: {}", response.status);
    }
    server.stop();
    verify(&project);
}

/// Begins a session of an older revision: the answer, with its `Mcp-Session-Id`.
fn initialize(server: &Server, token: &str, revision: &str) -> Response {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("Authorization", &*authorization),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": { "name": "safeconduct-tests", "version": "0" },
    } });
    post(server.address, "/mcp/box", &headers, body.to_string().as_bytes())
}

#[test]
fn a_session_of_another_identity() {
    let project = world::project();
    let server = Server::start(&project);
    let (_, mine) = server.mint(AGENT);
    let (_, theirs) = server.mint("other");
    let begun = initialize(&server, &mine, "2025-11-25");
    assert_eq!(begun.status, 200, "{}", begun.text());
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    let ask = |token: &str, session: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("Authorization", &*authorization),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2025-11-25"),
            ("Mcp-Session-Id", session),
        ];
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": "put", "arguments": { "id": "in a session" } } });
        post(server.address, "/mcp/box", &headers, body.to_string().as_bytes())
    };
    for (what, token, session) in [
        ("another identity's", &*theirs, &*session),
        ("one that never was", &mine, "0123456789abcdef0123456789abcdef"),
        ("one that is no id", &mine, "x y"),
    ] {
        let response = ask(token, session);
        assert!(
            [400, 404].contains(&response.status),
            "{what}: {} {}",
            response.status,
            response.text()
        );
    }
    let (_, second) = server.mint(AGENT);
    let response = ask(&second, &session);
    let taken = mcp::message_of(&response);
    assert!(
        response.status == 404 || world::succeeded(&taken),
        "another credential of the same identity: {} {taken}",
        response.status
    );
    let own = ask(&mine, &session);
    assert!(world::succeeded(&mcp::message_of(&own)), "{}", own.text());
    // An older revision than any that is spoken is answered with one that is.
    let old = initialize(&server, &mine, "2024-11-05");
    let spoken = mcp::message_of(&old);
    assert_ne!(spoken["result"]["protocolVersion"], json!("2024-11-05"), "{spoken}");
    assert_ne!(REVISION, "2025-11-25");
    server.stop();
    verify(&project);
}

#[test]
fn clients_that_break_off() {
    let project = world::project();
    let server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
    let body = world::may_put(AGENT, "x").to_string();
    for path in ["/access/v1/evaluation", "/mcp/box"] {
        let whole = head("POST", path, &headers, Some(body.len()));
        for cut in [3, whole.len() / 2, whole.len() - 1] {
            Connection::open(server.address).unwrap().send(&whole[..cut]).unwrap();
        }
        let mut connection = Connection::open(server.address).unwrap();
        connection.send(&whole).unwrap();
        connection.send(&body.as_bytes()[..body.len() / 2]).unwrap();
        connection.finish_sending().unwrap();
        // An error, or no answer at all; never a decision.
        if let Ok(response) = connection.response() {
            assert!(response.status >= 400, "{path}: {}", response.text());
        }
    }
    wait_until("the server to be well", || server.is_ready());
    server.stop();
    nothing_happened(&project);
}
