//! `safeconduct demo`: agents at work through the gateway, in front of real MCP servers.

mod crm;
mod mail;
mod play;
mod quarter;
mod review;

use std::path::{Path, PathBuf};

use safeconduct_service::{ReadModel as _, RecordQuery};
use serde_json::Value;

use crate::args::{self, Shared};
use crate::command::demo::play::{Play, Told};
use crate::command::dev;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{print, print_line};
use crate::sample::{self, Sample};
use crate::story::{self, Placed};
use crate::wiring::project::Project;
use crate::wiring::server::{self, Running};
use crate::wiring::{bootstrap, runtime, telemetry};

/// How long the agents' tokens last, in milliseconds: one hour.
const MARGIN_MS: i64 = 3_600_000;

/// The MCP server that stands behind the gateway, an npm package.
const UPSTREAM: &str = "mcp-server-filesystem";

/// Runs the demo. Exit code 0 only where every step went as expected.
pub(crate) fn run(shared: &Shared, args: args::Demo) -> Result<Exit, CommandError> {
    let python = python()?;
    on_path(UPSTREAM, "npm install @modelcontextprotocol/server-filesystem, or `make demo`")?;
    let folder = tempfile::Builder::new()
        .prefix("safeconduct-demo-")
        .tempdir()
        .map_err(|error| failed("temporary folder", error))?;
    // The MCP server resolves links in its paths, so the folder must be named as it does.
    let folder_path =
        folder.path().canonicalize().map_err(|error| failed("temporary folder", error))?;
    let file = sample::write(Sample::CaseNotes, &folder_path.join("world"))?;
    let mut project = Project::load(&file)?;
    project.config.data = folder_path.join("data");
    project.config.keys = folder_path.join("keys");
    let identity = dev::identity(&project)?;
    let (data, keys) = (project.config.data.clone(), project.config.keys.clone());
    runtime()?.block_on(async {
        let _telemetry = telemetry::start(None, true)?;
        let listen = ([127, 0, 0, 1], 0).into();
        let running = server::start(project, listen).await?;
        let token = bootstrap::mint(&running.service, &identity, MARGIN_MS).await?;
        print_line(&format!(
            "An agent works on case 4711. Safeconduct stands at {}/mcp/files,\n\
             in front of the MCP server `{UPSTREAM}`.\n",
            running.url()
        ))?;
        let url = format!("{}/mcp/files", running.url());
        let variables = [("SAFECONDUCT_MCP_URL", url.as_str()), ("SAFECONDUCT_TOKEN", &token)];
        let mut play = Play::start(&python, &file.with_file_name(sample::AGENT), &variables)?;
        let went_well = steps(&mut play, &running).await? & play.ended_well().await?;
        let verified = account(&running, &data, &keys).await?;
        if args.keep {
            keep(&running, &token).await?;
        }
        running.stop().await;
        let _ = shared;
        let crm = crm::tell(&python, &folder_path.join("crm")).await?;
        let mail = mail::tell(&python, &folder_path.join("mail")).await?;
        let review = review::tell(&python, &folder_path.join("review")).await?;
        if went_well && verified && crm && mail && review {
            print_line("Every step went as expected.")?;
            Ok(Exit::Ok)
        } else {
            Err(CommandError::Failed("not every step went as expected".into()))
        }
    })
}

/// The Python that has the MCP SDK: the work tree's own, or the system's.
fn python() -> Result<PathBuf, CommandError> {
    let own = Path::new(".venv/bin/python");
    if own.exists() {
        return std::path::absolute(own).map_err(|error| failed("python", error));
    }
    on_path("python3", "python3 (3.11 or later) with `pip install mcp`, or `make demo`")?;
    Ok("python3".into())
}

/// A server of the examples is a Python program: the Python that has the MCP SDK runs it.
fn run_by(python: &Path, upstream: &mut safeconduct_wire::config::Upstream) {
    if let safeconduct_wire::config::Transport::Stdio { command, .. } = &mut upstream.transport {
        *command = python.display().to_string();
    }
}

fn on_path(program: &str, how: &str) -> Result<(), CommandError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        Ok(())
    } else {
        Err(CommandError::Failed(format!("`{program}` is missing: {how}")))
    }
}

/// How many calls the agent makes: fewer would mean that it was cut off.
const CALLS: usize = 6;

/// Prints each step as it happens. Returns whether all of them went as expected.
async fn steps(play: &mut Play, running: &Running) -> Result<bool, CommandError> {
    let mut told = Told::from(running.store.records());
    while let Some(step) = play.step().await? {
        if let Some(tools) = step.get("tools").and_then(Value::as_array) {
            let names: Vec<&str> = tools.iter().filter_map(Value::as_str).collect();
            let what = story::text(&step, "/step");
            print_line(&format!("LISTED  {what}\n        {}\n", names.join(", ")))?;
            told.all_well &= names.contains(&"read_text_file") && !names.contains(&"get_file_info");
            continue;
        }
        told.tell(running, &step).await?;
    }
    Ok(told.all_well && told.steps == CALLS)
}

async fn read(running: &Running, query: &RecordQuery) -> Result<Vec<Placed>, CommandError> {
    let model = running.store.read_model();
    loop {
        let read = model.read_up_to();
        if read >= running.store.records() {
            break;
        }
        model.grown_beyond(read).await;
    }
    let page = model.query(query).map_err(|error| failed("the read model", error))?;
    let records = page.records.iter().map(|read| {
        let record = serde_json::from_str(&read.leaf).map_err(|error| failed("a record", error))?;
        Ok(Placed { sequence: read.sequence, record })
    });
    records.collect()
}

/// Verifies the ledger and shows what happened.
async fn account(running: &Running, data: &Path, keys: &Path) -> Result<bool, CommandError> {
    let query = RecordQuery { limit: 1000, ..RecordQuery::default() };
    let mut records = read(running, &query).await?;
    records.reverse();
    running.store.publish().await;
    let report = super::log::verified(data, keys)?;
    print_line(&format!("Ledger: {}\n", report.summary))?;
    print(&story::tree(&records))?;
    print_line("")?;
    Ok(report.sound)
}

async fn keep(running: &Running, token: &str) -> Result<(), CommandError> {
    let ending = running.ending()?;
    print_line(&format!(
        "It goes on running. For the agent:\n\
         export SAFECONDUCT_MCP_URL={}/mcp/files\n\
         export SAFECONDUCT_TOKEN={token}\n\
         Ctrl-C ends it.",
        running.url()
    ))?;
    ending.come().await;
    Ok(())
}
