//! Checking a security event token (RFC 8417): signature, kind and who it is meant for. What its
//! claims say besides is read by `safeconduct_wire::signals`.
//!
//! It is no credential: it has no `exp` and no `sub`, and whoever holds one may do nothing by it.
//! Whether it was seen before is for a store.

use safeconduct_model::{Timestamp, Value};

use super::algorithm::Algorithm;
use super::compact;
use super::error::{JoseError, Part};
use super::key_set::KeySet;
use super::signature;
use super::verify::{ClockSkew, Typ, audiences, text, time};

/// What a security event token must be. It comes from the configuration of its stream, never
/// from the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventExpect {
    /// The algorithms that this transmitter signs with.
    pub algorithms: Vec<Algorithm>,
    /// The transmitter, exactly.
    pub issuer: String,
    /// Our name at this transmitter, which must be among those that the token is meant for.
    pub audience: String,
    /// How far its clock may be ahead of ours.
    pub skew: ClockSkew,
    /// How long ago a token may have been issued, in seconds.
    pub age_max_s: u32,
}

/// Checks a security event token and gives its claims: an object, with `iss` and `aud` as they
/// must be, `iat` neither ahead nor too long ago, and neither `sub` nor `exp` (RFC 8417 section
/// 4.1, Shared Signals Framework 1.0 section 4.1).
///
/// # Errors
/// [`JoseError`] names the first thing that is wrong.
pub fn verify_event(
    token: &str,
    expect: &EventExpect,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Value, JoseError> {
    let compact = compact::split(token)?;
    let header = compact.header(None)?;
    Typ::one_of(["secevent+jwt"]).check(header.typ)?;
    signature::check(&compact, &header, &expect.algorithms, keys)?;
    let claims = compact::object(&compact.payload, Part::Claims)?;
    for name in ["sub", "exp"] {
        if claims.member(name).is_some() {
            return Err(JoseError::ForbiddenClaim { name });
        }
    }
    match text(&claims, "iss")? {
        None => return Err(JoseError::MissingClaim { name: "iss".into() }),
        Some(issuer) if *issuer != *expect.issuer => return Err(JoseError::Issuer),
        Some(_) => {}
    }
    if !audiences(&claims)?.iter().any(|audience| **audience == *expect.audience) {
        return Err(JoseError::Audience);
    }
    let missing = || JoseError::MissingClaim { name: "iat".into() };
    let at = time(&claims, "iat")?.ok_or_else(missing)?;
    if at > now.plus_ms(expect.skew.ms()) {
        return Err(JoseError::IssuedInTheFuture { at });
    }
    if now.ms_since(at) > i64::from(expect.age_max_s) * 1000 {
        return Err(JoseError::IssuedTooLongAgo { at, limit_s: expect.age_max_s });
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::super::sign::SigningKey;
    use super::*;

    const NOW_S: i64 = 1_790_000_000;

    fn expect() -> EventExpect {
        EventExpect {
            algorithms: vec![Algorithm::Es256],
            issuer: "https://idp.example".into(),
            audience: "https://us.example".into(),
            skew: ClockSkew::default(),
            age_max_s: 3600,
        }
    }

    fn check(typ: &str, claims: &str, secret: u8) -> Result<Value, JoseError> {
        let ours = SigningKey::from_secret(Algorithm::Es256, &[7; 32]).unwrap();
        let signer = SigningKey::from_secret(Algorithm::Es256, &[secret; 32]).unwrap();
        let header = match secret {
            7 => format!(
                r#"{{"alg":"ES256","typ":"{typ}","kid":"{}"}}"#,
                ours.public().kid().unwrap()
            ),
            _ => format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#),
        };
        let token = signer.sign_parts(header.as_bytes(), claims.as_bytes()).unwrap();
        let keys = KeySet::of([ours.public().clone()]).unwrap();
        verify_event(&token, &expect(), &keys, Timestamp::from_millis(NOW_S * 1000))
    }

    fn claims(more: &str) -> String {
        format!(
            r#"{{"iss":"https://idp.example","aud":["https://us.example"],"iat":{NOW_S},"jti":"1"{more}}}"#
        )
    }

    #[test]
    fn a_token_of_the_stream_is_taken() {
        assert!(check("secevent+jwt", &claims(""), 7).is_ok());
        assert!(check("application/secevent+jwt", &claims(""), 7).is_ok());
    }

    #[test]
    fn what_is_none_is_refused_each_for_its_own_reason() {
        let good = claims("");
        assert_eq!(check("at+jwt", &good, 7), Err(JoseError::Typ { found: "at+jwt".into() }));
        assert_eq!(check("JWT", &good, 7), Err(JoseError::Typ { found: "JWT".into() }));
        assert_eq!(check("secevent+jwt", &good, 8), Err(JoseError::Signature));
        let with = |more: &str| check("secevent+jwt", &claims(more), 7);
        assert_eq!(with(r#","exp":1"#), Err(JoseError::ForbiddenClaim { name: "exp" }));
        assert_eq!(with(r#","sub":"ada""#), Err(JoseError::ForbiddenClaim { name: "sub" }));
        // Which of two is meant is not for us to guess.
        assert!(matches!(with(r#","jti":"2""#), Err(JoseError::Json { .. })));
        assert!(matches!(with(r#","iss":"https://other.example""#), Err(JoseError::Json { .. })));
        let other = |from: &str, to: &str| check("secevent+jwt", &good.replace(from, to), 7);
        assert_eq!(other("https://idp.example", "https://idp.example/"), Err(JoseError::Issuer));
        assert_eq!(other("https://us.example", "https://them.example"), Err(JoseError::Audience));
        assert!(other(r#"["https://us.example"]"#, "[]").is_err());
        let at = |s: i64| Timestamp::from_millis(s * 1000);
        let (ahead, long_ago) = (NOW_S + 1, NOW_S - 3601);
        assert_eq!(
            other(&NOW_S.to_string(), &ahead.to_string()),
            Err(JoseError::IssuedInTheFuture { at: at(ahead) })
        );
        assert_eq!(
            other(&NOW_S.to_string(), &long_ago.to_string()),
            Err(JoseError::IssuedTooLongAgo { at: at(long_ago), limit_s: 3600 })
        );
    }

    #[test]
    fn a_key_that_nobody_knows_is_named() {
        let ours = SigningKey::from_secret(Algorithm::Es256, &[7; 32]).unwrap();
        let stranger = SigningKey::from_secret(Algorithm::Es256, &[9; 32]).unwrap();
        let token = stranger.sign("secevent+jwt", &Value::object::<&str>([])).unwrap();
        let keys = KeySet::of([ours.public().clone()]).unwrap();
        let refused = verify_event(&token, &expect(), &keys, Timestamp::from_millis(0));
        assert!(matches!(refused, Err(JoseError::UnknownKey { .. })));
    }
}
