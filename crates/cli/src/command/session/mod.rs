//! `safeconduct session`: what a session has read, and what that flowed into.

mod draw;
mod gather;
mod graph;
mod text;

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print};

/// The records of the session that a decision is in, in their order, and whether older ones are left
/// out.
///
/// # Errors
/// The server or the folder cannot be read, or nothing of that name is there.
pub(crate) fn records_around(
    shared: &Shared,
    source: &args::Source,
    decision: &str,
) -> Result<(Vec<crate::story::Placed>, bool), CommandError> {
    let gathered = gather::session(shared, source, decision)?;
    Ok((gathered.records, gathered.more))
}

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Session) -> Result<Exit, CommandError> {
    match args {
        args::Session::Ls { limit, source } => {
            let sessions = gather::sessions(shared, &source, limit)?;
            match shared.output {
                Format::Table => print(&text::list(&sessions))?,
                format => print(&output::document(format, &text::list_document(&sessions))?)?,
            }
        }
        args::Session::Show { id, source } => {
            let gathered = gather::session(shared, &source, &id)?;
            let graph = graph::Graph::of(&gathered);
            match shared.output {
                Format::Dot => print(&draw::dot(&graph))?,
                Format::Mermaid => print(&draw::mermaid(&graph))?,
                Format::Table => print(&text::graph(&graph))?,
                format => print(&output::document(format, &text::document(&graph))?)?,
            }
        }
    }
    Ok(Exit::Ok)
}
