//! Of whom an event speaks: subject identifiers (RFC 9493 section 3, Shared Signals Framework 1.0
//! section 3).

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::Value;

use super::set::{claim_text, over, text_of};
use crate::field::{FieldError, FieldProblem, Fields, token, wrong_kind};

/// Most members of a complex subject, aliases of one subject, or addresses of one device.
pub const SUBJECT_PARTS_MAX: usize = 16;

/// A subject, in the format that the transmitter chose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectId {
    /// `account`: an `acct` URI (RFC 7565).
    Account(Arc<str>),
    /// `email`: a mail address.
    Email(Arc<str>),
    /// `iss_sub`: who an issuer of tokens calls so.
    IssuerSubject {
        /// `iss`.
        issuer: Arc<str>,
        /// `sub`.
        subject: Arc<str>,
    },
    /// `opaque`: a name that only the two ends understand.
    Opaque(Arc<str>),
    /// `phone_number`.
    PhoneNumber(Arc<str>),
    /// `did`: a DID URL.
    Did(Arc<str>),
    /// `uri`: any URI, a SPIFFE ID for one.
    Uri(Arc<str>),
    /// `jwt_id`: a token, by who issued it and its `jti`.
    TokenId {
        /// `iss`.
        issuer: Arc<str>,
        /// `jti`.
        id: Arc<str>,
    },
    /// `saml_assertion_id`: a SAML assertion.
    Assertion {
        /// `issuer`.
        issuer: Arc<str>,
        /// `assertion_id`.
        id: Arc<str>,
    },
    /// `ip-addresses`: a device by its addresses, as they were written.
    Addresses(Vec<Arc<str>>),
    /// `aliases`: several names of one subject; none of them is `aliases` or `complex`.
    Aliases(Vec<SubjectId>),
    /// `complex`: a subject described by its user, session, device, application, tenant,
    /// organisational unit or group; members that the framework does not name may come too.
    Complex(BTreeMap<Arc<str>, SubjectId>),
    /// A format that nobody here knows.
    Unknown {
        /// Its name.
        format: Arc<str>,
    },
}

impl SubjectId {
    /// Reads a subject.
    ///
    /// # Errors
    /// [`FieldError`] names the first member that is missing, ill-typed or no part of the format
    /// (RFC 9493 section 3 allows none that its format does not describe).
    pub fn from_value(value: Value) -> Result<Self, FieldError> {
        Self::read(value, "")
    }

    pub(super) fn read(value: Value, at: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::of(value, at)?;
        let format = claim_text(&mut fields, "format")?;
        match &*format {
            "aliases" => aliases(fields, at),
            "complex" => complex(fields, at),
            _ => simple(format, fields),
        }
    }

    /// It as it is written in tokens and requests. One of an unknown format is its format alone.
    pub fn to_value(&self) -> Value {
        let text = |text: &Arc<str>| Value::String(Arc::clone(text));
        let of = |members: Vec<(&'static str, Value)>| {
            let format = ("format", Value::from(self.format()));
            Value::object(std::iter::once(format).chain(members))
        };
        match self {
            Self::Account(uri) | Self::Uri(uri) => of(vec![("uri", text(uri))]),
            Self::Email(email) => of(vec![("email", text(email))]),
            Self::IssuerSubject { issuer, subject } => {
                of(vec![("iss", text(issuer)), ("sub", text(subject))])
            }
            Self::Opaque(id) => of(vec![("id", text(id))]),
            Self::PhoneNumber(number) => of(vec![("phone_number", text(number))]),
            Self::Did(url) => of(vec![("url", text(url))]),
            Self::TokenId { issuer, id } => of(vec![("iss", text(issuer)), ("jti", text(id))]),
            Self::Assertion { issuer, id } => {
                of(vec![("issuer", text(issuer)), ("assertion_id", text(id))])
            }
            Self::Addresses(all) => {
                of(vec![("ip-addresses", Value::Array(all.iter().map(text).collect()))])
            }
            Self::Aliases(all) => {
                let all = all.iter().map(Self::to_value).collect();
                of(vec![("identifiers", Value::Array(all))])
            }
            Self::Complex(members) => {
                let members = members.iter().map(|(name, one)| (Arc::clone(name), one.to_value()));
                let format = (Arc::from("format"), Value::from("complex"));
                Value::object(std::iter::once(format).chain(members))
            }
            Self::Unknown { .. } => of(Vec::new()),
        }
    }

