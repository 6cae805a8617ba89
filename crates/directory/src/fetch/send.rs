//! Sending something, under the rules of fetching: to addresses that were looked at, over TLS, and
//! nowhere else.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use tokio::time::timeout;
use url::Url;

use super::{Authority, FetchError, FetchRules, addresses, checked, client_within, failed};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

/// What is sent. Its headers may hold secrets, so it has no `Debug`.
pub struct Outgoing {
    /// What is done.
    pub verb: Verb,
    /// Where.
    pub url: String,
    /// Headers, by name.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Longest answer that is read, in bytes.
    pub answer_bytes_max: usize,
    /// How long all of it may take.
    pub within: Duration,
}

/// What came back, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// After how many seconds the other side wants to be asked again, where it says so in seconds.
    pub retry_after_s: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends one request. No redirect is followed: it is an answer like any other.
///
/// # Errors
/// [`FetchError`]: the configuration or the other side is at fault. No secret is in it.
pub async fn send(
    outgoing: Outgoing,
    rules: &FetchRules,
    authority: &Authority,
) -> Result<Answered, FetchError> {
    let url = checked(&outgoing.url)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    match timeout(outgoing.within, one(&url, &host, outgoing, rules, authority)).await {
        Ok(answered) => answered,
        Err(_) => Err(FetchError::TimedOut { host }),
    }
}

async fn one(
    url: &Url,
    host: &str,
    outgoing: Outgoing,
    rules: &FetchRules,
    authority: &Authority,
) -> Result<Answered, FetchError> {
    let addresses = addresses(url, host, rules).await?;
    let client = client_within(host, &addresses, authority, outgoing.within, outgoing.within)?;
    let method = match outgoing.verb {
        Verb::Get => Method::GET,
        Verb::Post => Method::POST,
        Verb::Patch => Method::PATCH,
        Verb::Put => Method::PUT,
        Verb::Delete => Method::DELETE,
    };
    let mut request = client.request(method, url.clone());
    for (name, value) in &outgoing.headers {
        let unfit = || FetchError::Url { url: host.to_owned(), problem: "a header does not fit" };
        let name = HeaderName::try_from(*name).map_err(|_| unfit())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    if !outgoing.body.is_empty() {
        request = request.body(outgoing.body);
    }
    let mut response = request.send().await.map_err(|error| failed(host, &error.without_url()))?;
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let (status, retry_after_s) =
        (response.status().as_u16(), retry_after.and_then(|after| after.trim().parse().ok()));
    let (limit, mut body) = (outgoing.answer_bytes_max, Vec::new());
    while let Some(chunk) =
        response.chunk().await.map_err(|error| failed(host, &error.without_url()))?
    {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLong { host: host.to_owned(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answered { status, retry_after_s, body })
}
