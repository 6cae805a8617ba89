//! Passkeys: what an authenticator says, and whether it is true (Web Authentication Level 3,
//! sections 7.1 and 7.2).
//!
//! Narrower than the specification wherever it leaves room. The person is always verified. Three
//! signature algorithms are known, none of them with SHA-1. A ceremony of a page inside another
//! page is refused. Attestation is not asked for and nothing rests on it: which model of
//! authenticator made a key is what it says of itself.
//!
//! Keys, challenges and counters are arguments: this module keeps nothing and asks no clock.

mod authenticator;
mod client_data;
mod key;
mod verify;

pub use authenticator::DataError;
pub use client_data::ClientDataError;
pub use key::{ALGORITHMS, KeyError};
pub use verify::*;

#[cfg(test)]
mod tests;
