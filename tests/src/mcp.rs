//! The smallest MCP client: one request at a time, in revision 2026-07-28, which has no sessions.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value as Json, json};

use crate::http::{Connection, Response};

/// The revision that this client speaks.
pub const REVISION: &str = "2026-07-28";

/// A client of one server behind the gateway.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    server: String,
    token: String,
    task: Option<String>,
    next_id: u64,
}

impl Client {
    /// Connects to `/mcp/SERVER`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr, server: &str, token: &str) -> io::Result<Self> {
        Ok(Self::over(Connection::open(address)?, server, token))
    }

    /// The same over that connection.
    pub fn over(connection: Connection, server: &str, token: &str) -> Self {
        let (server, token) = (server.to_owned(), token.to_owned());
        Self { connection, server, token, task: None, next_id: 1 }
    }

    /// Acts in the task of that handle from now on.
    pub fn act_in(&mut self, handle: &str) {
        self.task = Some(handle.to_owned());
    }

    /// Asks, and gives the answer's JSON-RPC message.
    ///
    /// # Errors
    /// The connection broke.
    pub fn ask(&mut self, method: &str, params: Json) -> io::Result<Json> {
        let (headers, body) = self.message(method, params);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/mcp/{}", self.server);
        let response = self.connection.request("POST", &path, &headers, body.as_bytes())?;
        Ok(message_of(&response))
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// The connection broke.
    pub fn call(&mut self, tool: &str, arguments: &Json) -> io::Result<Json> {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Headers and body of a request.
    pub fn message(
        &mut self,
        method: &str,
        mut params: Json,
    ) -> (Vec<(&'static str, String)>, String) {
        let id = self.next_id;
        self.next_id += 1;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientInfo": { "name": "safeconduct-tests", "version": "0" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let mut headers = vec![
            ("Authorization", format!("Bearer {}", self.token)),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("MCP-Protocol-Version", REVISION.to_owned()),
            ("Mcp-Method", method.to_owned()),
        ];
        if let Some(handle) = &self.task {
            headers.push(("Safeconduct-Task", handle.clone()));
        }
        let named = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            _ => None,
        };
        if let Some(name) = named {
            headers.push(("Mcp-Name", name.to_owned()));
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        (headers, body.to_string())
    }
}

/// The JSON-RPC message of an answer: its body, or the last event of its stream.
pub fn message_of(response: &Response) -> Json {
    if response.header("content-type").is_some_and(|ty| ty.starts_with("text/event-stream")) {
        let text = response.text();
        let last = text.lines().filter_map(|line| line.strip_prefix("data:")).next_back();
        let last = last.unwrap_or_else(|| panic!("no event in `{text}`"));
        return serde_json::from_str(last.trim()).unwrap();
    }
    response.json()
}
