//! A gateway in front of a scripted server, and a client that speaks plain HTTP to it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use safeconduct_gateway::{Gateway, Limits, UpstreamConfig, list_tools};
use safeconduct_pep::InProcess;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

use crate::support::{self, Point, TOKEN};

pub(crate) struct Bench {
    pub(crate) point: Point,
    pub(crate) gateway: Gateway<InProcess>,
}

pub(crate) fn script(arguments: &[&str]) -> UpstreamConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripted_server.py");
    support::stdio("s", "python3", &[&[path], arguments].concat())
}

pub(crate) async fn bench(arguments: &[&str], policies: &str, limits: Limits) -> Bench {
    let upstream = script(arguments);
    let tools = list_tools(&upstream, &Limits::default()).await.unwrap();
    let point = support::point(&upstream.name, &tools, policies).await;
    let gateway = point.gateway(upstream, limits);
    Bench { point, gateway }
}

pub(crate) async fn legacy(policies: &str) -> Bench {
    bench(&[], policies, Limits::default()).await
}

/// A client over HTTP.
pub(crate) struct Client<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) token: &'static str,
    pub(crate) session: Option<String>,
    pub(crate) version: Option<&'static str>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Json>,
}

impl Reply {
    pub(crate) fn last(&self) -> &Json {
        self.messages.last().unwrap_or(&Json::Null)
    }

    pub(crate) fn text(&self) -> &str {
        self.last()["result"]["content"][0]["text"].as_str().unwrap_or_default()
    }

    pub(crate) fn code(&self) -> i64 {
        self.last()["error"]["code"].as_i64().unwrap_or_default()
    }
}

impl<'a> Client<'a> {
    pub(crate) fn new(bench: &'a Bench) -> Self {
        Self { bench, token: TOKEN, session: None, version: None }
    }

    pub(crate) async fn initialized(bench: &'a Bench) -> Self {
        Self::initialized_as(bench, TOKEN).await
    }

    pub(crate) async fn initialized_as(bench: &'a Bench, token: &'static str) -> Self {
        let mut client = Self { token, ..Self::new(bench) };
        let reply = client.post(&initialize("2025-11-25")).await;
        assert_eq!(reply.last()["result"]["protocolVersion"], "2025-11-25", "{:?}", reply.messages);
        client.session = Some(reply.headers["mcp-session-id"].to_str().unwrap().to_owned());
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(client.post(&ready).await.status, StatusCode::ACCEPTED);
        client
    }

    pub(crate) async fn post(&self, message: &Json) -> Reply {
        self.raw(Method::POST, &[], message.to_string()).await
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Json) -> Reply {
        let params = json!({"name": tool, "arguments": arguments});
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
            .await
    }

    pub(crate) async fn raw(
        &self,
        method: Method,
        headers: &[(&str, &str)],
        body: String,
    ) -> Reply {
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

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
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

pub(crate) fn initialize(version: &str) -> Json {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": {"elicitation": {}, "tasks": {}},
        "clientInfo": {"name": "test", "version": "1"}}})
}

pub(crate) fn modern(id: i64, method: &str, mut params: Json) -> Json {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < until, "it never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn hasty() -> Limits {
    Limits { call: Duration::from_millis(400), ..Limits::default() }
}
