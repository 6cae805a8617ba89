//! `safeconduct lease`: credentials that last as long as a task, at a running server.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{self, LeaseGet, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::command::task::secret;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, print_line, say};
use crate::story::text;
use crate::wiring::runtime;

/// The variable that holds a task's handle where no file is named.
const TASK: &str = "SAFECONDUCT_TASK";

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Lease) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Lease::Get(args) => issue(shared, args).await,
            args::Lease::Ls { remote } => {
                let client = Client::new(shared, &remote)?;
                let answer = client.call(Method::GET, "/v1/leases", &[], None).await?;
                let columns = ["id", "state", "target", "kind", "name", "task", "expires_at"];
                show(shared, &answer, "leases", &columns)
            }
            args::Lease::Renew { id, task_file, remote } => {
                let client = Client::new(shared, &remote)?.within(handle(task_file.as_deref())?);
                let path = format!("/v1/leases/{}/renew", segment(&id));
                let answer = client.call(Method::POST, &path, &[], None).await?;
                match shared.output {
                    Format::Table => {
                        print_line(&format!(
                            "`{id}` lasts until {}",
                            text(&answer, "/expires_at")
                        ))?;
                    }
                    format => print(&output::document(format, &answer)?)?,
                }
                Ok(Exit::Ok)
            }
        }
    })
}

async fn issue(shared: &Shared, args: LeaseGet) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?.within(handle(args.task_file.as_deref())?);
    let mut body = json!({ "target": args.target });
    if let (false, Some(members)) = (args.grants.is_empty(), body.as_object_mut()) {
        members.insert("grants".to_owned(), args.grants.into());
    }
    let answer = client.call(Method::POST, "/v1/leases", &[], Some(&body)).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &answer)?)?;
        return Ok(Exit::Ok);
    }
    let part = |pointer: &str| text(&answer, pointer);
    say(&format!(
        "lease {} of `{}` at `{}`, until {}",
        part("/lease/id"),
        part("/lease/name"),
        part("/lease/target"),
        part("/lease/expires_at"),
    ));
    for (name, value) in answer.get("address").and_then(Value::as_object).into_iter().flatten() {
        say(&format!("  {name:9} {}", value.as_str().unwrap_or_default()));
    }
    match answer.get("secret").and_then(Value::as_str) {
        Some(secret) => {
            say("this is the only time that its secret is shown:");
            print_line(secret)?;
        }
        None => say("the gateway puts its secret into calls; nobody else gets it"),
    }
    Ok(Exit::Ok)
}

/// The handle of the task that is acted in.
pub(super) fn handle(file: Option<&Path>) -> Result<Option<String>, CommandError> {
    match file {
        Some(file) => secret(file).map(Some),
        None => Ok(std::env::var(TASK).ok().map(|handle| handle.trim().to_owned())),
    }
}
