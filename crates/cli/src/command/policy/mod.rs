//! `safeconduct policy`: check, format, test, ask and explain policies, all without a server.

mod bench;
mod check;
mod course;
mod eval;
mod evidence;
mod explain;
mod fmt;
mod ground;
mod question;
mod report;
mod scene;
mod since;
mod tasks;
mod test;
mod watch;
mod world;

use crate::args::{Policy, Shared};
use crate::exit::{CommandError, Exit};

/// Runs the command.
///
/// # Errors
/// [`CommandError`] of each command.
pub(crate) fn run(shared: &Shared, command: Policy) -> Result<Exit, CommandError> {
    match command {
        Policy::Check => check::run(shared),
        Policy::Fmt { files, check, diff, write } => {
            fmt::run(shared, &files, fmt::Task::of(check, diff, write))
        }
        Policy::Test { paths, filter, watch, coverage } => {
            let options = test::Options { paths, filter, coverage };
            if watch { watch::run(shared, &options) } else { test::run(shared, &options) }
        }
        Policy::Eval(question) => eval::run(shared, &question),
        Policy::Explain(question) => explain::run(shared, &question),
        Policy::Bench(question) => bench::run(shared, &question),
    }
}
