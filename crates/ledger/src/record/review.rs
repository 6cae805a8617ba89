//! The records of access reviews, there and back.

use safeconduct_model::{Body, ReviewChange, ReviewDetail, ReviewedThing};
use serde_json::Value;

use super::decode::{name, parse, shared};
use super::encode::Object;
use super::{DecodeError, EncodeError, form};
use crate::canonical::write_canonical_string;

pub(super) fn write(change: &ReviewChange, o: &mut Object<'_>) -> Result<(), EncodeError> {
    let refused = |problem: String| EncodeError::Review { problem };
    change.check().map_err(|error| refused(error.to_string()))?;
    let detail = change.detail.as_str();
    let value: Value = serde_json::from_str(detail).map_err(|error| refused(error.to_string()))?;
    let mut written = Vec::with_capacity(detail.len());
    write_value(&value, &mut written)?;
    if !value.is_object() || written != detail.as_bytes() {
        return Err(refused("its detail is no canonical JSON object".to_owned()));
    }
    o.optional("about", change.about.as_ref().map(AsRef::as_ref));
    o.optional("by", change.by.as_ref().map(AsRef::as_ref));
    // An empty detail is absent, as everything is that says nothing.
    if detail != "{}" {
        o.canonical("detail", detail);
    }
    o.text("event", &change.event);
    o.text("id", &change.id);
    o.number("sequence", change.sequence);
    Ok(())
}

/// RFC 8785, of values without fractions: details count, and name, and say when.
fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Null | Value::Bool(_) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Number(number) => {
            let problem = format!("its detail holds the number {number}, which is no whole one");
            return Err(EncodeError::Review { problem });
        }
        Value::String(text) => write_canonical_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_canonical_string(name, out);
                out.push(b':');
                write_value(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// The body of a kind that this module knows.
pub(super) fn body(kind: &str, json: &[u8]) -> Result<Option<Body>, DecodeError> {
    let Some(what) = ReviewedThing::ALL.into_iter().find(|what| what.as_str() == kind) else {
        return Ok(None);
    };
    let form: form::ReviewChange<'_> = parse(json)?;
    let malformed = |error: safeconduct_model::ReviewChangeError| DecodeError::Malformed {
        problem: error.to_string(),
    };
    let detail = form.detail.map(|detail| ReviewDetail::new(detail.get())).transpose();
    let change = ReviewChange {
        what,
        id: shared(&form.id),
        sequence: form.sequence,
        event: shared(&form.event),
        about: form.about.map(|who| name("about", &who)).transpose()?,
        by: form.by.map(|who| name("by", &who)).transpose()?,
        detail: detail.map_err(malformed)?.unwrap_or_default(),
    };
    change.check().map_err(malformed)?;
    Ok(Some(Body::ReviewChanged(Box::new(change))))
}
