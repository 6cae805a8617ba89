//! Reading the ledger through a running server.

use reqwest::Method;
use serde_json::Value;

use crate::args::{Filter, Remote, Shared};
use crate::client::Client;
use crate::command::identity::segment;
use crate::command::records::moment;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print, print_line, say};
use crate::story::{self, Placed};

/// Longest line of the server's stream, in bytes: a leaf has at most 65,535.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Finds decisions.
pub(super) async fn query(
    shared: &Shared,
    remote: &Remote,
    filter: Filter,
) -> Result<Exit, CommandError> {
    let client = Client::new(shared, remote)?;
    let Filter { identity, task, action, decision, rule, since, until, limit } = filter;
    // A task's session is its agent's: the ledger is asked for both.
    let (identity, session) = match task {
        None => (identity, None),
        Some(task) => {
            let path = format!("/v1/tasks/{}", segment(&task));
            let known = client.call(Method::GET, &path, &[], None).await?;
            (Some(story::text(&known, "/agent").to_owned()), Some(task))
        }
    };
    let since = since.map(|text| moment(&text)).transpose()?.map(|at| at.to_string());
    let query: Vec<(&str, String)> = [
        ("kind", Some("decision".to_owned())),
        ("identity", identity),
        ("token", session),
        ("action", action),
        ("decision", decision),
        ("policy", rule),
        ("since", since),
        ("until", until),
        ("limit", Some(limit.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let answer = client.call(Method::GET, "/v1/records", &query, None).await?;
    if shared.output == Format::Table {
        let lines: Vec<String> =
            placed(&answer).iter().map(|placed| placed.line() + "\n").collect();
        print(&lines.concat())?;
    } else {
        print(&output::document(shared.output, &answer)?)?;
    }
    Ok(Exit::Ok)
}

/// Shows a record with what it caused.
pub(super) async fn show(shared: &Shared, remote: &Remote, id: &str) -> Result<Exit, CommandError> {
    let client = Client::new(shared, remote)?;
    let path = format!("/v1/records/{}", segment(id));
    let record = client.call(Method::GET, &path, &[], None).await?;
    let caused = [("parent", id.to_owned())];
    let caused = client.call(Method::GET, "/v1/records", &caused, None).await?;
    if shared.output != Format::Table {
        let all = serde_json::json!({ "record": record, "caused": caused.get("records") });
        print(&output::document(shared.output, &all)?)?;
        return Ok(Exit::Ok);
    }
    let mut all: Vec<Placed> = Placed::of(&record).into_iter().collect();
    all.extend(placed(&caused));
    print(&story::tree(&all))?;
    let body = record.get("record").unwrap_or(&record);
    for line in story::reasons(body).iter().chain(&story::flows(body)) {
        print_line(&story::plain(line))?;
    }
    print(&output::document(Format::Json, body)?)?;
    Ok(Exit::Ok)
}

/// Follows the records as they come.
pub(super) async fn tail(
    shared: &Shared,
    remote: &Remote,
    last: u32,
    no_follow: bool,
) -> Result<Exit, CommandError> {
    let client = Client::new(shared, remote)?;
    let limit = [("limit", last.max(1).to_string())];
    let answer = client.call(Method::GET, "/v1/records", &limit, None).await?;
    let mut records = placed(&answer);
    records.reverse();
    let next = answer.get("read_up_to").and_then(Value::as_u64).unwrap_or_default();
    for placed in records.iter().take(usize::try_from(last).unwrap_or(usize::MAX)) {
        print_record(shared, placed)?;
    }
    if no_follow {
        return Ok(Exit::Ok);
    }
    follow(shared, &client, next).await
}

/// Follows from that sequence number on.
async fn follow(shared: &Shared, client: &Client, next: u64) -> Result<Exit, CommandError> {
    let after: Vec<_> =
        next.checked_sub(1).into_iter().map(|last| ("after", last.to_string())).collect();
    let mut stream = client.send(Method::GET, "/v1/log/tail", &after, None).await?;
    let mut waiting = Vec::new();
    let mut sequence = next;
    while let Some(chunk) = stream.chunk().await.map_err(|error| failed("the stream", error))? {
        waiting.extend_from_slice(&chunk);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // An event is a record; its id is the record's place.
            if let Some(id) = line.strip_prefix("id:") {
                sequence = id.trim().parse().unwrap_or(sequence);
            } else if let Some(data) = line.strip_prefix("data:") {
                let record =
                    serde_json::from_str(data).map_err(|error| failed("the stream", error))?;
                print_record(shared, &Placed { sequence, record })?;
            }
        }
        if waiting.len() > LINE_BYTES_MAX {
            return Err(CommandError::Failed("the server sent a line that is too long".into()));
        }
    }
    say("the server ended the stream");
    Ok(Exit::Failure)
}

fn print_record(shared: &Shared, placed: &Placed) -> Result<(), CommandError> {
    match shared.output {
        Format::Table => print_line(&placed.line()),
        _ => print_line(&placed.record.to_string()),
    }
}

fn placed(answer: &Value) -> Vec<Placed> {
    let records = answer.get("records").and_then(Value::as_array);
    records.into_iter().flatten().filter_map(Placed::of).collect()
}
