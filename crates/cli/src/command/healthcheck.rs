//! `safeconduct healthcheck`.

use reqwest::Method;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::print_line;
use crate::wiring::runtime;

/// Exit code 0 where the server is ready.
pub(crate) fn run(shared: &Shared, args: args::Healthcheck) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?;
    runtime()?.block_on(client.send(Method::GET, "/readyz", &[], None))?;
    print_line("ready")?;
    Ok(Exit::Ok)
}
