//! `safeconduct catalogue import`: the first draft of what is known of a server's actions.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use safeconduct_gateway::Described;
use safeconduct_model::{Digest, ServerName, Value};
use safeconduct_service::definition_digest;
use safeconduct_wire::catalogue::{self, DraftTool};
use safeconduct_wire::config::Transport;

use super::live;
use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed};
use crate::output;
use crate::wiring::project;

/// What an import writes.
pub(crate) struct Draft {
    /// `catalogue/NAME.yaml`.
    pub(crate) catalogue: String,
    /// `catalogue/NAME.tools.json`.
    pub(crate) tools: String,
    /// How many tools there are.
    pub(crate) count: usize,
    /// How many of them are guessed to be of tier low.
    pub(crate) low: usize,
}

/// The draft for a server: tiers of its tools guessed, their definitions and its greeting pinned.
/// Relative paths start in the folder that the server starts in, as far as that is known.
pub(crate) fn draft(server: &ServerName, transport: &Transport, described: &Described) -> Draft {
    let tools = &described.tools;
    let greeting = described.greeting.as_ref().map(|said| (said, greeting_digest(said)));
    let pinned: Vec<DraftTool<'_>> = tools
        .iter()
        .map(|tool| DraftTool {
            definition: tool,
            digest: Some(definition_digest(&catalogue::definition_digest_input(tool))),
        })
        .collect();
    let low = tools.iter().filter(|tool| catalogue::guess(tool).0 == safeconduct_model::Tier::Low);
    Draft {
        catalogue: catalogue::draft(
            server.as_str(),
            &pinned,
            greeting,
            starts_in(transport).as_deref(),
        ),
        tools: catalogue::write_tools(tools),
        count: tools.len(),
        low: low.count(),
    }
}

/// The digest to which a greeting is pinned.
pub(super) fn greeting_digest(said: &Value) -> Digest {
    definition_digest(&catalogue::greeting_definition(said))
}

/// The folder that a server starts in; another machine's is not known.
pub(super) fn starts_in(transport: &Transport) -> Option<String> {
    match transport {
        Transport::Stdio { cwd, .. } => cwd.to_str().map(str::to_owned),
        Transport::Http { .. } => None,
    }
}

/// Imports the tools of a configured upstream.
///
/// # Errors
/// The server does not answer, or files are there already.
pub(super) fn run(shared: &Shared, server: &str, force: bool) -> Result<Exit, CommandError> {
    let name = ServerName::new(server).map_err(|error| failed("--server", error))?;
    let config = project::read_config(&shared.config)?;
    let folder = &config.catalogue;
    let files = [folder.join(format!("{name}.yaml")), folder.join(format!("{name}.tools.json"))];
    if !force {
        absent(&files)?;
    }
    let described = live::configured(shared, &name)?;
    let upstream = config.upstreams.get(&name);
    let upstream =
        upstream.ok_or_else(|| failed(server, "the configuration has no such server"))?;
    let draft = draft(&name, &upstream.transport, &described);
    for (file, text) in files.iter().zip([&draft.catalogue, &draft.tools]) {
        write(file, text)?;
        output::print_line(&file.display().to_string())?;
    }
    if !shared.quiet {
        output::say(&format!(
            "{} imported and pinned, {} of them guessed to be of tier low.\n\
             Look at each guess in {}, correct it, and take its `guessed: true` away.{}",
            output::counted(draft.count, "tool", "tools"),
            draft.low,
            files.first().map(|file| file.display().to_string()).unwrap_or_default(),
            match described.greeting {
                Some(_) =>
                    "\nWhat the server says when a session begins is there too, and trusted.",
                None => "",
            },
        ));
    }
    Ok(Exit::Ok)
}

/// That none of the files is there.
///
/// # Errors
/// The first that is.
pub(crate) fn absent(files: &[impl AsRef<Path>]) -> Result<(), CommandError> {
    match files.iter().find(|file| file.as_ref().exists()) {
        Some(file) => Err(CommandError::Failed(format!(
            "`{}` is there already; --force overwrites it",
            file.as_ref().display()
        ))),
        None => Ok(()),
    }
}

/// Writes a file whole: a reader sees the old text or the new one.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    let shown = file.display().to_string();
    let io = |error: std::io::Error| failed(&shown, error);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let mut new =
        OpenOptions::new().write(true).create(true).truncate(true).open(&beside).map_err(io)?;
    new.write_all(text.as_bytes()).and_then(|()| new.sync_all()).map_err(io)?;
    fs::rename(&beside, file).map_err(io)
}
