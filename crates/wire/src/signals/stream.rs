//! How streams are managed: what a transmitter says of itself, and a stream's configuration
//! (Shared Signals Framework 1.0 sections 7 and 8.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::Value;

use super::delivery::{POLL_METHOD, PUSH_METHOD, PollError, count};
use super::event::StreamStatus;
use super::set::{AUDIENCE_MAX, claim_text, optional_text, over, text_of};
use super::subject::SubjectId;
use crate::field::{FieldError, FieldProblem, Fields, wrong_kind};
use crate::json::{self, Limits};

/// Longest document of stream management, in bytes.
pub const STREAM_BYTES_MAX: usize = 256 * 1024;

/// Most types of events that a stream names.
pub const EVENT_TYPES_MAX: usize = 128;

/// Most streams that a transmitter lists.
pub const STREAMS_LISTED_MAX: usize = 64;

/// What a transmitter says of itself (section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransmitterMetadata {
    /// `issuer`.
    pub issuer: Arc<str>,
    /// `jwks_uri`: where its keys are.
    pub jwks_uri: Option<Arc<str>>,
    /// `configuration_endpoint`.
    pub configuration_endpoint: Option<Arc<str>>,
    /// `status_endpoint`.
    pub status_endpoint: Option<Arc<str>>,
    /// `add_subject_endpoint`.
    pub add_subject_endpoint: Option<Arc<str>>,
    /// `remove_subject_endpoint`.
    pub remove_subject_endpoint: Option<Arc<str>>,
    /// `verification_endpoint`.
    pub verification_endpoint: Option<Arc<str>>,
    /// `critical_subject_members`.
    pub critical_subject_members: BTreeSet<Arc<str>>,
    /// `delivery_methods_supported`.
    pub delivery_methods: BTreeSet<Arc<str>>,
}

impl TransmitterMetadata {
    /// Reads the document of exactly this issuer.
    ///
    /// # Errors
    /// [`PollError`]: the transmitter is at fault.
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, PollError> {
        let mut fields = Fields::of(read(document)?, "")?;
        let said = claim_text(&mut fields, "issuer")?;
        if *said != *issuer {
            let problem = FieldProblem::Other("is another issuer than the configured one".into());
            return Err(FieldError::new("/issuer", problem).into());
        }
        Ok(Self {
            issuer: said,
            jwks_uri: optional_text(&mut fields, "jwks_uri")?,
            configuration_endpoint: optional_text(&mut fields, "configuration_endpoint")?,
            status_endpoint: optional_text(&mut fields, "status_endpoint")?,
            add_subject_endpoint: optional_text(&mut fields, "add_subject_endpoint")?,
            remove_subject_endpoint: optional_text(&mut fields, "remove_subject_endpoint")?,
            verification_endpoint: optional_text(&mut fields, "verification_endpoint")?,
            critical_subject_members: texts(&mut fields, "critical_subject_members", 64)?,
            delivery_methods: texts(&mut fields, "delivery_methods_supported", 64)?,
        })
    }
}

/// Where a transmitter says what it is: between host and path of its issuer (section 7.2.1).
/// `None` where that is no address.
pub fn metadata_url(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/ssf-configuration{slash}{path}"))
}

/// How a stream's tokens come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The transmitter posts them there (RFC 8935).
    Push {
        /// Where.
        endpoint_url: Arc<str>,
        /// What it sends as `Authorization`. It is a secret.
        authorization_header: Option<Arc<str>>,
    },
    /// The receiver asks for them there (RFC 8936); the transmitter says where.
    Poll {
        /// Where.
        endpoint_url: Option<Arc<str>>,
    },
}

/// A stream's configuration (section 8.1.1), as one side says it to the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamConfiguration {
    /// `stream_id`; the transmitter gives it.
    pub id: Option<Arc<str>>,
    /// `iss`; the transmitter says it.
    pub issuer: Option<Arc<str>>,
    /// `aud`; the transmitter says it.
    pub audience: Vec<Arc<str>>,
    /// `delivery`.
    pub delivery: Option<Delivery>,
    /// `events_supported`.
    pub events_supported: Option<BTreeSet<Arc<str>>>,
    /// `events_requested`.
    pub events_requested: Option<BTreeSet<Arc<str>>>,
    /// `events_delivered`.
    pub events_delivered: Option<BTreeSet<Arc<str>>>,
    /// `description`.
    pub description: Option<Arc<str>>,
    /// `min_verification_interval`, in seconds.
    pub min_verification_interval: Option<usize>,
}

