use super::*;

fn set(keys: &str) -> Result<KeySet, KeySetError> {
    KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes(), KeyUse::Signature)
}

fn jwk(more: &str) -> String {
    let numbers = String::from_utf8(json::to_bytes(&signer().public().numbers())).unwrap();
    numbers.replace('}', &format!("{more}}}"))
}

#[test]
fn a_published_set_is_read_back() {
    let bytes = json::to_bytes(&keys().jwks());
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("\"d\""));
    assert_eq!(KeySet::parse(&bytes, KeyUse::Signature).unwrap(), keys());
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    // RFC 7638 section 3.1.
    let jwk = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    let keys = set(jwk).unwrap();
    let thumbprint = keys.keys()[0].thumbprint();
    assert_eq!(thumbprint.to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(Thumbprint::parse(&thumbprint.to_string()), Some(thumbprint));
}

#[test]
fn an_ed25519_thumbprint_is_that_of_rfc_8037() {
    // RFC 8037 appendix A.3, and the key pair of appendix A.1.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let keys = set(jwk).unwrap();
    let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(keys.keys()[0].thumbprint().to_string(), expected);
}

#[test]
fn a_symmetric_or_private_key_spoils_the_set() {
    let oct = r#"{"kty":"oct","k":"AAAA","kid":"s"}"#;
    assert_eq!(set(&format!("{},{oct}", jwk(""))), Err(KeySetError::Symmetric));
    assert_eq!(set(&jwk(",\"d\":\"AAAA\"")), Err(KeySetError::Private));
}

#[test]
fn two_keys_of_one_id_spoil_the_set() {
    let other = SigningKey::from_secret(Algorithm::Es256, &[8; 32]).unwrap();
    let other = String::from_utf8(json::to_bytes(&other.public().numbers())).unwrap();
    let other = other.replace('}', ",\"kid\":\"a\"}");
    let both = format!("{},{other}", jwk(",\"kid\":\"a\""));
    assert_eq!(set(&both), Err(KeySetError::DuplicateKid { kid: "a".into() }));
}

#[test]
fn a_key_for_something_else_is_left_out() {
    for (more, problem) in [
        (",\"use\":\"enc\"", KeyProblem::OtherUse),
        (",\"use\":\"jwt-svid\"", KeyProblem::OtherUse),
        (",\"key_ops\":[\"encrypt\"]", KeyProblem::OtherUse),
        (",\"key_ops\":\"verify\"", KeyProblem::Malformed),
        (",\"alg\":\"ES384\"", KeyProblem::Algorithm),
        (",\"alg\":\"RS256\"", KeyProblem::Algorithm),
        (",\"alg\":\"ECDH-ES\"", KeyProblem::Algorithm),
        (",\"kid\":7", KeyProblem::Malformed),
    ] {
        let read = set(&jwk(more)).unwrap();
        assert!(read.keys().is_empty());
        assert_eq!(read.skipped()[0].1, problem, "{more}");
    }
    assert_eq!(set(&jwk(",\"use\":\"sig\",\"key_ops\":[\"verify\"]")).unwrap().keys().len(), 1);
}

#[test]
fn a_bundles_keys_say_that_they_are_for_svids() {
    let parse = |more: &str, wanted| {
        KeySet::parse(format!("{{\"keys\":[{}]}}", jwk(more)).as_bytes(), wanted).unwrap()
    };
    let marked = ",\"use\":\"jwt-svid\",\"kid\":\"a\"";
    assert_eq!(parse(marked, KeyUse::JwtSvid).keys().len(), 1);
    assert_eq!(parse(",\"kid\":\"a\"", KeyUse::JwtSvid).keys().len(), 0);
    assert_eq!(parse(",\"kid\":\"a\"", KeyUse::WorkloadJwtSvid).keys().len(), 1);
    let nameless = parse(",\"use\":\"jwt-svid\"", KeyUse::JwtSvid);
    assert_eq!(nameless.skipped()[0].1, KeyProblem::NoKid);
}

#[test]
fn unknown_types_and_curves_are_left_out() {
    for jwk in [
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#,
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#,
    ] {
        assert_eq!(set(jwk).unwrap().skipped()[0].1, KeyProblem::Unknown, "{jwk}");
    }
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["{}", "[]", "{\"keys\":{}}", "7"] {
        let read = KeySet::parse(text.as_bytes(), KeyUse::Signature);
        assert_eq!(read, Err(KeySetError::NotASet), "{text}");
    }
    let read = KeySet::parse(b"{\"keys\":[],\"keys\":[]}", KeyUse::Signature);
    assert!(matches!(read, Err(KeySetError::Json(_))));
    let many = vec!["{}"; KEYS_MAX + 1].join(",");
    assert_eq!(set(&many), Err(KeySetError::TooManyKeys { limit: KEYS_MAX }));
    let huge = format!("{{\"keys\":[{}\"x\"]}}", " ".repeat(KEY_SET_BYTES_MAX));
    assert!(matches!(KeySet::parse(huge.as_bytes(), KeyUse::Signature), Err(KeySetError::Json(_))));
}

#[test]
fn a_secret_out_of_range_is_unusable() {
    for secret in [[0; 32], [0xff; 32]] {
        let error = SigningKey::from_secret(Algorithm::Es256, &secret).unwrap_err();
        assert_eq!(error, SignError::Unusable);
    }
    let error = SigningKey::from_secret(Algorithm::Rs256, &[1; 32]).unwrap_err();
    assert_eq!(error, SignError::Algorithm);
}
