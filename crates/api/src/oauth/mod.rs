//! The token service over HTTP: metadata (RFC 8414), keys, tokens (RFC 8693, RFC 7523),
//! introspection (RFC 7662) and revocation (RFC 7009). Errors are those of RFC 6749 section 5.2.

mod answer;
mod described;
pub(crate) mod edges;
mod presented;

use axum::Router;
use axum::routing::{get, post};
use safeconduct_service::{INTROSPECTION_PATH, JWKS_PATH, REVOCATION_PATH, TOKEN_PATH};

pub(crate) use answer::DPOP_NONCE;
pub(crate) use described::OauthError;
pub(crate) use presented::Presented;

use crate::router::Shared;

/// Where the metadata lies: the issuer has no path.
const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Where clients look for it that know OpenID only.
const OPENID_METADATA_PATH: &str = "/.well-known/openid-configuration";

/// The routes. Without a token service nothing is at them.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route(METADATA_PATH, get(edges::metadata))
        .route(OPENID_METADATA_PATH, get(edges::metadata_as_openid))
        .route(JWKS_PATH, get(edges::keys))
        .route(TOKEN_PATH, post(edges::token))
        .route(INTROSPECTION_PATH, post(edges::introspect))
        .route(REVOCATION_PATH, post(edges::revoke))
}
