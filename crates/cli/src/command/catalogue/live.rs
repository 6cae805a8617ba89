//! The tools of a server, as it lists them now.

use safeconduct_gateway::{Limits, UpstreamConfig};
use safeconduct_model::{ServerName, Value};

use crate::exit::{CommandError, failed};
use crate::wiring::project;
use crate::wiring::upstream::upstream_config;
use crate::{args::Shared, wiring};

/// Starts or reaches a server, asks for its tools, and ends it.
///
/// # Errors
/// The server cannot be started or reached, or does not answer as MCP says.
pub(crate) fn tools_of(upstream: &UpstreamConfig) -> Result<Vec<Value>, CommandError> {
    let what = format!("the server `{}`", upstream.name);
    let runtime = wiring::runtime()?;
    let listed = runtime.block_on(safeconduct_gateway::list_tools(upstream, &Limits::default()));
    runtime.shutdown_background();
    listed.map_err(|error| failed(&what, error))
}

/// The tools of an upstream of the configuration.
///
/// # Errors
/// The configuration has none of that name, or as [`tools_of`].
pub(super) fn configured(shared: &Shared, name: &ServerName) -> Result<Vec<Value>, CommandError> {
    let config = project::read_config(&shared.config)?;
    let upstream = config.upstreams.get(name).ok_or_else(|| {
        let known: Vec<&str> = config.upstreams.keys().map(ServerName::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CommandError::Failed(format!("the configuration has no upstream `{name}`; it has {known}"))
    })?;
    tools_of(&upstream_config(name, upstream)?)
}
