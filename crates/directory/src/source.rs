//! Where keys come from: a file, an address, discovery, a bundle endpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_credential::jose::{KeySet, KeySetError, KeyUse};
use safeconduct_model::Value;
use safeconduct_wire::json::{self, JsonError, Limits};
use safeconduct_wire::signals::metadata_url;
use tokio::io::AsyncReadExt as _;

use crate::fetch::{Authority, BODY_BYTES_MAX, FetchError, FetchRules, Redirects, fetch};
use crate::spiffe::{Bundle, BundleError, SpiffeId, TrustDomain, svid_authority};

/// Shortest span between two fetches that a bundle's hint may ask for, in seconds.
const REFRESH_HINT_MIN_S: u64 = 5;

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file with a JWK Set.
    File(PathBuf),
    /// The address of a JWK Set.
    Url(String),
    /// OpenID Connect Discovery 1.0 at the issuer.
    Discovery,
    /// What a transmitter of security events says of itself (Shared Signals Framework 1.0 section
    /// 7.2).
    SsfDiscovery,
}

/// Where a trust domain's bundle comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BundleSource {
    File(PathBuf),
    HttpsWeb(String),
    HttpsSpiffe { url: String, endpoint: SpiffeId, initial: PathBuf },
    WorkloadApi(String),
}

/// Why keys were not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("`{path}` cannot be read: {error}")]
    File { path: String, error: std::io::Error },
    #[error("`{path}` has more than {BODY_BYTES_MAX} bytes")]
    FileTooLong { path: String },
    #[error(transparent)]
    Keys(#[from] KeySetError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("the discovery document is no acceptable JSON: {0}")]
    Discovery(#[from] JsonError),
    #[error("the discovery document is that of another issuer than `{expected}`")]
    OtherIssuer { expected: String },
    #[error("the discovery document names no `jwks_uri`")]
    NoJwksUri,
    #[error("the TLS library cannot be set up")]
    Tls,
    #[error("bundles of the Workload API are not fetched, they are sent")]
    NotFetched,
}

/// Fetches an issuer's keys.
pub(crate) async fn load_keys(
    issuer: &str,
    source: &KeySource,
    rules: &FetchRules,
) -> Result<KeySet, SourceError> {
    let web = &Authority::Web;
    let bytes = match source {
        KeySource::File(path) => read(path).await?,
        KeySource::Url(url) => fetch(url, rules, Redirects::Refused, web).await?,
        KeySource::Discovery => {
            let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let document = fetch(&url, rules, Redirects::Refused, web).await?;
            let url = jwks_uri(issuer, &document)?;
            fetch(&url, rules, Redirects::Refused, web).await?
        }
        KeySource::SsfDiscovery => {
            let url = metadata_url(issuer).ok_or(SourceError::NoJwksUri)?;
            let document = fetch(&url, rules, Redirects::Refused, web).await?;
            let url = jwks_uri(issuer, &document)?;
            fetch(&url, rules, Redirects::Refused, web).await?
        }
    };
    Ok(KeySet::parse(&bytes, KeyUse::Signature)?)
}

/// The address of the keys, from the document of exactly this issuer (Discovery section 4.3).
pub(crate) fn jwks_uri(issuer: &str, document: &[u8]) -> Result<String, SourceError> {
    let limits = Limits { bytes: BODY_BYTES_MAX, depth: 16 };
    let document = json::parse_within(document, limits)?;
    if document.member("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(SourceError::OtherIssuer { expected: issuer.to_owned() });
    }
    let uri = document.member("jwks_uri").and_then(Value::as_str);
    uri.map(str::to_owned).ok_or(SourceError::NoJwksUri)
}

/// Fetches a trust domain's bundle, which must not be older than the one that is known.
pub(crate) async fn load_bundle(
    trust_domain: &TrustDomain,
    source: &BundleSource,
    rules: &FetchRules,
    known: Option<Arc<Bundle>>,
) -> Result<(Bundle, Option<Duration>), SourceError> {
    let bytes = match source {
        BundleSource::File(path) => read(path).await?,
        BundleSource::HttpsWeb(url) => {
            fetch(url, rules, Redirects::SameHost, &Authority::Web).await?
        }
        BundleSource::HttpsSpiffe { url, endpoint, initial } => {
            // The endpoint's own domain vouches for it: by what is known of it now, where that is
            // the domain at hand, and else by what the configuration gave.
            let its = match &known {
                Some(known) if endpoint.trust_domain() == trust_domain => Arc::clone(known),
                _ => {
                    Arc::new(Bundle::parse(endpoint.trust_domain().clone(), &read(initial).await?)?)
                }
            };
            let authority = svid_authority(its, endpoint.clone()).ok_or(SourceError::Tls)?;
            fetch(url, rules, Redirects::Refused, &authority).await?
        }
        BundleSource::WorkloadApi(_) => return Err(SourceError::NotFetched),
    };
    let bundle = Bundle::parse(trust_domain.clone(), &bytes)?.after(known.as_deref())?;
    let hint = bundle.refresh_hint_s.map(|hint| Duration::from_secs(hint.max(REFRESH_HINT_MIN_S)));
    Ok((bundle, hint))
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, SourceError> {
    let shown = || path.display().to_string();
    let fault = |error| SourceError::File { path: shown(), error };
    let file = tokio::fs::File::open(path).await.map_err(fault)?;
    let mut bytes = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).await.map_err(fault)?;
    if bytes.len() > BODY_BYTES_MAX {
        return Err(SourceError::FileTooLong { path: shown() });
    }
    Ok(bytes)
}
