//! `safeconduct estate`: who exists, who answers for them, what they can do, why, what they have
//! done, and how they are stopped.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{self, EstateStop, Remote, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::command::inventory;
use crate::command::records::moment;
use crate::command::then::Then;
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, counted, print, print_line};
use crate::wiring::runtime;

/// Columns of a list of identities.
const WHO: [&str; 9] = [
    "id",
    "kind",
    "status",
    "owner",
    "fallback_owner",
    "environment",
    "first_seen",
    "last_seen",
    "tasks",
];

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Estate) -> Result<Exit, CommandError> {
    match &command {
        args::Estate::Can { identity, as_of: Some(at), .. } => {
            let then = Then::of(shared, moment(at)?)?;
            let answer = then.can(identity)?;
            said_then(shared, &then);
            return can(shared, answer, "then");
        }
        args::Estate::Why { identity, action, resource, as_of: Some(at), .. } => {
            let then = Then::of(shared, moment(at)?)?;
            let answer = then.why(identity, action, resource.as_deref())?;
            said_then(shared, &then);
            return why(shared, &answer, "then");
        }
        _ => {}
    }
    runtime()?.block_on(async {
        match command {
            args::Estate::Import(args) => inventory::import(shared, args).await,
            args::Estate::Who { identity: Some(identity), remote, .. } => {
                inventory::who(shared, &identity, &remote).await
            }
            args::Estate::Who { after, limit, remote, .. } => {
                let mut query = vec![("limit", limit.to_string())];
                query.extend(after.map(|after| ("after", after)));
                let mut answer = ask(shared, &remote, "/v1/estate/who", &query).await?;
                if shared.output == Format::Table {
                    list_unregistered(&mut answer);
                }
                show(shared, &answer, "identities", &WHO)?;
                more_after(shared, &answer)
            }
            args::Estate::Owns { owner, remote } => {
                let query: Vec<_> = owner.into_iter().map(|owner| ("owner", owner)).collect();
                let answer = ask(shared, &remote, "/v1/estate/owns", &query).await?;
                let columns =
                    ["as", "id", "kind", "status", "environment", "last_seen", "orphaned"];
                show(shared, &answer, "owned", &columns)
            }
            args::Estate::Can { identity, remote, .. } => {
                let path = format!("/v1/estate/can/{}", segment(&identity));
                can(shared, ask(shared, &remote, &path, &[]).await?, "now")
            }
            args::Estate::Why { identity, action, resource, remote, .. } => {
                let mut query = vec![("action", action)];
                query.extend(resource.map(|resource| ("resource", resource)));
                let path = format!("/v1/estate/why/{}", segment(&identity));
                why(shared, &ask(shared, &remote, &path, &query).await?, "now")
            }
            args::Estate::Did { identity, since, remote } => {
                let query: Vec<_> = since.into_iter().map(|since| ("since", since)).collect();
                let path = format!("/v1/estate/did/{}", segment(&identity));
                did(shared, &ask(shared, &remote, &path, &query).await?)
            }
            args::Estate::Stop(args) => stop(shared, args).await,
        }
    })
}

async fn ask(
    shared: &Shared,
    remote: &Remote,
    path: &str,
    query: &[(&str, String)],
) -> Result<Value, CommandError> {
    Client::new(shared, remote)?.call(Method::GET, path, query, None).await
}

/// Says what an answer about some time rests on.
fn said_then(shared: &Shared, then: &Then) {
    if !shared.quiet {
        output::say(&then.rests_on());
    }
}

