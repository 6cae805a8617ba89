//! Signing in: the authorization code flow of OpenID Connect with PKCE (RFC 7636, S256), `state`,
//! `nonce`, and the issuer's name in the answer (RFC 9207).
//!
//! What begins a sign-in is kept in a cookie, sealed, so that any number of strangers who begin
//! one take no memory from others. The cookie's secret gives `state`, `nonce` and the verifier by
//! a key that this process alone has: an answer counts only in the browser that asked.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use safeconduct_model::{Timestamp, Value};
use safeconduct_wire::json::{self, Limits};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::form::Form;
use crate::provider::Endpoints;
use crate::secret::{self, NoRandomness};

/// How long a person may take at the provider, in milliseconds.
pub const SIGN_IN_MS: i64 = 10 * 60_000;

/// Longest code that is redeemed, in bytes.
const CODE_BYTES_MAX: usize = 2048;

/// Whether a person must show anew who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// The provider may know them from before.
    Known,
    /// It must ask them.
    Anew,
}

/// A sign-in that has begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    secret: [u8; 32],
    at: Timestamp,
    demand: Demand,
    next: String,
}

/// Why the provider's answer signs nobody in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SignInError {
    #[error("this sign-in was not begun in this browser, or too long ago")]
    NotBegun,
    #[error("the answer is not the one to this sign-in")]
    State,
    #[error("the answer is another provider's")]
    Issuer,
    #[error("the provider refused: `{0}`")]
    Refused(String),
    #[error("the answer brings no code")]
    NoCode,
    #[error("the ID token is not the one to this sign-in")]
    Nonce,
    #[error("the ID token was made for another client")]
    Audience,
    #[error("the ID token does not say when the person signed in")]
    NoAuthTime,
    #[error("the ID token cannot be read")]
    Unreadable,
}

impl Begun {
    pub(crate) fn new(at: Timestamp, demand: Demand, next: &str) -> Result<Self, NoRandomness> {
        Ok(Self { secret: secret::random()?, at, demand, next: path_of_ours(next).to_owned() })
    }

    /// Where they go once they are signed in.
    pub(crate) fn next(&self) -> &str {
        &self.next
    }

    /// The value of the cookie.
    pub(crate) fn cookie(&self, key: &[u8; 32]) -> String {
        let anew = u8::from(self.demand == Demand::Anew);
        let next = BASE64_URL_SAFE_NO_PAD.encode(&self.next);
        let at = self.at.as_millis();
        let seal = secret::text(&self.seal(key));
        format!("{}.{at}.{anew}.{next}.{seal}", secret::text(&self.secret))
    }

