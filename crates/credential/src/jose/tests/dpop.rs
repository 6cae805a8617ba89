use std::collections::BTreeSet;

use super::*;

const URL: &str = "https://safeconduct.example/v1/token";

fn proof_claims(name: &str, value: Option<Value>) -> Value {
    let mut all = vec![
        ("jti", Value::from("p-1")),
        ("htm", Value::from("POST")),
        ("htu", Value::from(URL)),
        ("iat", Value::from(NOW)),
    ];
    all.retain(|(member, _)| *member != name);
    all.extend(value.map(|value| (name, value)));
    Value::object(all)
}

fn check_with(
    claims: &Value,
    access_token: Option<&str>,
    nonces: &BTreeSet<String>,
) -> Result<DpopProof, DpopError> {
    let proof = signer().sign_dpop(claims).unwrap();
    check_headers(&[&proof], access_token, nonces)
}

fn check_headers(
    headers: &[&str],
    access_token: Option<&str>,
    nonces: &BTreeSet<String>,
) -> Result<DpopProof, DpopError> {
    let expect = DpopExpect {
        algorithms: &[Algorithm::Es256, Algorithm::EdDsa],
        method: "POST",
        url: URL,
        access_token,
        nonces,
        skew: ClockSkew::default(),
    };
    check_dpop(headers, &expect, now())
}

fn check(name: &str, value: Option<Value>) -> Result<DpopProof, DpopError> {
    check_with(&proof_claims(name, value), None, &BTreeSet::new())
}

#[test]
fn a_proof_names_its_key() {
    let proof = check("jti", Some(Value::from("p-2"))).unwrap();
    assert_eq!(proof.jkt, signer().public().thumbprint());
    assert_eq!(proof.jti, "p-2");
    assert_eq!(proof.replay_until.as_millis(), NOW * 1000 + 60_001);
}

#[test]
fn exactly_one_header() {
    let proof = signer().sign_dpop(&proof_claims("x", None)).unwrap();
    assert_eq!(check_headers(&[], None, &BTreeSet::new()), Err(DpopError::Count { found: 0 }));
    let two = check_headers(&[&proof, &proof], None, &BTreeSet::new());
    assert_eq!(two, Err(DpopError::Count { found: 2 }));
}

#[test]
fn a_proof_is_for_one_method_and_url() {
    for url in [
        "https://SAFECONDUCT.example:443/v1/%74oken?x=1#y",
        "https://safeconduct.example/v1/./token",
    ] {
        check("htu", Some(Value::from(url))).unwrap();
    }
    for url in [
        "https://evil.example/v1/token",
        "http://safeconduct.example/v1/token",
        "https://safeconduct.example/v1/token/",
        "https://safeconduct.example/v1/Token",
        "https://safeconduct.example:8443/v1/token",
        "https://u@safeconduct.example/v1/token",
        "https://safeconduct.example/v1%2Ftoken",
        "/v1/token",
        "",
    ] {
        let error = check("htu", Some(Value::from(url))).unwrap_err();
        assert_eq!(error, DpopError::OtherRequest { what: "URL" }, "{url}");
    }
    for method in ["GET", "post", ""] {
        let error = check("htm", Some(Value::from(method))).unwrap_err();
        assert_eq!(error, DpopError::OtherRequest { what: "method" });
    }
}

#[test]
fn a_proof_is_fresh() {
    check("iat", Some(Value::from(NOW - 60))).unwrap();
    for iat in [NOW - 61, NOW + 1] {
        assert_eq!(check("iat", Some(Value::from(iat))), Err(DpopError::Stale));
    }
    assert!(matches!(check("iat", Some(Value::from("x"))), Err(DpopError::Token(_))));
}

#[test]
fn nothing_that_is_needed_may_be_missing() {
    for name in ["jti", "htm", "htu", "iat"] {
        let error = check(name, None).unwrap_err();
        assert_eq!(error, DpopError::Token(JoseError::MissingClaim { name: name.into() }));
    }
    assert!(check("jti", Some(Value::from("x".repeat(257)))).is_err());
}

#[test]
fn a_proof_is_for_one_access_token() {
    let token = "the-access-token";
    let ath = Value::from(Thumbprint::of(token.as_bytes()).to_string());
    let none = BTreeSet::new();
    check_with(&proof_claims("ath", Some(ath.clone())), Some(token), &none).unwrap();
    let other = check_with(&proof_claims("ath", Some(ath)), Some("another"), &none);
    assert_eq!(other, Err(DpopError::OtherToken));
    assert_eq!(
        check_with(&proof_claims("ath", None), Some(token), &none),
        Err(DpopError::OtherToken)
    );
}

#[test]
fn a_nonce_that_is_asked_for_must_be_there() {
    let nonces: BTreeSet<String> = ["now".to_owned(), "before".to_owned()].into();
    for nonce in [None, Some(Value::from("older")), Some(Value::from(7))] {
        let error = check_with(&proof_claims("nonce", nonce), None, &nonces).unwrap_err();
        assert_eq!(error, DpopError::Nonce);
    }
    check_with(&proof_claims("nonce", Some(Value::from("before"))), None, &nonces).unwrap();
}

#[test]
fn a_token_of_another_kind_is_no_proof() {
    let claims = json::to_bytes(&proof_claims("x", None));
    let numbers = String::from_utf8(json::to_bytes(&signer().public().numbers())).unwrap();
    let with = |header: &str| {
        let proof = signer().sign_parts(header.as_bytes(), &claims).unwrap();
        check_headers(&[&proof], None, &BTreeSet::new()).unwrap_err()
    };
    let typ = with(&format!("{{\"alg\":\"ES256\",\"typ\":\"JWT\",\"jwk\":{numbers}}}"));
    assert!(matches!(typ, DpopError::Token(JoseError::Typ { .. })));
    assert_eq!(with("{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}"), DpopError::NoKey);
    let private = numbers.replace('}', ",\"d\":\"AAAA\"}");
    let private = with(&format!("{{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":{private}}}"));
    assert_eq!(private, DpopError::Key(KeyProblem::Private));
    let symmetric = "{\"kty\":\"oct\",\"k\":\"AAAA\"}";
    let symmetric =
        with(&format!("{{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\",\"jwk\":{symmetric}}}"));
    assert!(matches!(symmetric, DpopError::Token(JoseError::Algorithm { .. })));
    let other = SigningKey::from_secret(Algorithm::Es256, &[9; 32]).unwrap();
    let other = String::from_utf8(json::to_bytes(&other.public().numbers())).unwrap();
    let stolen = with(&format!("{{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":{other}}}"));
    assert_eq!(stolen, DpopError::Token(JoseError::Signature));
}
