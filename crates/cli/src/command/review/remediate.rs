//! `safeconduct review remediate`: rights that are taken away, at a running server.

use std::fs;

use reqwest::Method;
use safeconduct_service::Clock as _;
use serde_json::{Map, Value, json};

use crate::args::{
    ApplyRemediations, ListRemediations, Remediate, Remote, ScheduleRemediation, Shared,
    VerifyRemediation,
};
use crate::client::Client;
use crate::command::identity::{seconds, segment, show};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::system::SystemClock;
use crate::wiring::runtime;

/// Columns of a list of remediations.
const COLUMNS: [&str; 8] =
    ["id", "state", "holder", "right", "name", "effect", "not_before", "needed_at"];

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: Remediate) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            Remediate::Ls(wanted) => list(shared, wanted).await,
            Remediate::Show { id, remote } => {
                let path = format!("/v1/remediations/{}", segment(&id));
                let client = Client::new(shared, &remote)?;
                shown(shared, &client.call(Method::GET, &path, &[], None).await?)
            }
            Remediate::Schedule(wanted) => schedule(shared, wanted).await,
            Remediate::Quarantine { id, remote } => {
                step(shared, &remote, &id, json!({ "step": "quarantine" })).await
            }
            Remediate::Restore { id, reason, remote } => {
                step(shared, &remote, &id, json!({ "step": "restore", "reason": reason })).await
            }
            Remediate::Apply(wanted) => apply(shared, wanted).await,
            Remediate::Verify(wanted) => verify(shared, wanted).await,
            Remediate::RollBack { id, reason, remote } => {
                step(shared, &remote, &id, json!({ "step": "roll_back", "reason": reason })).await
            }
        }
    })
}

async fn list(shared: &Shared, wanted: ListRemediations) -> Result<Exit, CommandError> {
    let ListRemediations { state, holder, after, limit, remote } = wanted;
    let mut query = vec![("limit", limit.to_string())];
    let named = [("state", state), ("holder", holder), ("after", after)];
    query.extend(named.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let client = Client::new(shared, &remote)?;
    let answer = client.call(Method::GET, "/v1/remediations", &query, None).await?;
    show(shared, &answer, "remediations", &COLUMNS)?;
    if let (Format::Table, Some(next)) = (shared.output, answer.get("next").and_then(Value::as_str))
    {
        print_line(&format!("there are more: --after {next}"))?;
    }
    Ok(Exit::Ok)
}

async fn schedule(shared: &Shared, wanted: ScheduleRemediation) -> Result<Exit, CommandError> {
    let ScheduleRemediation { holder, campaign, grant, effect, notice, cause, reason, remote } =
        wanted;
    let at = notice.map(|notice| {
        let at = SystemClock.now().plus_ms(seconds(&notice)?.saturating_mul(1000));
        Ok::<_, CommandError>(at.to_string())
    });
    let named = |said: [(&str, Option<String>); 6]| -> Value {
        let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        said.map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>().into()
    };
    let at = at.transpose()?;
    let body = match campaign {
        Some(campaign) => {
            let mut body = json!({ "campaign": campaign });
            if let (Value::Object(members), Some(at)) = (&mut body, at) {
                members.insert("not_before".to_owned(), Value::String(at));
            }
            body
        }
        None => json!({ "remediations": [named([
            ("holder", holder),
            ("grant", grant),
            ("effect", effect),
            ("not_before", at),
            ("cause", cause),
            ("reason", reason),
        ])] }),
    };
    let client = Client::new(shared, &remote)?;
    let answer = client.call(Method::POST, "/v1/remediations", &[], Some(&body)).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &answer)?)?;
        return Ok(Exit::Ok);
    }
    for id in answer.get("ids").and_then(Value::as_array).into_iter().flatten() {
        print_line(id.as_str().unwrap_or_default())?;
    }
    for one in answer.get("left_out").and_then(Value::as_array).into_iter().flatten() {
        let (holder, grant) = (text(one, "/holder"), text(one, "/grant"));
        print_line(&format!("not planned: {grant} of {holder}: {}", text(one, "/why")))?;
    }
    let all = answer.get("left_out_count").and_then(Value::as_u64).unwrap_or_default();
    let shown = answer.get("left_out").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    if all > shown {
        print_line(&format!("not planned: {} more", all - shown))?;
    }
    Ok(Exit::Ok)
}

