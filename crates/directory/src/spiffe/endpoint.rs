//! The profile `https_spiffe`: a bundle endpoint whose certificate is an SVID (SPIFFE Federation
//! section 5.2.2). The web's authorities have no say; the name in the URL has none either.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use safeconduct_model::Timestamp;

use super::bundle::Bundle;
use super::id::SpiffeId;
use super::x509::{Peer, verify};
use crate::fetch::Authority;

/// The authority that believes one SPIFFE ID, as this bundle vouches for it. `None` where the
/// TLS library cannot be set up.
pub(crate) fn svid_authority(bundle: Arc<Bundle>, expected: SpiffeId) -> Option<Authority> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = SvidVerifier { bundle, expected, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Some(Authority::Own(Box::new(config)))
}

#[derive(Debug)]
struct SvidVerifier {
    bundle: Arc<Bundle>,
    expected: SpiffeId,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SvidVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refuse = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let millis = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
        let chain: Vec<_> =
            std::iter::once(leaf).chain(intermediates).map(CertificateDer::clone).collect();
        match verify(&chain, &self.bundle, Peer::Server, Timestamp::from_millis(millis)) {
            Ok(svid) if svid.id == self.expected => Ok(ServerCertVerified::assertion()),
            _ => Err(refuse),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
