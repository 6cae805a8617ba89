//! The nouns of Safeconduct: identities, actions, resources, values, requests, decisions, records.
//!
//! Every other crate speaks in these types. They check their own invariants when they are made,
//! so that code further in never has to ask again.
//!
//! What this crate deliberately does not do: it reads no clock, does no IO, draws no randomness,
//! and derives no serde. A serialized form is a promise to others; crate `wire` and crate
//! `ledger` make those promises, from these types.
//!
//! ```
//! use safeconduct_model::{ActionName, Value};
//!
//! let action = ActionName::new("files.read_text_file")?;
//! assert_eq!(action.as_str(), "files.read_text_file");
//!
//! let input = Value::object([("path", Value::from("/cases/4711/notes.md"))]);
//! assert_eq!(input.depth(), 2);
//! # Ok::<(), safeconduct_model::NameError>(())
//! ```

mod access_request;
mod authority;
mod catalogue;
mod decision;
mod digest;
mod entity;
mod identity;
mod intent;
mod label;
mod lease;
mod name;
mod network;
mod passkey;
mod record;
mod request;
mod review;
mod session_key;
pub mod signal;
mod task;
mod tiers;
mod time;
mod value;

pub use access_request::*;
pub use authority::*;
pub use catalogue::*;
pub use decision::*;
pub use digest::*;
pub use entity::*;
pub use identity::*;
pub use intent::*;
pub use label::*;
pub use lease::*;
pub use name::*;
pub use network::*;
pub use passkey::*;
pub use record::*;
pub use request::*;
pub use review::*;
pub use session_key::*;
pub use signal::Signal;
pub use task::*;
pub use tiers::*;
pub use time::*;
pub use value::*;
