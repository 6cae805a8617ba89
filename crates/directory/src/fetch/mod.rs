//! Fetching keys: the one HTTP client for every URL that comes from the configuration or from a
//! discovery document.
//!
//! What it is there to prevent: that somebody who may write a URL somewhere makes us speak to
//! what only we can reach. A name is resolved once, every address is looked at, and the
//! connection goes to those addresses and no others, so that a second answer of the name server
//! changes nothing. Nothing but `https` is spoken (save to this machine itself, where the
//! configuration says so), no proxy of the environment is used, and redirects are not followed.

mod address;
mod send;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;
use url::{Host, Url};

pub use address::*;
pub use send::{Answered, Outgoing, Verb, send};

/// Longest answer that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a name may take to resolve, and a connection to stand, in milliseconds, each.
pub const CONNECT_MS: u64 = 3_000;
/// How long the other side may send nothing, in milliseconds.
pub const SILENCE_MS: u64 = 3_000;
/// How long one fetch may take in all, in milliseconds.
pub const FETCH_MS: u64 = 8_000;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Most redirects that are followed, where any are.
const REDIRECTS_MAX: usize = 3;

/// Where may be fetched from, beside the public internet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchRules {
    /// Networks that are not public and are meant all the same.
    pub private_networks: Vec<Network>,
    /// What is done about `http:` to this very machine.
    pub loopback: Loopback,
}

impl FetchRules {
    /// The rules of a configuration.
    ///
    /// # Errors
    /// In words, where one of the networks is none.
    pub fn of<'a>(
        private_networks: impl IntoIterator<Item = &'a String>,
        http_on_loopback: bool,
    ) -> Result<Self, String> {
        let networks = private_networks.into_iter().map(|text| {
            Network::parse(text).ok_or_else(|| format!("has `{text}`, which is no network"))
        });
        Ok(Self {
            private_networks: networks.collect::<Result<_, _>>()?,
            loopback: if http_on_loopback { Loopback::Accepted } else { Loopback::Refused },
        })
    }
}

/// What is done about `http:` to this very machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loopback {
    /// It is refused, as every other inward address.
    #[default]
    Refused,
    /// It is accepted, for trials and tests.
    Accepted,
}

/// What is done about redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// They are an error.
    Refused,
    /// They are followed to another path of the same host and port: what `https_web` bundle
    /// endpoints need (SPIFFE Federation section 5.2.1).
    SameHost,
}

/// Whose word counts for the server's certificate.
#[derive(Debug, Clone)]
pub enum Authority {
    /// That of the web's authorities, as this machine has them.
    Web,
    /// What this configuration says.
    Own(Box<rustls::ClientConfig>),
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is no URL that is fetched from.
    #[error("`{url}` cannot be fetched: {problem}")]
    Url {
        /// The URL, without what could be secret in it.
        url: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The name has no address.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// An address of the host is not public.
    #[error(
        "`{host}` leads to {address}, which is not public: if that is meant, list its network under `private_networks`"
    )]
    Inward {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The server redirects.
    #[error("`{host}` redirects, which is not followed")]
    Redirect {
        /// The host.
        host: String,
    },
    /// The server answers with something else than 200.
    #[error("`{host}` answers with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
    /// The answer is too long.
    #[error("`{host}` answers with more than {limit} bytes")]
    TooLong {
        /// The host.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// It took too long.
    #[error("`{host}` took too long")]
    TimedOut {
        /// The host.
        host: String,
    },
    /// The connection failed, TLS included.
    #[error("`{host}` could not be reached: {problem}")]
    Connection {
        /// The host.
        host: String,
        /// What the library says.
        problem: String,
    },
}

/// Fetches one document.
///
/// # Errors
/// [`FetchError`]: the configuration or the other side is at fault.
pub async fn fetch(
    url: &str,
    rules: &FetchRules,
    redirects: Redirects,
    authority: &Authority,
) -> Result<Vec<u8>, FetchError> {
    let mut url = checked(url)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let all = async {
        for _ in 0..=REDIRECTS_MAX {
            match one(&url, &host, rules, authority).await? {
                Answer::Body(body) => return Ok(body),
                Answer::Redirect(to) => {
                    let to = url.join(&to).ok().and_then(|to| checked(to.as_str()).ok());
                    match to.filter(|to| redirects == Redirects::SameHost && same_server(to, &url))
                    {
                        Some(to) => url = to,
                        None => break,
                    }
                }
            }
        }
        Err(FetchError::Redirect { host: host.clone() })
    };
    match timeout(Duration::from_millis(FETCH_MS), all).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::TimedOut { host: host.clone() }),
    }
}