    /// What began with that cookie, not too long ago.
    pub(crate) fn of(cookie: &str, key: &[u8; 32], now: Timestamp) -> Option<Self> {
        let mut parts = cookie.split('.');
        let mut part = || parts.next();
        let (secret, at, anew, next, seal) = (part()?, part()?, part()?, part()?, part()?);
        let begun = Self {
            secret: secret::read(secret)?,
            at: Timestamp::from_millis(at.parse().ok()?),
            demand: if anew == "1" { Demand::Anew } else { Demand::Known },
            next: String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(next).ok()?).ok()?,
        };
        let sealed = begun.seal(key).ct_eq(&secret::read(seal)?);
        let age = now.as_millis().saturating_sub(begun.at.as_millis());
        let lasts = (0..SIGN_IN_MS).contains(&age);
        (bool::from(sealed) && parts.next().is_none() && lasts).then_some(begun)
    }

    /// Where the browser is sent.
    pub(crate) fn address(
        &self,
        key: &[u8; 32],
        endpoints: &Endpoints,
        client_id: &str,
        redirect_uri: &str,
    ) -> Option<String> {
        let mut address = url::Url::parse(&endpoints.authorization).ok()?;
        let challenge = Sha256::digest(self.verifier(key));
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", "openid")
            .append_pair("state", &self.derived(key, b"state"))
            .append_pair("nonce", &self.derived(key, b"nonce"))
            .append_pair("code_challenge", &BASE64_URL_SAFE_NO_PAD.encode(challenge))
            .append_pair("code_challenge_method", "S256");
        if self.demand == Demand::Anew {
            let max_age = (crate::browser::FRESH_MS / 1000).to_string();
            address
                .query_pairs_mut()
                .append_pair("prompt", "login")
                .append_pair("max_age", &max_age);
        }
        Some(address.into())
    }

    /// The code of the provider's answer.
    pub(crate) fn code<'a>(
        &self,
        key: &[u8; 32],
        endpoints: &Endpoints,
        answer: &'a Form,
    ) -> Result<&'a str, SignInError> {
        if !same(answer.text("state"), &self.derived(key, b"state")) {
            return Err(SignInError::State);
        }
        // Also before an error is believed: another provider could have sent the browser here.
        let named = answer.has("iss");
        if named && answer.text("iss") != &*endpoints.issuer || !named && endpoints.names_itself {
            return Err(SignInError::Issuer);
        }
        if answer.has("error") {
            let error = answer.text("error").chars().filter(|c| !c.is_control()).take(64);
            return Err(SignInError::Refused(error.collect()));
        }
        let code = answer.text("code");
        let fits = (1..=CODE_BYTES_MAX).contains(&code.len());
        if fits { Ok(code) } else { Err(SignInError::NoCode) }
    }

    /// What the code was asked for with.
    pub(crate) fn verifier(&self, key: &[u8; 32]) -> String {
        self.derived(key, b"verifier")
    }

    /// What only this sign-in's ID token says, and when the person signed in. The token's
    /// signature, issuer, audience and times have been checked.
    pub(crate) fn proved_at(
        &self,
        key: &[u8; 32],
        client_id: &str,
        id_token: &str,
    ) -> Result<Option<Timestamp>, SignInError> {
        let claims = claims(id_token).ok_or(SignInError::Unreadable)?;
        let text = |name: &str| claims.member(name).and_then(Value::as_str);
        if !same(text("nonce").unwrap_or_default(), &self.derived(key, b"nonce")) {
            return Err(SignInError::Nonce);
        }
        // Core, section 3.1.3.7: where there are several audiences, it says for whom it was made.
        let ours = match claims.member("aud") {
            Some(Value::String(audience)) => &**audience == client_id,
            Some(Value::Array(audiences)) => {
                let ours = audiences.iter().any(|audience| audience.as_str() == Some(client_id));
                ours && (audiences.len() == 1 || text("azp").is_some())
            }
            _ => false,
        };
        if !ours || text("azp").is_some_and(|azp| azp != client_id) {
            return Err(SignInError::Audience);
        }
        let at = claims.member("auth_time").and_then(seconds);
        if self.demand == Demand::Anew && at.is_none() {
            return Err(SignInError::NoAuthTime);
        }
        Ok(at)
    }

    fn derived(&self, key: &[u8; 32], what: &[u8]) -> String {
        secret::text(&secret::keyed(key, &[b"sign-in", what, &self.secret]))
    }

    fn seal(&self, key: &[u8; 32]) -> [u8; 32] {
        let anew = [u8::from(self.demand == Demand::Anew)];
        let at = self.at.as_millis().to_be_bytes();
        secret::keyed(key, &[b"begun", &self.secret, &at, &anew, self.next.as_bytes()])
    }
}

/// The claims of a token that was checked.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let payload = BASE64_URL_SAFE_NO_PAD.decode(parts.nth(1)?).ok()?;
    json::parse_within(&payload, Limits { bytes: 16 * 1024, depth: 16 }).ok()
}

