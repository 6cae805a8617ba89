//! Bundles: their sequence, their emptiness, and their endpoints.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use safeconduct_directory::spiffe::{Bundle, BundleError, TrustDomain};
use safeconduct_directory::{Directory, Refused};
use tokio_rustls::TlsAcceptor;

use crate::pki::{Svid, authority, bundle, jwt_svid_jwk};
use crate::server::{Answer, Server};
use crate::{US, directory_in, key, prove, token};

fn parse(text: &str) -> Result<Bundle, BundleError> {
    Bundle::parse(TrustDomain::parse("a.example").unwrap(), text.as_bytes())
}

#[test]
fn a_bundle_has_keys_of_both_kinds_and_others_are_left_out() {
    let root = authority("a.example");
    let unknown = r#"{"kty":"EC","use":"wit-svid","kid":"w"}"#.to_owned();
    let keys = [root.jwk(), jwt_svid_jwk(&key(1)), unknown];
    let read = parse(&bundle(&keys, 7)).unwrap();
    assert_eq!((read.authorities.len(), read.jwt_keys.keys().len()), (1, 1));
    assert_eq!((read.sequence, read.refresh_hint_s), (Some(7), Some(60)));
    let two = root.jwk().replace("\"x5c\":[", "\"x5c\":[\"AAAA\",");
    assert!(parse(&bundle(&[two], 1)).unwrap().authorities.is_empty());
    assert_eq!(parse(&bundle(&[], u64::MAX)).unwrap().sequence, Some(u64::MAX));
}

#[test]
fn duplicate_members_and_odd_numbers_are_refused() {
    assert!(matches!(parse(r#"{"keys":[],"keys":[]}"#), Err(BundleError::Json(_))));
    for number in ["-1", "1.5", "\"1\"", "18446744073709551616"] {
        let text = format!(r#"{{"keys":[],"spiffe_sequence":{number}}}"#);
        assert_eq!(parse(&text), Err(BundleError::Number { name: "spiffe_sequence" }), "{number}");
    }
}

#[test]
fn the_sequence_only_grows() {
    let at = |sequence| parse(&bundle(&[], sequence)).unwrap();
    let known = at(7);
    at(7).after(Some(&known)).unwrap();
    at(8).after(Some(&known)).unwrap();
    assert_eq!(at(6).after(Some(&known)), Err(BundleError::WentBack { known: 7, found: 6 }));
    let none = parse(r#"{"keys":[]}"#).unwrap();
    assert!(none.after(Some(&known)).is_err());
}

fn svid() -> String {
    token(&key(1), "x", r#"{"sub":"spiffe://a.example/agent/x"}"#)
}

fn trust(source: &str) -> String {
    format!(
        "  a:\n    kind: spiffe\n    trust_domain: a.example\n    bundle: {source}\n    algorithms: [ES256]\n    \
         audiences: ['{US}']\n    assurance: high\n    fetch: {{ http_on_loopback: true, unknown_key_s: 1 }}\n"
    )
}

#[tokio::test]
async fn an_older_bundle_of_an_endpoint_changes_nothing() {
    let server = Server::start().await;
    server.set("/bundle", Answer::Json(bundle(&[jwt_svid_jwk(&key(1))], 5)));
    let directory =
        crate::directory(&trust(&format!("{{ https_web: '{}' }}", server.url("/bundle"))));
    prove(&directory, &svid()).await.unwrap();
    // Somebody replays an old bundle with a key that was retired since.
    server.set("/bundle", Answer::Json(bundle(&[jwt_svid_jwk(&key(2))], 4)));
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let retired = token(&key(2), "x", r#"{"sub":"spiffe://a.example/agent/x"}"#);
    assert!(matches!(prove(&directory, &retired).await, Err(Refused::Token { .. })));
    assert_eq!(server.hits(), 2);
    prove(&directory, &svid()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_revokes_everything_is_heard() {
    let server = Server::start().await;
    server.set("/bundle", Answer::Json(bundle(&[jwt_svid_jwk(&key(1))], 5)));
    let directory =
        crate::directory(&trust(&format!("{{ https_web: '{}' }}", server.url("/bundle"))));
    prove(&directory, &svid()).await.unwrap();
    server.set("/bundle", Answer::Json(bundle(&[], 6)));
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    // An unknown key makes it look; from then on everything is revoked.
    let unknown = token(&key(2), "x", r#"{"sub":"spiffe://a.example/agent/x"}"#);
    let revoked = Refused::Revoked { trust: "a".into() };
    assert_eq!(prove(&directory, &unknown).await.unwrap_err(), revoked);
    assert_eq!(prove(&directory, &svid()).await.unwrap_err(), revoked);
}

/// A server that proves itself by this SVID.
async fn tls(svid: &Svid) -> Server {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(svid.key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![svid.certificate.clone()], key)
        .unwrap();
    Server::start_tls(TlsAcceptor::from(Arc::new(config))).await
}

#[tokio::test]
async fn an_endpoint_may_prove_itself_by_an_svid() {
    let (root, other) = (authority("a.example"), authority("a.example"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("initial.json"), bundle(&[root.jwk()], 1)).unwrap();
    let served = bundle(&[root.jwk(), jwt_svid_jwk(&key(1))], 2);
    let directory = |server: &Server| -> Directory {
        server.set("/bundle", Answer::Json(served.clone()));
        let source = format!(
            "{{ https_spiffe: {{ url: 'https://localhost:{}/bundle', endpoint_id: 'spiffe://a.example/spire/server', \
             initial_bundle: initial.json }} }}",
            server.port
        );
        directory_in(&trust(&source), folder.path())
    };
    let good = tls(&root.svid("spiffe://a.example/spire/server")).await;
    prove(&directory(&good), &svid()).await.unwrap();
    // Another workload of the domain, another authority, or what the web would believe: none.
    for svid_of in [
        root.svid("spiffe://a.example/spire/servers"),
        root.svid("spiffe://a.example/agent/x"),
        other.svid("spiffe://a.example/spire/server"),
    ] {
        let bad = tls(&svid_of).await;
        let refused = prove(&directory(&bad), &svid()).await.unwrap_err();
        assert_eq!(refused, Refused::NoKeys { trust: "a".into() });
        assert_eq!(bad.hits(), 0);
    }
}
