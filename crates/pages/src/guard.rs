//! What every request must bring, and every answer says: these pages are for browsers that are on
//! them, under the one name that they have, and for no page of anybody else.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::failure::Failure;
use crate::pages::Pages;
use crate::show;

/// The cookie of a signed-in browser. Its prefix makes browsers hold us to what we say of it:
/// sent over TLS alone, to this host alone (RFC 6265bis, section 4.1.3.2). They take `localhost`
/// for safe without TLS.
pub(crate) const BROWSER: &str = "__Host-safeconduct";

/// The cookie of a sign-in that has begun.
pub(crate) const BEGUN: &str = "__Host-safeconduct-sign-in";

/// Longest header with cookies that is looked at, in bytes.
const COOKIES_BYTES_MAX: usize = 8 * 1024;

/// Turns away what does not come from a browser on one of our pages, and says how each answer
/// may be used.
pub(crate) async fn guarded(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let refused = refusal(&pages, request.method(), request.headers());
    let mut response = match refused {
        Some(failure) => show::failure(&pages, None, failure),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // Addresses name requests: other sites learn nothing of them. With `no-referrer`, browsers
        // would not tell us either that a form came from a page of ours.
        ("referrer-policy", "same-origin"),
        (
            "permissions-policy",
            "publickey-credentials-get=(self), publickey-credentials-create=(self)",
        ),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(HeaderName::from_static("content-security-policy"))
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

fn refusal(pages: &Pages, method: &Method, headers: &HeaderMap) -> Option<Failure> {
    if one(headers, &HOST) != Some(pages.host()) {
        let text = format!("These pages are at {}.", pages.site().origin);
        return Some(Failure::says(StatusCode::MISDIRECTED_REQUEST, text));
    }
    if *method == Method::GET || *method == Method::HEAD {
        return None;
    }
    let site = HeaderName::from_static("sec-fetch-site");
    let elsewhere = headers.contains_key(&site) && one(headers, &site) != Some("same-origin");
    let origin = one(headers, &ORIGIN) == Some(&*pages.site().origin);
    let form = one(headers, &CONTENT_TYPE)
        .is_some_and(|media| media.starts_with("application/x-www-form-urlencoded"));
    (!origin || elsewhere || !form).then(Failure::foreign)
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The value of a cookie. Where it is there twice, somebody else has set one: it is none.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut found = None;
    for header in headers.get_all(COOKIE) {
        let text = header.to_str().ok().filter(|text| text.len() <= COOKIES_BYTES_MAX)?;
        for pair in text.split(';') {
            let Some((known, value)) = pair.trim().split_once('=') else { continue };
            if known == name && found.replace(value).is_some() {
                return None;
            }
        }
    }
    found
}

/// Sets a cookie; one that lives for no longer than the browser runs where no time is said.
pub(crate) fn set_cookie(response: &mut Response, name: &str, value: &str, seconds: Option<i64>) {
    let lasts = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{lasts}");
    // Names and values are our own, of letters, digits and signs that headers take.
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// Sends the browser elsewhere, to be asked for with GET.
pub(crate) fn see(address: &str) -> Response {
    match HeaderValue::try_from(address) {
        Ok(address) => {
            let mut response = StatusCode::SEE_OTHER.into_response();
            response.headers_mut().insert(http::header::LOCATION, address);
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_there_once_or_not_at_all() {
        let headers = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line)));
            lines.collect::<HeaderMap>()
        };
        assert_eq!(cookie(&headers(&["a=1; b=2"]), "b"), Some("2"));
        assert_eq!(cookie(&headers(&["a=1", "b=2"]), "b"), Some("2"));
        assert_eq!(cookie(&headers(&["a=1; a=2"]), "a"), None);
        assert_eq!(cookie(&headers(&["a=1", "a=2"]), "a"), None);
        assert_eq!(cookie(&headers(&["xa=1"]), "a"), None);
    }
}