impl StreamConfiguration {
    /// Reads a configuration. Members that nobody here knows are left alone.
    ///
    /// # Errors
    /// [`PollError`]: whoever sent it is at fault.
    pub fn parse(body: &[u8]) -> Result<Self, PollError> {
        Ok(Self::from_value(read(body)?, "")?)
    }

    /// Reads the list of all streams, or the one.
    ///
    /// # Errors
    /// As [`StreamConfiguration::parse`].
    pub fn parse_list(body: &[u8]) -> Result<Vec<Self>, PollError> {
        match read(body)? {
            Value::Array(all) => {
                over("", "streams", all.len(), STREAMS_LISTED_MAX)?;
                let all = all.into_iter().enumerate();
                Ok(all
                    .map(|(n, one)| Self::from_value(one, &format!("/{n}")))
                    .collect::<Result<_, _>>()?)
            }
            one => Ok(vec![Self::from_value(one, "")?]),
        }
    }

    fn from_value(value: Value, at: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::of(value, at)?;
        let events = |fields: &mut Fields, name: &str| {
            let there = fields.take(name);
            there
                .map(|listed| listed_texts(listed, &fields.pointer(name), EVENT_TYPES_MAX))
                .transpose()
        };
        Ok(Self {
            id: optional_text(&mut fields, "stream_id")?,
            issuer: optional_text(&mut fields, "iss")?,
            audience: match fields.take("aud") {
                None => Vec::new(),
                Some(Value::Array(all)) => {
                    over(&fields.pointer("aud"), "receivers", all.len(), AUDIENCE_MAX)?;
                    let pointer = fields.pointer("aud");
                    all.into_iter().map(|one| text_of(one, &pointer)).collect::<Result<_, _>>()?
                }
                Some(one) => vec![text_of(one, &fields.pointer("aud"))?],
            },
            delivery: match fields.take("delivery") {
                None => None,
                Some(value) => Some(delivery(value, &fields.pointer("delivery"))?),
            },
            events_supported: events(&mut fields, "events_supported")?,
            events_requested: events(&mut fields, "events_requested")?,
            events_delivered: events(&mut fields, "events_delivered")?,
            description: optional_text(&mut fields, "description")?,
            min_verification_interval: count(&mut fields, "min_verification_interval")?,
        })
    }

    /// It as it is said. The header of a push delivery is in it only where `secrets` are shown to
    /// whoever needs them.
    pub fn to_value(&self) -> Value {
        let text = |text: &Arc<str>| Value::String(Arc::clone(text));
        let set = |all: &BTreeSet<Arc<str>>| Value::Array(all.iter().map(text).collect());
        let mut members = Vec::new();
        let mut put = |name: &'static str, value: Option<Value>| {
            members.extend(value.map(|value| (name, value)));
        };
        put("stream_id", self.id.as_ref().map(text));
        put("iss", self.issuer.as_ref().map(text));
        let audience = (!self.audience.is_empty())
            .then(|| Value::Array(self.audience.iter().map(text).collect()));
        put("aud", audience);
        put("delivery", self.delivery.as_ref().map(Delivery::to_value));
        put("events_supported", self.events_supported.as_ref().map(set));
        put("events_requested", self.events_requested.as_ref().map(set));
        put("events_delivered", self.events_delivered.as_ref().map(set));
        put("description", self.description.as_ref().map(text));
        let interval = self.min_verification_interval.and_then(|n| i64::try_from(n).ok());
        put("min_verification_interval", interval.map(Value::Integer));
        Value::object(members)
    }
}

impl Delivery {
    fn to_value(&self) -> Value {
        let text = |text: &Arc<str>| Value::String(Arc::clone(text));
        match self {
            Self::Push { endpoint_url, authorization_header } => {
                let mut members = vec![
                    ("method", Value::from(PUSH_METHOD)),
                    ("endpoint_url", text(endpoint_url)),
                ];
                let header = authorization_header.as_ref();
                members.extend(header.map(|header| ("authorization_header", text(header))));
                Value::object(members)
            }
            Self::Poll { endpoint_url } => {
                let mut members = vec![("method", Value::from(POLL_METHOD))];
                members.extend(endpoint_url.as_ref().map(|url| ("endpoint_url", text(url))));
                Value::object(members)
            }
        }
    }
}