fn can(shared: &Shared, mut answer: Value, when: &str) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, &answer)?)?;
        return Ok(Exit::Ok);
    }
    if answer.get("status").is_some_and(|status| status != "active") {
        let (identity, status) = (text(&answer, "identity"), text(&answer, "status"));
        let word = if when == "now" { "is" } else { "was" };
        print_line(&format!("{identity} {word} {status}: nothing {word} permitted {when}"))?;
    }
    for grant in items_mut(&mut answer, "grants") {
        let by = match grant.get("at").and_then(Value::as_str) {
            Some(at) => format!("{} at {at}", text(grant, "given_by")),
            None => text(grant, "given_by").to_owned(),
        };
        let narrowed = listed(grant, "narrowed_by");
        if let Some(members) = grant.as_object_mut() {
            members.insert("can".into(), members.get("words").cloned().unwrap_or_default());
            members.insert("by".into(), by.into());
            members.insert("narrowed_by".into(), narrowed.into());
        }
    }
    show(shared, &answer, "grants", &["kind", "can", "by", "narrowed_by", "expires_at"])?;
    let more = number(&answer, "more");
    if more > 0 {
        print_line(&format!("and {more} more"))?;
    }
    if let Some(rego) = answer.get("not_derivable").and_then(Value::as_str) {
        print_line(&format!("what `{rego}` permits cannot be told without asking it"))?;
    }
    Ok(Exit::Ok)
}

/// Since when a statement is in force, as far as that is known.
fn since(statement: &Value) -> String {
    let surely = text(statement, "since");
    match (surely, text(statement, "perhaps_since")) {
        ("", _) => "not known".to_owned(),
        (surely, "") => surely.to_owned(),
        (surely, perhaps) => format!("{surely}, perhaps {perhaps}"),
    }
}

fn why(shared: &Shared, answer: &Value, when: &str) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let flag = |value: &Value, name: &str| value.get(name) == Some(&Value::Bool(true));
    let rows: Vec<Vec<String>> = items(answer, "statements")
        .map(|statement| {
            let notes = [
                ("conditional", "under conditions"),
                ("temporal", "looks at what happened before"),
                ("requestable", "people can be asked"),
            ];
            let mut notes: Vec<_> =
                notes.iter().filter(|(name, _)| flag(statement, name)).map(|(_, n)| *n).collect();
            if text(statement, "mode") == "shadow" {
                notes.push("without effect");
            }
            let columns = ["effect", "policy", "at", "principals", "actions", "resources"];
            let columns = columns.iter().map(|column| text(statement, column).to_owned());
            columns.chain([since(statement), notes.join(", ")]).collect()
        })
        .collect();
    match rows.is_empty() {
        true => print_line("no statement speaks of it: it is denied")?,
        false => print(&output::table(
            &["EFFECT", "POLICY", "AT", "PRINCIPALS", "ACTIONS", "RESOURCES", "SINCE", "NOTES"],
            &rows,
        ))?,
    }
    let intents = listed(answer, "intents");
    if !intents.is_empty() {
        print_line(&format!("in tasks of: {intents}"))?;
    }
    if let Some(rego) = answer.get("not_derivable").and_then(Value::as_str) {
        print_line(&format!("what `{rego}` says cannot be told without asking it"))?;
    }
    if let Some(now) = answer.get("now") {
        print_line(&format!("asked {when}, outside of every task: {}", text(now, "decision")))?;
        for reason in items(now, "reasons") {
            let policy = reason.get("policy").and_then(Value::as_str);
            let policy = policy.map(|policy| format!(" ({policy})")).unwrap_or_default();
            let line = format!("  {}: {}{policy}", text(reason, "code"), text(reason, "message"));
            print_line(&line)?;
        }
    }
    Ok(Exit::Ok)
}

