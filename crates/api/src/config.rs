//! What a deployment may set of the HTTP side.

use std::collections::BTreeSet;

use http::Uri;
use thiserror::Error;

/// Which names a request may call this server by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any: right only behind a proxy that checks it.
    DangerousAny,
    /// The host of the base URL, the loopback names, and these (`host` or `host:port`, lowercase).
    Only(BTreeSet<String>),
}

/// What a deployment may set of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// The URL by which others reach this server, without a path: `https://pdp.example`. It is
    /// the decision point's identifier in the AuthZEN metadata.
    pub base_url: String,
    /// Which names a request may call it by.
    pub hosts: Hosts,
    /// Origins (`https://console.example`) whose pages may send requests, beside the base URL's.
    pub origins: BTreeSet<String>,
}

/// Why no API can be made of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The configuration's fault.
    #[error("`{base_url}` is no base URL: {problem}")]
    BaseUrl {
        /// What was configured.
        base_url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Our fault: the policies of our own administration do not load.
    #[error(transparent)]
    Administration(#[from] safeconduct_service::AdministrationError),
}

/// Names of this machine that no resolver can point elsewhere.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Which hosts and origins are let in: a page of another site that makes its own name resolve to
/// this server (DNS rebinding) is turned away by either.
#[derive(Debug)]
pub(crate) struct Doors {
    /// `None` lets every name in.
    hosts: Option<BTreeSet<String>>,
    origins: BTreeSet<String>,
}

impl Doors {
    pub(crate) fn new(config: &ApiConfig) -> Result<Self, ApiError> {
        let problem = |problem| ApiError::BaseUrl { base_url: config.base_url.clone(), problem };
        let uri: Uri = config.base_url.parse().map_err(|_| problem("it is no URL"))?;
        let scheme = uri.scheme_str().ok_or_else(|| problem("it has no scheme"))?;
        let authority = uri.authority().ok_or_else(|| problem("it has no host"))?;
        if !matches!(scheme, "http" | "https") {
            return Err(problem("its scheme is neither `http` nor `https`"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(problem("it has a path or a query"));
        }
        let authority = authority.as_str().to_ascii_lowercase();
        let mut origins = config.origins.clone();
        origins.insert(format!("{scheme}://{authority}"));
        let hosts = match &config.hosts {
            Hosts::DangerousAny => None,
            Hosts::Only(names) => {
                let own = std::iter::once(authority.as_str()).chain(LOOPBACK).map(str::to_owned);
                Some(own.chain(names.iter().map(|name| name.to_ascii_lowercase())).collect())
            }
        };
        Ok(Self { hosts, origins })
    }

    /// Whether a `Host` is one of ours, with or without its port.
    pub(crate) fn lets_host_in(&self, host: &str) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let known = |host: &str| hosts.contains(host) || hosts.contains(without_port(host));
        // Nearly everyone writes it in lower case, and then nothing is copied.
        known(host) || known(&host.to_ascii_lowercase())
    }

    /// Whether a page of that origin may send requests.
    pub(crate) fn lets_origin_in(&self, origin: &str) -> bool {
        self.origins.contains(origin)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of a bare IPv6 address stand inside brackets.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(hosts: Hosts) -> Doors {
        let base_url = "https://PDP.example:8443".to_owned();
        Doors::new(&ApiConfig { base_url, hosts, origins: BTreeSet::new() }).unwrap()
    }

    #[test]
    fn a_foreign_name_is_turned_away() {
        let doors = doors(Hosts::Only(BTreeSet::from(["alias.example".to_owned()])));
        for host in ["pdp.example:8443", "localhost:3000", "127.0.0.1", "[::1]:9", "ALIAS.example"]
        {
            assert!(doors.lets_host_in(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8443", "localhost.evil.example", "", "[::2]:9"] {
            assert!(!doors.lets_host_in(host), "{host}");
        }
        assert!(doors.lets_origin_in("https://pdp.example:8443"));
        assert!(!doors.lets_origin_in("https://evil.example"));
        assert!(!doors.lets_origin_in("null"));
    }

    #[test]
    fn any_name_is_let_in_only_where_that_was_chosen() {
        assert!(doors(Hosts::DangerousAny).lets_host_in("evil.example"));
    }

    #[test]
    fn a_base_url_is_scheme_and_host() {
        for base_url in ["pdp.example", "ftp://pdp.example", "https://pdp.example/a", "", "https:"]
        {
            let config = ApiConfig {
                base_url: base_url.into(),
                hosts: Hosts::DangerousAny,
                origins: BTreeSet::new(),
            };
            assert!(Doors::new(&config).is_err(), "{base_url}");
        }
    }
}
