//! A server process over a project's folder, and its administration.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::http::{Connection, Response};
use crate::mcp;
use crate::project::Project;
use crate::tools;

/// How long a start or a stop may take before a test fails: never a normal wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed where it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    admin: String,
    talk: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server and waits until it says where it serves.
    pub fn start(project: &Project) -> Self {
        Self::try_start(project, tools::command())
            .unwrap_or_else(|talk| panic!("the server did not start:\n{talk}"))
    }

    /// Starts `command` as a server.
    ///
    /// # Errors
    /// What it said before it ended.
    pub fn try_start(project: &Project, command: Command) -> Result<Self, String> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::try_start_at(project, command, any)
    }

    /// Starts a server that must know beforehand by what address clients reach it.
    pub fn start_at(project: &Project, address: SocketAddr) -> Self {
        Self::try_start_at(project, tools::command(), address)
            .unwrap_or_else(|talk| panic!("the server did not start:\n{talk}"))
    }

    fn try_start_at(
        project: &Project,
        mut command: Command,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let mut child = command
            .arg("--config")
            .arg(project.config())
            .args(["server", "--listen", &address.to_string()])
            .current_dir(project.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, heard) = mpsc::channel();
        let talk = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&talk));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said_where = line.split_once("serving on http");
                if let Some((_, address)) = said_where.and_then(|(_, url)| url.split_once("://")) {
                    let _ = said.send(address.trim().to_owned());
                }
                kept.lock().unwrap().push(line);
            }
        });
        match heard.recv_timeout(PATIENCE) {
            Ok(url) => {
                let admin = fs::read_to_string(project.path("keys/admin.token")).unwrap();
                let address = url.parse().unwrap();
                Ok(Self { child, address, admin: admin.trim().to_owned(), talk })
            }
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().unwrap();
                let talk = talk.lock().unwrap().join("\n");
                Err(format!("{talk}\n{status}"))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The administrator's token.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// What it has said so far.
    pub fn talk(&self) -> String {
        self.talk.lock().unwrap().join("\n")
    }

    /// Whether it still runs.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Kills it where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop, and waits until it has, as it should.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let mut status = None;
        wait_until("the server to stop", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "it stopped with {}:\n{}", status.unwrap(), self.talk());
    }

    /// Asks over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &Json) -> Response {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("Authorization", authorization.as_str())];
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        if !body.is_null() {
            headers.push(("Content-Type", "application/json"));
        }
        Connection::open(self.address)
            .and_then(|mut connection| connection.request(method, path, &headers, &bytes))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.talk()))
    }

    /// Asks as the administrator.
    pub fn administer(&self, method: &str, path: &str, body: &Json) -> Json {
        let response = self.ask(method, path, &self.admin, body);
        assert!(response.status < 300, "{method} {path}: {} {}", response.status, response.text());
        if response.body.is_empty() { Json::Null } else { response.json() }
    }

    /// Issues a token: its id and its text.
    pub fn mint(&self, identity: &str) -> (String, String) {
        let body = json!({ "identity": identity, "ttl_s": 86_400 });
        let issued = self.administer("POST", "/v1/tokens", &body);
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    }

    /// A decision of the AuthZEN API.
    pub fn evaluate(&self, token: &str, question: &Json) -> Json {
        let response = self.ask("POST", "/access/v1/evaluation", token, question);
        assert_eq!(response.status, 200, "{question}: {}", response.text());
        response.json()
    }

    /// A client of one server behind the gateway.
    pub fn mcp(&self, server: &str, token: &str) -> mcp::Client {
        mcp::Client::open(self.address, server, token).unwrap()
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ask("GET", "/readyz", "", &Json::Null).status == 200
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_up() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An address that was free a moment ago, and that nobody else on this machine asks for.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits for something, as long as that can possibly take.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every record of a stopped server, in order, with its kind.
pub fn exported(project: &Project) -> Vec<Json> {
    let (code, out, err) = tools::run(&project.config(), &["-o", "json", "log", "export"]);
    assert_eq!(code, 0, "log export: {err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The record itself of an exported line.
pub fn record_of(line: &Json) -> &Json {
    if line["record"].is_object() { &line["record"] } else { line }
}

/// Decisions by id.
pub fn decisions(lines: &[Json]) -> BTreeMap<String, Json> {
    let records = lines.iter().map(record_of).filter(|record| record["kind"] == "decision");
    records.map(|record| (record["id"].as_str().unwrap().to_owned(), record.clone())).collect()
}

/// Asserts that a stopped server's ledger verifies.
pub fn verify(project: &Project) {
    let (code, out, err) = tools::run(&project.config(), &["log", "verify"]);
    assert_eq!(code, 0, "log verify: {out}{err}");
}
