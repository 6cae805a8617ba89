//! The claims around the events (RFC 8417 section 2.2, Shared Signals Framework 1.0 section 4).

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Timestamp, Value};

use super::event::Event;
use super::subject::SubjectId;
use crate::field::{FieldError, FieldProblem, Fields, token, wrong_kind};
use crate::json::{self, JsonError, Limits};

/// Longest claims of a security event token, in bytes.
pub const SET_BYTES_MAX: usize = 64 * 1024;

/// Deepest claims, counted by [`Value::depth`].
pub const SET_DEPTH_MAX: usize = 16;

/// Most events in one token. They all speak of one thing (RFC 8417 section 2), and the
/// interoperability profile of CAEP allows one.
pub const EVENTS_MAX: usize = 8;

/// Most receivers that a token names.
pub const AUDIENCE_MAX: usize = 32;

/// Longest text of a claim that names something, in bytes.
pub const CLAIM_BYTES_MAX: usize = 2048;

/// The last second that is taken for a time: the end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Why claims are no security event: the transmitter is at fault, and the answer to it is
/// `invalid_request` (RFC 8935 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecurityEventError {
    /// They are not the JSON that they must be, or more of it than [`SET_BYTES_MAX`].
    #[error("the claims are not acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// A claim is missing, does not fit, or must not be there.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// The claims of one security event token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// `iss`: the transmitter.
    pub issuer: Arc<str>,
    /// `jti`: unique for the issuer. The same one again is a replay.
    pub id: Arc<str>,
    /// `iat`: when the token was issued. It may lie in the future; whoever receives it has the
    /// clock that tells.
    pub issued_at: Timestamp,
    /// `aud`: the receivers, at least one.
    pub audience: Vec<Arc<str>>,
    /// `txn`: what other tokens about the same thing carry too.
    pub transaction: Option<Arc<str>>,
    /// `toe`: when it happened.
    pub happened_at: Option<Timestamp>,
    /// `sub_id`: of whom or what it speaks.
    pub subject: SubjectId,
    /// `events`: what happened, at least one, by their URI in order.
    pub events: Vec<Event>,
}

impl SecurityEvent {
    /// Reads the claims of a token whose signature has been checked.
    ///
    /// # Errors
    /// [`SecurityEventError`] where they are not strict JSON within the limits, or names the
    /// first claim that does not fit.
    pub fn parse(claims: &[u8]) -> Result<Self, SecurityEventError> {
        let limits = Limits { bytes: SET_BYTES_MAX, depth: SET_DEPTH_MAX };
        Ok(Self::from_value(json::parse_within(claims, limits)?)?)
    }

    /// Reads the claims of a token from a value. Claims of other kinds are left alone (RFC 7519
    /// section 4).
    ///
    /// # Errors
    /// [`FieldError`] names the first claim that is missing, ill-typed or forbidden.
    pub fn from_value(claims: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::of(claims, "")?;
        // A token with these could be taken for an access token (RFC 8417 section 4.1, Shared
        // Signals Framework 1.0 section 4.1).
        for forbidden in ["sub", "exp"] {
            if fields.take(forbidden).is_some() {
                let problem = "must not be in a security event token";
                return Err(FieldError::new(
                    fields.pointer(forbidden),
                    FieldProblem::Other(problem.to_owned()),
                ));
            }
        }
        Ok(Self {
            issuer: claim_text(&mut fields, "iss")?,
            id: claim_text(&mut fields, "jti")?,
            issued_at: optional_time(&mut fields, "iat")?.ok_or_else(|| fields.missing("iat"))?,
            audience: audience(&mut fields)?,
            transaction: optional_text(&mut fields, "txn")?,
            happened_at: optional_time(&mut fields, "toe")?,
            subject: SubjectId::read(fields.required("sub_id")?, "/sub_id")?,
            events: events(&mut fields)?,
        })
    }

    /// Whether it is meant for that receiver, compared as text.
    pub fn is_for(&self, receiver: &str) -> bool {
        self.audience.iter().any(|audience| &**audience == receiver)
    }
}

fn audience(fields: &mut Fields) -> Result<Vec<Arc<str>>, FieldError> {
    let pointer = fields.pointer("aud");
    let listed = match fields.required("aud")? {
        Value::Array(items) => items,
        one => vec![one],
    };
    if listed.is_empty() {
        return Err(FieldError::new(pointer, FieldProblem::Other("names nobody".to_owned())));
    }
    over(&pointer, "receivers", listed.len(), AUDIENCE_MAX)?;
    listed.into_iter().map(|item| text_of(item, &pointer)).collect()
}

