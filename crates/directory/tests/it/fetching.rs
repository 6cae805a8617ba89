//! Fetched URLs: slow, huge, redirecting, inward-pointing.

use std::time::{Duration, Instant};

use safeconduct_directory::fetch::{
    Authority, BODY_BYTES_MAX, FETCH_MS, FetchError, FetchRules, Loopback, Network, Redirects,
    SILENCE_MS, fetch,
};

use crate::server::{Answer, Server};

fn loopback() -> FetchRules {
    FetchRules { private_networks: Vec::new(), loopback: Loopback::Accepted }
}

async fn get(url: &str, redirects: Redirects) -> Result<Vec<u8>, FetchError> {
    fetch(url, &loopback(), redirects, &Authority::Web).await
}

#[tokio::test]
async fn what_is_there_is_fetched() {
    let server = Server::start().await;
    server.set("/keys", Answer::Json("{}".into()));
    assert_eq!(get(&server.url("/keys"), Redirects::Refused).await.unwrap(), b"{}");
    let missing = get(&server.url("/other"), Redirects::Refused).await;
    assert!(matches!(missing, Err(FetchError::Status { status: 404, .. })));
}

#[tokio::test]
async fn inward_addresses_are_refused_unless_they_are_meant() {
    let strict = FetchRules::default();
    for host in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "localhost",
    ] {
        let url = format!("https://{host}:1/keys");
        let error = fetch(&url, &strict, Redirects::Refused, &Authority::Web).await.unwrap_err();
        assert!(matches!(error, FetchError::Inward { .. }), "{host}: {error}");
    }
    // A network that is meant is connected to: nobody listens there, which is another error.
    let rules = FetchRules {
        private_networks: vec![Network::parse("127.0.0.0/8").unwrap()],
        loopback: Loopback::Refused,
    };
    let error = fetch("https://127.0.0.1:1/", &rules, Redirects::Refused, &Authority::Web).await;
    assert!(matches!(error, Err(FetchError::Connection { .. })));
    // Also where loopback is accepted, nothing else inward is.
    let error = fetch("https://10.0.0.1/", &loopback(), Redirects::Refused, &Authority::Web).await;
    assert!(matches!(error, Err(FetchError::Inward { .. })));
}

#[tokio::test]
async fn only_https_is_spoken_save_to_this_machine() {
    let strict = FetchRules::default();
    let plain = fetch("http://127.0.0.1:1/", &strict, Redirects::Refused, &Authority::Web);
    assert!(matches!(plain.await, Err(FetchError::Url { .. })));
    for url in [
        "http://8.8.8.8/keys",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https://u:hunter2@127.0.0.1/",
        "https://127.0.0.1/#x",
        "gopher://x",
        "",
        "/keys",
        "unix:/x",
    ] {
        let error = get(url, Redirects::Refused).await.unwrap_err();
        assert!(matches!(error, FetchError::Url { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (server, other) = (Server::start().await, Server::start().await);
    other.set("/keys", Answer::Json("{}".into()));
    for to in [other.url("/keys"), "/there".into(), "http://169.254.169.254/".into()] {
        server.set("/keys", Answer::Redirect(to));
        let error = get(&server.url("/keys"), Redirects::Refused).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    }
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn bundle_endpoints_may_redirect_within_their_host_only() {
    let (server, other) = (Server::start().await, Server::start().await);
    other.set("/b", Answer::Json("{}".into()));
    server.set("/b", Answer::Json("{}".into()));
    server.set("/a", Answer::Redirect("/b".into()));
    assert_eq!(get(&server.url("/a"), Redirects::SameHost).await.unwrap(), b"{}");
    for to in [
        other.url("/b"),
        format!("https://127.0.0.1:{}/b", server.port),
        "ftp://127.0.0.1/b".into(),
    ] {
        server.set("/a", Answer::Redirect(to));
        let error = get(&server.url("/a"), Redirects::SameHost).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    }
    server.set("/a", Answer::Redirect("/a".into()));
    let error = get(&server.url("/a"), Redirects::SameHost).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let server = Server::start().await;
    server.set("/keys", Answer::Huge);
    let error = get(&server.url("/keys"), Redirects::Refused).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong { limit: BODY_BYTES_MAX, .. }));
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let server = Server::start().await;
    server.set("/silent", Answer::Silence);
    server.set("/drip", Answer::Drip);
    let begun = Instant::now();
    let (silent_url, drip_url) = (server.url("/silent"), server.url("/drip"));
    let silent = get(&silent_url, Redirects::Refused);
    let drip = get(&drip_url, Redirects::Refused);
    let (silent, drip) = tokio::join!(silent, drip);
    assert!(matches!(silent, Err(FetchError::TimedOut { .. })), "{silent:?}");
    assert!(matches!(drip, Err(FetchError::TimedOut { .. })), "{drip:?}");
    assert!(begun.elapsed() < Duration::from_millis(FETCH_MS + SILENCE_MS));
}
