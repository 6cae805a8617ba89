//! `safeconduct review`: access reviews.

mod campaign;
mod export;
mod findings;
mod remediate;

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit};

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Review) -> Result<Exit, CommandError> {
    match command {
        args::Review::Campaign(command) => campaign::run(shared, command),
        args::Review::Findings(command) => findings::run(shared, command),
        args::Review::Reduce(args) => super::policy::reduce(shared, &args),
        args::Review::Remediate(command) => remediate::run(shared, command),
        args::Review::Export(args) => export::export(shared, &args.campaign, &args.out, args.key),
        args::Review::Verify(args) => export::verify(shared, &args.folder, args.key.as_deref()),
    }
}
