//! Tokens of OpenID issuers, Kubernetes and GitHub Actions.

use std::sync::Arc;

use safeconduct_credential::jose::{JoseError, Thumbprint};
use safeconduct_directory::{Directory, Held, NoApiKeys, Presented, ProofMethod, Refused};
use safeconduct_model::{Assurance, IdentityId};

use crate::server::{Answer, Server};
use crate::{US, directory, jwks, key, now, prove, records, token};

/// An issuer with discovery and these keys.
async fn issuer(keys: &str) -> Server {
    let server = Server::start().await;
    let (issuer, jwks_uri) = (server.url(""), server.url("/keys"));
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{jwks_uri}"}}"#);
    server.set("/.well-known/openid-configuration", Answer::Json(document));
    server.set("/keys", Answer::Json(keys.into()));
    server
}

/// A record for it; `more` are further lines.
fn trust(server: &Server, kind: &str, more: &str) -> String {
    format!(
        "  it:\n    kind: {kind}\n    issuer: '{}'\n    algorithms: [ES256]\n    audiences: ['{US}']\n    \
         assurance: substantial\n    fetch: {{ http_on_loopback: true, unknown_key_s: 1 }}\n{more}",
        server.url("")
    )
}

#[tokio::test]
async fn a_token_of_a_discovered_issuer_proves() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let issuer = server.url("");
    let proof = prove(&directory, &token(&key(1), &issuer, "{}")).await.unwrap();
    assert_eq!(proof.identity.as_str(), format!("{issuer}|case-agent"));
    assert_eq!((proof.method, proof.assurance), (ProofMethod::Oidc, Assurance::Substantial));
    assert_eq!(proof.token.as_str(), "jwt:t-1");
    assert!(!proof.may_speak_for_users);
    // Keys are kept: one fetch of the document and one of the keys for any number of tokens.
    for _ in 0..10 {
        prove(&directory, &token(&key(1), &issuer, "{}")).await.unwrap();
    }
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_token_without_jti_is_named_by_its_digest() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    for jti in ["null", r#""a\u0007b""#] {
        let token = token(&key(1), &server.url(""), &format!("{{\"jti\":{jti}}}"));
        let proof = prove(&directory, &token).await.unwrap();
        assert!(proof.token.as_str().starts_with("jwt:sha256:"), "{}", proof.token);
    }
}

#[tokio::test]
async fn the_discovery_document_is_that_of_exactly_this_issuer() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let other =
        format!(r#"{{"issuer":"{}/","jwks_uri":"{}"}}"#, server.url(""), server.url("/keys"));
    server.set("/.well-known/openid-configuration", Answer::Json(other));
    let refused = prove(&directory, &token(&key(1), &server.url(""), "{}")).await.unwrap_err();
    assert_eq!(refused, Refused::NoKeys { trust: "it".into() });
}

#[tokio::test]
async fn a_discovery_document_cannot_point_inward_elsewhere() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let document =
        format!(r#"{{"issuer":"{}","jwks_uri":"http://169.254.169.254/keys"}}"#, server.url(""));
    server.set("/.well-known/openid-configuration", Answer::Json(document));
    let refused = prove(&directory, &token(&key(1), &server.url(""), "{}")).await.unwrap_err();
    assert_eq!(refused, Refused::NoKeys { trust: "it".into() });
}

#[tokio::test]
async fn slow_huge_and_redirecting_keys_are_no_keys() {
    for answer in [
        Answer::Huge,
        Answer::Redirect("/elsewhere".into()),
        Answer::Status(500),
        Answer::Json("[]".into()),
    ] {
        let server = issuer("{}").await;
        server.set("/keys", answer);
        let directory = directory(&trust(&server, "oidc", ""));
        let token = token(&key(1), &server.url(""), "{}");
        let refused = prove(&directory, &token).await.unwrap_err();
        assert_eq!(refused, Refused::NoKeys { trust: "it".into() });
        // And the next request does not go there again at once.
        let hits = server.hits();
        assert_eq!(prove(&directory, &token).await.unwrap_err(), refused);
        assert_eq!(server.hits(), hits);
    }
}

