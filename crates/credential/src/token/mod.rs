//! Access tokens of our own token service: what a request for one says, what is granted of it,
//! what the token says (RFC 9068), and the keys that sign it.
//!
//! A token is issued for a task and says no more than the task may do. From step to step scope,
//! details and expiry only narrow; what is not known (a scope, a type of detail, a member, a
//! constraint) is refused, never ignored.

mod claims;
mod details;
mod fault;
mod foreign;
mod form;
mod grant;
mod nonce;
mod once;
mod request;
mod ring;

pub use claims::*;
pub use details::*;
pub use fault::*;
pub use foreign::*;
pub use form::*;
pub use grant::*;
pub use nonce::*;
pub use once::*;
pub use request::*;
pub use ring::*;

/// Longest life of an access token, in seconds.
pub const TTL_S_MAX: u32 = 300;

#[cfg(test)]
mod tests;
