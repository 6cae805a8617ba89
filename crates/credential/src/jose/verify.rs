//! Checking a token: everything that it must be is said beforehand.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Digest, Timestamp, Value};

use super::algorithm::Algorithm;
use super::compact::{self, Header};
use super::confirmation::Confirmation;
use super::error::{JoseError, Part, shown};
use super::key::sha256;
use super::key_set::KeySet;
use super::signature;

/// Most values that `aud` may have.
const AUDIENCES_MAX: usize = 32;

/// Last second of the year 9999: no time of a token lies later.
const SECONDS_MAX: i64 = 253_402_300_799;

/// How far two clocks may be apart, in seconds: 0 to 30. It is stated per issuer, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ClockSkew(u8);

impl ClockSkew {
    /// The most that can be stated.
    pub const MAX: Self = Self(30);

    /// So many seconds; `None` above 30.
    pub const fn seconds(seconds: u32) -> Option<Self> {
        // The guard keeps it within a byte.
        if seconds <= 30 { Some(Self(seconds as u8)) } else { None }
    }

    pub(super) const fn ms(self) -> i64 {
        self.0 as i64 * 1000
    }
}

/// Which kinds of token are taken, by the header's `typ` (RFC 8725 section 3.11). Compared as
/// media types: without case, and with `application/` understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typ {
    names: BTreeSet<String>,
    absent: bool,
}

impl Typ {
    /// One of these, and it must be said: `at+jwt`, `secevent+jwt`.
    pub fn one_of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        Self { names: names.into_iter().map(|name| bare(name.as_ref())).collect(), absent: false }
    }

    /// One of these, or nothing said: for issuers from before `typ` was asked for.
    pub fn one_of_or_absent<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        Self { absent: true, ..Self::one_of(names) }
    }

    pub(super) fn check(&self, found: Option<&str>) -> Result<(), JoseError> {
        let fits = found.map_or(self.absent, |found| self.names.contains(&bare(found)));
        if fits { Ok(()) } else { Err(JoseError::Typ { found: shown(found.unwrap_or_default()) }) }
    }
}

fn bare(media_type: &str) -> String {
    let lower = media_type.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
}

/// What header members that are not understood do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherMembers {
    /// They are ignored (RFC 7515 section 4).
    #[default]
    Ignored,
    /// They are an error: a JWT-SVID has `alg`, `kid` and `typ` alone (JWT-SVID section 2).
    Refused,
}

/// How many audiences a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AudienceRule {
    /// One of them must be ours.
    #[default]
    Contains,
    /// There is exactly one, and it is ours: a token for several can be replayed among them.
    Alone,
}

/// What a token must be. It comes from the trust record of its issuer, never from the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The algorithms that this issuer signs with.
    pub algorithms: Vec<Algorithm>,
    /// The kinds of token that are meant.
    pub typ: Typ,
    /// What other members of the header do.
    pub other_members: OtherMembers,
    /// The issuer, exactly; `None` only where the keys themselves say who it is, as the bundle of
    /// a SPIFFE trust domain does.
    pub issuer: Option<String>,
    /// Our names, one of which the token must be meant for.
    pub audiences: BTreeSet<String>,
    /// Whether it may be meant for others too.
    pub audience_rule: AudienceRule,
    /// How far clocks may be apart.
    pub skew: ClockSkew,
    /// Longest life of a token, in seconds, from `iat`, or from now where it has none.
    pub lifetime_max_s: u32,
    /// Claims that must be there, beside `exp`, `aud` and, where an issuer is named, `iss`.
    pub required: BTreeSet<String>,
}

impl Expect {
    /// The strict start: `iat` and `sub` required, an hour at most, no skew, any issuer that the
    /// keys vouch for. Without an audience nothing is accepted.
    pub fn new<A: Into<String>>(
        algorithms: impl IntoIterator<Item = Algorithm>,
        typ: Typ,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            algorithms: algorithms.into_iter().collect(),
            typ,
            other_members: OtherMembers::default(),
            issuer: None,
            audiences: audiences.into_iter().map(Into::into).collect(),
            audience_rule: AudienceRule::default(),
            skew: ClockSkew::default(),
            lifetime_max_s: 3600,
            required: ["iat".to_owned(), "sub".to_owned()].into(),
        }
    }
}

