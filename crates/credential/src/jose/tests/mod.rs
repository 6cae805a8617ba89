//! Each test is one pitfall, or one promise.

mod dpop;
mod keys;
mod oracle;
#[expect(clippy::string_slice, reason = "tokens are ASCII")]
mod pitfalls;
mod wycheproof;

use super::*;
use safeconduct_model::{Timestamp, Value};
use safeconduct_wire::json;

/// The tests' now, in seconds.
const NOW: i64 = 1_790_000_000;

const ISSUER: &str = "https://issuer.example";
const US: &str = "https://safeconduct.example";

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

fn signer() -> SigningKey {
    SigningKey::from_secret(Algorithm::Es256, &[7; 32]).unwrap()
}

fn keys() -> KeySet {
    KeySet::of([signer().public().clone()]).unwrap()
}

/// Claims that are accepted, as JSON text with one member replaced or added; `null` removes it.
fn claims(name: &str, value: &str) -> String {
    let mut all = vec![
        ("iss", format!("{ISSUER:?}")),
        ("sub", "\"case-agent\"".to_owned()),
        ("aud", format!("{US:?}")),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 300).to_string()),
        ("jti", "\"t-1\"".to_owned()),
    ];
    all.retain(|(member, _)| *member != name);
    if value != "null" {
        all.push((name, value.to_owned()));
    }
    let members: Vec<String> =
        all.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// The claims that are accepted.
fn good() -> String {
    claims("jti", "\"t-1\"")
}

/// A header with these members beside `alg` and `kid`.
fn header(more: &str) -> String {
    let kid = signer().public().kid().unwrap().to_owned();
    format!("{{\"alg\":\"ES256\",\"kid\":\"{kid}\"{more}}}")
}

fn expect() -> Expect {
    let mut expect = Expect::new([Algorithm::Es256], Typ::one_of_or_absent(["JWT"]), [US]);
    expect.issuer = Some(ISSUER.into());
    expect
}

/// A token of these two texts, well signed.
fn token(header: &str, claims: &str) -> String {
    signer().sign_parts(header.as_bytes(), claims.as_bytes()).unwrap()
}

fn check(header: &str, claims: &str) -> Result<Verified, JoseError> {
    verify(&token(header, claims), &expect(), &keys(), now())
}
