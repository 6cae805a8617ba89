//! What is wrapped: upstreams of the configuration, and others for as long as a wrapper is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wiring::counted::Counted;
use safeconduct_gateway::{Approvals, Gateway, Transport, UpstreamConfig};
use safeconduct_model::{Mode, ServerName};
use safeconduct_wire::config::{self, Config};

use super::Hello;

/// The upstreams that wrappers brought, beside those of the configuration.
pub(super) struct Wrapped {
    config: Arc<Config>,
    gateway: Gateway<Counted>,
    brought: Mutex<BTreeMap<ServerName, Brought>>,
}

/// An upstream that the configuration does not have.
struct Brought {
    program: Program,
    wrappers: usize,
}

/// What is started, and how. Never shown: the environment may hold secrets.
#[derive(PartialEq, Eq)]
struct Program {
    command: Vec<String>,
    cwd: PathBuf,
    env: BTreeMap<String, String>,
}

/// One wrapper's use of an upstream; dropping it ends the use.
pub(super) struct Wrapping<'a> {
    wrapped: &'a Wrapped,
    server: ServerName,
    brought: bool,
}

impl Wrapping<'_> {
    /// The upstream.
    pub(super) const fn server(&self) -> &ServerName {
        &self.server
    }
}

impl Drop for Wrapping<'_> {
    fn drop(&mut self) {
        if self.brought {
            self.wrapped.leave(&self.server);
        }
    }
}

impl Wrapped {
    pub(super) fn new(config: Arc<Config>, gateway: Gateway<Counted>) -> Self {
        Self { config, gateway, brought: Mutex::default() }
    }

    /// Finds or takes in what a wrapper wraps, or says to the person who set it up why not.
    ///
    /// Where the configuration has an upstream of that name, the configuration counts, and a
    /// wrapper with another command is refused: else a client's settings could put another
    /// program behind a name that policies trust.
    pub(super) fn enter(&self, hello: Hello) -> Result<Wrapping<'_>, String> {
        let server = ServerName::new(hello.server.as_str()).map_err(|error| error.to_string())?;
        let brought = match self.config.upstreams.get(&server) {
            Some(configured) => {
                agrees(&server, configured, &hello.command)?;
                false
            }
            None => {
                let Hello { command, cwd, env, .. } = hello;
                self.bring(&server, Program { command, cwd, env })?;
                true
            }
        };
        Ok(Wrapping { wrapped: self, server, brought })
    }

    fn bring(&self, server: &ServerName, program: Program) -> Result<(), String> {
        match self.lock().entry(server.clone()) {
            Entry::Occupied(mut there) if there.get().program == program => {
                there.get_mut().wrappers += 1;
                Ok(())
            }
            Entry::Occupied(there) => Err(format!(
                "another wrapper has started `{}` as `{server}`, with other arguments, folder \
                 or environment: use another --server, or list it under `upstreams`",
                there.get().program.command.join(" ")
            )),
            Entry::Vacant(free) => {
                let upstream = upstream(server, &program)?;
                self.gateway.add_upstream(upstream).map_err(|error| error.to_string())?;
                free.insert(Brought { program, wrappers: 1 });
                Ok(())
            }
        }
    }

    fn leave(&self, server: &ServerName) {
        let mut brought = self.lock();
        let Some(there) = brought.get_mut(server) else { return };
        there.wrappers = there.wrappers.saturating_sub(1);
        if there.wrappers == 0 {
            brought.remove(server);
            self.gateway.remove_upstream(server);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerName, Brought>> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn upstream(server: &ServerName, program: &Program) -> Result<UpstreamConfig, String> {
    let (command, args) = program.command.split_first().ok_or("the command is empty")?;
    let transport = Transport::Stdio {
        command: command.into(),
        args: args.iter().map(Into::into).collect(),
        env: program.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        cwd: Some(program.cwd.clone()),
    };
    Ok(UpstreamConfig {
        name: server.clone(),
        transport,
        mode: Mode::Enforce,
        revision: None,
        call: None,
        answer_bytes: None,
        approvals: Approvals::default(),
    })
}

/// Whether a wrapper means what the configuration says.
fn agrees(
    server: &ServerName,
    configured: &config::Upstream,
    given: &[String],
) -> Result<(), String> {
    let config::Transport::Stdio { command, args, .. } = &configured.transport else {
        return Err(format!(
            "upstream `{server}` is reached over HTTP in the configuration, so no command can \
             stand for it: point the client at this server's /mcp/{server}, or use another name"
        ));
    };
    let expected: Vec<&str> = std::iter::once(command).chain(args).map(String::as_str).collect();
    if given.iter().map(String::as_str).eq(expected.iter().copied()) {
        return Ok(());
    }
    Err(format!(
        "upstream `{server}` is `{}` in the configuration, and `{}` was given: change one of \
         them, or use another name",
        expected.join(" "),
        given.join(" ")
    ))
}
