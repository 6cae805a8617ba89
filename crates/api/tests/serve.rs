//! Serving on real sockets: limits, the local peer, and stopping.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use safeconduct_api::{HEADER_BYTES_MAX, HEADERS_MAX, serve, serve_unix};
use safeconduct_model::{IdentityId, TokenId};
use safeconduct_service::Service;
use support::*;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Sends a request that asks for the connection to be closed, and reads all of the answer.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // The server may close while it still is sent bytes that it does not want.
    let _ = timeout(Duration::from_secs(20), read).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn request(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn heads_over_their_limits_are_refused() {
    let fixture = Fixture::in_memory().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, fixture.router.clone(), async {
        let _ = stopped.await;
    }));
    for (more, status) in [
        (String::new(), "200"),
        ("x: y\r\n".repeat(HEADERS_MAX + 1), "431"),
        (format!("x: {}\r\n", "y".repeat(HEADER_BYTES_MAX)), "431"),
        ("broken\r\n".into(), "400"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = exchange(&mut stream, &request("/healthz", &more)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
    }
    // An idle connection does not keep the server from stopping.
    let _idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_comes_through_the_socket_is_the_local_peer_unless_a_token_says_otherwise() {
    let fixture = Fixture::in_memory().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (id, token) = (IdentityId::new(ADMINISTRATOR).unwrap(), TokenId::new("local").unwrap());
    let peer = Service::local_peer(id, token, fixture.service.now());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve_unix(listener, fixture.router.clone(), peer, async {
        let _ = stopped.await;
    }));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(&mut stream, &request("/v1/whoami", "")).await;
    assert!(answer.contains("local_peer") && answer.contains("administrator"), "{answer}");
    let more = format!("Authorization: Bearer {}\r\n", fixture.tokens[NOBODY]);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(&mut stream, &request("/v1/whoami", &more)).await;
    assert!(answer.contains("api_key") && answer.contains("nobody"), "{answer}");
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let wrong = "Authorization: Bearer wrong\r\n";
    let answer = exchange(&mut stream, &request("/v1/whoami", wrong)).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    stop.send(()).unwrap();
    timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
}
