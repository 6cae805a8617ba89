//! The public forms of Safeconduct: how its nouns look as JSON and YAML, and how what others
//! write is read into the model.
//!
//! Whatever crosses a trust boundary as text is read here, in the one way that cannot be
//! misunderstood: strict [`json`], [`authzen`] questions and answers, [`outcome`] reports,
//! security events of others ([`signals`]), the forms of the administration API ([`admin`],
//! [`identity`]), and the files that people write ([`config`], [`catalogue`], [`intent`],
//! [`campaign`],
//! [`suite`]), whose JSON Schemas ([`schemas`]) are generated from the same structs that read them. What is wrong is named by field or by file, line and column,
//! all at once where that is possible, with what was probably meant.
//!
//! Records leave in the forms of others by [`export`], and identities that others keep come in by
//! [`import`].
//!
//! What this crate deliberately does not do: it opens no file and no socket, looks up no
//! environment variable, and makes no decision. It knows no policy language (crate `policy`), no
//! form of ledger records (crate `ledger`) and no MCP message (crate `gateway`).
//!
//! ```
//! use safeconduct_wire::json;
//!
//! let message = json::parse(br#"{"method": "tools/call", "id": 1}"#)?;
//! assert_eq!(json::to_bytes(&message), br#"{"id":1,"method":"tools/call"}"#);
//!
//! // Two readers could see two messages here, so nobody gets to see any.
//! assert!(json::parse(br#"{"name": "read", "name": "delete"}"#).is_err());
//! # Ok::<(), json::JsonError>(())
//! ```

pub mod admin;
pub mod authzen;
pub mod campaign;
pub mod catalogue;
pub mod config;
pub mod document;
pub mod export;
mod field;
pub mod identity;
pub mod import;
pub mod intent;
pub mod json;
#[cfg(feature = "openapi")]
mod openapi;
pub mod outcome;
pub mod schemas;
pub mod scim;
pub mod signals;
pub mod suite;

pub use field::{FieldError, FieldProblem};
