//! `safeconduct log`: what was decided and what then happened. Reading goes through the server;
//! checking reads the files themselves and needs no server.

mod export;
mod files;
mod online;

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit};
use crate::wiring::runtime;

pub(super) use files::verified;

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Log) -> Result<Exit, CommandError> {
    match args {
        args::Log::Tail { last, no_follow, remote } => {
            runtime()?.block_on(online::tail(shared, &remote, last, no_follow))
        }
        args::Log::Query { filter, remote } => {
            runtime()?.block_on(online::query(shared, &remote, filter))
        }
        args::Log::Show { id, remote } => runtime()?.block_on(online::show(shared, &remote, &id)),
        args::Log::Export { format, range } => export::run(shared, format, &range),
        args::Log::Verify { against, data, key } => files::verify(shared, against, data, key),
        args::Log::Checkpoint => files::checkpoint(shared),
        args::Log::Fsck => files::fsck(shared),
        args::Log::Rebuild => files::rebuild(shared),
    }
}
