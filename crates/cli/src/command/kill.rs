//! `safeconduct kill`: the kill switch of a running server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Kill, Scope, Shared};
use crate::client::Client;
use crate::exit::{CommandError, Exit, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: Kill) -> Result<Exit, CommandError> {
    let body = json!({ "scope": scope(&args.scope)?, "reason": args.reason });
    runtime()?.block_on(async {
        let client = Client::new(shared, &args.remote)?;
        let path = if args.lift { "/v1/kill/lift" } else { "/v1/kill" };
        let answer = client.call(Method::POST, path, &[], Some(&body)).await?;
        match (shared.output, args.lift) {
            (Format::Table, true) => print_line("it may go on")?,
            (Format::Table, false) => {
                let tasks = answer.get("tasks").and_then(Value::as_u64).unwrap_or_default();
                print_line(&format!("stopped; {tasks} tasks ended by it"))?;
            }
            (format, _) => print(&output::document(format, &answer)?)?,
        }
        Ok(Exit::Ok)
    })
}

fn scope(scope: &Scope) -> Result<Value, CommandError> {
    Ok(match scope {
        Scope { identity: Some(identity), .. } => json!({ "identity": identity }),
        Scope { task: Some(task), .. } => json!({ "task": task }),
        Scope { session: Some(session), .. } => {
            // An identity may hold slashes, a token's or task's id never does.
            let Some((identity, token)) = session.rsplit_once('/') else {
                let problem = format!("`{session}` is no session: write IDENTITY/SCOPE");
                return Err(not_valid(problem));
            };
            json!({ "session": { "identity": identity, "token": token } })
        }
        Scope { .. } => json!({ "all": true }),
    })
}
