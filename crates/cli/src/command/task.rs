//! `safeconduct task`: single undertakings of intents, at a running server.

use std::io::Read as _;
use std::path::Path;

use reqwest::Method;
use safeconduct_model::PROMPT_BYTES_MAX;
use serde_json::{Map, Value, json};

use crate::args::{self, Shared, TaskBegin};
use crate::client::Client;
use crate::command::identity::{seconds, segment, show};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, print, print_line, say};
use crate::story::text;
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Task) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Task::Begin(args) => begin(shared, *args).await,
            args::Task::Ls { state, agent, intent, remote } => {
                let client = Client::new(shared, &remote)?;
                let query = [("state", state), ("agent", agent), ("intent", intent)];
                let query: Vec<_> =
                    query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let answer = client.call(Method::GET, "/v1/tasks", &query, None).await?;
                let columns = ["id", "state", "intent", "agent", "on_behalf_of", "deadline"];
                show(shared, &answer, "tasks", &columns)
            }
            args::Task::Show { id, remote } => {
                let client = Client::new(shared, &remote)?;
                let path = format!("/v1/tasks/{}", segment(&id));
                let answer = client.call(Method::GET, &path, &[], None).await?;
                match shared.output {
                    Format::Table => print(&shown(&answer)?)?,
                    format => print(&output::document(format, &answer)?)?,
                }
                Ok(Exit::Ok)
            }
            args::Task::End { id, revoke, reason, remote } => {
                let client = Client::new(shared, &remote)?;
                let mut body = json!({ "state": if revoke { "revoked" } else { "completed" } });
                put(&mut body, "reason", reason.map(Value::from));
                let path = format!("/v1/tasks/{}/end", segment(&id));
                let answer = client.call(Method::POST, &path, &[], Some(&body)).await?;
                match shared.output {
                    Format::Table => {
                        let (state, count) = (text(&answer, "/state"), number(&answer, "/ended"));
                        print_line(&format!("`{id}` is {state}; {count} ended by this"))?;
                    }
                    format => print(&output::document(format, &answer)?)?,
                }
                Ok(Exit::Ok)
            }
        }
    })
}

async fn begin(shared: &Shared, args: TaskBegin) -> Result<Exit, CommandError> {
    let parent = args.parent.as_deref().map(secret).transpose()?;
    let client = Client::new(shared, &args.remote)?.within(parent);
    let on_behalf_of = match (&args.on_behalf_of_token_file, &args.delegated) {
        (Some(file), _) => Some(json!({ "token": secret(file)? })),
        (None, Some(user)) => Some(json!({ "delegated": user })),
        (None, None) => None,
    };
    let mut body = match (&args.run_of, &args.intent) {
        (None, Some(intent)) => {
            let parameters = parameters(&client, intent, &args).await?;
            json!({ "intent": intent, "parameters": parameters })
        }
        (schedule, _) => json!({ "run_of": schedule }),
    };
    put(&mut body, "tier_max", args.tier_max.clone().map(Value::from));
    put(&mut body, "credentials", credentials(&args.grants)?);
    put(&mut body, "prompt", prompt(&args)?.map(Value::from));
    put(&mut body, "version", args.number.map(Value::from));
    put(&mut body, "agent", args.agent.map(Value::from));
    put(&mut body, "on_behalf_of", on_behalf_of);
    put(&mut body, "seconds", args.span.as_deref().map(seconds).transpose()?.map(Value::from));
    put(&mut body, "depth", args.depth.map(Value::from));
    let answer = client.call(Method::POST, "/v1/tasks", &[], Some(&body)).await?;
    match shared.output {
        Format::Table => {
            let part = |name: &str| text(&answer, name).to_owned();
            let user = part("/on_behalf_of");
            let user = if user.is_empty() { user } else { format!(" for `{user}`") };
            say(&format!(
                "task {} of `{}`{user}, until {}; this is the only time that its handle is shown:",
                part("/task"),
                part("/agent"),
                part("/deadline")
            ));
            print_line(text(&answer, "/handle"))?;
        }
        format => print(&output::document(format, &answer)?)?,
    }
    Ok(Exit::Ok)
}

