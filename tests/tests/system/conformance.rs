//! The official MCP conformance suite, direct and through the gateway: check by check the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, verify, wait_until};
use safeconduct_tests::tools::{self, root};
use serde_json::Value as Json;

const REVISIONS: [&str; 3] = ["2025-06-18", "2025-11-25", "2026-07-28"];

#[test]
fn the_gateway_scores_as_the_server_itself() {
    let (evals, python, node) = match (tools::evals("mcp"), tools::python(), tools::node()) {
        (Ok(evals), Ok(python), Ok(node)) => (evals, python, node),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
            return tools::skip("MCP conformance", &why);
        }
    };
    let port = free_port();
    let backend = Command::new(python)
        .arg(evals.join("conformance_backend.py"))
        .args(["--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _backend = Killed(backend);
    let direct: SocketAddr = ([127, 0, 0, 1], port).into();
    wait_until("the backend", || TcpStream::connect(direct).is_ok());
    let project = Project::copy_of(&root().join("examples/permit-all"));
    let config = fs::read_to_string(project.config()).unwrap();
    assert!(config.contains(":9201/"));
    project.write("safeconduct.yaml", &config.replace(":9201/", &format!(":{port}/")));
    let server = Server::start(&project);
    let (_, token) = server.mint("suite");
    let through = forwarder(server.address, token);
    for revision in REVISIONS {
        let expected = score(&node, &format!("http://{direct}/mcp"), revision, &project);
        let got = score(&node, &format!("http://{through}/mcp/conformance"), revision, &project);
        let passed = |score: &BTreeMap<String, String>| {
            score.values().filter(|status| *status == "SUCCESS").count()
        };
        println!(
            "{revision}: direct {}, gateway {} of {}",
            passed(&expected),
            passed(&got),
            expected.len()
        );
        let all: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
        let differ = all.into_iter().filter(|check| expected.get(*check) != got.get(*check));
        let (better, other): (Vec<&String>, Vec<&String>) = differ.partition(|check| {
            // What the server itself gets wrong, the gateway may put right.
            let (direct, gateway) = (expected.get(*check), got.get(*check));
            direct.is_some_and(|s| s == "FAILURE") && gateway.is_some_and(|s| s == "SUCCESS")
        });
        println!("better through the gateway: {better:?}");
        let told = |check: &&String| {
            format!("{check}: direct {:?}, gateway {:?}", expected.get(*check), got.get(*check))
        };
        let other: Vec<String> = other.iter().map(told).collect();
        assert!(other.is_empty(), "{revision}:\n{}", other.join("\n"));
        assert!(passed(&expected) > 40, "{revision}: only {expected:?}");
    }
    server.stop();
    verify(&project);
}

/// A process that ends with this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The status of each check, by scenario and id. A check that comes several times is numbered.
fn score(node: &Path, url: &str, revision: &str, project: &Project) -> BTreeMap<String, String> {
    let results = project.path(&format!("results-{}", fastrand::u64(..)));
    fs::create_dir(&results).unwrap();
    let output = Command::new(node)
        .arg(root().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--url", url, "--spec-version", revision, "--suite", "all", "-o"])
        .arg(&results)
        .current_dir(project.folder())
        .output()
        .unwrap();
    let mut found = BTreeMap::new();
    for scenario in fs::read_dir(&results).unwrap() {
        let folder = scenario.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("checks.json")) else {
            continue;
        };
        let checks: Vec<Json> = serde_json::from_str(&text).unwrap();
        // The folder is named after the scenario and the time.
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.split("-20").next().unwrap_or_default().to_owned();
        for check in checks {
            let id = check["id"].as_str().unwrap_or_default();
            let number = (1..).find(|n| !found.contains_key(&format!("{name} {id} {n}"))).unwrap();
            let status = check["status"].as_str().unwrap_or_default().to_owned();
            found.insert(format!("{name} {id} {number}"), status);
        }
    }
    assert!(!found.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    found
}

/// Forwards each request on a connection of its own, with the bearer token that the suite cannot
/// send.
fn forwarder(to: SocketAddr, token: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let token = token.clone();
            // A client that leaves in the middle ends only its own thread.
            std::thread::spawn(move || forward(client, to, &token));
        }
    });
    address
}

fn forward(mut client: TcpStream, to: SocketAddr, token: &str) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match client.read(&mut chunk)? {
            0 => return Ok(()),
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut out = format!(
        "{}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n",
        lines.next().unwrap()
    );
    let mut length = 0;
    for line in lines {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name == "content-length" {
            length = line.split(':').nth(1).and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        }
        if name != "connection" && name != "authorization" {
            out += &format!("{line}\r\n");
        }
    }
    let mut server = TcpStream::connect(to)?;
    server.write_all(format!("{out}\r\n").as_bytes())?;
    server.write_all(&bytes[head + 4..])?;
    let mut left = length - (bytes.len() - head - 4).min(length);
    while left > 0 {
        let n = client.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        server.write_all(&chunk[..n])?;
        left -= n.min(left);
    }
    // A client that leaves takes its stream along.
    let (mut watched, gone) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let mut nothing = [0; 1024];
        while watched.read(&mut nothing).is_ok_and(|n| n > 0) {}
        let _ = gone.shutdown(Shutdown::Both);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