/// Seconds since 1970, as a time.
fn seconds(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Integer(seconds) => seconds.checked_mul(1000).map(Timestamp::from_millis),
        _ => None,
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// A path that we may send a browser to: one of our own pages, and nothing that a browser could
/// take for another site.
pub(crate) fn path_of_ours(path: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-_.:~".contains(c);
    let known =
        ["/approve", "/passkeys", "/break-glass"].contains(&path) || path.starts_with("/approve/");
    let plain = !path.contains("..") && !path.contains("//");
    if known && plain && path.len() <= 600 && path.chars().all(fits) { path } else { "/approve" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn endpoints(names_itself: bool) -> Endpoints {
        Endpoints {
            issuer: "https://id.example".into(),
            authorization: "https://id.example/authorize?tenant=1".into(),
            names_itself,
        }
    }

    fn begun(demand: Demand) -> Begun {
        Begun::new(at(0), demand, "/approve/rec_1").unwrap()
    }

    #[test]
    fn a_sign_in_is_known_by_its_cookie_alone() {
        let begun = begun(Demand::Known);
        let cookie = begun.cookie(&KEY);
        assert_eq!(Begun::of(&cookie, &KEY, at(1)), Some(begun));
        assert_eq!(Begun::of(&cookie, &KEY, at(SIGN_IN_MS)), None);
        assert_eq!(Begun::of(&cookie, &KEY, at(-1)), None);
        assert_eq!(Begun::of(&cookie, &[8; 32], at(1)), None);
        let changed = [
            cookie.replacen(".0.0.", ".1.0.", 1),
            cookie.replacen(".0.0.", ".0.1.", 1),
            format!("{cookie}.x"),
            cookie.get(1..).unwrap().to_owned(),
            String::new(),
        ];
        for changed in changed {
            assert_eq!(Begun::of(&changed, &KEY, at(1)), None, "{changed}");
        }
    }

    #[test]
    fn the_provider_is_asked_for_one_answer() {
        let begun = begun(Demand::Anew);
        let redirect = "https://us.example/sign-in/callback";
        let address = begun.address(&KEY, &endpoints(true), "web", redirect).unwrap();
        let address = url::Url::parse(&address).unwrap();
        let query = Form::parse(address.query().unwrap().as_bytes()).unwrap();
        assert_eq!(query.text("tenant"), "1");
        assert_eq!((query.text("prompt"), query.text("max_age")), ("login", "300"));
        assert_eq!((query.text("client_id"), query.text("redirect_uri")), ("web", redirect));
        let verifier = begun.verifier(&KEY);
        assert_eq!(verifier.len(), 43);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        assert_eq!(query.text("code_challenge"), challenge);
        assert_eq!(query.text("code_challenge_method"), "S256");
        let secrets = [query.text("state"), query.text("nonce"), &verifier];
        assert!(!begun.cookie(&KEY).contains(secrets[2]) && secrets[0] != secrets[1]);
    }

    #[test]
    fn only_the_answer_to_this_sign_in_brings_a_code() {
        let begun = begun(Demand::Known);
        let state = begun.derived(&KEY, b"state");
        let answer = |rest: &str, names_itself: bool| {
            let form = Form::parse(format!("state={state}{rest}").as_bytes()).unwrap();
            begun.code(&KEY, &endpoints(names_itself), &form).map(str::to_owned)
        };
        let iss = "&iss=https%3A%2F%2Fid.example";
        assert_eq!(answer("&code=c", false), Ok("c".into()));
        assert_eq!(answer(&format!("&code=c{iss}"), true), Ok("c".into()));
        assert_eq!(answer("&code=c", true), Err(SignInError::Issuer));
        assert_eq!(answer(&format!("&code=c{iss}%2F"), false), Err(SignInError::Issuer));
        assert_eq!(answer("&error=x&iss=https%3A%2F%2Fevil", false), Err(SignInError::Issuer));
        let refused = SignInError::Refused("access_denied".into());
        assert_eq!(answer("&error=access_denied&code=c", false), Err(refused));
        assert_eq!(answer("", false), Err(SignInError::NoCode));
        let other = Form::parse(b"state=x&code=c").unwrap();
        assert_eq!(begun.code(&KEY, &endpoints(false), &other), Err(SignInError::State));
    }

    #[test]
    fn the_id_token_must_be_the_one_to_this_sign_in() {
        let token = |claims: &str| {
            let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            format!("{}.{}.{}", part("{}"), part(claims), part("signature"))
        };
        let begun = begun(Demand::Anew);
        let nonce = begun.derived(&KEY, b"nonce");
        let proved = |rest: &str| {
            let claims = format!(r#"{{"nonce":"{nonce}"{rest}}}"#);
            begun.proved_at(&KEY, "web", &token(&claims))
        };
        let at_7 = Ok(Some(at(7000)));
        assert_eq!(proved(r#","aud":"web","auth_time":7"#), at_7);
        assert_eq!(proved(r#","aud":["web"],"auth_time":7"#), at_7);
        assert_eq!(proved(r#","aud":["web","x"],"azp":"web","auth_time":7"#), at_7);
        assert_eq!(proved(r#","aud":"web""#), Err(SignInError::NoAuthTime));
        assert_eq!(proved(r#","aud":"web","auth_time":"7""#), Err(SignInError::NoAuthTime));
        for audience in [
            r#","aud":"x""#,
            r#","aud":["web","x"]"#,
            r#","aud":["web","x"],"azp":"x""#,
            r#","aud":"web","azp":"x""#,
            "",
        ] {
            let rest = format!(r#"{audience},"auth_time":7"#);
            assert_eq!(proved(&rest), Err(SignInError::Audience), "{audience}");
        }
        let other = token(r#"{"nonce":"x","aud":"web","auth_time":7}"#);
        assert_eq!(begun.proved_at(&KEY, "web", &other), Err(SignInError::Nonce));
        let none = token(r#"{"aud":"web","auth_time":7}"#);
        assert_eq!(begun.proved_at(&KEY, "web", &none), Err(SignInError::Nonce));
        let twice = token(&format!(r#"{{"nonce":"x","nonce":"{nonce}","aud":"web"}}"#));
        assert_eq!(begun.proved_at(&KEY, "web", &twice), Err(SignInError::Unreadable));
    }

    #[test]
    fn a_browser_is_only_sent_to_pages_of_ours() {
        for path in ["/approve", "/approve/rec_01", "/passkeys"] {
            assert_eq!(path_of_ours(path), path);
        }
        for path in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/approve/\r\nSet-Cookie:x",
            "/approve//..%2f",
            "/approve/../v1/kill",
            "/sign-in",
            "",
            "/v1/kill",
        ] {
            assert_eq!(path_of_ours(path), "/approve", "{path}");
        }
    }
}
