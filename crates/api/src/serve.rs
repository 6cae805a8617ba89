//! Serving a router on a listener, within limits that do not depend on what is served.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use safeconduct_model::{Authentication, Network};
use safeconduct_service::ClientCertificates;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::tls::Tls;

/// Most connections at once. Others wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Most headers of a request. More are refused with 431.
pub const HEADERS_MAX: usize = 100;

/// Longest head of a request (request line and headers), in bytes. A longer one is refused
/// with 431.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long a client may take to send the head of a request.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long open requests may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long accepting pauses where the system has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of a connection, as far as the connection itself says.
#[derive(Clone, Default)]
struct Caller {
    peer: Option<Arc<Authentication>>,
    certificates: Option<ClientCertificates>,
    /// The address of whoever opened the connection, where it has one.
    address: Option<IpAddr>,
}

/// The address of whoever opened the connection of a request: an extension of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Serves a router until `stop` resolves, then lets open requests end, for at most 10 s. Call
/// [`crate::Api::stop`] at the same time, so that streams end.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let open = |stream: TcpStream| async {
        let address = address(&stream);
        Some((stream, Caller { address, ..Caller::default() }))
    };
    serve_all(|| accept(&listener), open, router, stop).await;
}

/// As [`serve`], over TLS. What a client shows of certificates is an extension of each request
/// ([`ClientCertificates`]); what that proves is for whoever answers it.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let open = |stream: TcpStream| {
        let tls = tls.clone();
        async move {
            let address = address(&stream);
            let shaken = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await.ok()?;
            let (stream, certificates) =
                shaken.inspect_err(|error| tracing::debug!(%error, "a handshake failed")).ok()?;
            Some((stream, Caller { peer: None, certificates, address }))
        }
    };
    serve_all(|| accept(&listener), open, router, stop).await;
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
    let caller = Caller { peer: Some(Arc::new(peer)), ..Caller::default() };
    let open = |stream| {
        let caller = caller.clone();
        async { Some((stream, caller)) }
    };
    serve_all(accept, open, router, stop).await;
}

async fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // An answer is one small write: it must not wait for the client's acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn address(stream: &TcpStream) -> Option<IpAddr> {
    stream.peer_addr().ok().map(|address| address.ip().to_canonical())
}

/// `open` makes of a stream what requests come over, in the connection's own time: it keeps
/// nobody else waiting.
async fn serve_all<S, F, T, O>(
    accept: impl Fn() -> F,
    open: impl Fn(S) -> O,
    router: Router,
    stop: impl Future<Output = ()>,
) where
    F: Future<Output = std::io::Result<S>>,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    O: Future<Output = Option<(T, Caller)>> + Send + 'static,
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
        let (opening, router, watcher) = (open(stream), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            if let Some((stream, caller)) = opening.await {
                connection(stream, router, caller, watcher).await;
            }
            drop(place);
        });
    }
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests had not ended when the server stopped");
    }
}

async fn connection<S>(stream: S, router: Router, caller: Caller, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        if let Some(peer) = &caller.peer {
            request.extensions_mut().insert(Authentication::clone(peer));
        }
        if let Some(certificates) = &caller.certificates {
            request.extensions_mut().insert(certificates.clone());
        }
        if let Some(address) = caller.address {
            request.extensions_mut().insert(PeerAddress(address));
            request.extensions_mut().insert(Network::of(address));
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
