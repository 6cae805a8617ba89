//! `safeconduct keys`: the keys that sign access tokens, at a running server.

use reqwest::Method;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::show;
use crate::exit::{CommandError, Exit};
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Keys) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        let (method, path, remote) = match &command {
            args::Keys::Ls { remote } => (Method::GET, "/v1/keys", remote),
            args::Keys::Rotate { remote } => (Method::POST, "/v1/keys/rotate", remote),
        };
        let answer = Client::new(shared, remote)?.call(method, path, &[], None).await?;
        show(shared, &answer, "keys", &COLUMNS)
    })
}

const COLUMNS: [&str; 6] = ["id", "algorithm", "state", "made_at", "signs_from", "published_until"];
