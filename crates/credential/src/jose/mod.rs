//! Strict JOSE: signed JSON Web Tokens (RFC 7515, 7517, 7519, 7638, 8725), nothing else of JOSE.
//!
//! A token is believed only where the caller said beforehand what it must be: see [`Expect`].
//! What the token itself proposes is never taken up. The header cannot choose the algorithm
//! beyond the caller's list, cannot carry or point to a key (`jwk`, `jku`, `x5u`, `x5c`), cannot
//! change the rules (`crit`, `b64`, `zip`). A key serves one family of algorithms, by its type and
//! curve. There are no symmetric keys here, and no encryption.
//!
//! Signatures are checked by AWS-LC, the library that also does our TLS. It is called directly:
//! what a JWT library would add is parsing, which must be stricter here than theirs, and
//! ES512 and `Ed25519` (RFC 9864) come with it. An independent JWT library is the oracle of the
//! tests.
//!
//! ECDSA signing draws its nonce inside AWS-LC: the one randomness here that is no argument.

mod algorithm;
mod compact;
mod confirmation;
mod dpop;
mod error;
mod event;
mod key;
mod key_set;
mod sign;
mod signature;
mod verify;

pub use algorithm::Algorithm;
pub use confirmation::*;
pub use dpop::*;
pub use error::*;
pub use event::*;
pub use key::*;
pub use key_set::*;
pub use sign::*;
pub use verify::*;

/// Longest token that is read, in bytes. Headers of HTTP servers end around there too.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Deepest header or set of claims that is read, counted as `Value::depth` counts.
pub const NESTING_MAX: usize = 16;

/// Longest set of keys that is read, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Most keys that a set may have.
pub const KEYS_MAX: usize = 128;

#[cfg(test)]
mod tests;