/// A token whose signature and claims hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Every claim: an object.
    pub claims: Value,
    /// `iss`.
    pub issuer: Option<Arc<str>>,
    /// `sub`.
    pub subject: Option<Arc<str>>,
    /// `aud`, always as a list.
    pub audiences: Vec<Arc<str>>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `exp`, without skew.
    pub expires_at: Timestamp,
    /// `jti`.
    pub token_id: Option<Arc<str>>,
    /// `cnf`: what the presenter must hold besides. Whoever calls must hold it against the proof.
    pub confirmation: Confirmation,
    /// SHA-256 of the whole token: its name where it has no `jti`.
    pub digest: Digest,
}

/// What an unverified token says of itself, to find the trust record that it must be held
/// against. Nothing here may be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// `iss`, where it is a text.
    pub issuer: Option<Arc<str>>,
    /// `sub`, where it is a text.
    pub subject: Option<Arc<str>>,
    /// The header's `kid`.
    pub kid: Option<String>,
}

/// Reads what a token says of itself, without checking its signature.
///
/// # Errors
/// [`JoseError`] where it is no token that [`verify`] could accept, by form alone.
pub fn peek(token: &str) -> Result<Unverified, JoseError> {
    let token = compact::split(token)?;
    let kid = token.header(None)?.kid.map(str::to_owned);
    let claims = compact::object(&token.payload, Part::Claims)?;
    let text = |name| match claims.member(name) {
        Some(Value::String(text)) => Some(Arc::clone(text)),
        _ => None,
    };
    Ok(Unverified { issuer: text("iss"), subject: text("sub"), kid })
}

