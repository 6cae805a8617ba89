//! A client of the SPIFFE Workload API, for bundles (SPIFFE Workload API sections 5 and 6).
//!
//! Both streams send the full state each time: what is not in a message is taken back. The few
//! messages are written here by hand; they are all of the protocol that is needed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::net::UnixStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tower::service_fn;

use super::bundle::{Bundle, BundleError};
use super::id::{SpiffeId, TrustDomain};

/// The metadata that every request carries, so that nobody can be made to send one by mistake
/// (Workload Endpoint section 4).
pub(crate) const SECURITY_HEADER: &str = "workload.spiffe.io";

/// Longest message that is read, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How long the socket may take to answer a connection, in milliseconds.
const CONNECT_MS: u64 = 3_000;

/// An empty request.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Empty {}

/// `X509BundlesResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct X509Bundles {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) crl: Vec<Bytes>,
    #[prost(map = "string, bytes", tag = "2")]
    pub(crate) bundles: HashMap<String, Bytes>,
}

/// `JWTBundlesResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JwtBundles {
    #[prost(map = "string, bytes", tag = "1")]
    pub(crate) bundles: HashMap<String, Bytes>,
}

/// What the Workload API says of the trust domain now.
#[derive(Debug)]
pub(crate) enum Update {
    /// This vouches for it.
    Bundle(Bundle),
    /// Nothing does any more.
    Redacted,
}

/// Why the streams ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkloadApiError {
    /// The address is none.
    #[error("`{0}` is no address of a Workload API: `unix:///absolute/path`")]
    Address(String),
    /// The socket cannot be connected to.
    #[error("the Workload API cannot be reached: {0}")]
    Unreachable(#[from] tonic::transport::Error),
    /// It refuses us, so nothing that it said counts any more.
    #[error("the Workload API refuses us: {0}")]
    Refused(String),
    /// A stream broke.
    #[error("the Workload API broke off: {0}")]
    Broken(String),
    /// What it sends is no bundle.
    #[error("the Workload API sends what is no bundle: {0}")]
    Bundle(#[from] BundleError),
}

impl From<Status> for WorkloadApiError {
    fn from(status: Status) -> Self {
        let message: String = status.message().chars().take(200).collect();
        match status.code() {
            Code::PermissionDenied | Code::InvalidArgument => Self::Refused(message),
            code => Self::Broken(format!("{code:?} {message}")),
        }
    }
}

/// Follows both streams until one ends, and tells each new state.
pub(crate) async fn listen(
    address: &str,
    trust_domain: &TrustDomain,
    mut tell: impl FnMut(Update),
) -> Result<(), WorkloadApiError> {
    let channel = connect(address).await?;
    let mut x509: Streaming<X509Bundles> =
        stream(channel.clone(), "/SpiffeWorkloadAPI/FetchX509Bundles").await?;
    let mut jwt: Streaming<JwtBundles> =
        stream(channel, "/SpiffeWorkloadAPI/FetchJWTBundles").await?;
    // Nothing is told until each has spoken once: half a state would look like a redaction.
    let (mut certificates, mut jwks) = (None, None);
    loop {
        tokio::select! {
            message = x509.message() => match message? {
                Some(message) => certificates = Some(of_domain(&message.bundles, trust_domain)),
                None => return Ok(()),
            },
            message = jwt.message() => match message? {
                Some(message) => jwks = Some(of_domain(&message.bundles, trust_domain)),
                None => return Ok(()),
            },
        }
        if let (Some(certificates), Some(jwks)) = (&certificates, &jwks) {
            tell(match (certificates, jwks) {
                (None, None) => Update::Redacted,
                (certificates, jwks) => Update::Bundle(Bundle::from_workload_api(
                    trust_domain.clone(),
                    certificates.as_deref(),
                    jwks.as_deref(),
                )?),
            });
        }
    }
}

/// The entry of one trust domain; entries of others are not looked at.
fn of_domain(bundles: &HashMap<String, Bytes>, trust_domain: &TrustDomain) -> Option<Bytes> {
    let is_it = |id: &str| {
        SpiffeId::parse(id)
            .is_ok_and(|id| id.trust_domain() == trust_domain && id.path().is_empty())
    };
    bundles.iter().find(|(id, _)| is_it(id)).map(|(_, bytes)| bytes.clone())
}

async fn connect(address: &str) -> Result<Channel, WorkloadApiError> {
    let path = address.strip_prefix("unix://").filter(|path| Path::new(path).is_absolute());
    let path = PathBuf::from(path.ok_or_else(|| WorkloadApiError::Address(address.to_owned()))?);
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The connector goes to the socket whatever the URI says.
    let endpoint = Endpoint::from_static("http://workload.invalid")
        .connect_timeout(Duration::from_millis(CONNECT_MS));
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn stream<T: prost::Message + Default + Send + 'static>(
    channel: Channel,
    method: &'static str,
) -> Result<Streaming<T>, WorkloadApiError> {
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    client.ready().await?;
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    let codec = tonic_prost::ProstCodec::<Empty, T>::default();
    let path = PathAndQuery::from_static(method);
    Ok(client.server_streaming(request, path, codec).await?.into_inner())
}
