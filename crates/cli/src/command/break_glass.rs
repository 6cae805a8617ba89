//! `safeconduct break-glass`: rules that ask for an approval, set aside in an emergency.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::{seconds, segment, show};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::BreakGlass) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::BreakGlass::Begin { agent, task, span, reason, remote } => {
                let client = Client::new(shared, &remote)?;
                let mut body =
                    json!({ "agent": agent, "reason": reason, "seconds": seconds(&span)? });
                if let (Some(task), Some(members)) = (task, body.as_object_mut()) {
                    members.insert("task".to_owned(), Value::from(task));
                }
                let path = "/v1/break-glass";
                let broken = client.call(Method::POST, path, &[], Some(&body)).await?;
                match shared.output {
                    Format::Table => print_line(&format!(
                        "`{}`: rules that ask for an approval are set aside for `{agent}` until {}",
                        text(&broken, "/id"),
                        text(&broken, "/until"),
                    ))?,
                    format => print(&output::document(format, &broken)?)?,
                }
                Ok(Exit::Ok)
            }
            args::BreakGlass::Ls { remote } => {
                let client = Client::new(shared, &remote)?;
                let broken = client.call(Method::GET, "/v1/break-glass", &[], None).await?;
                let columns = ["id", "agent", "task", "by", "at", "until", "reason"];
                show(shared, &broken, "broken", &columns)
            }
            args::BreakGlass::Reviews { remote } => {
                let client = Client::new(shared, &remote)?;
                let due = client.call(Method::GET, "/v1/break-glass/reviews", &[], None).await?;
                let columns = ["of", "about", "cause", "since", "late_from", "late"];
                show(shared, &due, "due", &columns)
            }
            args::BreakGlass::Review { id, verdict, note, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/break-glass/{}/review", segment(&id));
                let body = json!({ "verdict": verdict, "note": note });
                client.send(Method::POST, &path, &[], Some(&body)).await?;
                print_line("the review is done")?;
                Ok(Exit::Ok)
            }
            args::BreakGlass::End { id, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/break-glass/{}/mend", segment(&id));
                client.send(Method::POST, &path, &[], None).await?;
                print_line("the rules hold again")?;
                Ok(Exit::Ok)
            }
        }
    })
}
