//! The whole system, as a process: what only shows when all parts run together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod approvals;
mod approvals_mcp;
mod authzen;
mod bad_input;
mod bad_results;
mod command_line;
mod conformance;
mod crash;
mod demo;
mod estate;
mod examples;
mod faults;
mod flow;
mod identity;
mod inventory;
mod leases;
mod mutual_tls;
mod oauth;
mod openid;
mod pages;
mod proofs;
mod risk;
mod sessions;
mod signals;
mod tamper;
mod tasks;
mod three_ways;
mod tokens;
mod traces;
mod upstreams;
mod verifier;
mod world;
