//! `safeconduct catalogue`: what is known of each action, from the servers themselves.

mod import;
mod live;
mod ls;
mod pin;

pub(crate) use import::{Draft, absent, draft, write};
pub(crate) use live::described;

use crate::args::{Catalogue, Shared};
use crate::exit::{CommandError, Exit};

/// Runs the command.
///
/// # Errors
/// [`CommandError`] of each command.
pub(crate) fn run(shared: &Shared, command: Catalogue) -> Result<Exit, CommandError> {
    match command {
        Catalogue::Import { server, force } => import::run(shared, &server, force),
        Catalogue::Pin { server, tools, yes } => pin::run(shared, &server, &tools, yes),
        Catalogue::Ls => ls::run(shared),
    }
}
