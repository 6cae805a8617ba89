//! What a request presents: the headers that prove something, and nothing that a proxy or the
//! client says of where it was sent to.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use safeconduct_service::{ClientCertificates, ClientRequest};

/// The header of a proof of possession (RFC 9449 section 4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The values of a request's credentials.
pub(crate) struct Presented<'a> {
    authorization: Vec<&'a str>,
    dpop: Vec<&'a str>,
    parts: &'a Parts,
}

impl<'a> Presented<'a> {
    pub(crate) fn of(parts: &'a Parts) -> Self {
        let authorization = values(&parts.headers, &AUTHORIZATION);
        Self { authorization, dpop: values(&parts.headers, &DPOP), parts }
    }

    pub(crate) fn request(&self) -> ClientRequest<'_> {
        ClientRequest {
            authorization: &self.authorization,
            dpop: &self.dpop,
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            peer: self.parts.extensions.get::<ClientCertificates>(),
        }
    }
}

/// All values of a header; one that is no text counts as an empty one, so that it is not
/// overlooked.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
}
