//! Another JWT library agrees with what we sign, and we with what it signs.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken as other;
use proptest::prelude::*;

use super::*;

fn theirs(jwk: &Value) -> other::DecodingKey {
    let jwk: other::jwk::Jwk = serde_json::from_slice(&json::to_bytes(jwk)).unwrap();
    other::DecodingKey::from_jwk(&jwk).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_we_sign_others_accept(secret in any::<[u8; 32]>(), ed in any::<bool>(), text in "\\PC{0,40}") {
        let (ours, name) = match ed {
            true => (Algorithm::EdDsa, other::Algorithm::EdDSA),
            false => (Algorithm::Es256, other::Algorithm::ES256),
        };
        let Ok(key) = SigningKey::from_secret(ours, &secret) else { return Ok(()) };
        let claims = Value::object([("text", Value::from(text.as_str())), ("exp", Value::from(NOW))]);
        let token = key.sign("at+jwt", &claims).unwrap();
        let mut validation = other::Validation::new(name);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let read = other::decode::<serde_json::Value>(&token, &theirs(&key.public().jwk()), &validation).unwrap();
        prop_assert_eq!(&read.claims["text"], &serde_json::Value::from(text));
        prop_assert_eq!(read.header.kid.as_deref(), key.public().kid());
        prop_assert_eq!(key.public().kid().unwrap(), key.public().thumbprint().to_string());
    }
}

#[test]
fn what_others_sign_with_rsa_we_accept() {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = pair.as_der().unwrap();
    let public = pair.public_key();
    let big = |bytes: &[u8]| B64.encode(bytes);
    let n = big(public.modulus().big_endian_without_leading_zero());
    let e = big(public.exponent().big_endian_without_leading_zero());
    let set =
        format!("{{\"keys\":[{{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"{n}\",\"e\":\"{e}\"}}]}}");
    let keys = KeySet::parse(set.as_bytes(), KeyUse::Signature).unwrap();
    let signing = other::EncodingKey::from_rsa_der(&pkcs1_of(pkcs8.as_ref()));
    for (theirs, ours) in [
        (other::Algorithm::RS256, Algorithm::Rs256),
        (other::Algorithm::RS384, Algorithm::Rs384),
        (other::Algorithm::RS512, Algorithm::Rs512),
        (other::Algorithm::PS256, Algorithm::Ps256),
        (other::Algorithm::PS384, Algorithm::Ps384),
        (other::Algorithm::PS512, Algorithm::Ps512),
    ] {
        let mut head = other::Header::new(theirs);
        head.kid = Some("r".into());
        let claims: serde_json::Value = serde_json::from_str(&good()).unwrap();
        let token = other::encode(&head, &claims, &signing).unwrap();
        let mut expect = expect();
        expect.algorithms = vec![ours];
        verify(&token, &expect, &keys, now()).unwrap();
        // The same key under another algorithm of its family is refused.
        expect.algorithms = Algorithm::ALL.into_iter().filter(|a| *a != ours).collect();
        let error = verify(&token, &expect, &keys, now()).unwrap_err();
        assert!(matches!(error, JoseError::Algorithm { .. }));
    }
}

/// The RSAPrivateKey inside a PKCS#8 of RSA 2048: everything after its fixed head.
fn pkcs1_of(pkcs8: &[u8]) -> Vec<u8> {
    pkcs8[26..].to_vec()
}
