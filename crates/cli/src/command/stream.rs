//! `safeconduct stream`: the streams of security events that tell a running server of risk.

use reqwest::Method;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::show;
use crate::exit::{CommandError, Exit};
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Stream) -> Result<Exit, CommandError> {
    const LIST: &str = "/v1/signals/streams";
    runtime()?.block_on(async {
        match &command {
            args::Stream::Ls { remote } => {
                let client = Client::new(shared, remote)?;
                let answer = client.call(Method::GET, LIST, &[], None).await?;
                show(shared, &answer, "streams", &COLUMNS)
            }
            args::Stream::Status { name, remote } => {
                let client = Client::new(shared, remote)?;
                let path = format!("{LIST}/{name}/status");
                let answer = client.call(Method::GET, &path, &[], None).await?;
                let listed = serde_json::json!({ "streams": [answer] });
                show(shared, &listed, "streams", &["name", "stream_id", "status", "reason"])
            }
            args::Stream::Verify { name, remote } => {
                let client = Client::new(shared, remote)?;
                let path = format!("{LIST}/{name}/verify");
                client.call(Method::POST, &path, &[], None).await?;
                crate::output::say(
                    "the transmitter was asked; `stream ls` shows when the event came",
                );
                Ok(Exit::Ok)
            }
        }
    })
}

const COLUMNS: [&str; 7] =
    ["name", "issuer", "delivery", "state", "last_heard", "verified_at", "taken"];
