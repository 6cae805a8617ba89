//! Measures speed, side by side with peers in one run, and writes `bench/RESULTS.md` and
//! `bench/results.json`.
//!
//! Everything that is compared takes turns within the same run, and what counts is the ratio of
//! the medians: absolute numbers belong to the machine that the report names. Arguments name the
//! parts to run (`decide`, `flow`, `temporal`, `startup`, `tasks`, `risk`, `tokens`, `leases`, `approvals`, `uses`, `reviews`, `replay`, `http`, `mcp`); without one all run,
//! and only then the two files are written.
//!
//! What this crate deliberately does not do: it tests nothing beyond "the answer was the one
//! that was expected", loads no other machine, and is part of no other binary.

mod approvals;
mod cedar;
mod child;
mod decide;
mod disk;
mod flow;
mod http;
mod leases;
mod machine;
mod mcp;
mod replay;
mod report;
mod reviews;
mod risk;
mod rounds;
mod section;
mod startup;
mod tasks;
mod temporal;
mod tokens;
mod uses;
mod world;

use std::process::ExitCode;

use crate::section::Failure;

/// Decisions make many small values that die together; the C library's allocator took a third of
/// their time. Every contestant of ours and every peer in this process has the same one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::say(&format!("bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// The words that start with `child-` are how the bench runs parts of itself in processes of
/// their own, to pin, to weigh or to count them.
fn run(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["child-memory", policies] => startup::child(policies.parse()?),
        ["child-decide", what, times] => decide::child(what, times.parse()?),
        ["child-session", sort, count] => flow::child(sort, count.parse()?),
        ["child-reviews", rights] => reviews::child(rights.parse()?),
        ["child-tasks", tasks, doing] => tasks::child(tasks.parse()?, doing),
        ["child-server", kind, folder] => http::server::child(kind, folder),
        ["child-load", address, dialect, connections, millis] => {
            http::load::child(address, dialect, connections.parse()?, millis.parse()?)
        }
        sections => report::run(sections),
    }
}