fn events(fields: &mut Fields) -> Result<Vec<Event>, FieldError> {
    let members = fields.object("events")?.ok_or_else(|| fields.missing("events"))?;
    if members.is_empty() {
        let problem = FieldProblem::Other("holds no event".to_owned());
        return Err(FieldError::new("/events", problem));
    }
    over("/events", "events", members.len(), EVENTS_MAX)?;
    members
        .into_iter()
        .map(|(uri, payload)| {
            let pointer = format!("/events/{}", token(&uri));
            let uri = fitting(uri, &pointer)?;
            Event::read(uri, Fields::of(payload, pointer)?)
        })
        .collect()
}

/// The text of that name, which must be there, as a name of something.
pub(super) fn claim_text(fields: &mut Fields, name: &str) -> Result<Arc<str>, FieldError> {
    let text = fields.text(name)?;
    fitting(text, &fields.pointer(name))
}

/// The text of that name, if there is one.
pub(super) fn optional_text(
    fields: &mut Fields,
    name: &str,
) -> Result<Option<Arc<str>>, FieldError> {
    let pointer = fields.pointer(name);
    fields.take(name).map(|value| text_of(value, &pointer)).transpose()
}

/// The time of that name, if there is one: seconds since the epoch, a fraction cut off after the
/// milliseconds (`NumericDate`, RFC 7519 section 2).
pub(super) fn optional_time(
    fields: &mut Fields,
    name: &str,
) -> Result<Option<Timestamp>, FieldError> {
    let pointer = fields.pointer(name);
    let Some(value) = fields.take(name) else { return Ok(None) };
    let millis = match &value {
        Value::Integer(seconds) => Some((*seconds, 0)),
        Value::Number(number) => fractional(number.as_str()),
        other => return Err(wrong_kind(pointer, other, "a number of seconds")),
    };
    let in_range = millis.filter(|(seconds, _)| (0..=SECONDS_MAX).contains(seconds));
    match in_range {
        Some((seconds, ms)) => Ok(Some(Timestamp::from_millis(seconds * 1000 + ms))),
        None => {
            let problem = "is no time between 1970 and 9999 in seconds";
            Err(FieldError::new(pointer, FieldProblem::Other(problem.to_owned())))
        }
    }
}

/// Seconds and milliseconds of `12.345678`; an exponent is refused.
fn fractional(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.')?;
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let millis = fraction.bytes().chain(*b"000").take(3);
    let millis = millis.fold(0, |sum, byte| sum * 10 + i64::from(byte.wrapping_sub(b'0')));
    (digits && !whole.starts_with('-')).then_some((whole.parse().ok()?, millis))
}

/// A value that must be a text that names something.
pub(super) fn text_of(value: Value, pointer: &str) -> Result<Arc<str>, FieldError> {
    match value {
        Value::String(text) => fitting(text, pointer),
        other => Err(wrong_kind(pointer, &other, "a string")),
    }
}

/// What names something is not empty, not long, and can be shown.
fn fitting(text: Arc<str>, pointer: &str) -> Result<Arc<str>, FieldError> {
    over(pointer, "bytes", text.len(), CLAIM_BYTES_MAX)?;
    if text.is_empty() {
        return Err(FieldError::new(pointer, FieldProblem::Other("is empty".to_owned())));
    }
    if text.chars().any(char::is_control) {
        let problem = FieldProblem::Other("holds a control character".to_owned());
        return Err(FieldError::new(pointer, problem));
    }
    Ok(text)
}

/// Refuses more than a limit.
pub(super) fn over(
    pointer: &str,
    what: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), FieldError> {
    if found > limit {
        let problem = FieldProblem::OverLimit { what, limit: limit as u64 };
        return Err(FieldError::new(pointer, problem));
    }
    Ok(())
}

/// Short texts by language tag: `reason_admin`, `reason_user`.
pub(super) fn by_language(
    fields: &mut Fields,
    name: &str,
) -> Result<BTreeMap<Arc<str>, Arc<str>>, FieldError> {
    let pointer = fields.pointer(name);
    let members = fields.object(name)?.unwrap_or_default();
    over(&pointer, "languages", members.len(), LANGUAGES_MAX)?;
    let texts = members.into_iter().map(|(language, text)| {
        let pointer = format!("{pointer}/{}", token(&language));
        Ok((fitting(language, &pointer)?, text_of(text, &pointer)?))
    });
    texts.collect()
}

/// Most languages that a reason is given in.
pub const LANGUAGES_MAX: usize = 64;
