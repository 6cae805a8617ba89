//! From the configuration's upstreams to the gateway's: the environment is read here.

use std::ffi::OsString;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use safeconduct_gateway::{Approvals, GatewayConfig, Limits, Revision, Transport, UpstreamConfig};
use safeconduct_model::ServerName;
use safeconduct_wire::config::{self, Config};

use crate::exit::{CommandError, failed};
use crate::wiring::token_service;

/// The gateway that a configuration describes.
///
/// # Errors
/// A header does not fit, or a variable of the environment that it names is not set.
pub(crate) fn gateway_config(config: &Config) -> Result<GatewayConfig, CommandError> {
    let upstreams = config
        .upstreams
        .iter()
        .map(|(name, upstream)| upstream_config(name, upstream))
        .collect::<Result<_, _>>()?;
    Ok(GatewayConfig {
        upstreams,
        allowed_hosts: token_service::hosts(config).into_iter().collect(),
        allowed_origins: config.origins.iter().cloned().collect(),
        pages: config.sign_in.as_ref().map(|sign_in| sign_in.base_url.clone()),
        limits: Limits { request_bytes: config.message_bytes, ..Limits::default() },
        ..GatewayConfig::default()
    })
}

/// One upstream that a configuration describes.
///
/// # Errors
/// A header does not fit, or a variable of the environment that it names is not set.
pub(crate) fn upstream_config(
    name: &ServerName,
    upstream: &config::Upstream,
) -> Result<UpstreamConfig, CommandError> {
    let transport = match &upstream.transport {
        config::Transport::Stdio { command, args, env, pass_env, cwd } => Transport::Stdio {
            command: command.into(),
            args: args.iter().map(OsString::from).collect(),
            env: environment(env, pass_env),
            cwd: Some(cwd.clone()),
        },
        config::Transport::Http { url, headers } => {
            let headers = headers
                .iter()
                .map(|(header, value)| self::header(name, header, value))
                .collect::<Result<HeaderMap, _>>()?;
            Transport::Http { url: url.clone(), headers }
        }
    };
    Ok(UpstreamConfig {
        name: name.clone(),
        transport,
        mode: upstream.mode,
        revision: revision(upstream.revision),
        call: Some(Duration::from_secs(upstream.timeout_s.into())),
        answer_bytes: Some(upstream.result_bytes_max),
        approvals: match upstream.approvals {
            config::ApprovalsWord::OnDenial => Approvals::OnDenial,
            config::ApprovalsWord::OnRequest => Approvals::OnRequest,
        },
    })
}

/// The revision that a configuration names; `None` where the server is to be asked.
const fn revision(configured: config::Revision) -> Option<Revision> {
    match configured {
        config::Revision::Auto => None,
        config::Revision::Mcp20250618 => Some(Revision::V2025_06_18),
        config::Revision::Mcp20251125 => Some(Revision::V2025_11_25),
        config::Revision::Mcp20260728 => Some(Revision::V2026_07_28),
    }
}

/// What a child process gets of the environment: what is listed, and `PATH` to start by.
fn environment(
    given: &std::collections::BTreeMap<String, config::Secret>,
    passed: &std::collections::BTreeSet<String>,
) -> Vec<(OsString, OsString)> {
    let path = (!given.contains_key("PATH")).then_some("PATH");
    let ours =
        passed.iter().map(String::as_str).chain(path).collect::<std::collections::BTreeSet<_>>();
    let mut all: Vec<(OsString, OsString)> =
        ours.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
    all.extend(given.iter().map(|(name, value)| (name.into(), value.reveal().into())));
    all
}

fn header(
    upstream: &ServerName,
    name: &str,
    value: &config::HeaderValue,
) -> Result<(HeaderName, HeaderValue), CommandError> {
    let what = format!("upstreams.{upstream}.http.headers.{name}");
    let text = match value {
        config::HeaderValue::Given(secret) => secret.reveal().to_owned(),
        config::HeaderValue::Environment(variable) => std::env::var(variable).map_err(|_| {
            CommandError::Failed(format!("{what}: the variable `{variable}` is not set"))
        })?,
    };
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&what, error))?;
    // The error says nothing of the value, which may be a secret.
    let mut value = HeaderValue::from_str(&text).map_err(|error| failed(&what, error))?;
    value.set_sensitive(true);
    Ok((header, value))
}
