//! Towards clients: streamable HTTP, and one stream of lines.

pub(crate) mod guard;
mod headers;
mod http;
mod response;
mod stream;
mod streaming;

pub(crate) use http::router;
pub use stream::StreamError;
