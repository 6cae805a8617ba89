//! `safeconduct policy`: check, format, test, ask and explain policies, all without a server.

mod bench;
mod check;
mod course;
pub(super) mod draft;
mod eval;
mod evidence;
mod explain;
mod fmt;
mod ground;
mod propose;
pub(super) mod question;
mod recorded;
mod report;
mod scene;
mod since;
mod tasks;
mod test;
mod watch;
mod world;

pub(crate) use test::all_of;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::args::{Arguments, Policy, PolicyReduce, Question, Shared};
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
        Policy::Eval(question) => eval::run(shared, whole(&question)),
        Policy::Explain { decision: Some(id), source, .. } => recorded::run(shared, &source, &id),
        Policy::Explain { question, .. } => explain::run(shared, whole(&question)),
        Policy::Bench(question) => bench::run(shared, whole(&question)),
        Policy::Checkout(args) => propose::checkout(shared, &args),
        Policy::Propose(args) => propose::propose(shared, &args),
        Policy::Proposals { remote } => propose::list(shared, &remote),
        Policy::Proposal { id, remote } => propose::one(shared, &remote, &id),
        Policy::Approve { id, remote } => propose::answer(shared, &remote, &id, None),
        Policy::Reject { id, reason, remote } => {
            propose::answer(shared, &remote, &id, Some(&reason))
        }
        Policy::Diff(args) => draft::diff::run(shared, &args),
        Policy::Learn(args) => draft::learn::run(shared, &args),
        Policy::Reduce(args) => reduce(shared, &args),
    }
}

/// Proposes the smallest change that still permits what was used: `review reduce` is the same.
///
/// # Errors
/// The project or the records cannot be read, or nothing of that name is there.
pub(crate) fn reduce(shared: &Shared, args: &PolicyReduce) -> Result<Exit, CommandError> {
    draft::reduce::run(shared, args)
}

/// A question that says who wants to do what, or leaves it to a test. Anything else is a slip on the
/// command line.
fn whole(question: &Question) -> &Question {
    let said = question.principal.is_some() && question.action.is_some();
    if !said && question.test.is_none() {
        let says = "say who wants to do what: --principal and --action, or --test";
        Arguments::command().error(ErrorKind::MissingRequiredArgument, says).exit();
    }
    question
}
