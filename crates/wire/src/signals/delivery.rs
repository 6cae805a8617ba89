//! How security event tokens travel: pushed (RFC 8935), or polled for (RFC 8936).

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::Value;

use super::set::{claim_text, over};
use crate::field::{FieldError, FieldProblem, Fields, shown, token, wrong_kind};
use crate::json::{self, JsonError, Limits};

/// The media type of a pushed token.
pub const SET_MEDIA_TYPE: &str = "application/secevent+jwt";

/// The delivery method by push.
pub const PUSH_METHOD: &str = "urn:ietf:rfc:8935";

/// The delivery method by poll.
pub const POLL_METHOD: &str = "urn:ietf:rfc:8936";

/// Most tokens in one answer to a poll.
pub const POLL_SETS_MAX: usize = 256;

/// Longest answer to a poll, in bytes.
pub const POLL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most acknowledgements and errors in one poll.
pub const POLL_ACKS_MAX: usize = 1024;

/// Longest description of an error that is taken, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1024;

/// Why a token was not taken, in the words of RFC 8935 section 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryFault {
    /// It cannot be read, or is no security event token.
    InvalidRequest,
    /// Its key is unknown or not to be used.
    InvalidKey,
    /// It is of another issuer.
    InvalidIssuer,
    /// It is meant for others.
    InvalidAudience,
    /// The transmitter has not proved who it is.
    AuthenticationFailed,
    /// The transmitter may not send to this stream.
    AccessDenied,
    /// A verification with a state that was not asked for (Shared Signals Framework 1.0 section
    /// 8.1.4).
    InvalidState,
}

impl DeliveryFault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::InvalidRequest,
        Self::InvalidKey,
        Self::InvalidIssuer,
        Self::InvalidAudience,
        Self::AuthenticationFailed,
        Self::AccessDenied,
        Self::InvalidState,
    ];

    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidKey => "invalid_key",
            Self::InvalidIssuer => "invalid_issuer",
            Self::InvalidAudience => "invalid_audience",
            Self::AuthenticationFailed => "authentication_failed",
            Self::AccessDenied => "access_denied",
            Self::InvalidState => "invalid_state",
        }
    }

    /// It with what is wrong, as it is answered: `{"err", "description"}`.
    pub fn described(self, description: &str) -> Value {
        Value::object([
            ("err", Value::from(self.as_str())),
            ("description", Value::from(description)),
        ])
    }
}

/// What a receiver says when it asks for tokens (RFC 8936 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PollRequest {
    /// `ack`: those that it has kept; at most [`POLL_ACKS_MAX`].
    pub acknowledged: Vec<Arc<str>>,
    /// `setErrs`: those that it could not take, and why, as word and description.
    pub refused: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)>,
    /// `maxEvents`: how many it wants; 0 asks for none.
    pub max_events: Option<usize>,
    /// `returnImmediately`: whether nobody waits where there is nothing.
    pub return_immediately: bool,
}

/// What a transmitter answers (RFC 8936 section 2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PollAnswer {
    /// The tokens, by their `jti`; at most [`POLL_SETS_MAX`].
    pub sets: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether there are more.
    pub more_available: bool,
}

