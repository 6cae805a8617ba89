//! Answers: shown in full first, and bound to what was shown.

use std::io::{BufRead as _, IsTerminal as _};

use reqwest::Method;
use safeconduct_model::Timestamp;
use safeconduct_service::Clock as _;
use serde_json::{Map, Value, json};

use super::{fetched, text};
use crate::args::{Approve, Shared};
use crate::client::Client;
use crate::command::identity::{seconds, segment};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, counted, print, print_line, say};
use crate::story::text as at;
use crate::system::SystemClock;

/// Approves, after showing what.
pub(super) async fn approve(shared: &Shared, args: Approve) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?;
    let extent = extent(&args)?;
    let several = args.ids.len() > 1;
    if several && (extent.get("scope") != Some(&json!("once")) || args.digest.is_some()) {
        let problem = "several at once are approved once each, as they are shown";
        return Err(not_valid(problem.to_owned()));
    }
    let mut shown = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        let request = fetched(&client, id).await?;
        answerable(id, &request)?;
        if args.digest.is_none() {
            all_shown(id, &request)?;
        }
        if !args.yes {
            say(&text::request(&request));
        }
        shown.push(request);
    }
    if !args.yes && !agreed(&extent, shown.len())? {
        return Err(CommandError::Failed("nothing was answered".into()));
    }
    if several {
        return all(shared, &client, &shown, None, args.standing_in_for.as_deref()).await;
    }
    let Some((id, request)) = args.ids.first().zip(shown.first()) else { return Ok(Exit::Ok) };
    let digest = args.digest.as_deref().unwrap_or_else(|| at(request, "/digest"));
    let body = json!({ "approve": extent, "digest": digest });
    one(shared, &client, id, body, args.standing_in_for.as_deref()).await
}

/// Refuses. A refusal takes nothing but the reason: nothing is approved by mistake.
pub(super) async fn refuse(
    shared: &Shared,
    client: &Client,
    ids: &[String],
    reason: &str,
    standing_in_for: Option<&str>,
) -> Result<Exit, CommandError> {
    let mut shown = Vec::with_capacity(ids.len());
    for id in ids {
        let request = fetched(client, id).await?;
        answerable(id, &request)?;
        shown.push(request);
    }
    let refuse = json!({ "reason": reason });
    if let ([id], [request]) = (ids, shown.as_slice()) {
        let body = json!({ "refuse": refuse, "digest": at(request, "/digest") });
        return one(shared, client, id, body, standing_in_for).await;
    }
    all(shared, client, &shown, Some(refuse), standing_in_for).await
}

/// What nobody was shown is approved by nobody: what does not all fit into words is read as a
/// document, whose digest says that it was.
fn all_shown(id: &str, request: &Value) -> Result<(), CommandError> {
    if text::is_all_shown(request) {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "`{id}` is longer than is shown in words: read all of it with `approval show {id} -o json`, \
         then approve it with --digest"
    )))
}

/// Whether the answer can be given here at all.
fn answerable(id: &str, request: &Value) -> Result<(), CommandError> {
    if request.get("may_answer") != Some(&Value::Bool(true)) {
        let why = text::plain(at(request, "/may_not_because"));
        return Err(CommandError::Denied(format!("`{id}` cannot be answered by you: {why}")));
    }
    if text::takes_a_passkey(request) {
        let what = format!("`{id}` is answered with a passkey, which takes a browser");
        return Err(CommandError::SignIn(match text::page(request) {
            Some(page) => format!("{what}: open {page}"),
            None => format!("{what}, and {}", text::NO_PAGES),
        }));
    }
    Ok(())
}