/// Checks a token: form, header, signature, then every claim that has a meaning to us.
///
/// # Errors
/// [`JoseError`] names the first thing that is wrong, and shows nothing of the token that could
/// be used.
pub fn verify(
    token: &str,
    expect: &Expect,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Verified, JoseError> {
    let compact = compact::split(token)?;
    let header = compact.header(None)?;
    check_members(&compact.header, &header, expect)?;
    signature::check(&compact, &header, &expect.algorithms, keys)?;
    let claims = compact::object(&compact.payload, Part::Claims)?;
    let digest = Digest::from_bytes(sha256(token.as_bytes()));
    check_claims(claims, digest, expect, now)
}

fn check_members(all: &Value, header: &Header<'_>, expect: &Expect) -> Result<(), JoseError> {
    expect.typ.check(header.typ)?;
    if expect.other_members == OtherMembers::Refused {
        let known = |name: &&Arc<str>| ["alg", "kid", "typ"].contains(&&***name);
        let mut names = all.as_object().into_iter().flat_map(|members| members.keys());
        if let Some(name) = names.find(|name| !known(name)) {
            return Err(JoseError::HeaderMember { name: shown(name) });
        }
    }
    Ok(())
}

fn check_claims(
    claims: Value,
    digest: Digest,
    expect: &Expect,
    now: Timestamp,
) -> Result<Verified, JoseError> {
    for name in &expect.required {
        if claims.member(name).is_none_or(|value| *value == Value::Null) {
            return Err(JoseError::MissingClaim { name: name.clone() });
        }
    }
    let issuer = text(&claims, "iss")?;
    if let Some(wanted) = &expect.issuer {
        match &issuer {
            None => return Err(JoseError::MissingClaim { name: "iss".into() }),
            Some(issuer) if **issuer != **wanted => return Err(JoseError::Issuer),
            Some(_) => {}
        }
    }
    let audiences = audiences(&claims)?;
    if !audiences.iter().any(|audience| expect.audiences.contains(&**audience)) {
        return Err(JoseError::Audience);
    }
    if expect.audience_rule == AudienceRule::Alone && audiences.len() != 1 {
        return Err(JoseError::SeveralAudiences);
    }
    let (issued_at, expires_at) = check_times(&claims, expect, now)?;
    Ok(Verified {
        issuer,
        subject: text(&claims, "sub")?,
        audiences,
        issued_at,
        expires_at,
        token_id: text(&claims, "jti")?,
        confirmation: Confirmation::read(&claims)?,
        digest,
        claims,
    })
}

fn check_times(
    claims: &Value,
    expect: &Expect,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Timestamp), JoseError> {
    let missing = || JoseError::MissingClaim { name: "exp".into() };
    let expires_at = time(claims, "exp")?.ok_or_else(missing)?;
    let not_before = time(claims, "nbf")?;
    let issued_at = time(claims, "iat")?;
    let begins = issued_at.into_iter().chain(not_before).max();
    if begins.is_some_and(|begins| begins >= expires_at) {
        return Err(JoseError::EndsBeforeItBegins);
    }
    let skew = expect.skew.ms();
    // The skew adds no more to a token's life than the life that its issuer gave it.
    let late = begins.map_or(skew, |begins| skew.min(expires_at.ms_since(begins)));
    if now >= expires_at.plus_ms(late) {
        return Err(JoseError::Expired { at: expires_at });
    }
    if let Some(at) = not_before.filter(|at| *at > now.plus_ms(skew)) {
        return Err(JoseError::NotYetValid { at });
    }
    if let Some(at) = issued_at.filter(|at| *at > now.plus_ms(skew)) {
        return Err(JoseError::IssuedInTheFuture { at });
    }
    // From `iat` exactly; what is left from now on is bounded too, for tokens without `iat`, and
    // for an `iat` that was set far back.
    let limit = i64::from(expect.lifetime_max_s) * 1000;
    let too_long = issued_at.is_some_and(|at| expires_at.ms_since(at) > limit)
        || expires_at.ms_since(now) > limit.saturating_add(skew);
    if too_long {
        return Err(JoseError::LivesTooLong { limit_s: expect.lifetime_max_s });
    }
    Ok((issued_at, expires_at))
}

pub(super) fn text(claims: &Value, name: &'static str) -> Result<Option<Arc<str>>, JoseError> {
    match claims.member(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(Arc::clone(text))),
        Some(_) => Err(JoseError::ClaimType { name, wanted: "a text that is not empty" }),
    }
}

pub(super) fn audiences(claims: &Value) -> Result<Vec<Arc<str>>, JoseError> {
    const WRONG: JoseError =
        JoseError::ClaimType { name: "aud", wanted: "a text or a list of 1 to 32 texts" };
    match claims.member("aud") {
        None => Err(JoseError::MissingClaim { name: "aud".into() }),
        Some(Value::String(one)) => Ok(vec![Arc::clone(one)]),
        Some(Value::Array(several)) if (1..=AUDIENCES_MAX).contains(&several.len()) => several
            .iter()
            .map(|one| match one {
                Value::String(one) => Ok(Arc::clone(one)),
                _ => Err(WRONG),
            })
            .collect(),
        Some(_) => Err(WRONG),
    }
}

/// A NumericDate (RFC 7519 section 2): a JSON number, never a text that looks like one.
pub(crate) fn time(claims: &Value, name: &'static str) -> Result<Option<Timestamp>, JoseError> {
    let wrong = || JoseError::ClaimType { name, wanted: "a number of seconds since 1970" };
    let millis = match claims.member(name) {
        None => return Ok(None),
        Some(Value::Integer(seconds)) if (0..=SECONDS_MAX).contains(seconds) => seconds * 1000,
        Some(Value::Number(number)) => {
            let seconds: f64 = number.as_str().parse().map_err(|_| wrong())?;
            if !(0.0..=SECONDS_MAX as f64).contains(&seconds) {
                return Err(wrong());
            }
            (seconds * 1000.0).floor() as i64
        }
        Some(_) => return Err(wrong()),
    };
    Ok(Some(Timestamp::from_millis(millis)))
}
