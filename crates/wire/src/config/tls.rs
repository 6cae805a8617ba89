//! How the server proves itself to its clients, and whether they must prove themselves to it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::read::join;

/// TLS on the listening address. Without it the server speaks plain HTTP, which is for loopback
/// or for behind a proxy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsForm {
    /// A PEM file with the server's certificate and those between it and its authority. It is
    /// read again on SIGHUP, and within a minute of a change. Command lines believe it by the
    /// system's authorities, or by those of the file that `SSL_CERT_FILE` names.
    #[schemars(length(min = 1))]
    pub certificate: String,
    /// A PEM file with the certificate's private key.
    #[schemars(length(min = 1))]
    pub key: String,
    /// Whether clients show a certificate. What it proves, the trust records of kind `spiffe`
    /// say, at every request.
    #[serde(default)]
    pub client_certificates: ClientCertificatesWord,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificatesWord {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked for one, and need not have any.
    Accepted,
    /// Whoever has none cannot connect.
    Required,
}

/// TLS on the listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// The PEM file of the certificates.
    pub certificate: PathBuf,
    /// The PEM file of the private key.
    pub key: PathBuf,
    /// Whether clients show a certificate.
    pub client_certificates: ClientCertificatesWord,
}

impl TlsForm {
    pub(super) fn into_plain(self, folder: &Path) -> ListenTls {
        ListenTls {
            certificate: join(folder, &self.certificate),
            key: join(folder, &self.key),
            client_certificates: self.client_certificates,
        }
    }
}
