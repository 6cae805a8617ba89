//! The gateway over a real child process that misbehaves in every way that it was told to.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use safeconduct_gateway::{Gateway, Limits, UpstreamConfig, list_tools};
use safeconduct_model::{Decision, Execution};
use safeconduct_pep::InProcess;
use serde_json::{Value as Json, json};
use support::{OTHER_TOKEN, PERMIT_ALL, Point, TOKEN};
use tower::ServiceExt as _;

struct Bench {
    point: Point,
    gateway: Gateway<InProcess>,
}

fn script(arguments: &[&str]) -> UpstreamConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    support::stdio("s", "python3", &[&[path], arguments].concat())
}

async fn bench(arguments: &[&str], policies: &str, limits: Limits) -> Bench {
    let upstream = script(arguments);
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, policies).await;
    let gateway = point.gateway(upstream, limits);
    Bench { point, gateway }
}

async fn legacy(policies: &str) -> Bench {
    bench(&[], policies, Limits::default()).await
}

/// A client over HTTP.
struct Client<'a> {
    bench: &'a Bench,
    token: &'static str,
    session: Option<String>,
    version: Option<&'static str>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    messages: Vec<Json>,
}

impl Reply {
    fn last(&self) -> &Json {
        self.messages.last().unwrap_or(&Json::Null)
    }

    fn text(&self) -> &str {
        self.last()["result"]["content"][0]["text"].as_str().unwrap_or_default()
    }

    fn code(&self) -> i64 {
        self.last()["error"]["code"].as_i64().unwrap_or_default()
    }
}

impl<'a> Client<'a> {
    fn new(bench: &'a Bench) -> Self {
        Self { bench, token: TOKEN, session: None, version: None }
    }

    async fn initialized(bench: &'a Bench) -> Self {
        Self::initialized_as(bench, TOKEN).await
    }

    async fn initialized_as(bench: &'a Bench, token: &'static str) -> Self {
        let mut client = Self { token, ..Self::new(bench) };
        let reply = client.post(&initialize("2025-11-25")).await;
        assert_eq!(reply.last()["result"]["protocolVersion"], "2025-11-25", "{:?}", reply.messages);
        client.session = Some(reply.headers["mcp-session-id"].to_str().unwrap().to_owned());
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(client.post(&ready).await.status, StatusCode::ACCEPTED);
        client
    }

    async fn post(&self, message: &Json) -> Reply {
        self.raw(Method::POST, &[], message.to_string()).await
    }

    async fn call(&self, tool: &str, arguments: Json) -> Reply {
        let params = json!({"name": tool, "arguments": arguments});
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
            .await
    }

    async fn raw(&self, method: Method, headers: &[(&str, &str)], body: String) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp/s")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(version) = self.version {
            request = request.header("mcp-protocol-version", version);
        }
        for (name, value) in headers {
            request
                .headers_mut()
                .unwrap()
                .insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.bench.gateway.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let messages = match parts.headers.get("content-type").map(|ty| ty.to_str().unwrap()) {
            Some("text/event-stream") => text
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map(|data| serde_json::from_str(data).unwrap())
                .collect(),
            _ if text.is_empty() => Vec::new(),
            _ => vec![serde_json::from_str(&text).unwrap()],
        };
        Reply { status: parts.status, headers: parts.headers, messages }
    }
}

fn initialize(version: &str) -> Json {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": {"elicitation": {}, "tasks": {}},
        "clientInfo": {"name": "test", "version": "1"}}})
}

