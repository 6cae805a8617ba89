//! How a client finds out whose tokens are taken here: protected resource metadata (RFC 9728).
//! Everything is made of what the deployment says its address is; what a request says of the
//! address it was sent to (`Host`, `Forwarded`) never gets in.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use safeconduct_model::{ServerName, Value};
use safeconduct_wire::json;
use thiserror::Error;

use super::response::{json_response, refusal};
use crate::authority::Authority;
use crate::edit;
use crate::gateway::Inner;
use crate::message::{Fault, INVALID_REQUEST};

/// Where the metadata of the whole gateway lies (RFC 9728 section 3).
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// Where that of one upstream lies: the path of the resource comes after the well-known one.
pub(super) const WELL_KNOWN_OF_ONE: &str = "/.well-known/oauth-protected-resource/mcp/{name}";

/// The gateway as an OAuth protected resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedResource {
    base: String,
    authorization_servers: Vec<String>,
    scopes: Vec<String>,
    dpop_algorithms: Vec<String>,
    certificate_bound: bool,
}

/// The configuration's fault: this is no description of a protected resource.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourceError {
    /// The address is none that clients could be sent to.
    #[error(
        "`{0}` is no public address: it is `https://HOST` or `http://HOST:PORT`, without a path"
    )]
    Base(String),
    /// A scope would end the challenge that it stands in.
    #[error("`{0}` is no scope: printable ASCII without spaces, quotes and backslashes")]
    Scope(String),
}

impl ProtectedResource {
    /// The gateway at that public address, whose tokens those authorization servers issue: their
    /// issuer identifiers. `dpop_algorithms` are those of the proofs that are taken; none where
    /// none is.
    ///
    /// # Errors
    /// [`ResourceError`] where a client could make nothing of it.
    pub fn new(
        base: &str,
        authorization_servers: Vec<String>,
        scopes: Vec<String>,
        dpop_algorithms: Vec<String>,
    ) -> Result<Self, ResourceError> {
        let trimmed = base.strip_suffix('/').unwrap_or(base);
        let origin = trimmed.parse::<Uri>().ok().filter(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
            web && plain && uri.path() == "/" && uri.query().is_none() && !trimmed.contains('#')
        });
        if origin.is_none() || trimmed.ends_with('/') {
            return Err(ResourceError::Base(base.to_owned()));
        }
        // RFC 6749 section 3.3.
        let token = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        let misfit = scopes.iter().find(|scope| scope.is_empty() || !scope.bytes().all(token));
        if let Some(scope) = misfit {
            return Err(ResourceError::Scope(scope.clone()));
        }
        let base = trimmed.to_owned();
        let certificate_bound = false;
        Ok(Self { base, authorization_servers, scopes, dpop_algorithms, certificate_bound })
    }

    /// The same, where clients can show a certificate in TLS and tokens may be bound to it (RFC
    /// 8705).
    #[must_use]
    pub fn taking_certificates(self) -> Self {
        Self { certificate_bound: true, ..self }
    }

    /// The algorithms of proofs that are taken, as a challenge names them; `None` where none is.
    pub(super) fn dpop_algorithms(&self) -> Option<String> {
        (!self.dpop_algorithms.is_empty()).then(|| self.dpop_algorithms.join(" "))
    }

    /// The resource identifier of an upstream: the audience that tokens for it have (RFC 8707).
    pub fn identifier(&self, server: &ServerName) -> String {
        format!("{}/mcp/{server}", self.base)
    }

    /// The members of a challenge that lead to the metadata. A name that is none leads to that
    /// of the whole gateway.
    pub(super) fn challenge(&self, name: &str) -> String {
        let path = ServerName::new(name).map(|name| format!("/mcp/{name}")).unwrap_or_default();
        let mut challenge = format!(", resource_metadata=\"{}{WELL_KNOWN}{path}\"", self.base);
        if !self.scopes.is_empty() {
            challenge.push_str(&format!(", scope=\"{}\"", self.scopes.join(" ")));
        }
        challenge
    }

    fn metadata(&self, resource: String, name: String) -> Value {
        let list =
            |all: &[String]| Value::Array(all.iter().map(|one| one.as_str().into()).collect());
        let mut metadata = Value::object([
            ("resource", Value::from(resource)),
            ("authorization_servers", list(&self.authorization_servers)),
            ("bearer_methods_supported", Value::from(vec![Value::from("header")])),
            ("resource_name", Value::from(name)),
        ]);
        if !self.scopes.is_empty() {
            edit::set(&mut metadata, "scopes_supported", list(&self.scopes));
        }
        if !self.dpop_algorithms.is_empty() {
            let name = "dpop_signing_alg_values_supported";
            edit::set(&mut metadata, name, list(&self.dpop_algorithms));
        }
        if self.certificate_bound {
            let name = "tls_client_certificate_bound_access_tokens";
            edit::set(&mut metadata, name, Value::Bool(true));
        }
        metadata
    }
}

