//! Tests of policies: `policies/tests/*_test.yaml`, and the project's own decision cases, in one
//! form.
//!
//! A suite names principals and resources, and asks in two ways: a *matrix* of principals,
//! actions and resources, in which whatever is not expected to be permitted is expected to be
//! denied; or *steps*, one after the other in one session. A suite may bring its own *world*;
//! otherwise it runs against the project that it belongs to. Before its steps a test may begin
//! *tasks*, in which steps then act.
//!
//! ```
//! use safeconduct_model::Decision;
//! use safeconduct_wire::suite;
//!
//! let suite = suite::parse("reads_test.yaml", "
//! principals: { agent: { id: case-agent } }
//! resources: { notes: { type: Path, id: /srv/cases/4711/notes.md } }
//! tests:
//!   - name: an agent reads, and nothing else
//!     principals: [agent]
//!     resources: [notes]
//!     actions: [files.read_text_file, files.move_file]
//!     expect:
//!       - { principal: agent, resource: notes, actions: { files.read_text_file: permit } }
//! ").unwrap();
//! let decisions: Vec<_> = suite.tests[0].steps.iter().map(|s| s.expect.decision).collect();
//! assert_eq!(decisions, [Decision::Permit, Decision::Deny]);
//! ```

mod fixtures;
mod form;
mod matrix;
mod plain;
mod read;
mod tasks;
mod world;

pub use fixtures::{Fixtures, parse_principals, parse_resources};
pub use form::*;
pub use plain::*;
pub use read::*;

#[cfg(test)]
mod tests;