async fn step(
    shared: &Shared,
    remote: &Remote,
    id: &str,
    body: Value,
) -> Result<Exit, CommandError> {
    let path = format!("/v1/remediations/{}/step", segment(id));
    let client = Client::new(shared, remote)?;
    shown(shared, &client.call(Method::POST, &path, &[], Some(&body)).await?)
}

async fn apply(shared: &Shared, wanted: ApplyRemediations) -> Result<Exit, CommandError> {
    let ApplyRemediations { ids, draft, remote } = wanted;
    let Some((first, with)) = ids.split_first() else { return Ok(Exit::Ok) };
    let mut body = json!({ "step": "apply", "with": with });
    if !draft.is_empty() {
        let mut files = Map::new();
        for one in &draft {
            let Some((path, file)) = one.split_once('=') else {
                return Err(not_valid(format!("`{one}` is no draft: write PATH=FILE")));
            };
            let text = fs::read_to_string(file).map_err(|error| failed(file, error))?;
            files.insert(path.to_owned(), json!(text));
        }
        if let Value::Object(members) = &mut body {
            members.insert("draft".to_owned(), Value::Object(files));
        }
    }
    step(shared, &remote, first, body).await
}

async fn verify(shared: &Shared, wanted: VerifyRemediation) -> Result<Exit, CommandError> {
    let VerifyRemediation { id, denied, permitted, remote } = wanted;
    let asked = denied.iter().map(|question| (question, "deny"));
    let asked = asked.chain(permitted.iter().map(|question| (question, "permit")));
    let probes = asked.map(|(question, wanted)| probe(question, wanted));
    let probes = probes.collect::<Result<Vec<_>, _>>()?;
    let path = format!("/v1/remediations/{}/step", segment(&id));
    let body = json!({ "step": "verify", "probes": probes });
    let client = Client::new(shared, &remote)?;
    let answer = client.call(Method::POST, &path, &[], Some(&body)).await?;
    shown(shared, &answer)?;
    Ok(if text(&answer, "/state") == "verified" { Exit::Ok } else { Exit::TestsFailed })
}

/// `crm.export on Server::"crm" with {"case": "C-1"}`.
fn probe(question: &str, wanted: &str) -> Result<Value, CommandError> {
    let no = || not_valid(format!("`{question}` is no question: write ACTION on TYPE::\"ID\""));
    let (action, rest) = question.split_once(" on ").ok_or_else(no)?;
    let (resource, input) = match rest.split_once(" with ") {
        Some((resource, input)) => {
            let input: Value = serde_json::from_str(input).map_err(|_| no())?;
            (resource, input)
        }
        None => (rest, json!({})),
    };
    let (ty, id) = resource.trim().split_once("::\"").ok_or_else(no)?;
    let id = id.strip_suffix('"').ok_or_else(no)?;
    Ok(json!({
        "action": action.trim(),
        "resource_type": ty,
        "resource_id": id,
        "input": input,
        "wanted": wanted,
    }))
}

fn shown(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let name = answer.get("name").and_then(Value::as_str).unwrap_or("everything");
    let (right, holder) = (text(answer, "/right"), text(answer, "/holder"));
    print_line(&format!("{} {}", text(answer, "/id"), text(answer, "/state")))?;
    print_line(&format!("  {}: {right} {name} of {holder}", text(answer, "/effect")))?;
    print_line(&format!("  because {}", text(answer, "/reason")))?;
    if answer.get("set_aside").and_then(Value::as_bool) == Some(true) {
        print_line("  it counts for nothing now; `review remediate restore` brings it back")?;
    }
    if answer.get("needed_at").is_some() {
        print_line("  denials show that it was needed")?;
    }
    if let Some(ended) = answer.get("ended") {
        let count = |name: &str| ended.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (tasks, leases, tokens) = (count("tasks"), count("leases"), count("tokens"));
        print_line(&format!("  ended with it: tasks {tasks}, leases {leases}, tokens {tokens}"))?;
    }
    for probe in answer.get("probes").and_then(Value::as_array).into_iter().flatten() {
        let holds = probe.get("holds").and_then(Value::as_bool) == Some(true);
        let point = probe.get("point").and_then(Value::as_str).unwrap_or("the decision point");
        print_line(&format!(
            "  {} {} on {}: {} at {point}",
            if holds { "ok  " } else { "FAIL" },
            text(probe, "/action"),
            text(probe, "/resource"),
            text(probe, "/answer"),
        ))?;
    }
    if let Some(replay) = answer.get("replay") {
        for line in replayed(replay) {
            print_line(&line)?;
        }
    }
    match answer.get("proved_by").and_then(Value::as_str) {
        Some("probe_and_replay") => print_line("  proved by the probes and by recorded decisions")?,
        Some("replay") => print_line("  proved by recorded decisions")?,
        Some(_) if answer.get("replay").is_some() => {
            print_line("  proved by the probes: no recorded decision shows it")?;
        }
        Some(_) => print_line("  proved by the probes alone: no recorded decision was looked at")?,
        None => {}
    }
    if let Some(note) = answer.get("note").and_then(Value::as_str) {
        print_line(&format!("  note: {note}"))?;
    }
    if let Some(proposal) = answer.get("waits_for").and_then(Value::as_str) {
        print_line(&format!("  waits for somebody else: safeconduct policy approve {proposal}"))?;
    }
    Ok(Exit::Ok)
}

