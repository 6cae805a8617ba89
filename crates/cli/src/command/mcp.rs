//! `safeconduct mcp`: stands between a client that speaks stdio and one MCP server. It decides
//! nothing and opens no data folder: it passes bytes to the one server of the user, and starts
//! that where it does not run. Not for Windows, which has no such sockets.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::ServerName;
use safeconduct_wire::config::{Config, Transport};

use crate::args::{Mcp, Shared};
use crate::exit::{CommandError, Exit, failed};
use crate::output;
use crate::socket::{self, Hello};
use crate::wiring::{self, project};

/// What a program needs to start and to speak a person's language, where it is set.
const PASSED: &[&str] =
    &["PATH", "HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// Holds the handle of the task that the client acts in, as the header `Safeconduct-Task` does.
/// The MCP server does not get it.
const TASK: &str = "SAFECONDUCT_TASK";

/// Joins the server and passes bytes until either side ends.
///
/// # Errors
/// The configuration is invalid, or the server does not start or refuses.
pub(crate) fn run(shared: &Shared, args: Mcp) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let server = server_name(&config, &args)?;
    let hello = Hello {
        version: socket::VERSION,
        config: socket::absolute(&shared.config)?,
        env: environment(&config, &server, &args.pass_env)?,
        server: server.to_string(),
        agent: args.agent,
        task: task()?,
        command: args.command,
        cwd: std::env::current_dir().map_err(|error| failed("the current folder", error))?,
    };
    let path = socket::path(&shared.config, &config)?;
    let runtime = wiring::runtime()?;
    let ended = runtime.block_on(async {
        let joined = socket::join(&path, &hello).await?;
        if !shared.quiet {
            output::say(&format!("safeconduct: `{server}` guarded, as `{}`", joined.agent));
        }
        socket::pump(joined, tokio::io::stdin(), tokio::io::stdout()).await
    });
    // A read of standard input cannot be called back; it must not keep the process.
    runtime.shutdown_background();
    match ended? {
        socket::Ended::ByClient => Ok(Exit::Ok),
        socket::Ended::ByServer => {
            output::say("safeconduct: the server ended the connection");
            Ok(Exit::Failure)
        }
    }
}

/// The task that the client acts in. One that cannot be read is not none: the client would act
/// outside of it.
fn task() -> Result<Option<String>, CommandError> {
    match std::env::var(TASK) {
        Ok(handle) => Ok(Some(handle)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // What it holds is not for an error.
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(CommandError::Failed(format!("{TASK} holds no handle of a task")))
        }
    }
}

/// The name that was given, that of the configured upstream with this command, or the command's.
fn server_name(config: &Config, args: &Mcp) -> Result<ServerName, CommandError> {
    if let Some(name) = &args.server {
        return ServerName::new(name.as_str()).map_err(|error| failed("--server", error));
    }
    let configured = config.upstreams.iter().find(|(_, upstream)| match &upstream.transport {
        Transport::Stdio { command, args: rest, .. } => {
            args.command.iter().eq(std::iter::once(command).chain(rest))
        }
        Transport::Http { .. } => false,
    });
    if let Some((name, _)) = configured {
        return Ok(name.clone());
    }
    let program = args.command.first().map_or("", String::as_str);
    let file = program.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default().to_ascii_lowercase();
    ServerName::new(stem).map_err(|_| {
        CommandError::Failed(format!("`{program}` gives no name for the server: use --server"))
    })
}

/// The environment of the MCP server: what is usual, what the configuration lists, and what
/// was asked for by name.
fn environment(
    config: &Config,
    server: &ServerName,
    asked: &[String],
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut names: BTreeSet<&str> = PASSED.iter().copied().collect();
    if let Some(Transport::Stdio { pass_env, .. }) =
        config.upstreams.get(server).map(|upstream| &upstream.transport)
    {
        names.extend(pass_env.iter().map(String::as_str));
    }
    names.remove(TASK);
    for name in asked.iter().filter(|name| *name != TASK) {
        if std::env::var_os(name).is_none() {
            return Err(CommandError::Failed(format!("--pass-env: `{name}` is not set")));
        }
        names.insert(name);
    }
    Ok(names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect())
}
