//! X.509-SVIDs (X509-SVID sections 2 to 5).

use rustls::pki_types::{CertificateDer, UnixTime};
use safeconduct_credential::jose::Thumbprint;
use safeconduct_model::Timestamp;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use super::bundle::Bundle;
use super::id::{SpiffeId, SpiffeIdError};

/// Most certificates that a chain may have, the leaf included.
pub const CHAIN_MAX: usize = 6;
/// Longest certificate, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Why a chain is refused: the client is at fault, or who issued its certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X509Error {
    /// No certificate, too many, or one too long.
    #[error("a chain has 1 to {CHAIN_MAX} certificates of at most {CERTIFICATE_BYTES_MAX} bytes")]
    Chain,
    /// A certificate cannot be read.
    #[error("a certificate cannot be read")]
    Unreadable,
    /// Not exactly one URI.
    #[error("an SVID has exactly one URI among its names, this one has {found}")]
    Uris {
        /// How many it has.
        found: usize,
    },
    /// The URI is no SPIFFE ID of a workload.
    #[error("the certificate's URI is not acceptable: {0}")]
    Id(#[from] SpiffeIdError),
    /// A leaf that could sign, or that may not be used for this.
    #[error("the leaf is no SVID: {problem}")]
    Leaf {
        /// What is wrong.
        problem: &'static str,
    },
    /// A certificate between leaf and root that may not sign, or names a workload.
    #[error("an intermediate certificate is not acceptable: {problem}")]
    Intermediate {
        /// What is wrong.
        problem: &'static str,
    },
    /// It is of another trust domain.
    #[error("the certificate is of trust domain `{found}`")]
    TrustDomain {
        /// Its trust domain.
        found: String,
    },
    /// No path from the leaf to the domain's bundle holds now.
    #[error("the chain does not hold: {problem}")]
    Path {
        /// What the library says.
        problem: String,
    },
}

/// What the peer is in this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It came to us.
    Client,
    /// We went to it.
    Server,
}

/// An X.509-SVID that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Svid {
    /// Whose.
    pub id: SpiffeId,
    /// SHA-256 of its DER (`x5t#S256`).
    pub thumbprint: Thumbprint,
    /// From when it holds.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
}

/// The SPIFFE ID that a leaf claims, to find the bundle that it must be held against. Nothing of
/// it may be believed yet.
///
/// # Errors
/// [`X509Error`].
pub fn claimed_id(leaf: &[u8]) -> Result<SpiffeId, X509Error> {
    if leaf.len() > CERTIFICATE_BYTES_MAX {
        return Err(X509Error::Chain);
    }
    leaf_id(&read(leaf)?)
}

/// Checks a chain, leaf first, against the bundle of one trust domain and nothing else.
///
/// Whoever calls has seen, in a TLS handshake, that the peer holds the leaf's private key.
///
/// # Errors
/// [`X509Error`].
pub fn verify(
    chain: &[CertificateDer<'_>],
    bundle: &Bundle,
    peer: Peer,
    now: Timestamp,
) -> Result<X509Svid, X509Error> {
    let short = |certificate: &CertificateDer<'_>| certificate.len() <= CERTIFICATE_BYTES_MAX;
    let (Some((leaf, intermediates)), true) =
        (chain.split_first(), chain.len() <= CHAIN_MAX && chain.iter().all(short))
    else {
        return Err(X509Error::Chain);
    };
    let parsed = read(leaf)?;
    let id = leaf_id(&parsed)?;
    if *id.trust_domain() != bundle.trust_domain {
        return Err(X509Error::TrustDomain { found: id.trust_domain().to_string() });
    }
    check_leaf(&parsed)?;
    for intermediate in intermediates {
        check_intermediate(&read(intermediate)?, &id)?;
    }
    check_path(leaf, intermediates, bundle, peer, now)?;
    let validity = parsed.validity();
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
    Ok(X509Svid {
        id,
        thumbprint: Thumbprint::of(leaf),
        not_before: at(validity.not_before.timestamp()),
        not_after: at(validity.not_after.timestamp()),
    })
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, X509Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(X509Error::Unreadable),
    }
}

/// Every URI among the subject's alternative names.
fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, X509Error> {
    let mut uris = Vec::new();
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                uris.extend(names.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some(*uri),
                    _ => None,
                }));
            }
            ParsedExtension::ParseError { .. } => return Err(X509Error::Unreadable),
            _ => {}
        }
    }
    Ok(uris)
}

fn leaf_id(leaf: &X509Certificate<'_>) -> Result<SpiffeId, X509Error> {
    match uris(leaf)?.as_slice() {
        [uri] => Ok(SpiffeId::parse_workload(uri)?),
        several => Err(X509Error::Uris { found: several.len() }),
    }
}

/// X509-SVID section 4: a leaf cannot sign others, and its key usage says so, critically.
fn check_leaf(leaf: &X509Certificate<'_>) -> Result<(), X509Error> {
    let fault = |problem| Err(X509Error::Leaf { problem });
    if leaf.is_ca() {
        return fault("it is an authority");
    }
    let Ok(Some(usage)) = leaf.key_usage() else { return fault("it has no key usage") };
    if !usage.critical {
        return fault("its key usage is not critical");
    }
    if !usage.value.digital_signature() || usage.value.key_cert_sign() || usage.value.crl_sign() {
        return fault("its key usage is not that of a leaf");
    }
    match leaf.extended_key_usage() {
        Ok(None) => Ok(()),
        Ok(Some(usage)) if usage.value.client_auth && usage.value.server_auth => Ok(()),
        _ => fault("its extended key usage is not for both client and server"),
    }
}

/// X509-SVID section 3 and 4: who signs may sign, names no workload, and no other domain.
fn check_intermediate(one: &X509Certificate<'_>, leaf: &SpiffeId) -> Result<(), X509Error> {
    let fault = |problem| Err(X509Error::Intermediate { problem });
    let signs = one.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
    if !one.is_ca() || !signs {
        return fault("it may not sign certificates");
    }
    match uris(one)?.as_slice() {
        [] => Ok(()),
        [uri] => {
            let id = SpiffeId::parse(uri)?;
            if !id.path().is_empty() {
                return fault("it names a workload");
            }
            if id.trust_domain() == leaf.trust_domain() {
                Ok(())
            } else {
                fault("it is of another trust domain")
            }
        }
        _ => fault("it has several URIs"),
    }
}

/// RFC 5280 section 6, by the library that also checks our TLS.
fn check_path(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    bundle: &Bundle,
    peer: Peer,
    now: Timestamp,
) -> Result<(), X509Error> {
    let fault = |error: webpki::Error| X509Error::Path { problem: error.to_string() };
    let anchors: Vec<_> = bundle
        .authorities
        .iter()
        .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
        .collect();
    let end = webpki::EndEntityCert::try_from(leaf).map_err(fault)?;
    let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let usage = match peer {
        Peer::Client => webpki::KeyUsage::client_auth(),
        Peer::Server => webpki::KeyUsage::server_auth(),
    };
    end.verify_for_usage(algorithms, &anchors, intermediates, time, usage, None, None)
        .map(drop)
        .map_err(fault)
}