    /// The name of its format.
    pub fn format(&self) -> &str {
        match self {
            Self::Account(_) => "account",
            Self::Email(_) => "email",
            Self::IssuerSubject { .. } => "iss_sub",
            Self::Opaque(_) => "opaque",
            Self::PhoneNumber(_) => "phone_number",
            Self::Did(_) => "did",
            Self::Uri(_) => "uri",
            Self::TokenId { .. } => "jwt_id",
            Self::Assertion { .. } => "saml_assertion_id",
            Self::Addresses(_) => "ip-addresses",
            Self::Aliases(_) => "aliases",
            Self::Complex(_) => "complex",
            Self::Unknown { format } => format,
        }
    }
}

/// One name of one thing.
fn simple(format: Arc<str>, mut fields: Fields) -> Result<SubjectId, FieldError> {
    let subject = match &*format {
        "account" => SubjectId::Account(claim_text(&mut fields, "uri")?),
        "email" => SubjectId::Email(claim_text(&mut fields, "email")?),
        "iss_sub" => SubjectId::IssuerSubject {
            issuer: claim_text(&mut fields, "iss")?,
            subject: claim_text(&mut fields, "sub")?,
        },
        "opaque" => SubjectId::Opaque(claim_text(&mut fields, "id")?),
        "phone_number" => SubjectId::PhoneNumber(claim_text(&mut fields, "phone_number")?),
        "did" => SubjectId::Did(claim_text(&mut fields, "url")?),
        "uri" => SubjectId::Uri(claim_text(&mut fields, "uri")?),
        "jwt_id" => SubjectId::TokenId {
            issuer: claim_text(&mut fields, "iss")?,
            id: claim_text(&mut fields, "jti")?,
        },
        "saml_assertion_id" => SubjectId::Assertion {
            issuer: claim_text(&mut fields, "issuer")?,
            id: claim_text(&mut fields, "assertion_id")?,
        },
        "ip-addresses" => SubjectId::Addresses(addresses(&mut fields)?),
        // What its members mean is unknown, so they are not judged.
        _ => return Ok(SubjectId::Unknown { format }),
    };
    fields.no_more()?;
    Ok(subject)
}

fn list(fields: &mut Fields, name: &str) -> Result<Vec<Value>, FieldError> {
    let pointer = fields.pointer(name);
    match fields.required(name)? {
        Value::Array(items) if items.is_empty() => {
            Err(FieldError::new(pointer, FieldProblem::Other("is empty".to_owned())))
        }
        Value::Array(items) => {
            over(&pointer, "elements", items.len(), SUBJECT_PARTS_MAX)?;
            Ok(items)
        }
        other => Err(wrong_kind(pointer, &other, "an array")),
    }
}

fn addresses(fields: &mut Fields) -> Result<Vec<Arc<str>>, FieldError> {
    let pointer = fields.pointer("ip-addresses");
    let listed = list(fields, "ip-addresses")?;
    listed.into_iter().map(|item| text_of(item, &pointer)).collect()
}

fn aliases(mut fields: Fields, at: &str) -> Result<SubjectId, FieldError> {
    let listed = list(&mut fields, "identifiers")?;
    fields.no_more()?;
    let named = listed.into_iter().enumerate().map(|(n, item)| {
        part(item, &format!("{at}/identifiers/{n}"), "a name without names in it")
    });
    named.collect::<Result<_, _>>().map(SubjectId::Aliases)
}

fn complex(fields: Fields, at: &str) -> Result<SubjectId, FieldError> {
    let members = fields.rest();
    if members.is_empty() {
        return Err(FieldError::new(at, FieldProblem::Other("describes nothing".to_owned())));
    }
    over(at, "members", members.len(), SUBJECT_PARTS_MAX)?;
    let members = members.into_iter().map(|(name, value)| {
        let pointer = format!("{at}/{}", token(&name));
        over(&pointer, "bytes", name.len(), 64)?;
        let member = match value.member("format").and_then(Value::as_str) {
            // Several names of the one user, say.
            Some("aliases") => SubjectId::read(value, &pointer)?,
            _ => part(value, &pointer, "a subject that is not complex")?,
        };
        Ok((name, member))
    });
    members.collect::<Result<_, FieldError>>().map(SubjectId::Complex)
}

/// A subject within another one.
fn part(value: Value, at: &str, wanted: &'static str) -> Result<SubjectId, FieldError> {
    let format = value.member("format").and_then(Value::as_str);
    if let Some("aliases" | "complex") = format {
        let problem = FieldProblem::Other(format!("must be {wanted}"));
        return Err(FieldError::new(at, problem));
    }
    SubjectId::read(value, at)
}
