//! `safeconduct passkey`: people's passkeys, at a running server. They are made in a browser.

use reqwest::Method;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::exit::{CommandError, Exit};
use crate::output::print_line;
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Passkey) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Passkey::Ls { identity, remote } => {
                let client = Client::new(shared, &remote)?;
                let query: Vec<_> = identity.map(|id| ("identity", id)).into_iter().collect();
                let answer = client.call(Method::GET, "/v1/passkeys", &query, None).await?;
                let columns = ["id", "identity", "name", "rp", "registered_at", "synced"];
                show(shared, &answer, "passkeys", &columns)
            }
            args::Passkey::Rm { id, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/passkeys/{}", segment(&id));
                client.send(Method::DELETE, &path, &[], None).await?;
                print_line(&format!("`{id}` proves nothing any more"))?;
                Ok(Exit::Ok)
            }
        }
    })
}
