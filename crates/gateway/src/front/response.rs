//! HTTP responses of the gateway: one place for status, headers and form.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::message::{Answer, Fault, INVALID_REQUEST, Id, response_bytes};

const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn json_response(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

pub(super) fn stream_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn accepted() -> Response {
    empty(StatusCode::ACCEPTED)
}

pub(super) fn refusal(status: StatusCode, id: Option<&Id>, fault: &Fault) -> Response {
    json_response(status, response_bytes(id, &Answer::Fault(fault.clone())))
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Response {
    let fault = Fault::new(INVALID_REQUEST, "this HTTP method is not part of the protocol here");
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, None, &fault);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
