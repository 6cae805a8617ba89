//! A small MCP client over streamable HTTP: one connection, one request at a time. It does no
//! more than the measurement needs, so that what is measured is not the client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::load::answer_length;
use crate::section::Failure;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// One MCP session.
pub(crate) struct Client {
    stream: TcpStream,
    /// Everything of a request's head but its length.
    head: String,
    buffer: Vec<u8>,
    next: u64,
}

impl Client {
    /// Connects to an `http://` URL and begins a session.
    pub(crate) fn connect(url: &str, token: Option<&str>) -> Result<Self, Failure> {
        let rest = url.strip_prefix("http://").ok_or("the URL is not http")?;
        let (address, path) = rest.split_once('/').ok_or("the URL has no path")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n"
        );
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let mut client = Self { stream, head, buffer: Vec::new(), next: 1 };
        let answer = client.post(INITIALIZE)?;
        let session = header(&answer, "mcp-session-id");
        if !answer.contains("serverInfo") {
            return Err(format!("no MCP session: {answer}").into());
        }
        client.head.push_str("MCP-Protocol-Version: 2025-06-18\r\n");
        if let Some(session) = session {
            client.head.push_str(&format!("Mcp-Session-Id: {session}\r\n"));
        }
        client.post(INITIALIZED)?;
        Ok(client)
    }

    /// Microseconds that each of so many calls took.
    pub(crate) fn calls(&mut self, times: usize) -> Result<Vec<f64>, Failure> {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let id = self.next;
            self.next += 1;
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"call {id}"}}}}}}"#
            );
            let began = Instant::now();
            let answer = self.post(&call)?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
            if !answer.contains(&format!("Echo: call {id}")) {
                return Err(format!("an unexpected answer: {answer}").into());
            }
        }
        Ok(took)
    }

    fn post(&mut self, body: &str) -> Result<String, Failure> {
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let mut part = [0; 16 * 1024];
        while !is_complete(&self.buffer) {
            let read = self.stream.read(&mut part)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.buffer.extend_from_slice(part.get(..read).unwrap_or_default());
        }
        Ok(String::from_utf8_lossy(&self.buffer).into_owned())
    }
}

/// Whether an answer is all there: by its length, or by the last chunk.
fn is_complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    if let Some(length) = answer_length(answer) {
        return answer.len() >= length;
    }
    let head = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_lowercase();
    !head.contains("transfer-encoding: chunked") || answer.ends_with(b"0\r\n\r\n")
}

fn header(answer: &str, name: &str) -> Option<String> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_ends_with_the_empty_one() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMcp-Session-Id: s\r\n\r\n";
        assert!(!is_complete(format!("{head}2\r\nhi\r\n").as_bytes()));
        assert!(is_complete(format!("{head}2\r\nhi\r\n0\r\n\r\n").as_bytes()));
        assert_eq!(header(head, "mcp-session-id").as_deref(), Some("s"));
    }
}
