//! What the headers of a client's request say of it.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use safeconduct_model::{TraceId, Value};

use crate::edit;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TASK: HeaderName = HeaderName::from_static("safeconduct-task");

/// What forms of answer a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) json: bool,
    pub(crate) stream: bool,
}

pub(crate) fn accepts(headers: &HeaderMap) -> Accepts {
    let mut none = true;
    let mut accepts = Accepts { json: false, stream: false };
    for value in headers.get_all(ACCEPT) {
        none = false;
        for range in value.to_str().unwrap_or_default().split(',') {
            let range = range.split(';').next().unwrap_or_default().trim();
            let is = |names: &[&str]| names.iter().any(|name| range.eq_ignore_ascii_case(name));
            accepts.json |= is(&["application/json", "application/*", "*/*"]);
            accepts.stream |= is(&["text/event-stream", "text/*", "*/*"]);
        }
    }
    if none { Accepts { json: true, stream: true } } else { accepts }
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let ty = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ty.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The one value of a header, as text.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// The handle of the task that a request names; an empty one, which nobody holds, where what
/// stands there is no handle.
pub(crate) fn task(headers: &HeaderMap) -> Option<&str> {
    headers.contains_key(&TASK).then(|| one(headers, &TASK).unwrap_or_default())
}

/// What the caller correlates by: W3C trace context, in the headers or in the message, or a
/// request id.
pub(crate) fn trace(headers: &HeaderMap, params: Option<&Value>) -> Option<TraceId> {
    let in_message = params.and_then(|params| edit::meta(params, "traceparent")?.as_str());
    let parent = one(headers, &TRACEPARENT).or(in_message);
    let id = parent.and_then(|parent| parent.split('-').nth(1)).filter(|id| id.len() == 32);
    let id = id.or_else(|| one(headers, &REQUEST_ID));
    id.and_then(|id| TraceId::new(id).ok())
}
