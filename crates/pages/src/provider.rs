//! The OpenID provider, as the pages need it.

use std::fmt;
use std::sync::Arc;

use safeconduct_service::Awaited;
use thiserror::Error;

/// Longest address that a browser is sent to, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 4096;

/// What the provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Who it is, exactly.
    pub issuer: Arc<str>,
    /// Where people sign in.
    pub authorization: Arc<str>,
    /// Whether each of its answers names it (RFC 9207, section 3).
    pub names_itself: bool,
}

/// What a code is redeemed with.
#[derive(Clone, Copy)]
pub struct Grant<'a> {
    /// The code that the browser brought.
    pub code: &'a str,
    /// What proves that it was asked for here (RFC 7636).
    pub verifier: &'a str,
    /// Where the browser brought it to.
    pub redirect_uri: &'a str,
}

/// Nothing of either secret.
impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

/// Why the provider gave nothing: for the log. It shows no code and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ProviderError(pub String);

/// What speaks to the OpenID provider for us, under this server's client id.
pub trait Provider: Send + Sync + 'static {
    /// What it says of itself; it may be remembered for some minutes.
    fn endpoints(&self) -> Awaited<'_, Result<Endpoints, ProviderError>>;

    /// Redeems a code, once: the ID token that the provider gave, not yet checked.
    fn redeem<'a>(&'a self, grant: Grant<'a>) -> Awaited<'a, Result<String, ProviderError>>;
}