/// Why a poll or its answer cannot be used: whoever sent it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// It is not the JSON that it must be.
    #[error("it is no acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// A member does not fit.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl PollRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`PollError`].
    pub fn parse(body: &[u8]) -> Result<Self, PollError> {
        let mut fields = Fields::of(read(body, 1024 * 1024)?, "")?;
        let acknowledged = match fields.take("ack") {
            None => Vec::new(),
            Some(Value::Array(ids)) => {
                over("/ack", "elements", ids.len(), POLL_ACKS_MAX)?;
                let ids = ids.into_iter().map(|id| super::set::text_of(id, "/ack"));
                ids.collect::<Result<_, _>>()?
            }
            Some(other) => return Err(wrong_kind("/ack", &other, "an array").into()),
        };
        let errors = fields.object("setErrs")?.unwrap_or_default();
        over("/setErrs", "elements", errors.len(), POLL_ACKS_MAX)?;
        let refused = errors.into_iter().map(|(id, error)| {
            let mut error = Fields::of(error, format!("/setErrs/{}", token(&id)))?;
            let word = claim_text(&mut error, "err")?;
            let said = error.take("description").and_then(|said| said.as_str().map(Arc::from));
            Ok((id, (word, cut(said.unwrap_or_default()))))
        });
        Ok(Self {
            acknowledged,
            refused: refused.collect::<Result<_, FieldError>>()?,
            max_events: count(&mut fields, "maxEvents")?,
            return_immediately: flag(&mut fields, "returnImmediately")?,
        })
    }

    /// It as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let texts = |ids: &[Arc<str>]| {
            Value::Array(ids.iter().map(|id| Value::String(Arc::clone(id))).collect())
        };
        let refused = self.refused.iter().map(|(id, (word, said))| {
            let error = Value::object([
                ("err", Value::String(Arc::clone(word))),
                ("description", Value::String(Arc::clone(said))),
            ]);
            (Arc::clone(id), error)
        });
        let mut members = vec![("returnImmediately", Value::Bool(self.return_immediately))];
        if let Some(max) = self.max_events {
            members.push(("maxEvents", Value::Integer(i64::try_from(max).unwrap_or(i64::MAX))));
        }
        if !self.acknowledged.is_empty() {
            members.push(("ack", texts(&self.acknowledged)));
        }
        if !self.refused.is_empty() {
            members.push(("setErrs", Value::object(refused)));
        }
        json::to_bytes(&Value::object(members))
    }
}

impl PollAnswer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`PollError`].
    pub fn parse(body: &[u8]) -> Result<Self, PollError> {
        let mut fields = Fields::of(read(body, POLL_BYTES_MAX)?, "")?;
        let sets = fields.object("sets")?.unwrap_or_default();
        over("/sets", "tokens", sets.len(), POLL_SETS_MAX)?;
        let sets = sets.into_iter().map(|(id, set)| match set {
            Value::String(set) => Ok((id, set)),
            other => Err(wrong_kind(format!("/sets/{}", token(&id)), &other, "a string")),
        });
        Ok(Self {
            sets: sets.collect::<Result<_, FieldError>>()?,
            more_available: flag(&mut fields, "moreAvailable")?,
        })
    }

    /// It as it is sent.
    pub fn to_value(&self) -> Value {
        let sets = self.sets.iter().map(|(id, set)| (Arc::clone(id), Value::String(set.clone())));
        Value::object([
            ("sets", Value::object(sets)),
            ("moreAvailable", Value::Bool(self.more_available)),
        ])
    }
}

fn read(body: &[u8], bytes: usize) -> Result<Value, JsonError> {
    json::parse_within(body, Limits { bytes, depth: 8 })
}

fn cut(text: Arc<str>) -> Arc<str> {
    let end = text.floor_char_boundary(DESCRIPTION_BYTES_MAX);
    if end == text.len() { text } else { text.get(..end).unwrap_or_default().into() }
}

/// Whether the member of that name is true; absent, it is not.
pub(super) fn flag(fields: &mut Fields, name: &str) -> Result<bool, FieldError> {
    match fields.take(name) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(truth),
        Some(other) => Err(wrong_kind(fields.pointer(name), &other, "true or false")),
    }
}

/// The number of that name that is not negative, if there is one.
pub(super) fn count(fields: &mut Fields, name: &str) -> Result<Option<usize>, FieldError> {
    let pointer = fields.pointer(name);
    match fields.take(name) {
        None => Ok(None),
        Some(Value::Integer(number)) => match usize::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let found = shown(&number.to_string());
                let problem = FieldProblem::Other(format!("is {found}, which is below 0"));
                Err(FieldError::new(pointer, problem))
            }
        },
        Some(other) => Err(wrong_kind(pointer, &other, "a whole number")),
    }
}
