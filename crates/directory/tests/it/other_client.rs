//! A workload with a client that others wrote (PyPI `spiffe`): it gets its SVIDs from our Workload
//! API, and they prove it by the bundles from the same place.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::bytes::Bytes;
use rustls::pki_types::CertificateDer;
use safeconduct_directory::{Directory, Held, Presented, Proof, ProofMethod, Refused};
use safeconduct_model::Timestamp;
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::pki::{Authority, authority};
use crate::workload_api::{Empty, State, answer, entitled, full, watching};
use crate::{US, key, token};

const AGENT: &str = "spiffe://a.example/agent/x";

/// Prints a JWT-SVID, and the chain of an X.509-SVID in hexadecimal digits. The HTTP/2 below that
/// client names a socket by its path, which is no authority to the server that is used here.
const WORKLOAD: &str = r#"
import json, sys
import grpc
connect = grpc.insecure_channel
def named(target, options=None, **more):
    return connect(target, [*(options or []), ("grpc.default_authority", "localhost")], **more)
grpc.insecure_channel = named
from cryptography.hazmat.primitives.serialization import Encoding
from spiffe import WorkloadApiClient
with WorkloadApiClient(sys.argv[1]) as client:
    jwt = client.fetch_jwt_svid(audience={sys.argv[2]})
    x509 = client.fetch_x509_svid()
    bundle = client.fetch_x509_bundles()
    chain = [one.public_bytes(Encoding.DER).hex() for one in x509.cert_chain]
    print(json.dumps({"jwt": jwt.token, "id": str(x509.spiffe_id), "chain": chain}))
"#;

#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvidRequest {
    #[prost(string, repeated, tag = "1")]
    audience: Vec<String>,
    #[prost(string, tag = "2")]
    spiffe_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvids {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<JwtSvid>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(string, tag = "2")]
    svid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct X509Svids {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<X509Svid>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct X509Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    chain: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    bundle: Bytes,
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn jwt_svids(request: &JwtSvidRequest) -> JwtSvids {
    let (now, audience) = (seconds(), request.audience.first().unwrap());
    let claims = format!(
        r#"{{"iss":null,"sub":"{AGENT}","aud":["{audience}"],"iat":{now},"exp":{}}}"#,
        now + 300
    );
    let svid = token(&key(1), "x", &claims);
    JwtSvids { svids: vec![JwtSvid { spiffe_id: AGENT.into(), svid }] }
}

fn x509_svids(root: &Authority) -> X509Svids {
    let svid = root.svid(AGENT);
    X509Svids {
        svids: vec![X509Svid {
            spiffe_id: AGENT.into(),
            chain: Bytes::copy_from_slice(&svid.certificate),
            key: Bytes::copy_from_slice(svid.key.serialized_der()),
            bundle: Bytes::copy_from_slice(&root.certificate),
        }],
    }
}

/// The whole of a Workload API that a workload and a verifier need.
async fn workload_api(
    state: watch::Receiver<State>,
    x509: X509Svids,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Infallible> {
    match request.uri().path() {
        "/SpiffeWorkloadAPI/FetchJWTSVID" => {
            let fetch = service_fn(|request: Request<JwtSvidRequest>| async move {
                let marked = request.metadata().get("workload.spiffe.io").is_some();
                let refused = Status::invalid_argument("security header missing");
                if !marked {
                    return Err(refused);
                }
                Ok(Response::new(jwt_svids(request.get_ref())))
            });
            let codec = ProstCodec::<JwtSvids, JwtSvidRequest>::default();
            Ok(Grpc::new(codec).unary(fetch, request).await)
        }
        "/SpiffeWorkloadAPI/FetchX509SVID" => {
            let fetch = service_fn(move |request: Request<Empty>| {
                let (state, x509) = (state.clone(), x509.clone());
                async move {
                    entitled(&request, &state.borrow())?;
                    Ok::<_, Status>(Response::new(tokio_stream::once(Ok::<_, Status>(x509))))
                }
            });
            let codec = ProstCodec::<X509Svids, Empty>::default();
            Ok(Grpc::new(codec).server_streaming(fetch, request).await)
        }
        _ => answer(state, request).await,
    }
}

fn serve(socket: &Path, state: watch::Receiver<State>, root: &Authority) {
    let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
    let x509 = x509_svids(root);
    let service = service_fn(move |request| workload_api(state.clone(), x509.clone(), request));
    tokio::spawn(async move {
        tonic::transport::Server::builder().serve_with_incoming(service, incoming).await.unwrap();
    });
}

/// Waits for the bundle to come: a stream has no event that could be waited for here.
async fn proved(directory: &Arc<Directory>, presented: Presented<'_>) -> Result<Proof, Refused> {
    let now = || Timestamp::from_millis(seconds() * 1000);
    for _ in 0..1000 {
        match directory.prove(presented, now()).await {
            Err(Refused::NoKeys { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            other => return other,
        }
    }
    directory.prove(presented, now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_with_a_client_of_others_is_proved() {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let check = Command::new(&python).args(["-c", "import spiffe"]).stderr(Stdio::null()).status();
    if !check.await.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no Python with `spiffe`: run `make tools`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    let root = authority("a.example");
    let (_state, states) = watch::channel(full(&root, 1));
    serve(&socket, states, &root);
    let address = format!("unix://{}", socket.display());

    let output = Command::new(&python).args(["-c", WORKLOAD, &address, US]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let svids: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(svids["id"], AGENT);

    let directory = watching(&socket);
    let jwt = svids["jwt"].as_str().unwrap();
    let presented = Presented::Jwt { token: jwt, held: Held::default() };
    let proof = proved(&directory, presented).await.unwrap();
    assert_eq!((proof.identity.as_str(), proof.method), (AGENT, ProofMethod::JwtSvid));
    let chain: Vec<CertificateDer<'static>> = svids["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| CertificateDer::from(unhex(one.as_str().unwrap())))
        .collect();
    let proof = proved(&directory, Presented::ClientCertificate { chain: &chain }).await.unwrap();
    assert_eq!((proof.identity.as_str(), proof.method), (AGENT, ProofMethod::X509Svid));
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}
