//! The server is killed under load, at random moments, again and again; nothing that it answered
//! is lost, and nothing was done without a record.
//!
//! `SOAK=1` kills ten times as often, `SEED=N` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use safeconduct_tests::http::Connection;
use safeconduct_tests::mcp::{Client, message_of};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, record_of};
use safeconduct_tests::tools;
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT, may_put, succeeded};

const KILLS: u32 = 50;

/// Clients over MCP, and as many over AuthZEN.
const CLIENTS: usize = 3;

#[test]
fn killed_under_load() {
    let kills = if env::var_os("SOAK").is_some() { 10 * KILLS } else { KILLS };
    let seed = env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let project = world::project();
    let mut server = Server::start(&project);
    let tokens: Vec<String> = (0..2 * CLIENTS).map(|_| server.mint(AGENT).1).collect();
    let load = Load { next: AtomicU64::new(1), answered: Mutex::default() };
    let mut seen = Seen::default();
    let begun = Instant::now();
    for kill in 1..=kills {
        let moment = Duration::from_micros(random.u64(0..250_000));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (n, token) in tokens.iter().enumerate() {
                let (address, load, stop) = (server.address, &load, &stop);
                scope.spawn(move || match n % 2 {
                    0 => load.over_mcp(address, token, stop),
                    _ => load.over_authzen(address, token, stop),
                });
            }
            // This is the random moment itself, not a wait for anything.
            std::thread::sleep(moment);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server = Server::start(&project);
        seen.read_on(&project);
        seen.check(&project, &load, &format!("SEED={seed}, kill {kill}"));
    }
    server.stop();
    seen.read_on(&project);
    seen.check(&project, &load, &format!("SEED={seed}, at the end"));
    let answered = load.answered.lock().unwrap().len();
    println!(
        "{kills} kills in {:?}: {} records, {answered} answers",
        begun.elapsed(),
        seen.records
    );
    assert!(answered > kills as usize, "hardly any load: {answered} answers");
}

/// What clients do, and what they were answered.
struct Load {
    next: AtomicU64,
    /// The trace ids of answered calls.
    answered: Mutex<Vec<String>>,
}

/// A trace id that says which call it is.
fn trace_of(n: u64) -> String {
    format!("{n:032x}")
}

impl Load {
    fn over_mcp(&self, address: SocketAddr, token: &str, stop: &AtomicBool) {
        let Ok(mut client) = Client::open(address, "box", token) else {
            return;
        };
        let Ok(mut connection) = Connection::open(address) else {
            return;
        };
        while !stop.load(Ordering::Relaxed) {
            let trace = trace_of(self.next.fetch_add(1, Ordering::Relaxed));
            let params = json!({ "name": "put", "arguments": { "id": trace } });
            let (headers, body) = client.message("tools/call", params);
            let parent = format!("00-{trace}-0000000000000001-01");
            let mut headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, &**value)).collect();
            headers.push(("traceparent", &parent));
            match connection.request("POST", "/mcp/box", &headers, body.as_bytes()) {
                Ok(response) => {
                    let answer = message_of(&response);
                    assert!(succeeded(&answer), "{answer}");
                    self.answered.lock().unwrap().push(trace);
                }
                Err(_) => return,
            }
        }
    }

    fn over_authzen(&self, address: SocketAddr, token: &str, stop: &AtomicBool) {
        let Ok(mut connection) = Connection::open(address) else {
            return;
        };
        let authorization = format!("Bearer {token}");
        while !stop.load(Ordering::Relaxed) {
            let trace = trace_of(self.next.fetch_add(1, Ordering::Relaxed));
            let parent = format!("00-{trace}-0000000000000001-01");
            let headers = [
                ("Authorization", &*authorization),
                ("Content-Type", "application/json"),
                ("traceparent", &*parent),
            ];
            let body = may_put(AGENT, &trace).to_string();
            match connection.request("POST", "/access/v1/evaluation", &headers, body.as_bytes()) {
                Ok(response) => {
                    assert_eq!(response.json()["decision"], json!(true), "{}", response.text());
                    self.answered.lock().unwrap().push(trace);
                }
                Err(_) => return,
            }
        }
    }
}

/// What the ledger has, read on after each kill.
#[derive(Default)]
struct Seen {
    records: u64,
    /// Traces of permits.
    permits: BTreeSet<String>,
    /// Permits of the gateway without an outcome yet, by decision.
    open: BTreeSet<String>,
    /// The last sequence number of each session.
    sessions: BTreeMap<String, u64>,
}

impl Seen {
    fn read_on(&mut self, project: &Project) {
        let from = self.records.to_string();
        let args = ["-o", "json", "log", "export", "--from", &from];
        let (code, out, err) = tools::run(&project.config(), &args);
        assert_eq!(code, 0, "{err}");
        for line in out.lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            if let Some(sequence) = line["sequence"].as_u64() {
                assert_eq!(sequence, self.records, "records have no gap");
            }
            self.records += 1;
            self.take(record_of(&line));
        }
    }

    fn take(&mut self, record: &Json) {
        let body = &record["body"];
        match record["kind"].as_str().unwrap() {
            "decision" => {
                let session = body["session"].to_string();
                let sequence = body["sequence"].as_u64().unwrap();
                let before = self.sessions.insert(session.clone(), sequence).unwrap_or(0);
                assert_eq!(sequence, before + 1, "a gap in session {session}");
                assert_eq!(body["decision"], json!("permit"), "{record}");
                let trace = record["trace"].as_str().unwrap().to_owned();
                assert!(self.permits.insert(trace), "decided twice: {record}");
                self.open.insert(record["id"].as_str().unwrap().to_owned());
            }
            "outcome" => {
                let decision = body["decision"].as_str().unwrap();
                assert!(self.open.remove(decision), "an outcome of nothing, or a second: {record}");
            }
            _ => {}
        }
    }

    fn check(&self, project: &Project, load: &Load, at: &str) {
        let (code, out, err) = tools::run(&project.config(), &["log", "verify"]);
        assert_eq!(code, 0, "{at}: {out}{err}");
        for id in world::reached(project) {
            assert!(
                self.permits.contains(&id),
                "{at}: call {id} reached the server without a record"
            );
        }
        for trace in load.answered.lock().unwrap().iter() {
            assert!(self.permits.contains(trace), "{at}: answered call {trace} is lost");
        }
        // The load has ended: whatever was permitted before has its outcome, if only `unknown`.
        assert!(self.open.is_empty(), "{at}: no outcome of {:?}", self.open);
    }
}
