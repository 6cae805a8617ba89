//! The gateway in front of a server over HTTP that was told how to behave.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use safeconduct_gateway::{Gateway, Limits, Transport, list_tools};
use safeconduct_model::Execution;
use safeconduct_pep::InProcess;
use serde_json::{Value as Json, json};
use support::{PERMIT_ALL, Point, TOKEN};
use tower::ServiceExt as _;

/// What the server has seen, and which sessions it knows.
#[derive(Default)]
struct Server {
    requests: Mutex<Vec<(HeaderMap, Json)>>,
    sessions: AtomicUsize,
    forgets: Mutex<bool>,
    elsewhere: AtomicUsize,
}

impl Server {
    fn methods(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let method = |message: &Json| message["method"].as_str().map(str::to_owned);
        requests.iter().filter_map(|(_, message)| method(message)).collect()
    }

    fn calls(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|(_, message)| message["method"] == "tools/call").count()
    }
}

fn answer(id: &Json, result: Json) -> Json {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn text(status: StatusCode, ty: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(ty));
    response
}

fn ok(message: &Json) -> Response {
    text(StatusCode::OK, "application/json", message.to_string())
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let message: Json = serde_json::from_slice(&bytes).unwrap();
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    server.requests.lock().unwrap().push((parts.headers.clone(), message.clone()));
    let session = parts.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    if method == "initialize" {
        let number = server.sessions.fetch_add(1, Ordering::SeqCst) + 1;
        let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                            "serverInfo": {"name": "http", "version": "1"}});
        let mut response = ok(&answer(id, result));
        let number = HeaderValue::try_from(number.to_string()).unwrap();
        response.headers_mut().insert(HeaderName::from_static("mcp-session-id"), number);
        return response;
    }
    if method == "server/discover" {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let known = server.sessions.load(Ordering::SeqCst).to_string();
    if std::mem::take(&mut *server.forgets.lock().unwrap()) || session != Some(known) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if id.is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    if method == "tools/list" {
        let tools: Vec<_> = TOOLS
            .iter()
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
            .collect();
        return ok(&answer(id, json!({"tools": tools})));
    }
    let done = answer(id, json!({"content": [{"type": "text", "text": "done"}]}));
    match message["params"]["name"].as_str().unwrap_or_default() {
        "plain" => ok(&done),
        "stream" => {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message",
                              "params": {"level": "info", "data": "so far"}});
            let events = format!(": hello\n\ndata: {note}\n\nid: 1\ndata: {done}\n\n");
            text(StatusCode::OK, "text/event-stream", events)
        }
        "unfinished" => text(StatusCode::OK, "text/event-stream", "data:\n\n"),
        "redirect" => {
            let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
            let elsewhere = HeaderValue::from_static("/elsewhere");
            response.headers_mut().insert(LOCATION, elsewhere);
            response
        }
        "refused" => StatusCode::FORBIDDEN.into_response(),
        "other_id" => ok(&answer(&json!(999_999), json!({}))),
        "garbage" => text(StatusCode::OK, "application/json", "{\"jsonrpc\":"),
        "garbage_stream" => text(StatusCode::OK, "text/event-stream", "data: {]\n\n"),
        "huge" => text(StatusCode::OK, "application/json", vec![b'x'; 3 << 20]),
        "huge_stream" => {
            let mut events = b"data: ".to_vec();
            events.extend(vec![b'x'; 3 << 20]);
            text(StatusCode::OK, "text/event-stream", events)
        }
        name => panic!("{name}"),
    }
}

const TOOLS: &[&str] = &[
    "plain",
    "stream",
    "unfinished",
    "redirect",
    "refused",
    "other_id",
    "garbage",
    "garbage_stream",
    "huge",
    "huge_stream",
];

struct Bench {
    point: Point,
    gateway: Gateway<InProcess>,
    server: Arc<Server>,
    session: String,
}

async fn bench() -> Bench {
    let server = Arc::new(Server::default());
    let elsewhere = any(|State(server): State<Arc<Server>>| async move {
        server.elsewhere.fetch_add(1, Ordering::SeqCst);
    });
    let router = Router::new()
        .route("/mcp", any(serve))
        .route("/elsewhere", elsewhere)
        .with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut upstream = support::http("s", &url);
    let mut own = HeaderMap::new();
    own.insert(AUTHORIZATION, HeaderValue::from_static("Bearer the-gateways-own"));
    upstream.transport = Transport::Http { url, headers: own };
    let limits = Limits { answer_bytes: 2 << 20, ..Limits::default() };
    let tools = list_tools(&upstream, &limits).await.unwrap();
    assert_eq!(tools.len(), TOOLS.len());
    let point = support::point(&upstream.name, &tools, PERMIT_ALL).await;
    let gateway = point.gateway(upstream, limits);
    server.requests.lock().unwrap().clear();
    let mut bench = Bench { point, gateway, server, session: String::new() };
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}});
    let (headers, _) = bench.post(&hello).await;
    bench.session = headers["mcp-session-id"].to_str().unwrap().to_owned();
    bench.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    bench
}

