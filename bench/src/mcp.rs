//! What the gateway adds to an MCP `tools/call`: the same client calls the same tool of the same
//! server directly and through `safeconduct dev`, in turns.

mod client;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::child::{Process, command};
use crate::disk;
use crate::http::free_port;
use crate::report;
use crate::rounds::{median, quantile};
use crate::section::{Failure, Section, Target};
use client::Client;

const ROUNDS: usize = 10;
const CALLS: usize = 150;

/// Measures, or says why not.
pub(crate) fn measure() -> Result<Section, Failure> {
    let mut section = Section::new("MCP `tools/call`");
    let root = report::folder().join("..");
    let needed = [
        (root.join("node_modules/node/bin/node"), "make tools"),
        (root.join("node_modules/.bin/mcp-server-everything"), "make tools"),
        (root.join("target/release/safeconduct"), "make build"),
    ];
    if let Some((missing, made_by)) = needed.iter().find(|(path, _)| !path.exists()) {
        let missing = missing.file_name().unwrap_or_default().to_string_lossy();
        section.line(format!("Left out: `{missing}` is not there (`{made_by}`)."));
        return Ok(section);
    }
    let [(node, _), (server, _), (safeconduct, _)] = needed;
    let (direct, guarded) = run(&node, &server, &safeconduct)?;
    section.targets();
    let overhead_ms = (median(&guarded) - median(&direct)) / 1e3;
    section.target("mcp_overhead_ms_p50", overhead_ms, Target::AtMost(1.0));
    section.line("");
    section.line("| | p50 µs | p99 µs |");
    section.line("|---|---|---|");
    for (words, key, took) in [("direct", "direct", &direct), ("gateway", "gateway", &guarded)] {
        let (p50, p99) = (median(took), quantile(took, 0.99));
        section.line(format!("| {words} | {p50:.0} | {p99:.0} |"));
        section.number(&format!("mcp_{key}_us_p50"), p50);
        section.number(&format!("mcp_{key}_us_p99"), p99);
    }
    section.line("");
    section.line(format!(
        "The tool `echo` of `mcp-server-everything` over streamable HTTP, revision 2025-06-18, \
         one client, one call at a time, {ROUNDS} rounds of {CALLS} calls in turns; nothing is \
         pinned. Through the gateway each call is decided, its decision and its outcome are two \
         durable records, and it goes out only after the first.",
    ));
    Ok(section)
}

/// Microseconds of each call: direct, and through the gateway.
fn run(node: &Path, server: &Path, safeconduct: &Path) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let folder = disk::folder()?;
    let port = free_port()?;
    let mut upstream = command(node, None);
    upstream.arg(server).arg("streamableHttp").env("PORT", port.to_string()).stderr(Stdio::null());
    // What it logs for each call must go somewhere, or it would stop at a full pipe.
    let _upstream = Process::start_unheard(upstream)?;
    let address = format!("127.0.0.1:{port}");
    wait_for(&address)?;

    let config = project(folder.path(), &address)?;
    let mut gateway = command(safeconduct, None);
    gateway
        .args(["dev", "-o", "json", "--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .env("TMPDIR", folder.path());
    let mut gateway = Process::start(gateway)?;
    let ready: serde_json::Value = serde_json::from_str(&gateway.line()?)?;
    let text = |pointer: &str| {
        let found = ready.pointer(pointer).and_then(serde_json::Value::as_str);
        found.ok_or_else(|| format!("`safeconduct dev` gave no `{pointer}`"))
    };
    let mut direct = Client::connect(&format!("http://{address}/mcp"), None)?;
    let mut guarded = Client::connect(text("/mcp/everything")?, Some(text("/token")?))?;
    let (mut bare, mut through) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (some, others) = (direct.calls(CALLS)?, guarded.calls(CALLS)?);
        if round > 0 {
            bare.extend(some);
            through.extend(others);
        }
    }
    Ok((bare, through))
}

fn wait_for(address: &str) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            return Err("the MCP server does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A project whose one upstream is that server.
fn project(folder: &Path, address: &str) -> Result<PathBuf, Failure> {
    let config = format!(
        "version: 1\nupstreams:\n  everything:\n    http: {{ url: \"http://{address}/mcp\" }}\n\
         identities:\n  - {{ id: alice, kind: user }}\n  - {{ id: bob, kind: user }}\n  \
         - {{ id: bench-agent, kind: agent, owner: alice, fallback_owner: bob }}\n\
         dev: {{ identity: bench-agent }}\n"
    );
    let catalogue = "server: everything\nactions:\n  echo: { tier: low, effect: read }\n";
    let policies = "@id(\"echo\")\npermit (principal is Safeconduct::Agent, \
                    action == Safeconduct::Action::\"everything.echo\", resource)\n\
                    when { context.session.denials < 20 };\n";
    for (name, text) in [
        ("safeconduct.yaml", config.as_str()),
        ("catalogue/everything.yaml", catalogue),
        ("policies/echo.cedar", policies),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    Ok(folder.join("safeconduct.yaml"))
}