fn delivery(value: Value, at: &str) -> Result<Delivery, FieldError> {
    let mut fields = Fields::of(value, at)?;
    let method = claim_text(&mut fields, "method")?;
    match &*method {
        PUSH_METHOD => Ok(Delivery::Push {
            endpoint_url: claim_text(&mut fields, "endpoint_url")?,
            authorization_header: optional_text(&mut fields, "authorization_header")?,
        }),
        POLL_METHOD => {
            Ok(Delivery::Poll { endpoint_url: optional_text(&mut fields, "endpoint_url")? })
        }
        other => {
            let allowed = &[PUSH_METHOD, POLL_METHOD];
            let found = crate::field::shown(other);
            let problem = FieldProblem::UnknownWord { found, allowed };
            Err(FieldError::new(fields.pointer("method"), problem))
        }
    }
}

/// What a stream's status is, or is to be (section 8.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWord {
    /// `stream_id`.
    pub stream: Arc<str>,
    /// `status`.
    pub status: StreamStatus,
    /// `reason`.
    pub reason: Option<Arc<str>>,
}

impl StatusWord {
    /// Reads a status.
    ///
    /// # Errors
    /// [`PollError`]: whoever sent it is at fault.
    pub fn parse(body: &[u8]) -> Result<Self, PollError> {
        let mut fields = Fields::of(read(body)?, "")?;
        let status = StreamStatus::read(&mut fields, "status")?;
        Ok(Self {
            stream: claim_text(&mut fields, "stream_id")?,
            status: status.ok_or_else(|| fields.missing("status"))?,
            reason: optional_text(&mut fields, "reason")?,
        })
    }

    /// It as it is said.
    pub fn to_value(&self) -> Value {
        let mut members = vec![
            ("stream_id", Value::String(Arc::clone(&self.stream))),
            ("status", Value::from(self.status.as_str())),
        ];
        members.extend(self.reason.clone().map(|reason| ("reason", Value::String(reason))));
        Value::object(members)
    }
}

/// A request about one stream: to verify it, or about a subject of it (sections 8.1.3, 8.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRequest {
    /// `stream_id`.
    pub stream: Arc<str>,
    /// `state`, of a verification.
    pub state: Option<Arc<str>>,
    /// `subject`, of one that is added or removed.
    pub subject: Option<SubjectId>,
}

impl StreamRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`PollError`]: whoever sent it is at fault.
    pub fn parse(body: &[u8]) -> Result<Self, PollError> {
        let mut fields = Fields::of(read(body)?, "")?;
        let subject = fields.take("subject");
        Ok(Self {
            stream: claim_text(&mut fields, "stream_id")?,
            state: optional_text(&mut fields, "state")?,
            subject: subject.map(|subject| SubjectId::read(subject, "/subject")).transpose()?,
        })
    }

    /// It as it is said.
    pub fn to_value(&self) -> Value {
        let mut members = vec![("stream_id", Value::String(Arc::clone(&self.stream)))];
        members.extend(self.state.clone().map(|state| ("state", Value::String(state))));
        members.extend(self.subject.as_ref().map(|subject| ("subject", subject.to_value())));
        Value::object(members)
    }
}

fn read(body: &[u8]) -> Result<Value, crate::json::JsonError> {
    json::parse_within(body, Limits { bytes: STREAM_BYTES_MAX, depth: 12 })
}

fn texts(fields: &mut Fields, name: &str, limit: usize) -> Result<BTreeSet<Arc<str>>, FieldError> {
    let pointer = fields.pointer(name);
    fields.take(name).map_or_else(|| Ok(BTreeSet::new()), |all| listed_texts(all, &pointer, limit))
}

fn listed_texts(
    listed: Value,
    pointer: &str,
    limit: usize,
) -> Result<BTreeSet<Arc<str>>, FieldError> {
    match listed {
        Value::Array(all) => {
            over(pointer, "elements", all.len(), limit)?;
            all.into_iter().map(|one| text_of(one, pointer)).collect()
        }
        other => Err(wrong_kind(pointer, &other, "an array")),
    }
}
