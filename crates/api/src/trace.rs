//! What a caller correlates by: `traceparent` (W3C Trace Context), or else `X-Request-ID`.

use http::{HeaderMap, HeaderName};
use safeconduct_model::TraceId;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The trace of a request. One that cannot be a name is left out: correlation is a courtesy.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceId> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let id = match text(TRACEPARENT).and_then(trace_id) {
        Some(id) => id,
        None => text(X_REQUEST_ID)?,
    };
    TraceId::new(id).ok()
}

/// The trace id of a `traceparent`: 32 lowercase hexadecimal digits, not all zero.
fn trace_id(traceparent: &str) -> Option<&str> {
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut fields = traceparent.split('-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let (parent, flags) = (fields.next()?, fields.next()?);
    let fits =
        hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    // Version 00 has four fields; a later one may have more.
    let ends = version != "00" || fields.next().is_none();
    (fits && ends && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_id_comes_from_traceparent_first() {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, "r-1".parse().unwrap());
        assert_eq!(of(&headers).unwrap().as_str(), "r-1");
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        headers.insert(TRACEPARENT, parent.parse().unwrap());
        assert_eq!(of(&headers).unwrap().as_str(), TRACE);
    }

    #[test]
    fn what_is_no_traceparent_is_left_out() {
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{zero}-00f067aa0ba902b7-01"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-x"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(trace_id(&text), None, "{text}");
        }
    }
}
