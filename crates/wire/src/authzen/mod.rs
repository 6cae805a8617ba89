//! The AuthZEN Authorization API 1.0: questions in, answers out, to the letter of the
//! specification (OpenID, *Authorization API 1.0*, sections 5 to 9).
//!
//! A missing or ill-typed required field is the caller's error and is named by its JSON Pointer;
//! unknown fields are ignored, as the specification demands. `null` is not absence: I-JSON
//! senders leave such members out, so a `null` is refused like any other ill-typed value.
//!
//! ```
//! use safeconduct_wire::authzen::Evaluation;
//!
//! let question = Evaluation::parse(br#"{
//!     "subject": {"type": "user", "id": "alice"},
//!     "action": {"name": "delete", "properties": {"soft": true}},
//!     "resource": {"type": "record", "id": "record-1"}
//! }"#)?;
//! assert_eq!(question.action.as_str(), "delete");
//!
//! let error = Evaluation::parse(br#"{"subject": {"type": "user"}}"#).unwrap_err();
//! assert_eq!(error.to_string(), "`/subject/id` is missing");
//! # Ok::<(), safeconduct_wire::authzen::AuthzenError>(())
//! ```

mod access_request;
mod answer;
mod batch;
mod direct;
mod metadata;
mod question;
mod search;

pub use access_request::*;
pub use answer::*;
pub use batch::*;
pub use metadata::*;
pub use question::*;
pub use search::*;

#[cfg(test)]
mod tests;
