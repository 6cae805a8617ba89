//! What a client needs to start a guarded server, in the client's own form.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Plan;
use crate::args::Host;
use crate::exit::{CommandError, failed};

/// The identity that a client acts as.
pub(super) const fn agent(host: Host) -> &'static str {
    match host {
        Host::ClaudeCode => "claude-code",
        Host::Cursor => "cursor",
        Host::Codex => "codex",
        Host::Mcp => "agent",
    }
}

/// The entry for the server, which starts `safeconduct mcp` in its place.
///
/// # Errors
/// Our own program cannot be found.
pub(super) fn configuration(host: Host, plan: &Plan, file: &Path) -> Result<String, CommandError> {
    let program = std::env::current_exe().map_err(|error| failed("our own program", error))?;
    let program = program.display().to_string();
    let mut args: Vec<String> = vec![
        "mcp".into(),
        "--config".into(),
        file.display().to_string(),
        "--server".into(),
        plan.server.to_string(),
    ];
    for name in &plan.pass_env {
        args.extend(["--pass-env".into(), name.clone()]);
    }
    args.push("--".into());
    args.extend(plan.command.iter().cloned());
    match host {
        Host::Codex => Ok(toml(plan.server.as_str(), &program, &args)),
        Host::ClaudeCode => {
            pretty(plan, json!({"type": "stdio", "command": program, "args": args}))
        }
        Host::Cursor | Host::Mcp => pretty(plan, json!({"command": program, "args": args})),
    }
}

fn pretty(plan: &Plan, entry: Json) -> Result<String, CommandError> {
    let whole = json!({"mcpServers": {plan.server.as_str(): entry}});
    let text = serde_json::to_string_pretty(&whole);
    text.map(|text| text + "\n").map_err(|error| failed("output", error))
}

/// A table of TOML; a JSON string without control characters is a TOML string too.
fn toml(server: &str, program: &str, args: &[String]) -> String {
    let quoted = |text: &str| Json::from(text).to_string();
    let args: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
    format!("[mcp_servers.{server}]\ncommand = {}\nargs = [{}]\n", quoted(program), args.join(", "))
}
