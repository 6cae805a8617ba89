//! Who may knock at all: hosts and origins, against DNS rebinding.

use std::collections::BTreeSet;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};

use crate::config::GatewayConfig;

/// Hosts and origins that requests may name.
#[derive(Debug, Default)]
pub(crate) struct Allowed {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
}

/// What a request names that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barred {
    Host,
    Origin,
}

impl Allowed {
    pub(crate) fn new(config: &GatewayConfig) -> Self {
        let lower = |all: &[String]| all.iter().map(|one| one.to_ascii_lowercase()).collect();
        Self { hosts: lower(&config.allowed_hosts), origins: lower(&config.allowed_origins) }
    }

    /// Checks the host that a request was sent to, and the origin that a browser names.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Barred> {
        let mut hosts = headers.get_all(HOST).iter();
        let header = hosts.next().and_then(|host| host.to_str().ok());
        let named = uri.authority().map(http::uri::Authority::as_str).or(header);
        let host = named.and_then(hostname).filter(|_| hosts.next().is_none());
        if !host.is_some_and(|host| self.host(&host)) {
            return Err(Barred::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|o| self.origin(o)) => Ok(()),
            _ => Err(Barred::Origin),
        }
    }

    fn host(&self, host: &str) -> bool {
        is_loopback(host) || self.hosts.contains(host)
    }

    fn origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = origin.split_once("://").and_then(|(_, authority)| hostname(authority));
        self.origins.contains(&origin) || host.is_some_and(|host| is_loopback(&host))
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// The name in `host:port`, in lower case; `None` where there is anything else in it.
fn hostname(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (_, port) = rest.split_once(']')?;
            (
                authority.strip_suffix(port)?,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    let fits = !host.is_empty()
        && host.chars().all(plain)
        && port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    fits.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(host: &str, origin: Option<&str>) -> Result<(), Barred> {
        let config = GatewayConfig {
            allowed_hosts: vec!["Gateway.Example.org".into()],
            allowed_origins: vec!["https://app.example.org".into()],
            ..GatewayConfig::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())));
        Allowed::new(&config).check(&Uri::from_static("/mcp/x"), &headers)
    }

    #[test]
    fn only_known_hosts_and_origins_pass() {
        for host in
            ["localhost:80", "127.0.0.1:8443", "[::1]:1", "gateway.example.org", "LOCALHOST"]
        {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example.com",
            "localhost.evil.com",
            "127.0.0.1@evil",
            "localhost:80:80",
            "127.0.0.2",
            "",
            "[::1]x",
            "gateway.example.org.",
        ] {
            assert_eq!(check(host, None), Err(Barred::Host), "{host}");
        }
        for origin in ["http://localhost:3000", "https://app.example.org", "http://127.0.0.1"] {
            assert_eq!(check("localhost", Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.example.com",
            "null",
            "https://app.example.org:8443",
            "http://localhost.evil.com",
            "http://localhost@evil.com",
        ] {
            assert_eq!(check("localhost", Some(origin)), Err(Barred::Origin), "{origin}");
        }
        let none = Allowed::default().check(&Uri::from_static("/"), &HeaderMap::new());
        assert_eq!(none, Err(Barred::Host));
    }
}
