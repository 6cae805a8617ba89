//! Towards clients: streamable HTTP, and one stream of lines.

mod challenge;
pub(crate) mod guard;
mod headers;
mod http;
mod resource;
mod response;
mod stream;
mod streaming;

pub(crate) use http::{probe, router};
pub use resource::{ProtectedResource, ResourceError};
pub use stream::StreamError;
