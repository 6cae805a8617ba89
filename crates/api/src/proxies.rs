//! From where a request came that a reverse proxy of ours has passed on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use http::{HeaderMap, HeaderName};
use safeconduct_model::Network;

use crate::PeerAddress;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most addresses of `X-Forwarded-For` that are looked at, from the last one on.
pub const FORWARDED_MAX: usize = 32;

/// Lets `X-Forwarded-For` say where callers are, of requests that come from addresses that
/// `trusted` knows as proxies. Anyone can write that header: it is read from its end, where
/// proxies add, and the first address that is no proxy's is the caller's. Where the header says
/// nothing that can be read, nobody knows where the caller is.
pub fn behind_proxies(
    router: Router,
    trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
) -> Router {
    let trusted = Arc::new(trusted);
    router.layer(axum::middleware::map_request(move |mut request: Request| {
        let trusted = Arc::clone(&trusted);
        async move {
            let peer = request.extensions().get::<PeerAddress>().copied();
            if peer.is_some_and(|PeerAddress(peer)| trusted(peer)) {
                let caller = caller(request.headers(), &*trusted);
                let extensions = request.extensions_mut();
                extensions.remove::<Network>();
                if let Some(caller) = caller {
                    extensions.insert(Network::of(caller));
                }
            }
            request
        }
    }))
}

/// The last address of the header that is no proxy's.
fn caller(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let values: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|v| v.to_str().unwrap_or_default()).collect();
    let named = values.iter().rev().flat_map(|value| value.rsplit(','));
    for text in named.take(FORWARDED_MAX) {
        let address = address(text.trim())?;
        if !trusted(address) {
            return Some(address);
        }
    }
    None
}

/// An address, with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse().ok().map(|at: std::net::SocketAddr| at.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let ours = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        caller(&headers, ours).map(|address| address.to_string())
    }

    #[test]
    fn what_a_caller_writes_before_the_proxies_does_not_count() {
        assert_eq!(found(&["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["198.51.100.1, 192.0.2.7, 10.0.0.9"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["198.51.100.1", "192.0.2.7, 10.0.0.9"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["192.0.2.7:4711"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["[2001:db8::1]:80"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(found(&["[2001:db8::1]"]).as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for values in [&[][..], &["unknown"], &["192.0.2.7, _hidden"], &["10.0.0.1"], &[""]] {
            assert_eq!(found(values), None, "{values:?}");
        }
        let long = "10.0.0.1, ".repeat(FORWARDED_MAX) + "10.0.0.1";
        assert_eq!(found(&[&format!("192.0.2.7, {long}")]), None);
    }
}
