//! A client of the gateway over HTTP, in either way of speaking.

use axum::body::{Body, to_bytes};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use safeconduct_gateway::Gateway;
use safeconduct_pep::InProcess;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

pub const REVISIONS: [&str; 3] = ["2025-06-18", "2025-11-25", "2026-07-28"];

#[derive(Clone)]
pub struct Client {
    gateway: Gateway<InProcess>,
    pub token: String,
    pub version: &'static str,
    pub session: Option<String>,
    /// Headers that go with every request.
    pub headers: Vec<(&'static str, String)>,
    /// What it says that it can do.
    pub capabilities: Json,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub messages: Vec<Json>,
}

impl Reply {
    pub fn last(&self) -> &Json {
        self.messages.last().unwrap_or(&Json::Null)
    }

    pub fn result(&self) -> &Json {
        &self.last()["result"]
    }

    pub fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap_or_default()
    }

    pub fn succeeded(&self) -> bool {
        self.result().is_object() && self.result()["isError"] != json!(true)
    }
}

impl Client {
    /// A client that has shaken hands, where its revision does.
    pub async fn begun(gateway: &Gateway<InProcess>, token: &str, version: &'static str) -> Self {
        Self::begun_with(gateway, token, version, &[]).await
    }

    pub async fn begun_with(
        gateway: &Gateway<InProcess>,
        token: &str,
        version: &'static str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        Self::begun_able(gateway, token, version, headers, json!({})).await
    }

    pub async fn begun_able(
        gateway: &Gateway<InProcess>,
        token: &str,
        version: &'static str,
        headers: &[(&'static str, &str)],
        capabilities: Json,
    ) -> Self {
        let mut client = Self {
            capabilities: capabilities.clone(),
            gateway: gateway.clone(),
            token: token.to_owned(),
            version,
            session: None,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        if !client.is_modern() {
            let params = json!({"protocolVersion": version, "capabilities": capabilities,
                                "clientInfo": {"name": "test", "version": "1"}});
            let reply = client.ask("initialize", params).await;
            let session = reply.headers.get("mcp-session-id");
            client.session = session.map(|session| session.to_str().unwrap().to_owned());
            assert!(client.session.is_some(), "{:?}", reply.messages);
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            client.post(&ready, &[]).await;
        }
        client
    }

    fn is_modern(&self) -> bool {
        self.version == "2026-07-28"
    }

    pub async fn call(&self, tool: &str, arguments: Json) -> Reply {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    pub async fn tools(&self) -> Json {
        self.ask("tools/list", json!({})).await.result()["tools"].clone()
    }

    pub async fn ask(&self, method: &str, mut params: Json) -> Reply {
        let mut mirrored = Vec::new();
        if self.is_modern() {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": self.version,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities});
            mirrored.push(("mcp-method", method.to_owned()));
            if let Some(name) = params["name"].as_str() {
                mirrored.push(("mcp-name", name.to_owned()));
            }
        }
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.post(&message, &mirrored).await
    }

    /// Sends a notification without parameters.
    pub async fn notify(&self, method: &str) -> Reply {
        self.post(&json!({"jsonrpc": "2.0", "method": method}), &[]).await
    }

    async fn post(&self, message: &Json, mirrored: &[(&'static str, String)]) -> Reply {
        let mut request = Request::post("/mcp/s")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if self.session.is_some() || self.is_modern() {
            request = request.header("mcp-protocol-version", self.version);
        }
        for (name, value) in self.headers.iter().chain(mirrored) {
            request = request.header(HeaderName::from_static(name), value);
        }
        self.send(request.body(Body::from(message.to_string())).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.gateway.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let messages = match parts.headers.get("content-type").map(|ty| ty.to_str().unwrap()) {
            Some("text/event-stream") => {
                let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
                data.map(|data| serde_json::from_str(data).unwrap()).collect()
            }
            _ if text.is_empty() => Vec::new(),
            _ => vec![serde_json::from_str(&text).unwrap()],
        };
        Reply { status: parts.status, headers: parts.headers, messages }
    }
}
