//! Bundles from a Workload API, served by a small one of our own over a Unix socket.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use safeconduct_directory::{Directory, Presented, Refused};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::pki::{Authority, authority};
use crate::{US, directory, jwks, key, now, prove, token};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct X509Bundles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    crl: Vec<Bytes>,
    #[prost(map = "string, bytes", tag = "2")]
    bundles: HashMap<String, Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JwtBundles {
    #[prost(map = "string, bytes", tag = "1")]
    bundles: HashMap<String, Bytes>,
}

/// What the server says of certificates and of keys; `None`: it refuses.
pub(crate) type State = Option<(HashMap<String, Bytes>, HashMap<String, Bytes>)>;

pub(crate) fn entitled(request: &Request<Empty>, state: &State) -> Result<(), Status> {
    let marked = request.metadata().get("workload.spiffe.io").is_some_and(|value| value == "true");
    match (marked, state) {
        (false, _) => Err(Status::invalid_argument("security header missing")),
        (true, None) => Err(Status::permission_denied("no identity issued")),
        (true, Some(_)) => Ok(()),
    }
}

pub(crate) async fn answer(
    state: watch::Receiver<State>,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, std::convert::Infallible> {
    let method = request.uri().path().to_owned();
    if method == "/SpiffeWorkloadAPI/FetchX509Bundles" {
        let stream = service_fn(move |request: Request<Empty>| {
            let state = state.clone();
            async move {
                entitled(&request, &state.borrow())?;
                let bundles = WatchStream::new(state).map(|state| {
                    let (bundles, _) = state.ok_or_else(|| Status::permission_denied("gone"))?;
                    Ok::<_, Status>(X509Bundles { crl: Vec::new(), bundles })
                });
                Ok::<_, Status>(Response::new(bundles))
            }
        });
        let codec = ProstCodec::<X509Bundles, Empty>::default();
        return Ok(Grpc::new(codec).server_streaming(stream, request).await);
    }
    let stream = service_fn(move |request: Request<Empty>| {
        let state = state.clone();
        async move {
            entitled(&request, &state.borrow())?;
            let bundles = WatchStream::new(state).map(|state| {
                let (_, bundles) = state.ok_or_else(|| Status::permission_denied("gone"))?;
                Ok::<_, Status>(JwtBundles { bundles })
            });
            Ok::<_, Status>(Response::new(bundles))
        }
    });
    let codec = ProstCodec::<JwtBundles, Empty>::default();
    Ok(Grpc::new(codec).server_streaming(stream, request).await)
}

fn serve(socket: &Path, state: watch::Receiver<State>) -> tokio::task::JoinHandle<()> {
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
    let service = service_fn(move |request| answer(state.clone(), request));
    tokio::spawn(async move {
        tonic::transport::Server::builder().serve_with_incoming(service, incoming).await.unwrap();
    })
}

/// What is served: certificates and keys of `a.example`, and of a domain that is not ours to hear.
pub(crate) fn full(root: &Authority, jwt: u8) -> State {
    // SPIRE leaves `use` out here.
    let keys = jwks(&[&key(jwt)]).replace(",\"use\":\"sig\"", "");
    let other = jwks(&[&key(9)]).replace(",\"use\":\"sig\"", "");
    let x509 = [("spiffe://a.example".to_owned(), Bytes::copy_from_slice(&root.certificate))];
    let jwt = [
        ("spiffe://a.example".to_owned(), Bytes::from(keys)),
        ("spiffe://b.example".to_owned(), Bytes::from(other)),
    ];
    Some((x509.into(), jwt.into()))
}

pub(crate) fn watching(socket: &Path) -> Arc<Directory> {
    let trust = format!(
        "  a:\n    kind: spiffe\n    trust_domain: a.example\n    bundle: {{ workload_api: 'unix://{}' }}\n    \
         algorithms: [ES256]\n    audiences: ['{US}']\n    assurance: high\n",
        socket.display()
    );
    let directory = Arc::new(directory(&trust));
    let watched = Arc::clone(&directory);
    tokio::spawn(async move { watched.watch().await });
    directory
}

fn svid(number: u8) -> String {
    token(&key(number), "x", r#"{"sub":"spiffe://a.example/agent/x"}"#)
}

/// Waits until the proof comes out so; a stream has no event that could be waited for here.
async fn until(directory: &Directory, token: &str, wanted: impl Fn(&Result<(), Refused>) -> bool) {
    for _ in 0..1000 {
        let found = prove(directory, token).await.map(drop);
        if wanted(&found) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came: {:?}", prove(directory, token).await);
}

#[tokio::test]
async fn bundles_are_followed_and_what_is_taken_back_counts_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let root = authority("a.example");
    let (state, states) = watch::channel(full(&root, 1));
    let server = serve(&socket, states);
    let directory = watching(&socket);
    until(&directory, &svid(1), Result::is_ok).await;
    let chain = [root.svid("spiffe://a.example/agent/x").certificate];
    directory.prove(Presented::ClientCertificate { chain: &chain }, now()).await.unwrap();
    // A key of another domain in the same message is not ours.
    assert!(matches!(prove(&directory, &svid(9)).await, Err(Refused::Token { .. })));

    state.send(full(&root, 2)).unwrap();
    until(&directory, &svid(2), Result::is_ok).await;
    assert!(matches!(prove(&directory, &svid(1)).await, Err(Refused::Token { .. })));

    // The domain is no longer in the messages: everything of it is taken back.
    state.send(Some((HashMap::new(), HashMap::new()))).unwrap();
    let revoked = |found: &Result<(), Refused>| matches!(found, Err(Refused::Revoked { .. }));
    until(&directory, &svid(2), revoked).await;
    let refused = directory.prove(Presented::ClientCertificate { chain: &chain }, now()).await;
    assert!(matches!(refused, Err(Refused::Revoked { .. })));

    state.send(full(&root, 3)).unwrap();
    until(&directory, &svid(3), Result::is_ok).await;

    // We are refused: nothing that was said counts any more.
    state.send(None).unwrap();
    until(&directory, &svid(3), revoked).await;
    server.abort();
}

#[tokio::test]
async fn a_broken_stream_is_taken_up_again_and_the_last_word_counts_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let root = authority("a.example");
    let directory = watching(&socket);
    // Nobody is there yet.
    let refused = prove(&directory, &svid(1)).await.unwrap_err();
    assert_eq!(refused, Refused::NoKeys { trust: "a".into() });
    let (first, states) = watch::channel(full(&root, 1));
    let server = serve(&socket, states);
    until(&directory, &svid(1), Result::is_ok).await;
    // The streams end, and the socket is gone.
    server.abort();
    drop(first);
    std::fs::remove_file(&socket).unwrap();
    prove(&directory, &svid(1)).await.unwrap();
    let (_second, states) = watch::channel(full(&root, 2));
    let server = serve(&socket, states);
    until(&directory, &svid(2), Result::is_ok).await;
    server.abort();
}