/// How far the approval reaches, as the API has it.
fn extent(args: &Approve) -> Result<Value, CommandError> {
    let mut at_most = Map::new();
    for edit in &args.at_most {
        let read = edit.rsplit_once('=').and_then(|(pointer, most)| {
            let most = serde_json::from_str::<Value>(most).ok().filter(Value::is_number)?;
            (pointer.starts_with('/')).then(|| (pointer.to_owned(), most))
        });
        let (pointer, most) =
            read.ok_or_else(|| not_valid(format!("`{edit}` is no bound: write POINTER=NUMBER")))?;
        if at_most.insert(pointer, most).is_some() {
            return Err(not_valid(format!("`{edit}` says a bound twice")));
        }
    }
    let mut extent = match (args.task_uses, &args.until, at_most.is_empty()) {
        (Some(uses), _, _) => json!({ "scope": "task", "uses": uses }),
        (None, Some(until), _) => {
            json!({ "scope": "until", "uses": args.uses, "until": moment(until)? })
        }
        (None, None, false) => json!({ "scope": "edited" }),
        (None, None, true) => json!({ "scope": "once" }),
    };
    let within = within(args)?;
    let standing = args.task_uses.is_some() || args.until.is_some();
    if !standing && (!within.is_empty() || args.any_of_type) {
        let problem = "what may differ from use to use goes with --task-uses or --until";
        return Err(not_valid(problem.to_owned()));
    }
    if let Some(members) = extent.as_object_mut() {
        if !at_most.is_empty() {
            members.insert("at_most".to_owned(), Value::Object(at_most));
        }
        if !within.is_empty() {
            members.insert("within".to_owned(), Value::Object(within));
        }
        if args.any_of_type {
            members.insert("resources".to_owned(), json!("of_type"));
        }
    }
    Ok(extent)
}

/// What arguments may be from use to use, as the API has it.
fn within(args: &Approve) -> Result<Map<String, Value>, CommandError> {
    let mut within = Map::new();
    for (bounds, name) in [
        (&args.one_of, "one_of"),
        (&args.under, "under"),
        (&args.domain, "domain"),
        (&args.longest, "longest_bytes"),
    ] {
        for typed in bounds {
            let read = typed.split_once('=').filter(|(pointer, _)| pointer.starts_with('/'));
            let no = || not_valid(format!("`{typed}` is no bound: write POINTER=VALUE"));
            let (pointer, value) = read.ok_or_else(no)?;
            let value = match name {
                "one_of" => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
                "longest_bytes" => json!(value.parse::<u64>().map_err(|_| no())?),
                _ => json!(value),
            };
            let known = within.get_mut(pointer).map(|bound: &mut Value| bound.get_mut("one_of"));
            match (known, name) {
                (None, "one_of") => {
                    within.insert(pointer.to_owned(), json!({ name: [value] }));
                }
                (None, _) => {
                    within.insert(pointer.to_owned(), json!({ name: value }));
                }
                (Some(Some(Value::Array(choices))), "one_of") => choices.push(value),
                _ => return Err(not_valid(format!("`{typed}` says a bound twice"))),
            }
        }
    }
    Ok(within)
}

/// A point in time, or one that is so far from now.
fn moment(text: &str) -> Result<String, CommandError> {
    if let Some(moment) = Timestamp::parse(text) {
        return Ok(moment.to_string());
    }
    let span = seconds(text)
        .map_err(|_| not_valid(format!("`{text}` is no time: write `2h`, or RFC 3339 in UTC")))?;
    Ok(SystemClock.now().plus_ms(span.saturating_mul(1000)).to_string())
}

/// Asks the person at the terminal.
fn agreed(extent: &Value, count: usize) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Failed(
            "nobody can be asked here: look with `approval show`, then use --yes and --digest"
                .into(),
        ));
    }
    let what = match count {
        1 => "this".to_owned(),
        count => counted(count, "request", "requests"),
    };
    say(&format!("approve {what}: {}? [y/N]", text::extent(extent)));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| failed("the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn one(
    shared: &Shared,
    client: &Client,
    id: &str,
    mut body: Value,
    standing_in_for: Option<&str>,
) -> Result<Exit, CommandError> {
    stand_in(&mut body, standing_in_for);
    let path = format!("/v1/access-requests/{}/answer", segment(id));
    let settled = client.call(Method::POST, &path, &[], Some(&body)).await?;
    match shared.output {
        Format::Table => print_line(&settled_line(&settled))?,
        format => print(&output::document(format, &settled)?)?,
    }
    Ok(Exit::Ok)
}

