//! An MCP server over standard input and output, for tests: it has the tools of a file, logs each
//! call durably before it answers, and misbehaves where the argument `behave` tells it to. It
//! answers with the arguments, or what a file of answers has for the tool, or, where that is there
//! at the moment of the call, the result in a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

fn main() -> io::Result<()> {
    let (mut tools, mut answers, mut calls) = (json!([]), json!({}), None);
    let mut next = None;
    let mut args = std::env::args().skip(1);
    while let (Some(flag), Some(value)) = (args.next(), args.next()) {
        match flag.as_str() {
            "--tools" => tools = serde_json::from_slice(&std::fs::read(value)?)?,
            "--answers" => answers = serde_json::from_slice(&std::fs::read(value)?)?,
            "--next" => next = Some(value),
            "--calls" => {
                calls = Some(OpenOptions::new().append(true).create(true).open(value)?);
            }
            _ => return Err(io::Error::other(format!("unknown flag {flag}"))),
        }
    }
    for line in io::stdin().lock().lines() {
        let message: Json = serde_json::from_str(&line?)?;
        if let Some(id) = message.get("id") {
            let world = World { tools: &tools, answers: &answers, next: next.as_deref() };
            answer(id, &message, &world, calls.as_mut())?;
        }
    }
    Ok(())
}

/// What the server has, and what its tools answer.
struct World<'a> {
    tools: &'a Json,
    answers: &'a Json,
    /// A file with the result of the next call, whatever is called.
    next: Option<&'a str>,
}

fn answer(id: &Json, message: &Json, has: &World<'_>, calls: Option<&mut File>) -> io::Result<()> {
    let params = message.get("params").unwrap_or(&Json::Null);
    let info = json!({ "name": "safeconduct-test-upstream", "version": "0" });
    let capabilities = json!({ "tools": {}, "resources": {}, "prompts": {} });
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": capabilities,
            "serverInfo": info,
        }),
        "server/discover" => json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities,
            "_meta": { "io.modelcontextprotocol/serverInfo": info },
            "ttlMs": 0,
            "cacheScope": "private",
            "resultType": "complete",
        }),
        "tools/list" => json!({
            "tools": has.tools, "ttlMs": 0, "cacheScope": "private", "resultType": "complete",
        }),
        "tools/call" => return call(id, params, has, calls),
        "resources/read" => json!({
            "contents": [{ "uri": params["uri"], "mimeType": "text/plain", "text": "content" }],
            "ttlMs": 0, "cacheScope": "private", "resultType": "complete",
        }),
        "prompts/get" => json!({ "messages": [], "resultType": "complete" }),
        "ping" => json!({}),
        method => {
            let error = json!({ "code": -32601, "message": format!("no method {method}") });
            return say(&json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string());
        }
    };
    say(&json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
}

fn call(id: &Json, params: &Json, has: &World<'_>, calls: Option<&mut File>) -> io::Result<()> {
    let arguments = params.get("arguments").unwrap_or(&Json::Null);
    if let Some(calls) = calls {
        let line = json!({ "tool": params["name"], "arguments": arguments }).to_string();
        calls.write_all(format!("{line}\n").as_bytes())?;
        calls.sync_data()?;
    }
    let name = params["name"].as_str().unwrap_or_default();
    let text = has.answers.get(name).unwrap_or(arguments).to_string();
    let told = has.next.and_then(|file| std::fs::read_to_string(file).ok());
    // As it stands there, in one line: it may be what no parser would take.
    let result = told.unwrap_or_else(|| {
        json!({
            "content": [{ "type": "text", "text": text }], "resultType": "complete",
        })
        .to_string()
    });
    let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    match arguments["behave"].as_str().unwrap_or_default() {
        "die" => std::process::exit(3),
        "silent" => Ok(()),
        "twice" => say(&answer).and_then(|()| say(&answer)),
        "garbage" => say(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{{ not JSON")),
        "other_id" => say(&answer.replace(&format!("\"id\":{id}"), "\"id\":987654321")),
        "huge" => huge(id),
        "hold" => {
            let file = arguments["until"].as_str().unwrap_or_default().to_owned();
            std::thread::spawn(move || {
                while !Path::new(&file).exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                say(&answer)
            });
            Ok(())
        }
        _ => say(&answer),
    }
}

/// 100 MB in one answer, never in memory at once.
fn huge(id: &Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [
        { "type": "text", "text": "@" },
    ] } })
    .to_string();
    let (before, after) = text.split_once('@').unwrap_or_default();
    out.write_all(before.as_bytes())?;
    for _ in 0..100 {
        out.write_all(&vec![b'x'; 1_000_000])?;
    }
    writeln!(out, "{after}")?;
    out.flush()
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}