#[tokio::test]
async fn keys_rotate_and_a_key_that_was_removed_counts_no_more() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let issuer = server.url("");
    prove(&directory, &token(&key(1), &issuer, "{}")).await.unwrap();
    server.set("/keys", Answer::Json(jwks(&[&key(2)])));
    // Too soon after the last fetch: refused without asking.
    let refused = prove(&directory, &token(&key(2), &issuer, "{}")).await.unwrap_err();
    assert!(matches!(refused, Refused::Token { error: JoseError::UnknownKey { .. }, .. }));
    assert_eq!(server.hits(), 2);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    prove(&directory, &token(&key(2), &issuer, "{}")).await.unwrap();
    assert_eq!(server.hits(), 4);
    let refused = prove(&directory, &token(&key(1), &issuer, "{}")).await.unwrap_err();
    assert!(matches!(refused, Refused::Token { error: JoseError::UnknownKey { .. }, .. }));
    assert_eq!(server.hits(), 4);
}

#[tokio::test]
async fn an_unknown_issuer_is_named_and_nothing_is_fetched_for_it() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let refused =
        prove(&directory, &token(&key(1), "https://evil.example", "{}")).await.unwrap_err();
    assert_eq!(refused, Refused::UnknownIssuer { issuer: "https://evil.example".into() });
    let slash = format!("{}/", server.url(""));
    let refused = prove(&directory, &token(&key(1), &slash, "{}")).await.unwrap_err();
    assert_eq!(refused, Refused::UnknownIssuer { issuer: slash });
    let refused = prove(&directory, &token(&key(1), "x", r#"{"iss":null}"#)).await.unwrap_err();
    assert_eq!(refused, Refused::UnknownIssuer { issuer: String::new() });
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn one_issuers_key_does_not_sign_for_another() {
    let (one, two) = (issuer(&jwks(&[&key(1)])).await, issuer(&jwks(&[&key(2)])).await);
    let records = trust(&one, "oidc", "") + &trust(&two, "oidc", "").replace("  it:", "  other:");
    let directory = directory(&records);
    let forged = token(&key(2), &one.url(""), "{}");
    let refused = prove(&directory, &forged).await.unwrap_err();
    assert!(matches!(refused, Refused::Token { trust, .. } if trust == "it"));
}

#[tokio::test]
async fn an_issuer_that_is_no_trust_domain_speaks_of_no_spiffe_id() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let token = token(&key(1), &server.url(""), r#"{"sub":"spiffe://prod.example/agent/a"}"#);
    let refused = prove(&directory, &token).await.unwrap_err();
    assert_eq!(refused, Refused::UnknownTrustDomain { trust_domain: "prod.example".into() });
}

#[tokio::test]
async fn demanded_claims_and_bindings_decide_whom_a_token_makes() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let more = "    required_claims: { tenant: [acme, umbrella] }\n    identities:\n      \
                - { identity: case-agent, claims: { client_id: c-1, /realm/name: prod } }\n      \
                - { identity: other-agent, claims: { client_id: [c-2, c-3] } }\n      \
                - { identity: third-agent, claims: { client_id: c-3 } }\n";
    let directory = directory(&trust(&server, "oidc", more));
    let with = |claims: &str| token(&key(1), &server.url(""), claims);
    let good = r#"{"tenant":"acme","client_id":"c-1","realm":{"name":"prod"},"secret":"x"}"#;
    let proof = prove(&directory, &with(good)).await.unwrap();
    assert_eq!(proof.identity.as_str(), "case-agent");
    // The proof tells what it rests on, and nothing else.
    assert!(proof.claims.member("tenant").is_some() && proof.claims.member("secret").is_none());
    assert!(proof.claims.member("/realm/name").is_some());
    let claim = Refused::Claim { trust: "it".into(), claim: "tenant".into() };
    assert_eq!(prove(&directory, &with(r#"{"tenant":"evil"}"#)).await.unwrap_err(), claim);
    assert_eq!(prove(&directory, &with(r#"{"tenant":["acme"]}"#)).await.unwrap_err(), claim);
    let unmapped = prove(&directory, &with(r#"{"tenant":"acme","client_id":"c-1"}"#)).await;
    assert_eq!(unmapped.unwrap_err(), Refused::Unmapped { trust: "it".into() });
    let several = prove(&directory, &with(r#"{"tenant":"acme","client_id":"c-3"}"#)).await;
    assert_eq!(several.unwrap_err(), Refused::Ambiguous { trust: "it".into() });
    // What is said of the issuer concerns whom it makes, and nobody else.
    let issuers = |id: &str| directory.issuers_of(&IdentityId::new(id).unwrap());
    assert_eq!(issuers("case-agent"), [server.url("").into()]);
    assert_eq!(issuers("somebody"), []);
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "oidc", ""));
    let jkt = key(5).public().thumbprint();
    let bound = token(&key(1), &server.url(""), &format!(r#"{{"cnf":{{"jkt":"{jkt}"}}}}"#));
    assert_eq!(prove(&directory, &bound).await.unwrap_err(), Refused::NotHeld);
    let other = Held { jkt: Some(key(6).public().thumbprint()), certificate: None };
    let refused = directory.prove(Presented::Jwt { token: &bound, held: other }, now()).await;
    assert_eq!(refused.unwrap_err(), Refused::NotHeld);
    let held = Held { jkt: Some(jkt), certificate: None };
    directory.prove(Presented::Jwt { token: &bound, held }, now()).await.unwrap();

    let x5t = Thumbprint::of(b"certificate");
    let bound = token(&key(1), &server.url(""), &format!(r#"{{"cnf":{{"x5t#S256":"{x5t}"}}}}"#));
    assert_eq!(prove(&directory, &bound).await.unwrap_err(), Refused::NotHeld);
    let held = Held { jkt: None, certificate: Some(b"certificate") };
    directory.prove(Presented::Jwt { token: &bound, held }, now()).await.unwrap();
}

#[tokio::test]
async fn people_come_with_the_time_of_their_login() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "people", "    may_speak_for_users: true\n"));
    let with = format!(r#"{{"sub":"u-1","auth_time":{},"acr":"phr"}}"#, crate::NOW - 60);
    let proof = prove(&directory, &token(&key(1), &server.url(""), &with)).await.unwrap();
    assert_eq!(proof.method, ProofMethod::Person);
    assert_eq!(proof.authenticated_at.as_millis(), (crate::NOW - 60) * 1000);
    assert!(proof.may_speak_for_users);
    assert!(proof.claims.member("acr").is_some());
}

const POD: &str = "    identities:\n      - identity: case-agent\n        kubernetes: \
                   { namespace: prod, service_account: agent, uid: u-1 }\n";

fn pod(namespace: &str, name: &str, uid: &str) -> String {
    format!(
        r#"{{"sub":"system:serviceaccount:{namespace}:{name}","kubernetes.io":{{"namespace":"{namespace}","serviceaccount":{{"name":"{name}","uid":"{uid}"}},"pod":{{"name":"p","uid":"p-1"}}}}}}"#
    )
}

#[tokio::test]
async fn a_service_account_is_its_uid_and_not_its_name() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "kubernetes", POD));
    let with = |claims: &str| token(&key(1), &server.url(""), claims);
    let proof = prove(&directory, &with(&pod("prod", "agent", "u-1"))).await.unwrap();
    assert_eq!((proof.identity.as_str(), proof.method), ("case-agent", ProofMethod::Kubernetes));
    for claims in [
        // The name was taken again by another account.
        pod("prod", "agent", "u-2"),
        pod("test", "agent", "u-1"),
        pod("prod", "other", "u-1"),
        // `sub` and the claims disagree.
        pod("prod", "agent", "u-1").replace(":prod:agent", ":prod:admin"),
        // A token from before they were bound to an audience and a uid.
        r#"{"sub":"system:serviceaccount:prod:agent"}"#.into(),
    ] {
        let refused = prove(&directory, &with(&claims)).await.unwrap_err();
        assert_eq!(refused, Refused::Unmapped { trust: "it".into() }, "{claims}");
    }
    let one_pod = POD.replace("u-1 }", "u-1, pod_uid: p-2 }");
    let one_pod = crate::directory(&trust(&server, "kubernetes", &one_pod));
    let refused = prove(&one_pod, &with(&pod("prod", "agent", "u-1"))).await.unwrap_err();
    assert_eq!(refused, Refused::Unmapped { trust: "it".into() });
}

const WORKFLOW: &str = "    identities:\n      - identity: releaser\n        github_actions: \
                        { repository_id: '7', repository_owner_id: '9', ref: refs/heads/main }\n";

fn workflow(repository: &str, owner: &str, event: &str) -> String {
    format!(
        r#"{{"sub":"repo:o/r:ref:refs/heads/main","repository":"o/r","repository_id":"{repository}","repository_owner_id":"{owner}","event_name":"{event}","ref":"refs/heads/main"}}"#
    )
}

#[tokio::test]
async fn a_workflow_is_its_numbers_and_not_its_names() {
    let server = issuer(&jwks(&[&key(1)])).await;
    let directory = directory(&trust(&server, "github_actions", WORKFLOW));
    let with = |claims: &str| token(&key(1), &server.url(""), claims);
    let proof = prove(&directory, &with(&workflow("7", "9", "push"))).await.unwrap();
    assert_eq!((proof.identity.as_str(), proof.method), ("releaser", ProofMethod::GithubActions));
    for claims in [
        // A repository that took the old name.
        workflow("8", "9", "push"),
        workflow("7", "10", "push"),
        // What runs strangers' pull requests.
        workflow("7", "9", "pull_request_target"),
        workflow("7", "9", "push")
            .replace("\"ref\":\"refs/heads/main\"", "\"ref\":\"refs/heads/x\""),
        workflow("7", "9", "push").replace("event_name", "event"),
    ] {
        let refused = prove(&directory, &with(&claims)).await.unwrap_err();
        assert_eq!(refused, Refused::Unmapped { trust: "it".into() }, "{claims}");
    }
    // An audience shared with others is not ours alone.
    let shared = workflow("7", "9", "push").replace('{', &format!(r#"{{"aud":["{US}","x"],"#));
    let refused = prove(&directory, &with(&shared)).await.unwrap_err();
    assert!(matches!(refused, Refused::Token { error: JoseError::SeveralAudiences, .. }));
}

#[tokio::test]
async fn records_that_would_believe_too_much_are_refused() {
    let server = Server::start().await;
    let fault = |kind: &str, more: &str, from: &str, to: &str| {
        let text = trust(&server, kind, more).replace(from, to);
        records(&text).unwrap_err().to_string()
    };
    assert!(fault("kubernetes", "", "", "").contains("`identities` must say"));
    assert!(fault("github_actions", "", "", "").contains("`identities` must say"));
    let nameless = "    identities: [{ identity: a, claims: { sub: x } }]\n";
    assert!(fault("kubernetes", nameless, "", "").contains("uid"));
    assert!(fault("github_actions", nameless, "", "").contains("numbers"));
    let named = WORKFLOW.replace("'7'", "'o/r'");
    assert!(fault("github_actions", &named, "", "").contains("number"));
    let anyone = "    identities: [{ identity: a }]\n";
    assert!(fault("oidc", anyone, "", "").contains("every token"));
    assert!(fault("github_actions", WORKFLOW, US, "https://github.com/o").contains("`audiences`"));
    assert!(fault("oidc", "", "[ES256]", "[]").contains("`algorithms` is missing"));
    assert!(fault("oidc", "", &format!("['{US}']"), "[]").contains("`audiences` is missing"));
    assert!(fault("oidc", "    token_lifetime_max_s: 5\n", "", "").contains("`clock_skew_s`"));
    assert!(fault("oidc", "    trust_domain: x.example\n", "", "").contains("SPIFFE only"));
    assert!(fault("oidc", "    keys: {}\n", "", "").contains("`keys`"));
    assert!(
        fault("oidc", "", "http_on", "private_networks: [10.0.0.1/8], http_on")
            .contains("10.0.0.1/8")
    );
    let twice =
        trust(&server, "oidc", "") + &trust(&server, "oidc", "").replace("  it:", "  other:");
    let error = Directory::new(records(&twice).unwrap(), Arc::new(NoApiKeys)).unwrap_err();
    assert!(error.to_string().contains("is that of record `it` too"), "{error}");
}
