//! `safeconduct keys`: the keys that sign access tokens, at a running server.

use reqwest::Method;
use serde_json::json;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::show;
use crate::exit::{CommandError, Exit};
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Keys) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        let (method, path, remote, body) = match &command {
            args::Keys::Ls { remote } => (Method::GET, "/v1/keys", remote, None),
            args::Keys::Rotate { remote } => (Method::POST, "/v1/keys/rotate", remote, None),
            args::Keys::Drop { key, reason, remote } => {
                let body = json!({ "key": key, "reason": reason });
                (Method::POST, "/v1/keys/drop", remote, Some(body))
            }
        };
        let client = Client::new(shared, remote)?;
        let answer = client.call(method, path, &[], body.as_ref()).await?;
        show(shared, &answer, "keys", &COLUMNS)
    })
}

const COLUMNS: [&str; 6] = ["id", "algorithm", "state", "made_at", "signs_from", "published_until"];
