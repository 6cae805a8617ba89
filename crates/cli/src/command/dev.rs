//! `safeconduct dev`: a server to try things with. Everything that it keeps is temporary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safeconduct_model::{IdentityId, IdentityKind};
use serde::Serialize;
use tempfile::TempDir;

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format};
use crate::sample::{self, Sample};
use crate::wiring::bootstrap::{self, ADMIN_TOKEN_FILE};
use crate::wiring::project::Project;
use crate::wiring::server::{self, Running};
use crate::wiring::{gate, runtime, telemetry};

/// How long the tokens of `dev` last, in milliseconds: one day.
const TOKEN_TTL_MS: i64 = 86_400_000;

/// Serves until it is told to stop.
pub(crate) fn run(shared: &Shared, args: args::Dev) -> Result<Exit, CommandError> {
    let folder = tempfile::Builder::new()
        .prefix("safeconduct-dev-")
        .tempdir()
        .map_err(|error| failed("temporary folder", error))?;
    let (project, sampled) = project(&shared.config, &folder)?;
    let identity = identity(&project)?;
    let servers: Vec<String> = project.config.upstreams.keys().map(ToString::to_string).collect();
    runtime()?.block_on(async {
        let _telemetry = telemetry::start(project.config.otlp_endpoint.as_deref(), shared.quiet)?;
        let keys = project.config.keys.clone();
        let running = server::start(project, args.listen).await?;
        let token = bootstrap::mint(&running.service, &identity, TOKEN_TTL_MS).await?;
        let ready = Ready::new(&running, token, &servers, &identity, &keys.join(ADMIN_TOKEN_FILE));
        let ending = running.ending()?;
        match shared.output {
            Format::Json => {
                let line = serde_json::to_string(&ready).map_err(|e| failed("output", e))?;
                output::print_line(&line)?;
            }
            _ => output::print(&ready.for_people(sampled.as_deref()))?,
        }
        ending.come().await;
        running.stop().await;
        Ok(Exit::Ok)
    })
}

/// The project of the configuration file, or the sample world where there is no such file and
/// none was asked for; its data and keys in the temporary folder.
fn project(file: &Path, folder: &TempDir) -> Result<(Project, Option<PathBuf>), CommandError> {
    let sampled = !file.exists() && file == Path::new("safeconduct.yaml");
    let world = folder.path().join("world");
    let file = if sampled { sample::write(Sample::CaseNotes, &world)? } else { file.to_owned() };
    let mut project = gate::project(&file)?;
    project.config.data = folder.path().join("data");
    project.config.keys = folder.path().join("keys");
    Ok((project, sampled.then_some(world)))
}

/// Whose token is printed: the configuration's `dev.identity`, or its first agent.
pub(crate) fn identity(project: &Project) -> Result<IdentityId, CommandError> {
    let agents =
        project.config.identities.iter().filter(|identity| identity.kind == IdentityKind::Agent);
    let first = agents.map(|identity| identity.id.clone()).next();
    project.config.dev_identity.clone().or(first).ok_or_else(|| {
        not_valid(format!(
            "{}: names no `dev.identity` and no identity of kind agent, so there is no token to print",
            project.file.display()
        ))
    })
}

/// What is printed once the server is ready.
#[derive(Serialize)]
struct Ready {
    url: String,
    /// The agent's.
    token: String,
    pid: u32,
    /// The URL of each upstream.
    mcp: BTreeMap<String, String>,
    identity: String,
    /// The file with the administrator's token: not for an agent.
    admin_token_file: String,
}

impl Ready {
    fn new(
        running: &Running,
        token: String,
        servers: &[String],
        identity: &IdentityId,
        admin_token_file: &Path,
    ) -> Self {
        let url = running.url();
        Self {
            mcp: servers.iter().map(|name| (name.clone(), format!("{url}/mcp/{name}"))).collect(),
            token,
            pid: std::process::id(),
            identity: identity.to_string(),
            admin_token_file: admin_token_file.display().to_string(),
            url,
        }
    }

    fn for_people(&self, sampled: Option<&Path>) -> String {
        let mut text = String::from(
            "Safeconduct in DEV MODE: temporary data, loopback, a token on your screen.\n\
             Everything is gone when this ends. Not for production: use `safeconduct server`.\n\n",
        );
        if let Some(world) = sampled {
            text += &format!("the sample world lies in {}\n\n", world.display());
        }
        for (name, url) in &self.mcp {
            text += &format!("MCP server {name:12} {url}\n");
        }
        text += &format!(
            "decisions (AuthZEN)     {}/access/v1/evaluation\n\n\
             # for the agent `{}`, and for nobody else:\n\
             export SAFECONDUCT_URL={}\n\
             export SAFECONDUCT_TOKEN={}\n\n\
             # for you, in another terminal; never for an agent:\n\
             export SAFECONDUCT_URL={}\n\
             export SAFECONDUCT_TOKEN_FILE={}\n\n\
             Ctrl-C ends it.\n",
            self.url, self.identity, self.url, self.token, self.url, self.admin_token_file,
        );
        text
    }
}