fn same_server(a: &Url, b: &Url) -> bool {
    let server = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host().map(|host| host.to_owned()),
            url.port_or_known_default(),
        )
    };
    server(a) == server(b)
}

fn checked(text: &str) -> Result<Url, FetchError> {
    let refuse = |url: &str, problem| {
        let shown = url.chars().take(120).filter(|c| !c.is_control()).collect();
        FetchError::Url { url: shown, problem }
    };
    if text.len() > URL_BYTES_MAX {
        return Err(refuse("", "it is too long"));
    }
    let url = Url::parse(text).map_err(|_| refuse("", "it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("", "it carries a name or password"));
    }
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(refuse(text, "it is not `https`"));
    }
    if url.fragment().is_some() {
        return Err(refuse(text, "it has a fragment"));
    }
    Ok(url)
}

enum Answer {
    Body(Vec<u8>),
    Redirect(String),
}

async fn one(
    url: &Url,
    host: &str,
    rules: &FetchRules,
    authority: &Authority,
) -> Result<Answer, FetchError> {
    let addresses = addresses(url, host, rules).await?;
    let client = client(host, &addresses, authority)?;
    let failed = |error: reqwest::Error| failed(host, &error);
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get("location").and_then(|to| to.to_str().ok());
        return Ok(Answer::Redirect(to.unwrap_or_default().to_owned()));
    }
    if status != reqwest::StatusCode::OK {
        return Err(FetchError::Status { host: host.to_owned(), status: status.as_u16() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::TooLong { host: host.to_owned(), limit: BODY_BYTES_MAX });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer::Body(body))
}

/// Every address of the host, each of which may be connected to. One that may not spoils all, so
/// that a name with two faces is noticed.
async fn addresses(
    url: &Url,
    host: &str,
    rules: &FetchRules,
) -> Result<Vec<SocketAddr>, FetchError> {
    let none = || FetchError::NoAddress { host: host.to_owned() };
    let port = url.port_or_known_default().ok_or_else(none)?;
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(v4)) => vec![(v4, port).into()],
        Some(Host::Ipv6(v6)) => vec![(v6, port).into()],
        Some(Host::Domain(name)) => {
            let lookup = tokio::net::lookup_host((name, port));
            match timeout(Duration::from_millis(CONNECT_MS), lookup).await {
                Ok(found) => found.map_err(|_| none())?.collect(),
                Err(_) => return Err(FetchError::TimedOut { host: host.to_owned() }),
            }
        }
        None => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(none());
    }
    let loopback =
        |ip: IpAddr| ip.to_canonical().is_loopback() && rules.loopback == Loopback::Accepted;
    if url.scheme() == "http" && !addresses.iter().all(|address| loopback(address.ip())) {
        let url = format!("{}://{host}", url.scheme());
        return Err(FetchError::Url { url, problem: "it is not `https`" });
    }
    let meant = |ip: IpAddr| {
        is_public(ip)
            || loopback(ip)
            || rules.private_networks.iter().any(|network| network.contains(ip.to_canonical()))
    };
    match addresses.iter().map(SocketAddr::ip).find(|ip| !meant(*ip)) {
        None => Ok(addresses),
        Some(address) => Err(FetchError::Inward { host: host.to_owned(), address }),
    }
}

/// A client for this one fetch, bound to the addresses that were looked at.
fn client(
    host: &str,
    addresses: &[SocketAddr],
    authority: &Authority,
) -> Result<reqwest::Client, FetchError> {
    let silence = Duration::from_millis(SILENCE_MS);
    client_within(host, addresses, authority, Duration::from_millis(FETCH_MS), silence)
}

fn client_within(
    host: &str,
    addresses: &[SocketAddr],
    authority: &Authority,
    within: Duration,
    silence: Duration,
) -> Result<reqwest::Client, FetchError> {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve_to_addrs(host, addresses)
        .connect_timeout(Duration::from_millis(CONNECT_MS))
        .read_timeout(silence)
        .timeout(within)
        .pool_max_idle_per_host(0)
        .user_agent("safeconduct");
    let builder = match authority {
        Authority::Web => builder,
        Authority::Own(config) => builder.tls_backend_preconfigured((**config).clone()),
    };
    builder.build().map_err(|error| failed(host, &error))
}

fn failed(host: &str, error: &reqwest::Error) -> FetchError {
    let host = host.to_owned();
    if error.is_timeout() {
        return FetchError::TimedOut { host };
    }
    let mut problem = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        // The innermost says it; those around it repeat the URL.
        problem = error.to_string();
        cause = error.source();
    }
    FetchError::Connection { host, problem: problem.chars().take(200).collect() }
}