async fn all(
    shared: &Shared,
    client: &Client,
    shown: &[Value],
    refuse: Option<Value>,
    standing_in_for: Option<&str>,
) -> Result<Exit, CommandError> {
    let requests: Vec<Value> = shown
        .iter()
        .map(|request| json!({ "id": at(request, "/id"), "digest": at(request, "/digest") }))
        .collect();
    let mut body = json!({ "requests": requests });
    if let (Some(refuse), Some(members)) = (refuse, body.as_object_mut()) {
        members.insert("refuse".to_owned(), refuse);
    }
    stand_in(&mut body, standing_in_for);
    let path = "/v1/access-requests/answers";
    let settled = client.call(Method::POST, path, &[], Some(&body)).await?;
    let each = settled.get("requests").and_then(Value::as_array);
    let each: Vec<&Value> = each.into_iter().flatten().collect();
    match shared.output {
        Format::Table => {
            for one in &each {
                print_line(&settled_line(one))?;
            }
        }
        format => print(&output::document(format, &settled)?)?,
    }
    let failed = each.iter().any(|one| one.get("problem").is_some());
    Ok(if failed { Exit::Failure } else { Exit::Ok })
}

fn stand_in(body: &mut Value, of: Option<&str>) {
    if let (Some(of), Some(members)) = (of, body.as_object_mut()) {
        members.insert("standing_in_for".to_owned(), of.into());
    }
}

fn settled_line(settled: &Value) -> String {
    let id = at(settled, "/id");
    match (at(settled, "/problem"), at(settled, "/state")) {
        ("", "pending") => format!("`{id}` still waits: others must approve too"),
        ("", state) => format!("`{id}` is {state}"),
        (problem, _) => format!("`{id}`: {}", text::plain(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn typed(words: &[&str]) -> Result<Value, CommandError> {
        let all = ["safeconduct", "approval", "approve", "req_1"];
        let arguments = crate::args::Arguments::try_parse_from(all.iter().chain(words))
            .map_err(|error| not_valid(error.to_string()))?;
        match arguments.command {
            crate::args::Command::Approval(crate::args::Approval::Approve(args)) => extent(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_extent_is_what_was_typed() {
        let read = |words: &[&str]| typed(words).unwrap();
        assert_eq!(read(&[]), json!({ "scope": "once" }));
        assert_eq!(
            read(&["--at-most", "/amount=100"]),
            json!({ "scope": "edited", "at_most": { "/amount": 100 } })
        );
        assert_eq!(
            read(&["--at-most", "/n=1.50", "--task-uses", "3"]),
            json!({ "scope": "task", "uses": 3, "at_most": { "/n": 1.50 } })
        );
        assert_eq!(
            read(&["--until", "2027-01-01T00:00:00Z", "--uses", "2"]),
            json!({ "scope": "until", "uses": 2, "until": "2027-01-01T00:00:00.000Z" })
        );
        let words = [
            "--task-uses",
            "3",
            "--any-of-type",
            "--under",
            "/path=/srv/a=b",
            "--one-of",
            "/to=eve",
            "--one-of",
            "/to=7",
            "--domain",
            "/mail=corp.example",
            "--longest",
            "/body=500",
        ];
        assert_eq!(
            read(&words),
            json!({ "scope": "task", "uses": 3, "resources": "of_type", "within": {
                "/path": { "under": "/srv/a=b" }, "/to": { "one_of": ["eve", 7] },
                "/mail": { "domain": "corp.example" }, "/body": { "longest_bytes": 500 } } })
        );
        for wrong in [
            &["--under", "/path=/srv"][..],
            &["--any-of-type"],
            &["--task-uses", "2", "--under", "path=/srv"],
            &["--task-uses", "2", "--longest", "/body=many"],
            &["--task-uses", "2", "--under", "/a=/b", "--domain", "/a=b"],
            &["--at-most", "amount=1"],
            &["--at-most", "/amount=x"],
            &["--at-most", "/a=1", "--at-most", "/a=2"],
            &["--until", "2h"],
            &["--until", "soon", "--uses", "1"],
            &["--task-uses", "2", "--until", "2h", "--uses", "1"],
        ] {
            assert!(typed(wrong).is_err(), "{wrong:?}");
        }
    }
}