/// What became of the decisions that came of the right.
fn replayed(replay: &Value) -> Vec<String> {
    let count = |name: &str| replay.get(name).and_then(Value::as_u64).unwrap_or_default();
    let sorts = [
        ("denied", "denied now"),
        ("kept", "permitted by what is left"),
        ("still_permitted", "still permitted"),
        ("kept_denied", "denied, though what is left permits them"),
        ("denied_otherwise", "denied by something else"),
        ("not_replayable", "not replayable"),
        ("errors", "errors"),
    ];
    let came_to = sorts.iter().filter(|(name, _)| count(name) > 0);
    let came_to: Vec<_> = came_to.map(|(name, words)| format!("{} {words}", count(name))).collect();
    let came_to = if came_to.is_empty() { "none".to_owned() } else { came_to.join(", ") };
    let more = replay.get("more").and_then(Value::as_bool) == Some(true);
    let newest = if more { " (the newest; there are more)" } else { "" };
    let mut lines = vec![format!(
        "  {} recorded decisions since {}{newest}: {came_to}",
        count("decisions"),
        text(replay, "/since"),
    )];
    let sample = |sort: &str| {
        let first = replay.pointer(&format!("/samples/{sort}/0")).and_then(Value::as_str);
        first.map_or_else(String::new, |first| format!(", for instance {first}"))
    };
    for by in replay.get("by").and_then(Value::as_array).into_iter().flatten() {
        let decisions = by.get("decisions").and_then(Value::as_u64).unwrap_or_default();
        let policy = text(by, "/policy");
        let sample = sample("still_permitted");
        lines.push(format!("    still permitted by {policy}: {decisions}{sample}"));
    }
    for (why, count) in replay.get("why").and_then(Value::as_object).into_iter().flatten() {
        lines.push(format!("    not replayable, {why}: {count}{}", sample("not_replayable")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recorded_decisions_came_to_is_told() {
        let lines = replayed(&json!({
            "decisions": 5, "since": "2026-01-01T00:00:00Z", "more": true,
            "denied": 2, "still_permitted": 2, "not_replayable": 1,
            "by": [{ "policy": "crm.all", "decisions": 2 }], "why": { "not_recorded": 1 },
            "samples": { "still_permitted": ["dec_1"], "not_replayable": ["dec_2"] },
        }));
        assert_eq!(
            lines,
            [
                "  5 recorded decisions since 2026-01-01T00:00:00Z (the newest; there are more): \
                 2 denied now, 2 still permitted, 1 not replayable",
                "    still permitted by crm.all: 2, for instance dec_1",
                "    not replayable, not_recorded: 1, for instance dec_2",
            ]
        );
        let none = replayed(&json!({ "decisions": 0, "since": "2026-01-01T00:00:00Z" }));
        assert_eq!(none, ["  0 recorded decisions since 2026-01-01T00:00:00Z: none"]);
    }

    #[test]
    fn questions_are_read() {
        let asked = probe("crm.export on Server::\"crm\" with {\"case\": \"C-1\"}", "deny");
        let asked = asked.unwrap();
        assert_eq!(asked["action"], "crm.export");
        assert_eq!(
            (&asked["resource_type"], &asked["resource_id"]),
            (&json!("Server"), &json!("crm"))
        );
        assert_eq!(asked["input"]["case"], "C-1");
        let typed = probe("a on Safeconduct::Path::\"/x\"", "permit").unwrap();
        assert_eq!(typed["resource_type"], "Safeconduct::Path");
        for odd in ["crm.export", "a on b", "a on B::\"c", "a on B::\"c\" with {"] {
            assert!(probe(odd, "deny").is_err(), "{odd}");
        }
    }
}
