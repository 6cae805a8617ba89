//! The intents' files: `intents/*.yaml`, one version of one intent each.
//!
//! A file is read alone ([`parse`]), then all are held against the catalogue and the schema
//! ([`merge`]). [`document`] writes an intent in the one canonical form, which reads back as the
//! same intent and which the digest of a set covers ([`digest_input`]).
//!
//! In texts of the envelope `${name}` stands for a parameter. Alone it is the parameter's value,
//! with its type; within a text only an `identifier` or `integer` may stand, since no value of
//! theirs changes what the text around it means. `$$` is a dollar sign.
//!
//! ```
//! use safeconduct_wire::intent;
//!
//! let file = intent::parse("intents/read_case.yaml", r#"
//! intent: read_case
//! version: 1
//! description: Read one case.
//! parameters: { case: { type: identifier } }
//! undertaken_by: { groups: [support-agents] }
//! on_behalf_of: required
//! longest: 15m
//! budget: { calls: 5 }
//! tier_max: low
//! envelope:
//!   - action: crm.read_case
//!     arguments: { /case: { equals: "${case}" } }
//! "#).unwrap();
//! assert_eq!(file.intent.longest_s, 900);
//!
//! let problems = intent::parse("i.yaml", "intent: a\nverison: 1").unwrap_err();
//! assert!(problems.iter().any(|problem| {
//!     problem.to_string() == "i.yaml:2:1: unknown key `verison` (did you mean `version`?)"
//! }));
//! ```

mod envelope;
mod form;
mod literal;
mod merge;
mod read;
mod schedule;
mod term;
mod write;

pub use form::*;
pub(crate) use literal::literal_rules;
pub use literal::{envelope_document, literal_budget, literal_envelope};
pub use merge::*;
pub use read::*;
pub use write::*;

#[cfg(test)]
mod tests;
