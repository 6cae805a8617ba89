//! JWT-SVIDs.

use safeconduct_credential::jose::JoseError;
use safeconduct_directory::{Directory, ProofMethod, Refused};
use tempfile::TempDir;

use crate::pki::{bundle, jwt_svid_jwk};
use crate::{US, directory_in, key, prove, token};

/// Two trust domains, each with a bundle of its own.
fn domains(more: &str) -> (TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.json", bundle(&[jwt_svid_jwk(&key(1))], 1));
    write("b.json", bundle(&[jwt_svid_jwk(&key(2))], 1));
    write("empty.json", bundle(&[], 1));
    let record = |name: &str, more: &str| {
        format!(
            "  {name}:\n    kind: spiffe\n    trust_domain: {name}.example\n    bundle: {{ file: ./{name}.json }}\n    \
             algorithms: [ES256]\n    audiences: ['{US}']\n    assurance: high\n{more}"
        )
    };
    let trust = record("a", more) + &record("b", "") + &record("empty", "");
    let directory = directory_in(&trust, folder.path());
    (folder, directory)
}

fn svid(number: u8, id: &str, claims: &str) -> String {
    let claims =
        format!(r#"{{"sub":"{id}"{}{}}}"#, if claims.is_empty() { "" } else { "," }, claims);
    token(&key(number), "https://anyone.example", &claims)
}

#[tokio::test]
async fn an_svid_of_its_domain_proves() {
    let (_folder, directory) = domains("");
    // `iss`, `iat` and `jti` need not be there.
    let token = svid(1, "spiffe://a.example/agent/x", r#""iss":null,"iat":null,"jti":null"#);
    let proof = prove(&directory, &token).await.unwrap();
    assert_eq!(proof.identity.as_str(), "spiffe://a.example/agent/x");
    assert_eq!((proof.issuer.as_str(), proof.method), ("spiffe://a.example", ProofMethod::JwtSvid));
}

#[tokio::test]
async fn bundles_of_domains_are_never_put_together() {
    let (_folder, directory) = domains("");
    let forged = svid(2, "spiffe://a.example/agent/x", "");
    let refused = prove(&directory, &forged).await.unwrap_err();
    assert!(
        matches!(refused, Refused::Token { trust, error: JoseError::UnknownKey { .. } } if trust == "a")
    );
    prove(&directory, &svid(2, "spiffe://b.example/agent/x", "")).await.unwrap();
}

#[tokio::test]
async fn the_issuer_claim_finds_no_keys() {
    let (_folder, directory) = domains("");
    for issuer in ["spiffe://b.example", "b.example", "https://b.example"] {
        let forged = svid(2, "spiffe://a.example/agent/x", &format!(r#""iss":"{issuer}""#));
        let refused = prove(&directory, &forged).await.unwrap_err();
        assert!(matches!(refused, Refused::Token { trust, .. } if trust == "a"));
    }
}

#[tokio::test]
async fn an_svid_for_several_audiences_is_refused() {
    let (_folder, directory) = domains("");
    let several = svid(
        1,
        "spiffe://a.example/agent/x",
        &format!(r#""aud":["{US}","https://other.example"]"#),
    );
    let refused = prove(&directory, &several).await.unwrap_err();
    assert!(matches!(refused, Refused::Token { error: JoseError::SeveralAudiences, .. }));
}

#[tokio::test]
async fn aud_and_exp_are_needed() {
    let (_folder, directory) = domains("");
    for name in ["aud", "exp"] {
        let token = svid(1, "spiffe://a.example/agent/x", &format!("\"{name}\":null"));
        let refused = prove(&directory, &token).await.unwrap_err();
        assert!(matches!(refused, Refused::Token { error: JoseError::MissingClaim { .. }, .. }));
    }
}

#[tokio::test]
async fn paths_are_matched_by_segments() {
    let (_folder, directory) = domains("    paths: [/agent/a, /team/*/run]\n");
    for path in ["/agent/a", "/team/x/run"] {
        prove(&directory, &svid(1, &format!("spiffe://a.example{path}"), "")).await.unwrap();
    }
    for path in ["/agent/ab", "/agent/a/b", "/agent", "/Agent/a", "/team/x/y/run", "/team/run"] {
        let refused = prove(&directory, &svid(1, &format!("spiffe://a.example{path}"), "")).await;
        assert_eq!(refused.unwrap_err(), Refused::Unmapped { trust: "a".into() }, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_workloads_id_is_refused() {
    let (_folder, directory) = domains("");
    for id in [
        "spiffe://a.example",
        "spiffe://A.example/x",
        "spiffe://a.example/x/..",
        "spiffe://a.example/%61",
    ] {
        let refused = prove(&directory, &svid(1, id, "")).await.unwrap_err();
        assert!(matches!(refused, Refused::SpiffeId(_)), "{id}: {refused}");
    }
    let refused = prove(&directory, &svid(1, "spiffe://c.example/x", "")).await.unwrap_err();
    assert_eq!(refused, Refused::UnknownTrustDomain { trust_domain: "c.example".into() });
}

#[tokio::test]
async fn an_empty_bundle_revokes_everything() {
    let (_folder, directory) = domains("");
    let refused = prove(&directory, &svid(1, "spiffe://empty.example/x", "")).await.unwrap_err();
    assert_eq!(refused, Refused::Revoked { trust: "empty".into() });
}
