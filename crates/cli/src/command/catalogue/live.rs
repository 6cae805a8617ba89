//! What a server says of itself now: its tools, and how it greets.

use safeconduct_gateway::{Described, Limits, UpstreamConfig};
use safeconduct_model::ServerName;

use crate::exit::{CommandError, failed};
use crate::wiring::project;
use crate::wiring::upstream::upstream_config;
use crate::{args::Shared, wiring};

/// Starts or reaches a server, asks for its tools and its greeting, and ends it.
///
/// # Errors
/// The server cannot be started or reached, or does not answer as MCP says.
pub(crate) fn described(upstream: &UpstreamConfig) -> Result<Described, CommandError> {
    let what = format!("the server `{}`", upstream.name);
    let runtime = wiring::runtime()?;
    let limits = Limits::default();
    let described = runtime.block_on(safeconduct_gateway::describe_server(upstream, &limits));
    runtime.shutdown_background();
    described.map_err(|error| failed(&what, error))
}

/// What an upstream of the configuration says of itself.
///
/// # Errors
/// The configuration has none of that name, or as [`described`].
pub(super) fn configured(shared: &Shared, name: &ServerName) -> Result<Described, CommandError> {
    let config = project::read_config(&shared.config)?;
    let upstream = config.upstreams.get(name).ok_or_else(|| {
        let known: Vec<&str> = config.upstreams.keys().map(ServerName::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CommandError::Failed(format!("the configuration has no upstream `{name}`; it has {known}"))
    })?;
    described(&upstream_config(name, upstream)?)
}
