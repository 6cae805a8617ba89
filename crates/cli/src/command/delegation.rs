//! `safeconduct delegation`: users' standing words, at a running server.

use reqwest::Method;
use serde_json::json;

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::{seconds, segment, show};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Delegation) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Delegation::Add { agent, intent, ttl, remote } => {
                let client = Client::new(shared, &remote)?;
                let body = json!({ "agent": agent, "intent": intent, "seconds": seconds(&ttl)? });
                let answer = client.call(Method::POST, "/v1/delegations", &[], Some(&body)).await?;
                match shared.output {
                    Format::Table => print_line(text(&answer, "/id"))?,
                    format => print(&output::document(format, &answer)?)?,
                }
                Ok(Exit::Ok)
            }
            args::Delegation::Ls { user, agent, remote } => {
                let client = Client::new(shared, &remote)?;
                let query = [("user", user), ("agent", agent)];
                let query: Vec<_> =
                    query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let answer = client.call(Method::GET, "/v1/delegations", &query, None).await?;
                let columns = ["id", "user", "agent", "intent", "expires_at"];
                show(shared, &answer, "delegations", &columns)
            }
            args::Delegation::Rm { id, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/delegations/{}", segment(&id));
                client.send(Method::DELETE, &path, &[], None).await?;
                print_line(&format!("`{id}` stands no more"))?;
                Ok(Exit::Ok)
            }
        }
    })
}
