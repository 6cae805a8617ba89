//! What tests of the whole system stand on: decision cases and the three ways to ask them, a
//! server process with its folder, and the smallest HTTP and MCP clients that can also misbehave.
//!
//! What this crate deliberately does not do: it is part of no binary and hides no failure. A
//! test that cannot run says why; everything else that goes wrong panics where it happens.
//!
//! ```
//! let cases = safeconduct_tests::case::all();
//! assert!(cases.iter().all(|case| !case.suite.tests.is_empty()));
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "support for tests: a test fails by panicking and says why it skips"
)]

pub mod answer;
pub mod case;
pub mod http;
pub mod issuer;
pub mod leases;
pub mod mcp;
pub mod pki;
pub mod postgres;
pub mod project;
pub mod pure;
pub mod server;
pub mod tasks;
pub mod tools;
pub mod traced;
