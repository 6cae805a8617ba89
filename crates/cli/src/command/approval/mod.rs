//! `safeconduct approval`: what people are asked, and what they answer, at a running server.

mod answer;
mod text;

use std::time::{Duration, Instant};

use reqwest::Method;
use safeconduct_wire::json as exact;
use serde_json::{Value, json};

use crate::args::{self, Ask, Shared};
use crate::client::Client;
use crate::command::identity::{seconds, segment};
use crate::command::lease::handle;
use crate::command::policy::question::{document, entity};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, print_line, say};
use crate::story::text as at;
use crate::wiring::runtime;

/// Longest wait of one request to the server, in seconds.
const POLL_S: u64 = 30;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Approval) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Approval::Ls { state, agent, task, answerable, remote } => {
                let client = Client::new(shared, &remote)?;
                let query = [("state", state), ("agent", agent), ("task", task)];
                let mut query: Vec<_> =
                    query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                if answerable {
                    query.push(("answerable", "true".to_owned()));
                }
                query.push(("limit", "200".to_owned()));
                let answer = client.call(Method::GET, "/v1/access-requests", &query, None).await?;
                list(shared, &answer)
            }
            args::Approval::Show { id, remote } => {
                let client = Client::new(shared, &remote)?;
                let request = fetched(&client, &id).await?;
                match shared.output {
                    Format::Table => print(&text::request(&request))?,
                    format => print(&output::document(format, &request)?)?,
                }
                Ok(Exit::Ok)
            }
            args::Approval::Approve(args) => answer::approve(shared, *args).await,
            args::Approval::Refuse { ids, reason, standing_in_for, remote } => {
                let client = Client::new(shared, &remote)?;
                answer::refuse(shared, &client, &ids, &reason, standing_in_for.as_deref()).await
            }
            args::Approval::Revoke { id, reason, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/access-requests/{}/revoke", segment(&id));
                let body = json!({ "reason": reason });
                let answer = client.call(Method::POST, &path, &[], Some(&body)).await?;
                match shared.output {
                    Format::Table => print_line(&format!("took `{id}` back"))?,
                    format => print(&output::document(format, &answer)?)?,
                }
                Ok(Exit::Ok)
            }
            args::Approval::Wait { id, span, remote } => {
                let client = Client::new(shared, &remote)?;
                waited(shared, &client, &id, &span).await
            }
            args::Approval::Ask(args) => ask(shared, *args).await,
        }
    })
}

/// A request in full.
async fn fetched(client: &Client, id: &str) -> Result<Value, CommandError> {
    let path = format!("/v1/access-requests/{}", segment(id));
    client.call(Method::GET, &path, &[], None).await
}

fn list(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let head = ["ID", "STATE", "AGENT", "FOR", "ACTION", "PROOF", "ANSWER BY", "OPEN TO"];
    let requests = answer.get("requests").and_then(Value::as_array);
    let row = |request: &Value| {
        let cell = |pointer: &str| match at(request, pointer) {
            "" => "-".to_owned(),
            text => text::plain(text),
        };
        let open: Vec<&str> = request
            .get("open_to")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let open = if open.is_empty() { "-".to_owned() } else { text::plain(&open.join(", ")) };
        vec![
            cell("/id"),
            cell("/state"),
            cell("/agent"),
            cell("/on_behalf_of"),
            cell("/action"),
            text::proof(request).to_owned(),
            cell("/answer_by"),
            open,
        ]
    };
    let rows: Vec<Vec<String>> = requests.into_iter().flatten().map(row).collect();
    print(&output::table(&head, &rows))?;
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        say(&format!("there are more, after `{next}`"));
    }
    Ok(Exit::Ok)
}

async fn ask(shared: &Shared, args: Ask) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?.within(handle(args.task_file.as_deref())?);
    let arguments = exact::to_serde(&document("--input", &args.input)?);
    let mut body = json!({ "action": args.action, "arguments": arguments });
    if let Some(members) = body.as_object_mut() {
        if let Some(resource) = &args.resource {
            let of = entity("--resource", resource)?;
            let of = json!({ "type": of.ty.as_str(), "id": of.id.as_str() });
            members.insert("resource".to_owned(), of);
        }
        if let Some(because) = args.because {
            members.insert("justification".to_owned(), because.into());
        }
    }
    let asked = client.call(Method::POST, "/v1/access-requests", &[], Some(&body)).await?;
    let id = at(&asked, "/id").to_owned();
    if let Some(span) = &args.wait {
        say(&format!("`{id}` is {}{}", at(&asked, "/state"), text::on_page(&asked)));
        return waited(shared, &client, &id, span).await;
    }
    match shared.output {
        Format::Table => {
            let (state, by) = (at(&asked, "/state"), at(&asked, "/answer_by"));
            say(&format!("{state}; somebody may answer until {by}{}", text::on_page(&asked)));
            print_line(&id)?;
        }
        format => print(&output::document(format, &asked)?)?,
    }
    Ok(Exit::Ok)
}

/// Waits until it is answered, or the time is over. The server holds each wait for a while only;
/// nothing is lost between them.
async fn waited(
    shared: &Shared,
    client: &Client,
    id: &str,
    span: &str,
) -> Result<Exit, CommandError> {
    let span = u64::try_from(seconds(span)?).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(span);
    let path = format!("/v1/access-requests/{}/wait", segment(id));
    let request = loop {
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        let query = [("seconds", left.clamp(1, POLL_S).to_string())];
        let request = client.call(Method::GET, &path, &query, None).await?;
        if at(&request, "/state") != "pending" || Instant::now() >= until {
            break request;
        }
    };
    let state = at(&request, "/state");
    match shared.output {
        Format::Table => {
            print_line(state)?;
            for answer in request.get("answers").and_then(Value::as_array).into_iter().flatten() {
                say(&text::answer(answer));
            }
        }
        format => print(&output::document(format, &request)?)?,
    }
    Ok(match state {
        "approved" => Exit::Ok,
        "pending" => Exit::DeniedRequestable,
        _ => Exit::Denied,
    })
}