/// What it may get leases of, by target; nothing where nothing was typed.
fn credentials(grants: &[String]) -> Result<Option<Value>, CommandError> {
    let mut all = Map::new();
    for grant in grants {
        let Some((target, grant)) = grant.split_once('=') else {
            let problem = format!("`{grant}` is no grant: write TARGET=GRANT");
            return Err(not_valid(problem));
        };
        let of = all.entry(target).or_insert_with(|| json!([]));
        if let Some(of) = of.as_array_mut() {
            of.push(grant.into());
        }
    }
    Ok((!all.is_empty()).then_some(Value::Object(all)))
}

/// What the agent is told, as it stands in its file.
fn prompt(args: &TaskBegin) -> Result<Option<String>, CommandError> {
    let Some(file) = &args.prompt_file else {
        return Ok(args.prompt.clone());
    };
    let broken = |error| failed(&file.display().to_string(), error);
    let mut text = String::new();
    // One byte more than is taken: the server says that it is too long.
    let opened = std::fs::File::open(file).map_err(broken)?;
    let most = PROMPT_BYTES_MAX as u64 + 1;
    opened.take(most).read_to_string(&mut text).map_err(broken)?;
    Ok(Some(text))
}

/// What was typed of the parameters, each as its type in the intent wants it. What does not fit
/// goes as a text, and the server says what is wrong with it.
async fn parameters(
    client: &Client,
    intent: &str,
    args: &TaskBegin,
) -> Result<Value, CommandError> {
    if args.parameters.is_empty() {
        return Ok(json!({}));
    }
    let query = [("intent", intent.to_owned()), ("limit", "1000".to_owned())];
    let known = client.call(Method::GET, "/v1/intents", &query, None).await?;
    let versions = known.get("intents").and_then(Value::as_array);
    let wanted = |intent: &&Value| {
        args.number.is_none_or(|number| intent.get("version") == Some(&number.into()))
    };
    let intent = versions.into_iter().flatten().rfind(wanted);
    let mut said = Map::new();
    for parameter in &args.parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            let problem = format!("`{parameter}` is no parameter: write NAME=VALUE");
            return Err(not_valid(problem));
        };
        let types = intent.and_then(|intent| intent.pointer("/parameters"));
        let ty = types.and_then(|types| types.get(name)).map_or("", |one| text(one, "/type"));
        if said.insert(name.to_owned(), typed(ty, value)).is_some() {
            let problem = format!("parameter `{name}` is said twice");
            return Err(not_valid(problem));
        }
    }
    Ok(Value::Object(said))
}

fn typed(ty: &str, value: &str) -> Value {
    let fits = |read: &Value| match ty {
        "integer" | "number" => read.is_number(),
        "boolean" => read.is_boolean(),
        _ => false,
    };
    serde_json::from_str(value).ok().filter(fits).unwrap_or_else(|| value.into())
}

/// A token or handle from a file.
pub(super) fn secret(file: &Path) -> Result<String, CommandError> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| failed(&file.display().to_string(), error))?;
    Ok(text.trim().to_owned())
}

fn shown(task: &Value) -> Result<String, CommandError> {
    let mut out = String::new();
    for name in [
        "id",
        "state",
        "intent",
        "version",
        "agent",
        "on_behalf_of",
        "begun_by",
        "parent",
        "begun_at",
        "deadline",
    ] {
        let value = match task.get(name) {
            None => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        out += &format!("{name:13} {value}\n");
    }
    let (used, left) = (number(task, "/used/calls"), number(task, "/calls_left"));
    out += &format!("{:13} {used} used, {left} left\n", "calls");
    if task.get("mandate").is_some() {
        out += &format!("{:13} {}\n", "integrity", text(task, "/mandate/integrity"));
    }
    for name in ["prompt", "parameters", "envelope"] {
        if let Some(value) = task.pointer(&format!("/mandate/{name}")) {
            out += &format!("{name}\n{}", output::document(Format::Yaml, value)?);
        }
    }
    Ok(out)
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn put(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(members), Some(value)) = (body.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_what_its_type_wants() {
        assert_eq!(typed("identifier", "1042"), json!("1042"));
        assert_eq!(typed("integer", "1042"), json!(1042));
        assert_eq!(typed("integer", "x"), json!("x"));
        assert_eq!(typed("boolean", "true"), json!(true));
        assert_eq!(typed("text", "true"), json!("true"));
        assert_eq!(typed("", "{\"a\":1}"), json!("{\"a\":1}"));
    }
}
