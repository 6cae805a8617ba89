//! Serving a router on a listener, within limits that do not depend on what is served.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use safeconduct_model::Authentication;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// Most connections at once. Others wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Most headers of a request. More are refused with 431.
pub const HEADERS_MAX: usize = 100;

/// Longest head of a request (request line and headers), in bytes. A longer one is refused
/// with 431.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long a client may take to send the head of a request.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open requests may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long accepting pauses where the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves a router until `stop` resolves, then lets open requests end, for at most 10 s. Call
/// [`crate::Api::stop`] at the same time, so that streams end.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        // An answer is one small write: it must not wait for the client's acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    serve_all(accept, router, None, stop).await;
}

/// As [`serve`], on a Unix socket that only its owner can open: what comes through it without a
/// token is taken to come from `peer`.
pub async fn serve_unix(
    listener: UnixListener,
    router: Router,
    peer: Authentication,
    stop: impl Future<Output = ()>,
) {
    let accept = || async { listener.accept().await.map(|(stream, _)| stream) };
    serve_all(accept, router, Some(Arc::new(peer)), stop).await;
}

async fn serve_all<S, F>(
    accept: impl Fn() -> F,
    router: Router,
    peer: Option<Arc<Authentication>>,
    stop: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = std::io::Result<S>>,
{
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // The semaphore is never closed; were it, no connection would be accepted.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        let (Ok(place), Ok(stream)) = (place, accepted) else {
            sleep(PAUSE).await;
            continue;
        };
        let connection = connection(stream, router.clone(), peer.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests had not ended when the server stopped");
    }
}

async fn connection<S>(
    stream: S,
    router: Router,
    peer: Option<Arc<Authentication>>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(Authentication::clone(peer));
        }
        request.map(axum::body::Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // A client that goes away or speaks no HTTP is its own affair.
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