fn modern(id: i64, method: &str, mut params: Json) -> Json {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < until, "it never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn hasty() -> Limits {
    Limits { call: Duration::from_millis(400), ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_permitted_goes_through_and_is_recorded() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("echo", json!({"b": 1.50, "a": [true, null]})).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.last()["id"], 7);
    let seen: Json = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(seen, json!({"name": "echo", "arguments": {"a": [true, null], "b": 1.5}}));
    assert_eq!(bench.point.decisions(), [("s.echo".to_owned(), Decision::Permit)]);
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None)]);
    // The decision's record comes before its outcome's.
    let kinds = bench.point.kinds();
    let at = |kind| kinds.iter().position(|k| *k == kind).unwrap();
    assert!(at("decision") < at("outcome"));
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_a_tool_result_and_reaches_no_server() {
    let policies = r#"
        @id("reads") permit (principal, action, resource);
        @id("no-fails") @message("use echo instead")
        forbid (principal, action == Safeconduct::Action::"s.die", resource);
        @id("no-read")
        forbid (principal, action == Safeconduct::Action::"s/resources/read", resource);"#;
    let bench = legacy(policies).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("die", json!({})).await;
    assert_eq!(reply.last()["result"]["isError"], true);
    let text = reply.text();
    for part in ["die", "no-fails", "use echo instead", "Do not retry unchanged", "dec_"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("forbid"));
    let told = &reply.last()["result"]["_meta"]["safeconduct/decision"];
    assert_eq!(told["decision"], "deny");
    assert!(text.contains(told["decision_id"].as_str().unwrap()));
    // A method without tool results gets the protocol's error.
    let read =
        json!({"jsonrpc": "2.0", "id": 8, "method": "resources/read", "params": {"uri": "u:x"}});
    let reply = client.post(&read).await;
    assert_eq!(reply.code(), -32001);
    assert!(reply.last()["error"]["data"]["decision_id"].is_string());
    // A tool that nobody knows is denied too.
    let reply = client.call("made_up", json!({})).await;
    assert_eq!(reply.last()["result"]["isError"], true);
    assert!(bench.point.decisions().iter().all(|(_, decision)| *decision == Decision::Deny));
    assert_eq!(bench.point.outcomes(), []);
    // The server is still alive: nothing reached it.
    assert_eq!(client.call("echo", json!({})).await.last()["result"]["isError"], Json::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_show_what_could_be_permitted() {
    let policies = r#"permit (principal, action == Safeconduct::Action::"s.echo", resource);"#;
    let bench = legacy(policies).await;
    let client = Client::initialized(&bench).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let reply = client.post(&list).await;
    let tools = reply.last()["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_misbehaves_gets_its_outcome_and_the_client_a_clear_error() {
    for (tool, execution, detail, part) in [
        ("die", Execution::Unknown, "upstream_gone", "went away"),
        ("silent", Execution::Unknown, "timeout", "did not answer in time"),
        ("garbage", Execution::Failed, "malformed", "no message of the protocol"),
        ("broken", Execution::Failed, "malformed", "no message of the protocol"),
        ("huge", Execution::Failed, "too_large", "exceeds the limit"),
        ("fails", Execution::Failed, "upstream_error", "it failed"),
    ] {
        let bench = bench(
            &[],
            PERMIT_ALL,
            Limits {
                call: Duration::from_secs(if matches!(tool, "silent" | "garbage") {
                    1
                } else {
                    30
                }),
                ..Limits::default()
            },
        )
        .await;
        let client = Client::initialized(&bench).await;
        let reply = client.call(tool, json!({})).await;
        let message = reply.last()["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{tool}: {:?}", reply.messages);
        assert_eq!(bench.point.outcomes(), [(execution, Some(detail.to_owned()))], "{tool}");
        // It is there again for the next call.
        let reply = client.call("echo", json!({})).await;
        assert!(reply.text().contains("echo"), "{tool}: {:?}", reply.messages);
        bench.gateway.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_answer_is_dropped() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    assert_eq!(client.call("twice", json!({})).await.text(), "answer 1");
    assert!(client.call("echo", json!({})).await.text().contains("echo"));
    assert_eq!(bench.point.outcomes().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_does_not_change_what_is_recorded() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let call = client.call("slow", json!({"started": &started, "go": &go}));
    tokio::select! {
        reply = call => panic!("{:?}", reply.messages),
        () = eventually(|| started.exists()) => {}
    }
    // The call was dropped with its connection; the server answers all the same.
    std::fs::write(&go, "").unwrap();
    eventually(|| bench.point.outcomes() == [(Execution::Succeeded, None)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modern_client_that_leaves_has_cancelled() {
    let bench = bench(&["modern"], PERMIT_ALL, Limits::default()).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let params = json!({"name": "slow", "arguments": {"started": &started, "go": &go}});
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "slow")];
    let call = client.raw(Method::POST, &headers, modern(1, "tools/call", params).to_string());
    tokio::select! {
        reply = call => panic!("{:?}", reply.messages),
        () = eventually(|| started.exists()) => {}
    }
    std::fs::write(&go, "").unwrap();
    eventually(|| bench.point.outcomes() == [(Execution::Succeeded, None)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_asks_and_the_client_answers() {
    for policies in [PERMIT_ALL, ""] {
        let forbidden = policies.is_empty();
        let policies = match forbidden {
            false => PERMIT_ALL.to_owned(),
            true => format!(
                "{PERMIT_ALL} forbid (principal, action == \
                 Safeconduct::Action::\"s/elicitation/create\", resource);"
            ),
        };
        let bench = legacy(&policies).await;
        let client = Client::initialized(&bench).await;
        let reply = async {
            let (call, answer) = tokio::join!(client.call("ask", json!({})), async {
                if !forbidden {
                    // Sent once the question is open; an answer to nothing is dropped.
                    eventually(|| bench.point.decisions().len() == 2).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let answer = json!({"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept", "content": {}}});
                    assert_eq!(client.post(&answer).await.status, StatusCode::ACCEPTED);
                }
            });
            let () = answer;
            call
        };
        let reply = tokio::time::timeout(Duration::from_secs(20), reply).await.unwrap();
        let answer: Json = serde_json::from_str(reply.text()).unwrap();
        if forbidden {
            assert_eq!(answer["error"]["code"], -32001);
            assert_eq!(reply.messages.len(), 1);
        } else {
            assert_eq!(reply.messages[0]["method"], "elicitation/create");
            assert_eq!(answer["result"]["action"], "accept");
            assert_eq!(bench.point.outcomes().len(), 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_comes_with_the_client_s_own_token() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let params = json!({"name": "progress", "arguments": {}, "_meta": {"progressToken": "mine"}});
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params});
    let reply = client.post(&call).await;
    assert_eq!(reply.messages[0]["params"]["progressToken"], "mine");
    assert_eq!(reply.text(), "progressed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_gets_no_environment_but_what_is_listed() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("environment", json!({})).await;
    let names: Vec<String> = serde_json::from_str(reply.text()).unwrap();
    // Cargo sets this one for its tests.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(names.iter().any(|name| name == "PATH"));
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_changes_is_quarantined_before_its_next_call() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    assert!(client.call("echo", json!({})).await.text().contains("echo"));
    assert_eq!(client.call("swap", json!({})).await.text(), "swapped");
    let reply = client.call("echo", json!({})).await;
    assert_eq!(reply.last()["result"]["isError"], true);
    assert!(reply.text().contains("quarantined"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obligations_are_the_only_edits() {
    let policies = r#"
        @id("masked") @obligation("redact:$.ssn")
        permit (principal, action == Safeconduct::Action::"s.secrets", resource);
        @id("without") @obligation("redact_input:$.note")
        permit (principal, action == Safeconduct::Action::"s.echo", resource);"#;
    let bench = legacy(policies).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("secrets", json!({})).await;
    assert!(!reply.last().to_string().contains("6789"), "{}", reply.last());
    assert_eq!(reply.last()["result"]["structuredContent"]["name"], "Ada");
    let reply = client.call("echo", json!({"note": "x", "kept": 1})).await;
    let seen: Json = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(seen["arguments"], json!({"kept": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_before_any_decision() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for (body, status, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"die"}}"#.to_owned(), 400, -32700),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"echo"}}"#.to_owned(), 400, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}]"#.to_owned(), 400, -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"a":{deep}}}}}}}"#), 400, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo""#.to_owned(), 400, -32700),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{}"}}}}"#, "x".repeat(5 << 20)), 413, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","hidden":1}}"#.to_owned(), 200, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"made/up"}"#.to_owned(), 200, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#.to_owned(), 200, -32601),
    ] {
        let shown: String = body.chars().take(100).collect();
        let reply = client.raw(Method::POST, &[], body).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{shown} {:?}", reply.messages);
    }
    assert_eq!(bench.point.decisions(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_uses_a_session_and_no_stranger_comes_in() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let other =
        Client { token: OTHER_TOKEN, session: client.session.clone(), ..Client::new(&bench) };
    assert_eq!(other.call("echo", json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(other.raw(Method::GET, &[], String::new()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(other.raw(Method::DELETE, &[], String::new()).await.status, StatusCode::NOT_FOUND);
    let stranger =
        Client { token: "made up", session: client.session.clone(), ..Client::new(&bench) };
    let reply = stranger.call("echo", json!({})).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.headers.contains_key("www-authenticate"));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for (headers, status) in [
        (&[("host", "evil.example.com")][..], StatusCode::FORBIDDEN),
        (&[("origin", "http://evil.example.com")], StatusCode::FORBIDDEN),
        (&[("origin", "null")], StatusCode::FORBIDDEN),
        (&[("content-type", "text/plain")], StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[("mcp-protocol-version", "1999-01-01")], StatusCode::BAD_REQUEST),
        (&[("mcp-protocol-version", "2025-06-18")], StatusCode::BAD_REQUEST),
        (&[("origin", "http://localhost:3000")], StatusCode::OK),
    ] {
        assert_eq!(
            client.raw(Method::POST, headers, ping.clone()).await.status,
            status,
            "{headers:?}"
        );
    }
    assert_eq!(client.raw(Method::DELETE, &[], String::new()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.raw(Method::POST, &[], ping).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_and_body_must_agree() {
    let bench = bench(&["modern"], PERMIT_ALL, Limits::default()).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let params = json!({"name": "echo", "arguments": {"region": "eu"}});
    let body = modern(1, "tools/call", params).to_string();
    let good = [("mcp-method", "tools/call"), ("mcp-name", "echo"), ("mcp-param-region", "eu")];
    let reply = client.raw(Method::POST, &good, body.clone()).await;
    assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.messages);
    assert_eq!(reply.last()["result"]["resultType"], "complete");
    for headers in [
        &good[..2],
        &good[1..],
        &[good[0], ("mcp-name", "die"), good[2]],
        &[("mcp-method", "tools/list"), good[1], good[2]],
        &[good[0], good[1], ("mcp-param-region", "us")],
        &[good[0], good[1], good[2], ("mcp-protocol-version", "2025-11-25")],
    ] {
        let reply = client.raw(Method::POST, headers, body.clone()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, -32020),
            "{headers:?} {:?}",
            reply.messages
        );
    }
    let reply = client
        .raw(
            Method::POST,
            &[("mcp-method", "made/up")],
            modern(1, "made/up", json!({})).to_string(),
        )
        .await;
    assert_eq!((reply.status.as_u16(), reply.code()), (404, -32601));
    let mut bare = modern(1, "tools/list", json!({}));
    bare["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    let reply = client.raw(Method::POST, &[("mcp-method", "tools/list")], bare.to_string()).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, -32602));
    assert_eq!(bench.point.decisions().len(), 1);
    assert_eq!(
        client.raw(Method::GET, &[], String::new()).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_cross_between_revisions() {
    // An older client with a newer server.
    let bench = bench(&["modern"], PERMIT_ALL, Limits::default()).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("echo", json!({"region": "eu"})).await;
    let seen: Json = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(seen["arguments"], json!({"region": "eu"}));
    assert_eq!(reply.last()["result"]["resultType"], Json::Null);
    let set = json!({"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": "info"}});
    let reply = client.post(&set).await;
    assert_eq!(reply.code(), -32601, "{:?}", reply.messages);
    // A newer client with an older server.
    let bench = legacy(PERMIT_ALL).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let headers = [("mcp-method", "server/discover")];
    let reply = client
        .raw(Method::POST, &headers, modern(1, "server/discover", json!({})).to_string())
        .await;
    assert_eq!(
        reply.last()["result"]["supportedVersions"],
        json!(["2026-07-28", "2025-11-25", "2025-06-18"])
    );
    let headers = [("mcp-method", "tools/list")];
    let reply =
        client.raw(Method::POST, &headers, modern(2, "tools/list", json!({})).to_string()).await;
    assert_eq!(reply.last()["result"]["cacheScope"], "private");
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let params = json!({"name": "echo", "arguments": {}});
    let reply =
        client.raw(Method::POST, &headers, modern(3, "tools/call", params).to_string()).await;
    assert_eq!(reply.last()["result"]["resultType"], "complete");
    assert!(!reply.text().contains("protocolVersion"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observed_denial_goes_ahead_and_says_so() {
    let mut upstream = script(&[]);
    let tools = list_tools(&upstream, &hasty()).await.unwrap();
    upstream.mode = safeconduct_model::Mode::Observe;
    let point = support::point(&upstream.name, &tools, "").await;
    let gateway = point.gateway(upstream, Limits::default());
    let bench = Bench { point, gateway };
    let client = Client::initialized(&bench).await;
    let reply = client.call("echo", json!({})).await;
    assert!(reply.text().contains("echo"), "{:?}", reply.messages);
    assert_eq!(reply.headers["safeconduct-mode"], "observe");
    assert_eq!(bench.point.decisions(), [("s.echo".to_owned(), Decision::Deny)]);
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_a_stream_of_lines_is_served_alike() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let bench = legacy(PERMIT_ALL).await;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let gateway = bench.gateway.clone();
    let authentication = bench.point.service.authenticate(TOKEN).unwrap();
    let server = safeconduct_model::ServerName::new("s").unwrap();
    let serving =
        tokio::spawn(
            async move { gateway.serve_stream(&server, authentication, reader, writer).await },
        );
    let (reader, mut writer) = tokio::io::split(ours);
    let mut lines = BufReader::new(reader).lines();
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
                      "params": {"name": "echo", "arguments": {}}});
    let early = call.to_string();
    for line in [early, "{".into(), initialize("2025-06-18").to_string()] {
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    let next = async |lines: &mut tokio::io::Lines<_>| -> Json {
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap()
    };
    assert_eq!(next(&mut lines).await["error"]["code"], -32602);
    assert_eq!(next(&mut lines).await["error"]["code"], -32700);
    let greeted = next(&mut lines).await;
    assert_eq!(greeted["result"]["protocolVersion"], "2025-06-18");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    for line in [ready, call] {
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    let answered = next(&mut lines).await;
    assert_eq!(answered["id"], 2);
    assert!(answered["result"]["content"][0]["text"].as_str().unwrap().contains("echo"));
    drop((lines, writer));
    serving.await.unwrap().unwrap();
    assert_eq!(bench.gateway.sessions(), 0);
    bench.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_start_is_told_and_nothing_is_executed() {
    let point = support::point(&script(&[]).name, &[], PERMIT_ALL).await;
    let gateway = point.gateway(support::stdio("s", "no-such-command-anywhere", &[]), hasty());
    let bench = Bench { point, gateway };
    let client = Client::new(&bench);
    let reply = client.post(&initialize("2025-11-25")).await;
    assert!(reply.last()["error"]["message"].as_str().unwrap().contains("does not start"));
    assert!(bench.gateway.upstreams()[0].problem.is_some());
    assert!(!reply.headers.contains_key("mcp-session-id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_deny() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    assert!(client.call("echo", json!({})).await.text().contains("echo"));
    bench.point.ledger.fail("no space left on device");
    let reply = client.call("echo", json!({})).await;
    assert_eq!(reply.last()["result"]["isError"], true);
    assert!(reply.text().contains("could not be recorded"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_does_not_outlive_its_credential() {
    let limits = Limits { stream_check: Duration::from_millis(20), ..Limits::default() };
    let bench = bench(&[], PERMIT_ALL, limits).await;
    let client = Client::initialized(&bench).await;
    let standing = client.raw(Method::GET, &[], String::new());
    let revoked = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let token = safeconduct_model::TokenId::new("tok_agent").unwrap();
        let by = safeconduct_model::IdentityId::new("admin").unwrap();
        bench.point.service.revoke_token(&token, &by).await.unwrap();
    };
    let ended = async { tokio::join!(standing, revoked) };
    let (reply, ()) = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    let reply = client.call("echo", json!({})).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_inside_a_result_never_skips_the_decision() {
    let policies = format!(
        "{PERMIT_ALL} forbid (principal, action == \
         Safeconduct::Action::\"s/sampling/createMessage\", resource);"
    );
    let bench = bench(&["modern"], &policies, Limits::default()).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    // Nothing of these was permitted, so there is nothing that input could be for.
    for method in ["resources/list", "server/discover"] {
        let body = modern(1, method, json!({})).to_string();
        let reply = client.raw(Method::POST, &[("mcp-method", method)], body).await;
        assert_eq!(reply.code(), -32603, "{method} {:?}", reply.messages);
        assert!(!reply.last().to_string().contains("sampling"), "{:?}", reply.messages);
    }
    assert_eq!(bench.point.decisions(), []);
    for tool in ["wants", "wants_badly", "wants_oddly"] {
        let headers = [("mcp-method", "tools/call"), ("mcp-name", tool)];
        let body = modern(2, "tools/call", json!({"name": tool, "arguments": {}})).to_string();
        let reply = client.raw(Method::POST, &headers, body).await;
        assert!(reply.last()["result"]["inputRequests"].is_null(), "{:?}", reply.messages);
        assert!(!reply.last().to_string().contains("maxTokens"), "{:?}", reply.messages);
    }
    let denied = bench.point.decisions().into_iter().filter(|(_, d)| *d == Decision::Deny);
    assert_eq!(denied.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_request_of_a_server_fails_no_call_that_has_its_id() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let reply = client.call("broken_request", json!({})).await;
    assert_eq!(reply.text(), "answered all the same", "{:?}", reply.messages);
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_a_session_are_bounded_by_credential_and_end_with_the_gateway() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let bench = bench(&["modern"], PERMIT_ALL, limits).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let params = json!({"name": "slow", "arguments": {"started": &started, "go": &go}});
    let headers = [("mcp-method", "tools/call"), ("mcp-name", "slow")];
    let slow = client.raw(Method::POST, &headers, modern(1, "tools/call", params).to_string());
    let list = modern(2, "tools/list", json!({})).to_string();
    let list = || client.raw(Method::POST, &[("mcp-method", "tools/list")], list.clone());
    let (slow, ()) = tokio::join!(slow, async {
        eventually(|| started.exists()).await;
        let reply = list().await;
        assert_eq!((reply.status.as_u16(), reply.code()), (429, -32603), "{:?}", reply.messages);
        // Another credential has a bound of its own: it is taken in, and refused elsewhere.
        let other =
            Client { version: Some("2026-07-28"), token: OTHER_TOKEN, ..Client::new(&bench) };
        let body = modern(3, "made/up", json!({})).to_string();
        let reply = other.raw(Method::POST, &[("mcp-method", "made/up")], body).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{:?}", reply.messages);
        std::fs::write(&go, "").unwrap();
    });
    assert_eq!(slow.text(), "done at last");
    assert_eq!(list().await.status, StatusCode::OK);
    bench.gateway.shutdown().await;
    assert_eq!(list().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_beyond_the_bound_is_refused_before_any_decision() {
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    // It waits for as many refusals as it asked too much, while the client answers nothing.
    let reply = client.call("flood", json!({"asks": 80, "refused": 16}));
    let reply = tokio::time::timeout(Duration::from_secs(20), reply).await.unwrap();
    assert_eq!(reply.text(), "enough", "{:?}", reply.messages);
    eventually(|| bench.point.decisions().len() == 65).await;
    bench.gateway.shutdown().await;
    assert_eq!(bench.point.decisions().len(), 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_upstream_are_its_own() {
    let tools = list_tools(&script(&[]), &Limits::default()).await.unwrap();
    for (tool, call, answer_bytes, part, execution, detail) in [
        ("silent", Some(300), None, "in time", Execution::Unknown, "timeout"),
        ("huge", None, Some(65_536), "limit of 65536 bytes", Execution::Failed, "too_large"),
    ] {
        let mut upstream = script(&[]);
        upstream.call = call.map(Duration::from_millis);
        upstream.answer_bytes = answer_bytes;
        let point = support::point(&upstream.name, &tools, PERMIT_ALL).await;
        let gateway = point.gateway(upstream, Limits::default());
        let bench = Bench { point, gateway };
        let client = Client::initialized(&bench).await;
        let reply = client.call(tool, json!({}));
        let reply = tokio::time::timeout(Duration::from_secs(30), reply).await.unwrap();
        assert!(reply.last().to_string().contains(part), "{tool}: {:?}", reply.messages);
        assert_eq!(bench.point.outcomes(), [(execution, Some(detail.to_owned()))], "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_is_configured_is_the_one_that_is_spoken() {
    use safeconduct_gateway::Revision;
    for (argument, configured, spoken) in [
        ("", Revision::V2025_06_18, Some("2025-06-18")),
        ("", Revision::V2026_07_28, None),
        ("modern", Revision::V2026_07_28, Some("2025-11-25")),
        ("modern", Revision::V2025_11_25, None),
    ] {
        let mut upstream = script(&[argument]);
        upstream.revision = Some(configured);
        let listed = list_tools(&upstream, &Limits::default()).await;
        assert_eq!(listed.is_ok(), spoken.is_some(), "{argument} {configured}");
        let point = support::point(&upstream.name, &[], PERMIT_ALL).await;
        let gateway = point.gateway(upstream, Limits::default());
        let bench = Bench { point, gateway };
        let client = Client::new(&bench);
        let reply = client.post(&initialize("2025-11-25")).await;
        let greeted = reply.last()["result"]["protocolVersion"].as_str();
        assert_eq!(greeted, spoken, "{argument} {configured}: {:?}", reply.messages);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_crowds_out_nobody_but_itself() {
    let limits = Limits { sessions_per_identity: 2, ..Limits::default() };
    let bench = bench(&[], PERMIT_ALL, limits).await;
    let other = Client::initialized_as(&bench, OTHER_TOKEN).await;
    let (first, second) = (Client::initialized(&bench).await, Client::initialized(&bench).await);
    assert_eq!(first.call("echo", json!({})).await.status, StatusCode::OK);
    let third = Client::initialized(&bench).await;
    // The one that was quiet for longest among its own; the other identity's was so for longer.
    assert_eq!(second.call("echo", json!({})).await.status, StatusCode::NOT_FOUND);
    for client in [&first, &third, &other] {
        assert_eq!(client.call("echo", json!({})).await.status, StatusCode::OK);
    }
    assert_eq!(bench.gateway.sessions(), 3);

    // Sessions that are in use do not end, so there is no room.
    let folder = tempfile::tempdir().unwrap();
    let (one, two, go) =
        (folder.path().join("one"), folder.path().join("two"), folder.path().join("go"));
    let (a, b, ()) = tokio::join!(
        first.call("slow", json!({"started": &one, "go": &go})),
        third.call("slow", json!({"started": &two, "go": &go})),
        async {
            eventually(|| one.exists() && two.exists()).await;
            let refused = Client::new(&bench).post(&initialize("2025-11-25")).await;
            let text = refused.last()["error"]["message"].as_str().unwrap().to_owned();
            assert!(text.contains("the most that it may have"), "{text}");
            std::fs::write(&go, "").unwrap();
        }
    );
    assert_eq!((a.text(), b.text()), ("done at last", "done at last"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_shows_two_clients_two_things_cannot_free_itself() {
    let bench = legacy(PERMIT_ALL).await;
    // Each session has a process of its own; only one of them changes its tool.
    let (shown, clean) = (Client::initialized(&bench).await, Client::initialized(&bench).await);
    assert_eq!(shown.call("swap", json!({})).await.text(), "swapped");
    assert!(shown.call("echo", json!({})).await.text().contains("quarantined"));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    for _ in 0..2 {
        assert_eq!(clean.post(&list).await.status, StatusCode::OK);
        assert!(clean.call("echo", json!({})).await.text().contains("quarantined"));
        assert!(shown.call("echo", json!({})).await.text().contains("quarantined"));
    }
    let ended = shown.raw(Method::DELETE, &[], String::new()).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    // Its end clears nothing by itself.
    assert!(clean.call("echo", json!({})).await.text().contains("quarantined"));
    assert_eq!(clean.post(&list).await.status, StatusCode::OK);
    assert!(clean.call("echo", json!({})).await.text().contains("echo"));
    let kinds = bench.point.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "definition_seen").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_a_server_that_reads_none_are_bounded() {
    const ASKS: usize = 20_000;
    let bench = legacy(PERMIT_ALL).await;
    let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let call = |id, tool: &'static str, arguments: Json| {
        let body = modern(id, "tools/call", json!({"name": tool, "arguments": arguments}));
        let client = &client;
        async move {
            let headers = [("mcp-method", "tools/call"), ("mcp-name", tool)];
            client.raw(Method::POST, &headers, body.to_string()).await
        }
    };
    let deaf = call(1, "deaf", json!({"asks": ASKS, "started": &started}));
    let (deaf, echo) = tokio::join!(deaf, async {
        eventually(|| started.exists()).await;
        call(2, "echo", json!({})).await
    });
    assert!(echo.text().contains("echo"), "{:?}", echo.messages);
    // Those that wait, and as many as a pipe holds; the others were dropped.
    let answered: usize = deaf.text().parse().unwrap();
    assert!((64..ASKS / 4).contains(&answered), "{answered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_asks_inside_a_result_ends_as_the_result_does() {
    let forbid = "forbid (principal, action == \
                  Safeconduct::Action::\"s/sampling/createMessage\", resource);";
    let denied = format!("{PERMIT_ALL} {forbid}");
    let not_offered = (Execution::NotExecuted, Some("not_offered".to_owned()));
    let failed = (Execution::Failed, Some("upstream_error".to_owned()));
    let done = (Execution::Succeeded, None);
    for (policies, modern_client, outcomes) in [
        // Both reach the client with the result.
        (PERMIT_ALL, true, vec![done.clone(), done.clone(), done]),
        // The second is denied, so the first goes nowhere.
        (&denied, true, vec![not_offered.clone(), failed.clone()]),
        // The client's revision has no way to give input.
        (PERMIT_ALL, false, vec![not_offered.clone(), not_offered, failed]),
    ] {
        let bench = bench(&["modern"], policies, Limits::default()).await;
        let params = json!({"name": "wants_both", "arguments": {}});
        if modern_client {
            let client = Client { version: Some("2026-07-28"), ..Client::new(&bench) };
            let headers = [("mcp-method", "tools/call"), ("mcp-name", "wants_both")];
            let body = modern(2, "tools/call", params).to_string();
            client.raw(Method::POST, &headers, body).await;
        } else {
            let client = Client::initialized(&bench).await;
            client.call("wants_both", json!({})).await;
        }
        assert_eq!(bench.point.outcomes(), outcomes, "{policies}, modern: {modern_client}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_back_changes_no_decision_and_no_order() {
    use safeconduct_ledger::decode;
    use safeconduct_model::{Body, IdentityId, SessionKey, Timestamp, TokenId};
    let bench = legacy(PERMIT_ALL).await;
    let client = Client::initialized(&bench).await;
    let hour = 3_600_000;
    for (n, at) in [hour, 2 * hour, 0, hour / 2, 3 * hour, 1].into_iter().enumerate() {
        bench.point.clock.set(Timestamp::from_millis(at));
        let reply = client.call("echo", json!({"n": n})).await;
        assert!(reply.text().contains("echo"), "{at}: {:?}", reply.messages);
    }
    let key = SessionKey::credential(
        IdentityId::new("agent").unwrap(),
        TokenId::new("tok_agent").unwrap(),
    );
    // Nothing that is counted goes back with it, and each call has its one outcome.
    let session = bench.point.service.session(&key).unwrap().session;
    assert_eq!((session.sequence(), session.denials()), (6, 0));
    assert_eq!(bench.point.outcomes(), vec![(Execution::Succeeded, None); 6]);
    let at = bench.point.ledger.entries().into_iter().map(|entry| decode(&entry.leaf).unwrap());
    let decided = at.filter(|record| matches!(record.body, Body::Decided(_)));
    let times: Vec<i64> = decided.map(|record| record.at.as_millis()).collect();
    assert_eq!(times, [hour, 2 * hour, 0, hour / 2, 3 * hour, 1], "in the order of the calls");
    // A call that the clock overtakes while it is under way ends as any other.
    let folder = tempfile::tempdir().unwrap();
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    bench.point.clock.set(Timestamp::from_millis(hour));
    let (slow, ()) =
        tokio::join!(client.call("slow", json!({"started": &started, "go": &go})), async {
            eventually(|| started.exists()).await;
            bench.point.clock.set(Timestamp::from_millis(-hour));
            std::fs::write(&go, "").unwrap();
        });
    assert_eq!(slow.text(), "done at last");
    assert_eq!(bench.point.outcomes().len(), 7);
}
