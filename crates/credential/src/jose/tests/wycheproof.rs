//! Wycheproof's vectors for JSON Web Signatures and keys. The suite also tests HMAC; we have no
//! symmetric keys, so all of those must be refused.

use serde_json::Value as Json;

use super::super::{compact, signature};
use super::*;

/// Vectors that the suite calls valid and we refuse, because the key's `alg` contradicts the
/// token's: `PS256` where the token says PS384, and `ES521`, which is no algorithm, where it says
/// ES512. With the key's `alg` put right they must hold.
const MISNAMED: [(u64, &str); 4] = [(346, "PS384"), (347, "ES512"), (350, "PS384"), (351, "ES512")];

#[expect(clippy::disallowed_methods, reason = "a test reads its vectors")]
fn vectors(name: &str) -> Option<Json> {
    let path = format!("{}/../../../shared/evals/jose/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            println!("skipped: no ../shared/evals/jose/{name} beside the work tree");
            None
        }
    }
}

/// A key or set of keys of the suite as a strict set; `None` where it is refused as a whole.
fn set_of(key: &Json) -> Option<KeySet> {
    let set =
        if key.get("keys").is_some() { key.clone() } else { serde_json::json!({"keys": [key]}) };
    KeySet::parse(set.to_string().as_bytes(), KeyUse::Signature).ok()
}

/// Whether the signature holds with exactly the key's own algorithm, or with any where it names
/// none.
fn holds(jws: &str, keys: &KeySet, alg: Option<&str>) -> bool {
    let algorithms = match alg {
        Some(alg) => Algorithm::parse(alg).into_iter().collect::<Vec<_>>(),
        None => Algorithm::ALL.to_vec(),
    };
    let check = || {
        let token = compact::split(jws)?;
        let header = token.header(None)?;
        signature::check(&token, &header, &algorithms, keys)
    };
    check().is_ok()
}

fn text<'a>(json: &'a Json, name: &str) -> Option<&'a str> {
    json.get(name).and_then(Json::as_str)
}

#[test]
fn every_signature_vector_is_judged_as_the_suite_does() {
    let Some(suite) = vectors("json_web_signature_test.json") else { return };
    let (mut valid, mut invalid) = (0, 0);
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let symmetric = text(key, "kty") == Some("oct");
        let keys = set_of(key);
        assert_eq!(keys.is_none(), symmetric, "{}", group["comment"]);
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let misnamed = MISNAMED.iter().find(|(misnamed, _)| *misnamed == id);
            let expected = test["result"] == "valid" && !symmetric && misnamed.is_none();
            let jws = test["jws"].as_str().unwrap();
            let found = keys.as_ref().is_some_and(|keys| holds(jws, keys, text(key, "alg")));
            assert_eq!(found, expected, "test {id}: {}", test["comment"]);
            if let Some((_, alg)) = misnamed {
                let mut mended = key.clone();
                mended["alg"] = (*alg).into();
                assert!(holds(jws, &set_of(&mended).unwrap(), Some(alg)), "test {id}");
            }
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!(valid + invalid, suite["numberOfTests"].as_u64().unwrap());
    assert!(valid > 30, "{valid} valid ones");
}

#[test]
fn every_key_vector_is_judged_as_the_suite_does() {
    let Some(suite) = vectors("json_web_key_test.json") else { return };
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let first = key.get("keys").map_or(key, |keys| &keys[0]);
        let symmetric = text(first, "kty") == Some("oct") || group.get("public").is_none();
        for test in group["tests"].as_array().unwrap() {
            let jws = test["jws"].as_str().unwrap();
            let found = set_of(key).is_some_and(|keys| holds(jws, &keys, None));
            let expected = test["result"] == "valid" && !symmetric;
            assert_eq!(found, expected, "test {}: {}", test["tcId"], test["comment"]);
        }
    }
}

#[test]
fn every_crypto_vector_is_judged_as_the_suite_does() {
    let Some(suite) = vectors("json_web_crypto_test.json") else { return };
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let keys = set_of(key);
        for test in group["tests"].as_array().unwrap() {
            // The rest of the file is about encryption, or is no text at all.
            let Some(jws) = test.get("jws").and_then(Json::as_str) else { continue };
            let found = keys.as_ref().is_some_and(|keys| holds(jws, keys, None));
            let expected = test["result"] == "valid" && group.get("public").is_some();
            assert_eq!(found, expected, "test {}: {}", test["tcId"], test["comment"]);
        }
    }
}
