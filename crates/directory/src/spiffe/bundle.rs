//! The bundle of a trust domain: the keys that vouch for its SVIDs (SPIFFE Trust Domain and
//! Bundle section 4). Each belongs to one trust domain and is never put together with another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use safeconduct_credential::jose::{KEY_SET_BYTES_MAX, KeySet, KeySetError, KeyUse, NESTING_MAX};
use safeconduct_model::Value;
use safeconduct_wire::json::{self, JsonError, Limits};

use super::id::TrustDomain;

/// Most certificates that a bundle may have.
pub const AUTHORITIES_MAX: usize = 64;

/// Why a bundle is refused: whoever publishes it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is not the JSON that it must be.
    #[error("the bundle is no acceptable JSON: {0}")]
    Json(#[from] JsonError),
    /// Its keys are not acceptable.
    #[error("the bundle's keys are not acceptable: {0}")]
    Keys(#[from] KeySetError),
    /// `spiffe_sequence` or `spiffe_refresh_hint` is no such number.
    #[error("the bundle's `{name}` is not a whole number")]
    Number {
        /// The member.
        name: &'static str,
    },
    /// A certificate is none, or there are too many.
    #[error("the bundle's certificates cannot be read")]
    Certificates,
    /// It is older than what is known.
    #[error("the bundle's sequence went back from {known} to {found}")]
    WentBack {
        /// The sequence that is known.
        known: u64,
        /// The sequence that came; 0 where none came.
        found: u64,
    },
}

/// A trust domain's bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose: from the configuration, never from the content.
    pub trust_domain: TrustDomain,
    /// The keys of its JWT-SVIDs.
    pub jwt_keys: KeySet,
    /// The roots of its X.509-SVIDs.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Its `spiffe_sequence`: it only grows.
    pub sequence: Option<u64>,
    /// After how many seconds it should be fetched again, as its publisher wishes.
    pub refresh_hint_s: Option<u64>,
}

impl Bundle {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(trust_domain: TrustDomain, bytes: &[u8]) -> Result<Self, BundleError> {
        let limits = Limits { bytes: KEY_SET_BYTES_MAX, depth: NESTING_MAX };
        let value = json::parse_within(bytes, limits)?;
        let jwt_keys = KeySet::from_value(&value, KeyUse::JwtSvid)?;
        let keys = value.member("keys").and_then(Value::as_array).unwrap_or_default();
        let of_x509 = |key: &&Value| key.member("use").and_then(Value::as_str) == Some("x509-svid");
        let authorities: Vec<_> = keys.iter().filter(of_x509).filter_map(authority).collect();
        if authorities.len() > AUTHORITIES_MAX {
            return Err(BundleError::Certificates);
        }
        Ok(Self {
            trust_domain,
            jwt_keys,
            authorities,
            sequence: number(&value, "spiffe_sequence")?,
            refresh_hint_s: number(&value, "spiffe_refresh_hint")?,
        })
    }

    /// From the two halves that the Workload API sends: certificates as DER, one after the other,
    /// and a JWK Set. A half that is not there vouches for nothing.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn from_workload_api(
        trust_domain: TrustDomain,
        certificates: Option<&[u8]>,
        jwks: Option<&[u8]>,
    ) -> Result<Self, BundleError> {
        let jwt_keys = match jwks {
            Some(jwks) => KeySet::parse(jwks, KeyUse::WorkloadJwtSvid)?,
            None => KeySet::default(),
        };
        let mut authorities = Vec::new();
        let mut rest = certificates.unwrap_or_default();
        while !rest.is_empty() {
            let (after, _) =
                x509_parser::parse_x509_certificate(rest).map_err(|_| BundleError::Certificates)?;
            let one = rest.get(..rest.len() - after.len()).unwrap_or_default();
            authorities.push(CertificateDer::from(one.to_vec()));
            if authorities.len() > AUTHORITIES_MAX {
                return Err(BundleError::Certificates);
            }
            rest = after;
        }
        Ok(Self { trust_domain, jwt_keys, authorities, sequence: None, refresh_hint_s: None })
    }

    /// A bundle that vouches for nothing.
    pub fn none(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            jwt_keys: KeySet::default(),
            authorities: Vec::new(),
            sequence: None,
            refresh_hint_s: None,
        }
    }

    /// Whether it vouches for nothing: then everything of the domain is revoked.
    pub fn is_empty(&self) -> bool {
        self.jwt_keys.keys().is_empty() && self.authorities.is_empty()
    }

    /// This bundle, if it is not older than the one that is known.
    ///
    /// # Errors
    /// [`BundleError::WentBack`].
    pub fn after(self, known: Option<&Self>) -> Result<Self, BundleError> {
        match known.and_then(|known| known.sequence) {
            Some(known) if self.sequence.is_none_or(|found| found < known) => {
                Err(BundleError::WentBack { known, found: self.sequence.unwrap_or(0) })
            }
            _ => Ok(self),
        }
    }
}

/// The certificate of an `x509-svid` key: `x5c` has exactly one (section 4.2.2). A key that does
/// not fit is left out, as unknown keys are.
fn authority(key: &Value) -> Option<CertificateDer<'static>> {
    let [Value::String(text)] = key.member("x5c")?.as_array()? else { return None };
    let der = STANDARD.decode(&**text).ok()?;
    let (rest, _) = x509_parser::parse_x509_certificate(&der).ok()?;
    rest.is_empty().then(|| CertificateDer::from(der.clone()))
}

fn number(bundle: &Value, name: &'static str) -> Result<Option<u64>, BundleError> {
    let number = match bundle.member(name) {
        None => return Ok(None),
        Some(Value::Integer(n)) => u64::try_from(*n).ok(),
        // From 2^63 on.
        Some(Value::Number(n)) => n.as_str().parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or(BundleError::Number { name })
}