impl Bench {
    async fn post(&self, message: &Json) -> (HeaderMap, String) {
        let request = Request::post("/mcp/s")
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("x-evil", "from the client")
            .header("mcp-session-id", &self.session)
            .body(Body::from(message.to_string()))
            .unwrap();
        let response = self.gateway.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        (parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn call(&self, tool: &str) -> (HeaderMap, String) {
        let params = json!({"name": tool, "arguments": {}});
        self.post(&json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}))
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_keep_the_form_in_which_they_came() {
    let bench = bench().await;
    let (headers, body) = bench.call("plain").await;
    assert_eq!(headers["content-type"], "application/json");
    assert!(body.contains("done"), "{body}");
    let (headers, body) = bench.call("stream").await;
    assert_eq!(headers["content-type"], "text/event-stream");
    let (note, done) = (body.find("so far").unwrap(), body.find("done").unwrap());
    assert!(note < done, "{body}");
    assert!(body.contains("\"id\":5"), "{body}");
    let outcomes = bench.point.outcomes();
    assert_eq!(outcomes, [(Execution::Succeeded, None), (Execution::Succeeded, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_misbehaves_gets_its_outcome() {
    let bench = bench().await;
    for (tool, execution, detail) in [
        ("unfinished", Execution::Unknown, "upstream_gone"),
        ("redirect", Execution::Failed, "upstream_error"),
        ("refused", Execution::Failed, "upstream_error"),
        ("other_id", Execution::Failed, "malformed"),
        ("garbage", Execution::Failed, "malformed"),
        ("garbage_stream", Execution::Failed, "malformed"),
        ("huge", Execution::Failed, "too_large"),
        ("huge_stream", Execution::Failed, "too_large"),
    ] {
        let (_, body) = bench.call(tool).await;
        assert!(body.contains("\"error\""), "{tool}: {body}");
        let outcomes = bench.point.outcomes();
        assert_eq!(outcomes.last(), Some(&(execution, Some(detail.to_owned()))), "{tool}");
    }
    assert_eq!(bench.point.outcomes().len(), 8);
    assert_eq!(bench.server.elsewhere.load(Ordering::SeqCst), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_gateway_s_own_headers_go_upstream() {
    let bench = bench().await;
    bench.call("plain").await;
    let requests = bench.server.requests.lock().unwrap();
    assert!(requests.len() >= 4);
    for (headers, _) in requests.iter() {
        assert_eq!(headers["authorization"], "Bearer the-gateways-own");
        assert!(!headers.contains_key("x-evil"));
        assert_ne!(
            headers.get("mcp-session-id").map(|id| id.as_bytes()),
            Some(bench.session.as_bytes())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_session_that_the_server_forgot_is_not_made_again() {
    let bench = bench().await;
    bench.call("plain").await;
    *bench.server.forgets.lock().unwrap() = true;
    let (_, body) = bench.call("plain").await;
    assert!(body.contains("may or may not have been performed"), "{body}");
    assert_eq!(bench.server.calls(), 2, "the call was made again");
    let lost = (Execution::Unknown, Some("upstream_gone".to_owned()));
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None), lost]);
    // The next call is made in a new session, whose tools are looked at first.
    let before = bench.server.methods().len();
    let (_, body) = bench.call("plain").await;
    assert!(body.contains("done"), "{body}");
    let after = bench.server.methods().split_off(before);
    let steps = ["initialize", "notifications/initialized", "tools/list", "tools/call"];
    assert_eq!(after, steps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_a_session_that_the_server_forgot_is_asked_for_again() {
    let bench = bench().await;
    *bench.server.forgets.lock().unwrap() = true;
    // The tools are listed before the call, so the new session is the one that is called.
    let (_, body) = bench.call("plain").await;
    assert!(body.contains("done"), "{body}");
    assert_eq!(bench.server.calls(), 1);
    assert_eq!(bench.point.outcomes(), [(Execution::Succeeded, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_executes_nothing() {
    let bench = bench().await;
    let url = "http://127.0.0.1:9/mcp";
    let problem = list_tools(&support::http("s", url), &Limits::default()).await;
    assert!(problem.is_err());
    let mut elsewhere = support::http("gone", url);
    elsewhere.name = safeconduct_model::ServerName::new("gone").unwrap();
    bench.gateway.add_upstream(elsewhere.clone()).unwrap();
    assert!(bench.gateway.add_upstream(elsewhere.clone()).is_err());
    assert_eq!(bench.gateway.upstreams().len(), 2);
    assert!(bench.gateway.remove_upstream(&elsewhere.name));
    assert_eq!(bench.gateway.upstreams().len(), 1);
}

/// A server of 2026-07-28 that is out of order at first.
async fn recovers(State(seen): State<Arc<AtomicUsize>>, request: Request) -> Response {
    let bytes = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let message: Json = serde_json::from_slice(&bytes).unwrap();
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" if seen.fetch_add(1, Ordering::SeqCst) == 0 => {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}),
        "resources/list" => json!({"resources": []}),
        _ => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    ok(&answer(&message["id"], result))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_once_is_not_taken_for_an_older_one() {
    let router = Router::new().route("/mcp", any(recovers)).with_state(Arc::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let upstream = support::http("s", &url);
    let point = support::point(&upstream.name, &[], PERMIT_ALL).await;
    let gateway = point.gateway(upstream, Limits::default());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let list = || {
        let request = Request::post("/mcp/s")
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "resources/list")
            .body(Body::from(body.to_string()))
            .unwrap();
        let router = gateway.router();
        async move {
            let response = router.oneshot(request).await.unwrap();
            let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            serde_json::from_slice::<Json>(&bytes).unwrap()
        }
    };
    let first = list().await;
    assert!(first["error"].is_object(), "{first}");
    let second = list().await;
    assert_eq!(second["result"]["resources"], json!([]), "{second}");
}