fn did(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = items(answer, "uses")
        .map(|used| {
            let optional = |name: &str| used.get(name).and_then(Value::as_str).unwrap_or("-");
            let more =
                if used.get("resources_more") == Some(&Value::Bool(true)) { "+" } else { "" };
            vec![
                optional("policy").to_owned(),
                text(used, "action").to_owned(),
                optional("intent").to_owned(),
                number(used, "permitted").to_string(),
                number(used, "denied").to_string(),
                number(used, "succeeded").to_string(),
                number(used, "failed").to_string(),
                format!("{}{more}", number(used, "resources")),
                optional("last").to_owned(),
            ]
        })
        .collect();
    let head = [
        "POLICY",
        "ACTION",
        "INTENT",
        "PERMITTED",
        "DENIED",
        "SUCCEEDED",
        "FAILED",
        "RESOURCES",
        "LAST",
    ];
    print(&output::table(&head, &rows))?;
    for used in items(answer, "uses") {
        for one in items(used, "latest") {
            let outcome = one.get("outcome").and_then(Value::as_str).unwrap_or("no outcome yet");
            let (at, decision) = (text(one, "at"), text(one, "decision"));
            let of = used.get("policy").and_then(Value::as_str).unwrap_or("no policy");
            let action = text(used, "action");
            print_line(&format!("  {at} {action} by {of}: {outcome} ({decision})"))?;
        }
    }
    Ok(Exit::Ok)
}

async fn stop(shared: &Shared, args: EstateStop) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &args.remote)?;
    if let (true, Some(reason)) = (args.yes, &args.reason) {
        let body = json!({ "scope": { "identity": args.identity }, "reason": reason });
        let answer = client.call(Method::POST, "/v1/kill", &[], Some(&body)).await?;
        match shared.output {
            Format::Table => {
                let tasks = number(&answer, "tasks");
                print_line(&format!("stopped; {tasks} tasks ended by it"))?;
            }
            format => print(&output::document(format, &answer)?)?,
        }
        return Ok(Exit::Ok);
    }
    let path = format!("/v1/estate/stop/{}", segment(&args.identity));
    let answer = client.call(Method::GET, &path, &[], None).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &answer)?)?;
        return Ok(Exit::Ok);
    }
    let count = |name: &str| answer.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let tasks = count("tasks") + usize::try_from(number(&answer, "more_tasks")).unwrap_or(0);
    let whole = |name: &str| usize::try_from(number(&answer, name)).unwrap_or(0);
    print_line(&format!(
        "{} would be suspended, and with it would stop {}, {}, {}, {} and {}",
        args.identity,
        counted(tasks, "task", "tasks"),
        counted(count("leases"), "lease", "leases"),
        counted(count("tokens"), "token", "tokens"),
        counted(whole("access_tokens"), "access token", "access tokens"),
        counted(whole("sessions"), "session", "sessions"),
    ))?;
    for task in items(&answer, "tasks") {
        let (id, intent, agent) = (text(task, "id"), text(task, "intent"), text(task, "agent"));
        print_line(&format!("  task {id}: {intent} by {agent}"))?;
    }
    for lease in items(&answer, "leases") {
        print_line(&format!("  lease {} at {}", text(lease, "id"), text(lease, "target")))?;
    }
    output::say("nothing is stopped yet: add `--yes --reason TEXT`");
    Ok(Exit::Ok)
}

/// Says where a list goes on.
/// Puts those who appeared and are not registered among the others: a table has both, by id.
fn list_unregistered(answer: &mut Value) {
    let unregistered: Vec<Value> = items_mut(answer, "unregistered")
        .map(|one| {
            let mut one = one.take();
            if let Some(members) = one.as_object_mut() {
                members.insert("status".into(), "unregistered".into());
                members.insert("kind".into(), "?".into());
            }
            one
        })
        .collect();
    if let Some(all) = answer.get_mut("identities").and_then(Value::as_array_mut) {
        all.extend(unregistered);
        all.sort_by(|one, other| text(one, "id").cmp(text(other, "id")));
    }
}

fn more_after(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    let next = answer.get("next").and_then(Value::as_str);
    if let (Format::Table, Some(next)) = (shared.output, next) {
        output::say(&format!("there are more: add `--after {next}`"));
    }
    Ok(Exit::Ok)
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn items_mut<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn listed(value: &Value, name: &str) -> String {
    items(value, name).filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
