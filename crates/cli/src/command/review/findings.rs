//! `safeconduct review findings`: what is wrong with the estate.

use reqwest::Method;
use safeconduct_model::Timestamp;
use safeconduct_service::Clock as _;
use safeconduct_wire::document::Written;
use serde_json::{Value, json};

use crate::args::{self, Exempt, ListFindings, Remote, Shared};
use crate::client::Client;
use crate::command::identity::{seconds, segment, show};
use crate::exit::{CommandError, Exit, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::system::SystemClock;
use crate::wiring::runtime;

/// Columns of a list of findings.
const COLUMNS: [&str; 7] = ["id", "severity", "kind", "about", "state", "reopened", "changed_at"];

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Findings) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Findings::Scan { remote } => {
                let path = "/v1/findings/scan";
                scanned(shared, &ask(shared, &remote, Method::POST, path, None).await?)
            }
            args::Findings::Ls(wanted) => list(shared, wanted).await,
            args::Findings::Show { id, remote } => {
                let path = format!("/v1/findings/{}", segment(&id));
                one(shared, &ask(shared, &remote, Method::GET, &path, None).await?)
            }
            args::Findings::Exempt(wish) => exempt(shared, wish).await,
            args::Findings::Unexempt { id, remote } => {
                let path = format!("/v1/findings/{}/exemption", segment(&id));
                one(shared, &ask(shared, &remote, Method::DELETE, &path, None).await?)
            }
        }
    })
}

async fn ask(
    shared: &Shared,
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, CommandError> {
    Client::new(shared, remote)?.call(method, path, &[], body).await
}

fn scanned(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    print_line(&format!(
        "{} identities, {} rights, {} decisions",
        number("identities"),
        number("grants"),
        number("decisions")
    ))?;
    print_line(&format!(
        "{} opened, {} came back, {} changed, {} closed",
        number("opened"),
        number("reopened"),
        number("changed"),
        number("closed")
    ))?;
    let not = number("not_judged_count");
    if not > 0 {
        let first = answer.pointer("/not_judged/0");
        let part = |name: &str| first.and_then(|first| first.get(name)).and_then(Value::as_u64);
        let (tracked, needed) = (part("tracked_days"), part("needed_days"));
        print_line(&format!(
            "{not} not judged: {} days are on record, and {} are needed",
            tracked.unwrap_or_default(),
            needed.unwrap_or_default()
        ))?;
    }
    for (name, what) in [
        ("left_off", "findings had no room"),
        ("grants_left_out", "rights were left out, beyond the most of one identity"),
    ] {
        if number(name) > 0 {
            print_line(&format!("{} {what}", number(name)))?;
        }
    }
    let sampled = answer.get("sampled").and_then(Value::as_array).into_iter().flatten();
    for kind in sampled.filter_map(Value::as_str) {
        print_line(&format!("of records of the kind `{kind}` only the newest were looked at"))?;
    }
    Ok(Exit::Ok)
}

async fn list(shared: &Shared, wanted: ListFindings) -> Result<Exit, CommandError> {
    let ListFindings { state, kind, identity, severity, after, limit, remote } = wanted;
    let mut query = vec![("limit", limit.to_string())];
    let named = [
        ("state", state),
        ("kind", kind),
        ("identity", identity),
        ("severity", severity),
        ("after", after),
    ];
    query.extend(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let client = Client::new(shared, &remote)?;
    let answer = client.call(Method::GET, "/v1/findings", &query, None).await?;
    show(shared, &answer, "findings", &COLUMNS)?;
    if shared.output != Format::Table {
        return Ok(Exit::Ok);
    }
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        print_line(&format!("there are more: --after {next}"))?;
    }
    if answer.get("last_look").is_none() {
        print_line("nobody has looked since the server started: `review findings scan`")?;
    }
    Ok(Exit::Ok)
}

async fn exempt(shared: &Shared, wish: Exempt) -> Result<Exit, CommandError> {
    let Exempt { id, kind, until, reason, remote } = wish;
    let until = match Timestamp::parse(&until) {
        Some(until) => until,
        None => {
            let ms = seconds(&until)?.checked_mul(1000);
            let ms = ms.ok_or_else(|| not_valid(format!("`{until}` is too long")))?;
            SystemClock.now().plus_ms(ms)
        }
    };
    let body = json!({ "kind": kind, "reason": reason, "until": Written(until) });
    let path = format!("/v1/findings/{}/exemption", segment(&id));
    one(shared, &ask(shared, &remote, Method::POST, &path, Some(&body)).await?)
}

/// One finding, in lines.
fn one(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let text = |name: &str| said(answer.get(name));
    print_line(&format!("{}: {}", text("title"), text("about")))?;
    let line = |name: &str, value: String| print_line(&format!("{name:<22} {value}"));
    line("id", text("id"))?;
    line("kind", text("kind"))?;
    line("severity", text("severity"))?;
    line("state", text("state"))?;
    line("found", text("opened_at"))?;
    line("came back", format!("{} times", text("reopened")))?;
    if let Some(exemption) = answer.get("exemption") {
        let part = |name: &str| said(exemption.get(name));
        line("exempt until", format!("{} ({})", part("until"), part("kind")))?;
        line("exempt by", format!("{}: {}", part("by"), part("reason")))?;
    }
    let facts = answer.get("facts").and_then(Value::as_object);
    for (name, fact) in facts.into_iter().flatten() {
        line(name, said(Some(fact)))?;
    }
    line("controls", text("controls"))?;
    line("evidence", text("evidence"))?;
    Ok(Exit::Ok)
}

/// A value as people read it.
fn said(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(all)) => {
            let all: Vec<String> = all.iter().map(|one| said(Some(one))).collect();
            all.join(", ")
        }
        Some(other) => other.to_string(),
    }
}
