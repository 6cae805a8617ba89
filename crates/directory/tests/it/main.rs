//! The directory against issuers of our own: every pitfall of identity is a test here.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

#[expect(clippy::string_slice, reason = "keys are ASCII")]
mod api_keys;
mod bundles;
mod fetching;
mod oidc;
mod other_client;
mod pki;
mod server;
mod spiffe_tokens;
mod workload_api;
mod x509;

use std::path::Path;
use std::sync::Arc;

use safeconduct_credential::jose::{Algorithm, KeySet, SigningKey};
use safeconduct_directory::{
    Directory, Held, NoApiKeys, Presented, Proof, Refused, TrustError, TrustRecord,
};
use safeconduct_model::{Timestamp, Value};
use safeconduct_wire::{config, json};

/// The tests' now, in seconds.
pub(crate) const NOW: i64 = 1_790_000_000;
pub(crate) const US: &str = "https://safeconduct.example";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

/// The trust records of a configuration whose `trust:` is this.
pub(crate) fn records(trust: &str) -> Result<Vec<TrustRecord>, TrustError> {
    records_in(trust, Path::new("/nonexistent"))
}

pub(crate) fn records_in(trust: &str, folder: &Path) -> Result<Vec<TrustRecord>, TrustError> {
    let text = format!("version: 1\ntrust:\n{trust}");
    let config = config::parse("test.yaml", &text, folder).unwrap_or_else(|e| panic!("{e:#?}"));
    config.trust.iter().map(|(name, form)| TrustRecord::new(name, form, folder)).collect()
}

pub(crate) fn directory(trust: &str) -> Directory {
    Directory::new(records(trust).unwrap(), Arc::new(NoApiKeys)).unwrap()
}

pub(crate) fn directory_in(trust: &str, folder: &Path) -> Directory {
    Directory::new(records_in(trust, folder).unwrap(), Arc::new(NoApiKeys)).unwrap()
}

/// A signing key, different for each number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[number; 32]).unwrap()
}

/// A JWK Set of these keys.
pub(crate) fn jwks(keys: &[&SigningKey]) -> String {
    let set = KeySet::of(keys.iter().map(|key| key.public().clone())).unwrap();
    String::from_utf8(json::to_bytes(&set.jwks())).unwrap()
}

/// A token with these claims, which replace or add to a good start; `null` removes.
pub(crate) fn token(key: &SigningKey, issuer: &str, claims: &str) -> String {
    let start = format!(
        r#"{{"iss":"{issuer}","sub":"case-agent","aud":"{US}","iat":{NOW},"exp":{},"jti":"t-1"}}"#,
        NOW + 300
    );
    let mut all = json::parse(start.as_bytes()).unwrap();
    let more = json::parse(claims.as_bytes()).unwrap();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
        all.retain(|_, value| *value != Value::Null);
    }
    key.sign("JWT", &all).unwrap()
}

pub(crate) async fn prove(directory: &Directory, token: &str) -> Result<Proof, Refused> {
    directory.prove(Presented::Jwt { token, held: Held::default() }, now()).await
}
