//! TLS on a listener: the server's certificate, and what clients show of theirs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use safeconduct_service::ClientCertificates;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Most certificates that a client may show. A connection with more is refused.
pub const CLIENT_CHAIN_MAX: usize = 8;

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// They are not asked.
    None,
    /// They are asked, and need not have one.
    Accepted,
    /// Whoever has none cannot connect.
    Required,
}

/// Why TLS cannot be served: whoever wrote the files is at fault. Nothing of the key is shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The certificates cannot be read.
    #[error("the certificate is no PEM file of certificates: {0}")]
    Certificate(String),
    /// The key cannot be read.
    #[error("the key is no PEM file of a private key")]
    Key,
    /// They do not fit each other, or cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Unfit(String),
}

/// What a listener proves itself by; it can be changed while it listens.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ArcSwap<ServerConfig>>,
    clients: ClientAuthentication,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.clients)
    }
}

impl Tls {
    /// Of a certificate chain and its private key, both in PEM.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(
        certificate: &[u8],
        key: &[u8],
        clients: ClientAuthentication,
    ) -> Result<Self, TlsError> {
        let config = server_config(certificate, key, clients)?;
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(config)), clients })
    }

    /// Proves itself by these from the next connection on.
    ///
    /// # Errors
    /// [`TlsError`]; what was there stays.
    pub fn renew(&self, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.config.store(Arc::new(server_config(certificate, key, self.clients)?));
        Ok(())
    }

    /// The handshake of one connection, and the certificates that the client showed in it.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<(TlsStream<S>, Option<ClientCertificates>)> {
        let stream = TlsAcceptor::from(self.config.load_full()).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let shown = ClientCertificates::new(shown.iter().map(|one| one.to_vec()));
        Ok((stream, shown))
    }
}

fn server_config(
    certificate: &[u8],
    key: &[u8],
    clients: ClientAuthentication,
) -> Result<ServerConfig, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Certificate("there is none in it".into()));
    }
    // The error could quote the file.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let unfit = |error: Error| TlsError::Unfit(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?;
    let builder = match clients {
        ClientAuthentication::None => builder.with_no_client_auth(),
        asked => builder.with_client_cert_verifier(Arc::new(Possession {
            provider,
            required: asked == ClientAuthentication::Required,
        })),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Sees that a client holds the key of the certificate that it shows, and nothing else: who
/// vouches for the certificate is looked at with every request, since it may have been taken back
/// while the connection stood.
#[derive(Debug)]
struct Possession {
    provider: Arc<CryptoProvider>,
    required: bool,
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.len() >= CLIENT_CHAIN_MAX {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
