//! `safeconduct signal`: what was seen of somebody, at a running server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::identity::show;
use crate::exit::{CommandError, Exit, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::wiring::runtime;

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Signal) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Signal::Put(reported) => put(shared, reported).await,
            args::Signal::Ls { about, limit, remote } => {
                let client = Client::new(shared, &remote)?;
                let mut query = asked(about);
                query.push(("limit", limit.to_string()));
                let mut answer = client.call(Method::GET, "/v1/signals", &query, None).await?;
                if shared.output == Format::Table {
                    flatten(&mut answer, "signals");
                }
                let columns = ["observed_at", "about", "kind", "severity", "source", "detail"];
                show(shared, &answer, "signals", &columns)
            }
        }
    })
}

async fn put(shared: &Shared, reported: args::Reported) -> Result<Exit, CommandError> {
    let client = Client::new(shared, &reported.remote)?;
    let signal = json!({
        "about": about(reported.about)?,
        "kind": reported.kind,
        "severity": reported.severity,
        "confidence": reported.confidence,
        "detail": reported.detail.unwrap_or_default(),
    });
    let body = json!({ "signals": [signal] });
    let answer = client.call(Method::POST, "/v1/signals", &[], Some(&body)).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &answer)?)?;
        return Ok(Exit::Ok);
    }
    let texts = |member: &str| {
        let all = answer.get(member).and_then(Value::as_array);
        let texts = all.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    for record in texts("recorded") {
        print_line(&record)?;
    }
    for stopped in texts("stopped") {
        let tasks = answer.get("tasks").and_then(Value::as_u64).unwrap_or_default();
        print_line(&format!("stopped: {stopped}; {tasks} tasks ended by it"))?;
    }
    Ok(Exit::Ok)
}

fn about(about: args::SignalAbout) -> Result<Value, CommandError> {
    let args::SignalAbout { identity, user, task, session } = about;
    let session = session
        .map(|session| {
            // An identity may hold slashes, a token's or task's id never does.
            let parts = session.rsplit_once('/');
            let parts =
                parts.map(|(identity, token)| json!({ "identity": identity, "token": token }));
            parts.ok_or_else(|| {
                not_valid(format!("`{session}` is no session: write IDENTITY/SCOPE"))
            })
        })
        .transpose()?;
    let named = [
        ("identity", identity.map(Value::from)),
        ("user", user.map(Value::from)),
        ("task", task.map(Value::from)),
        ("session", session),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(Value::Object(named.collect()))
}

/// What a question is about, as the parameters of a request.
pub(super) fn asked(about: args::Whom) -> Vec<(&'static str, String)> {
    let args::Whom { identity, task, session } = about;
    let all = [("identity", identity), ("task", task), ("session", session)];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Whom each of a list is about, in one text.
pub(super) fn flatten(answer: &mut Value, member: &str) {
    let all = answer.get_mut(member).and_then(Value::as_array_mut);
    for one in all.into_iter().flatten() {
        let part = |name: &str| one.pointer(name).and_then(Value::as_str).unwrap_or_default();
        let text = format!("{} {}", part("/about/kind"), part("/about/name"));
        if let Some(about) = one.get_mut("about") {
            *about = Value::from(text);
        }
    }
}
