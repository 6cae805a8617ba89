//! `safeconduct completion`: the completion script of a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::exit::{CommandError, Exit};
use crate::output;

/// Prints the script.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(shell: Shell) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "safeconduct", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
