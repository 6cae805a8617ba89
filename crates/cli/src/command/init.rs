//! `safeconduct init`: puts an MCP server of the user's own behind Safeconduct. Imports and pins
//! its tools, writes a first policy and a configuration, and prints what the client needs.

mod client;
mod files;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use safeconduct_model::{IdentityId, ServerName};
use safeconduct_wire::config::Config;

use crate::args::{Init, Shared};
use crate::command::catalogue;
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::output;
use crate::wiring::project::Project;
use crate::wiring::upstream::upstream_config;

/// The port where a search for a free one begins, and how many are tried.
const PORTS: std::ops::Range<u16> = 7411..7431;

/// What a new project is made of.
struct Plan {
    server: ServerName,
    command: Vec<String>,
    /// Where the command starts.
    cwd: PathBuf,
    pass_env: Vec<String>,
    agent: IdentityId,
    owner: IdentityId,
    port: u16,
    /// Whether the shipped pack is in force beside the policies of the folder.
    baseline: bool,
}

/// Sets a folder up.
///
/// # Errors
/// Files are there already, or the server cannot be started or does not answer.
pub(crate) fn run(shared: &Shared, args: Init) -> Result<Exit, CommandError> {
    let server =
        ServerName::new(args.server.as_str()).map_err(|error| failed("--server", error))?;
    let shown = args.folder.display().to_string();
    fs::create_dir_all(&args.folder).map_err(|error| failed(&shown, error))?;
    let folder = fs::canonicalize(&args.folder).map_err(|error| failed(&shown, error))?;
    let config_file = folder.join("safeconduct.yaml");
    let plan = Plan {
        agent: name(client::agent(args.host))?,
        owner: owner()?,
        port: free_port(),
        cwd: std::env::current_dir().map_err(|error| failed("the current folder", error))?,
        command: args.command,
        pass_env: args.pass_env,
        baseline: args.baseline,
        server,
    };
    let text = files::config(&plan);
    let targets = targets(&folder, &plan.server);
    if !args.force {
        catalogue::absent(&targets)?;
    }
    let draft = import(&plan, &config_file, &text)?;
    let policy = files::policy(&plan);
    let tests = files::tests(&plan);
    let texts = [&text, &policy, &tests, &draft.catalogue, &draft.tools];
    for (file, text) in targets.iter().zip(texts) {
        catalogue::write(file, text)?;
    }
    ignore(&folder)?;
    // What was written must load, whatever the server says of its tools.
    let loaded = Project::load(&config_file)?;
    if !shared.quiet {
        for file in &targets {
            output::say(&format!("wrote {}", file.display()));
        }
        for warning in &loaded.rules.warnings {
            output::say(&warning.to_string());
        }
        output::say(&files::next_steps(&plan, &config_file, &draft, args.host));
    }
    output::print(&client::configuration(args.host, &plan, &config_file)?)?;
    Ok(Exit::Ok)
}

/// The files in the order of their texts.
fn targets(folder: &Path, server: &ServerName) -> [PathBuf; 5] {
    [
        folder.join("safeconduct.yaml"),
        folder.join("policies/starter.cedar"),
        folder.join("policies/tests/starter_test.yaml"),
        folder.join(format!("catalogue/{server}.yaml")),
        folder.join(format!("catalogue/{server}.tools.json")),
    ]
}

/// Asks the server for its tools, just as the written configuration will start it.
fn import(plan: &Plan, file: &Path, text: &str) -> Result<catalogue::Draft, CommandError> {
    let config = parse(file, text)?;
    let upstream = config
        .upstreams
        .get(&plan.server)
        .ok_or_else(|| CommandError::Failed("the new configuration has no upstream".into()))?;
    let described = catalogue::described(&upstream_config(&plan.server, upstream)?)?;
    Ok(catalogue::draft(&plan.server, &upstream.transport, &described))
}

fn parse(file: &Path, text: &str) -> Result<Config, CommandError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    safeconduct_wire::config::parse(&file.display().to_string(), text, folder).map_err(invalid)
}

fn name(text: &str) -> Result<IdentityId, CommandError> {
    IdentityId::new(text).map_err(|error| failed("identity", error))
}

/// The person who runs this is accountable for the agent, until they say otherwise.
fn owner() -> Result<IdentityId, CommandError> {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let plain: String =
        user.chars().filter(|c| c.is_ascii_alphanumeric() || "._-@".contains(*c)).collect();
    let taken = plain.is_empty() || plain == files::FALLBACK_OWNER;
    name(if taken { "owner" } else { &plain })
}

/// The first port from 7411 that nobody listens on, so that several projects can run.
fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    PORTS.clone().find(free).unwrap_or(PORTS.start)
}

/// Keeps data and keys out of version control; lines that are there stay.
fn ignore(folder: &Path) -> Result<(), CommandError> {
    let file = folder.join(".gitignore");
    let mut text = fs::read_to_string(&file).unwrap_or_default();
    let before = text.len();
    for line in ["/data/", "/keys/"] {
        if !text.lines().any(|there| there.trim() == line) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
            text.push('\n');
        }
    }
    if text.len() == before { Ok(()) } else { catalogue::write(&file, &text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_gitignore_stay_and_come_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".gitignore");
        fs::write(&file, "/target\n/keys/").unwrap();
        ignore(folder.path()).unwrap();
        ignore(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "/target\n/keys/\n/data/\n");
    }

    #[test]
    fn a_written_configuration_reads_back_whatever_the_command_is() {
        let plan = Plan {
            server: ServerName::new("files").unwrap(),
            command: vec!["/a b/server".into(), "--x: \"y\" # z".into(), "é\\n{}".into()],
            cwd: "/tmp/a 'b'".into(),
            pass_env: vec!["TOKEN".into()],
            agent: name("claude-code").unwrap(),
            owner: name("ann").unwrap(),
            port: 7412,
            baseline: true,
        };
        let config = parse(Path::new("/p/safeconduct.yaml"), &files::config(&plan)).unwrap();
        let upstream = config.upstreams.values().next().unwrap();
        let safeconduct_wire::config::Transport::Stdio { command, args, cwd, pass_env, .. } =
            &upstream.transport
        else {
            panic!("it is started")
        };
        assert_eq!(command, &plan.command[0]);
        assert_eq!(args, &plan.command[1..]);
        assert_eq!(cwd, &plan.cwd);
        assert!(pass_env.contains("TOKEN"));
        assert_eq!(config.dev_identity.as_ref(), Some(&plan.agent));
        assert_eq!(config.listen.port(), 7412);
        assert!(config.policies.baseline);
        let without = files::config(&Plan { baseline: false, agent: name("a").unwrap(), ..plan });
        assert!(!parse(Path::new("/p/safeconduct.yaml"), &without).unwrap().policies.baseline);
    }
}
