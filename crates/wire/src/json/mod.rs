//! Strict JSON: the bytes that cross a trust boundary, read in the one way that cannot be
//! misunderstood, and written back in one way.
//!
//! The grammar is RFC 8259, narrowed as I-JSON (RFC 7493) narrows it, because the enforcement
//! point and the server behind it must read the same message: UTF-8 without a byte order mark,
//! unique member names (compared after unescaping), no unpaired surrogates, nothing after the
//! value. Numbers stay exact: an integer that fits 64 bits with sign is one, any other number
//! keeps its text.
//!
//! ```
//! use safeconduct_wire::json;
//!
//! let value = json::parse(br#"{"b": [1, 2.50], "a": "x"}"#)?;
//! assert_eq!(json::to_bytes(&value), br#"{"a":"x","b":[1,2.50]}"#);
//!
//! let error = json::parse(br#"{"name": "safe", "n\u0061me": "danger"}"#).unwrap_err();
//! assert_eq!(error.pointer, "/name");
//! # Ok::<(), json::JsonError>(())
//! ```

mod convert;
mod error;
mod parse;
mod text;
mod write;

pub use convert::*;
pub use error::*;
pub use parse::{BYTES_MAX, DEPTH_MAX, Limits, parse, parse_within};
pub(crate) use parse::{Parser, read_directly};
pub use write::*;

#[cfg(test)]
mod tests;