/// The metadata of the whole gateway.
pub(super) async fn of_all<A: Authority>(
    State(inner): State<Arc<Inner<A>>>,
    request: Request,
) -> Response {
    answer(&inner, &request, |resource| {
        Some(resource.metadata(resource.base.clone(), "Safeconduct".into()))
    })
}

/// The metadata of one upstream. Whether there is one of that name is for those to know who
/// bring a token.
pub(super) async fn of_one<A: Authority>(
    State(inner): State<Arc<Inner<A>>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    answer(&inner, &request, |resource| {
        let server = ServerName::new(name).ok()?;
        let shown = format!("{server}, guarded by Safeconduct");
        Some(resource.metadata(resource.identifier(&server), shown))
    })
}

fn answer<A: Authority>(
    inner: &Inner<A>,
    request: &Request,
    metadata: impl FnOnce(&ProtectedResource) -> Option<Value>,
) -> Response {
    if inner.allowed.check(request.uri(), request.headers()).is_err() {
        let fault = Fault::new(INVALID_REQUEST, "this host or origin is not served here");
        return refusal(StatusCode::FORBIDDEN, None, &fault);
    }
    match inner.resource.get().and_then(metadata) {
        Some(metadata) => json_response(StatusCode::OK, json::to_bytes(&metadata)),
        None => {
            let fault = Fault::new(INVALID_REQUEST, "no such resource is described here");
            refusal(StatusCode::NOT_FOUND, None, &fault)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &str) -> Result<ProtectedResource, ResourceError> {
        ProtectedResource::new(base, vec!["https://i.example".into()], vec!["mcp".into()], vec![])
    }

    #[test]
    fn only_an_origin_is_a_public_address() {
        for base in ["https://gw.example", "http://127.0.0.1:8080", "https://gw.example:8443/"] {
            assert!(of(base).is_ok(), "{base}");
        }
        for base in [
            "",
            "gw.example",
            "ftp://gw.example",
            "https://gw.example/path",
            "https://a@gw.example",
            "https://gw.example?q",
            "https://gw.example#f",
            "https://gw.example//",
            "https://",
        ] {
            assert_eq!(of(base), Err(ResourceError::Base(base.into())), "{base}");
        }
        for scope in ["", "a b", "a\"b", "a\\b", "ä"] {
            let made = ProtectedResource::new("https://a", vec![], vec![scope.into()], vec![]);
            assert_eq!(made, Err(ResourceError::Scope(scope.into())));
        }
    }

    #[test]
    fn a_challenge_holds_nothing_that_the_request_brought() {
        let resource = of("https://gw.example/").unwrap();
        assert_eq!(
            resource.challenge("files"),
            ", resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/mcp/files\", scope=\"mcp\""
        );
        let stray = resource.challenge("x\", error=\"none");
        assert!(stray.contains("oauth-protected-resource\","), "{stray}");
    }
}
