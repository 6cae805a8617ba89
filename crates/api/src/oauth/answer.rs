//! Answers of the token service.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use safeconduct_model::Value;
use safeconduct_service::{Fault, FaultCode};
use safeconduct_wire::json;

/// The header of a nonce for the next proof (RFC 9449 section 8.1).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer that nobody may keep.
pub(super) fn unkept(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, json::to_bytes(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An answer that anyone may keep for so many seconds.
pub(super) fn kept(body: &Value, seconds: u32) -> Response {
    let mut response = json::to_bytes(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Ok(value) = HeaderValue::try_from(format!("public, max-age={seconds}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    response
}

/// An error (RFC 6749 section 5.2).
pub(super) fn refusal(fault: &Fault) -> Response {
    let status = match fault.code {
        FaultCode::InvalidClient => StatusCode::UNAUTHORIZED,
        FaultCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaultCode::InvalidRequest
        | FaultCode::InvalidGrant
        | FaultCode::UnauthorizedClient
        | FaultCode::UnsupportedGrantType
        | FaultCode::InvalidScope
        | FaultCode::InvalidTarget
        | FaultCode::InvalidAuthorizationDetails
        | FaultCode::InvalidDpopProof
        | FaultCode::UseDpopNonce
        | FaultCode::AccessDenied
        | FaultCode::UnsupportedTokenType => StatusCode::BAD_REQUEST,
    };
    let body = Value::object([
        ("error", Value::from(fault.code.as_str())),
        ("error_description", Value::from(fault.says())),
    ]);
    let mut response = unkept(status, &body);
    let headers = response.headers_mut();
    if fault.code == FaultCode::InvalidClient {
        let basic = HeaderValue::from_static("Basic realm=\"safeconduct\"");
        headers.insert(WWW_AUTHENTICATE, basic);
    }
    if fault.code == FaultCode::TemporarilyUnavailable {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The same answer, with a nonce for the next proof where one is needed.
pub(super) fn with_nonce(mut response: Response, nonce: Option<String>) -> Response {
    if let Some(nonce) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}
