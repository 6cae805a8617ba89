//! `safeconduct review campaign`: reviews of many rights.

use reqwest::Method;
use safeconduct_service::expression_problems;
use safeconduct_wire::campaign;
use serde_json::{Value, json};

use crate::args::{self, Decide, Items, OneCampaign, Remote, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::wiring::runtime;

/// Columns of a list of campaigns.
const CAMPAIGNS: [&str; 8] = ["id", "name", "state", "stage", "until", "cases", "open", "yours"];

/// Columns of a list of cases.
const CASES: [&str; 6] = ["case", "tier", "holder", "words", "at", "waits_for"];

/// Runs the command.
pub(super) fn run(shared: &Shared, command: args::Campaign) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        match command {
            args::Campaign::Start { file, now, remote } => start(shared, &file, now, &remote).await,
            args::Campaign::Ls { open, remote } => {
                let state = open.then(|| ("state", "open".to_owned()));
                listed(shared, &all(&Client::new(shared, &remote)?, state).await?)
            }
            args::Campaign::Show { campaign } => {
                shown(shared, &ask(shared, &campaign, Method::GET, "", &[], None).await?)
            }
            args::Campaign::Items(wanted) => items(shared, wanted).await,
            args::Campaign::Item { campaign, case } => {
                let path = format!("/items/{case}");
                item(shared, &ask(shared, &campaign, Method::GET, &path, &[], None).await?)
            }
            args::Campaign::Decide(answers) => decide(shared, answers).await,
            args::Campaign::Reassign { campaign, case, to, from } => {
                let mut body = json!({ "case": case, "to": to });
                if let (Some(from), Some(members)) = (from, body.as_object_mut()) {
                    members.insert("from".to_owned(), from.into());
                }
                let said = format!("case {case} is now that of `{to}`");
                done(shared, &campaign, "/reassign", Some(&body), &said).await
            }
            args::Campaign::Close { campaign } => {
                done(shared, &campaign, "/close-stage", None, "the stage has ended").await
            }
            args::Campaign::Reiterate { campaign } => {
                let said = "what nobody answered is asked again";
                done(shared, &campaign, "/reiterate", None, said).await
            }
            args::Campaign::SignOff { campaign, over } => {
                let body = json!({ "over": over });
                done(shared, &campaign, "/sign-off", Some(&body), "it is signed").await
            }
            args::Campaign::Cancel { campaign } => {
                done(shared, &campaign, "/cancel", None, "it is given up").await
            }
            args::Campaign::Withdraw { name, remote } => {
                let path = format!("/v1/campaigns/standing/{}", segment(&name));
                Client::new(shared, &remote)?.send(Method::DELETE, &path, &[], None).await?;
                print_line(&format!("no campaign begins by `{name}` any more"))?;
                Ok(Exit::Ok)
            }
        }
    })
}

async fn ask(
    shared: &Shared,
    campaign: &OneCampaign,
    method: Method,
    path: &str,
    query: &[(&str, String)],
    body: Option<&Value>,
) -> Result<Value, CommandError> {
    let path = format!("/v1/campaigns/{}{path}", segment(&campaign.id));
    Client::new(shared, &campaign.remote)?.call(method, &path, query, body).await
}

async fn done(
    shared: &Shared,
    campaign: &OneCampaign,
    path: &str,
    body: Option<&Value>,
    said: &str,
) -> Result<Exit, CommandError> {
    ask(shared, campaign, Method::POST, path, &[], body).await?;
    print_line(said)?;
    Ok(Exit::Ok)
}

async fn start(
    shared: &Shared,
    file: &std::path::Path,
    now: bool,
    remote: &Remote,
) -> Result<Exit, CommandError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| failed(&name, error))?;
    // Read here too, since only here problems have lines.
    let read = campaign::parse_with(&name, &text, expression_problems);
    let definition = read.map_err(invalid)?;
    let mut body = json!({ "definition": safeconduct_wire::json::to_serde(&definition.written) });
    if let (true, Some(members)) = (now, body.as_object_mut()) {
        members.insert("begin".to_owned(), "now".into());
    }
    let client = Client::new(shared, remote)?;
    let started = client.call(Method::POST, "/v1/campaigns", &[], Some(&body)).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &started)?)?;
        return Ok(Exit::Ok);
    }
    let name = text_of(&started, "name");
    match (started.get("id").and_then(Value::as_str), started.get("next").and_then(Value::as_str)) {
        (Some(id), _) => print_line(&format!(
            "`{id}`: `{name}` has begun, about {} rights, {}",
            number(&started, "cases"),
            text_of(&started, "population"),
        ))?,
        (None, Some(next)) => print_line(&format!("`{name}` is kept, and begins at {next}"))?,
        (None, None) => print_line(&format!("`{name}` is kept until something happens"))?,
    }
    Ok(Exit::Ok)
}

/// All pages of the list, as one.
async fn all(
    client: &Client,
    state: Option<(&'static str, String)>,
) -> Result<Value, CommandError> {
    let (mut first, mut campaigns) = (None, Vec::new());
    let mut after = None;
    loop {
        let query: Vec<_> = state.clone().into_iter().chain(after.take()).collect();
        let mut page = client.call(Method::GET, "/v1/campaigns", &query, None).await?;
        let next = page.get("next").and_then(Value::as_str).map(|next| ("after", next.to_owned()));
        if let Some(Value::Array(found)) = page.get_mut("campaigns").map(Value::take) {
            campaigns.extend(found);
        }
        first.get_or_insert(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    let mut whole = first.unwrap_or_default();
    if let Some(members) = whole.as_object_mut() {
        members.remove("next");
        members.insert("campaigns".to_owned(), Value::Array(campaigns));
    }
    Ok(whole)
}

fn listed(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    show(shared, answer, "campaigns", &CAMPAIGNS)?;
    let standing = answer.get("standing").and_then(Value::as_array);
    if shared.output == Format::Table {
        for one in standing.into_iter().flatten() {
            let next = one.get("next").and_then(Value::as_str);
            let next = next.map(|next| format!(", next at {next}")).unwrap_or_default();
            let on = list(one, "on");
            let on = if on.is_empty() { on } else { format!(", on {on}") };
            print_line(&format!("kept: {}{next}{on}", text_of(one, "name")))?;
        }
    }
    Ok(Exit::Ok)
}

fn shown(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let stage = answer.get("stage").and_then(Value::as_str).map(|stage| {
        let (number, of) = (number(answer, "stage_number"), number(answer, "stages"));
        format!(", stage `{stage}` ({number} of {of}) until {}", text_of(answer, "until"))
    });
    print_line(&format!(
        "{} `{}`: {}{}",
        text_of(answer, "id"),
        text_of(answer, "name"),
        text_of(answer, "state"),
        stage.unwrap_or_default(),
    ))?;
    print_line(&format!(
        "  {} rights, {}; signed off by {}",
        number(answer, "cases"),
        text_of(answer, "population"),
        text_of(answer, "owner"),
    ))?;
    let counts = |name: &str| {
        let counts = answer.get(name).and_then(Value::as_object);
        let counts = counts.into_iter().flatten().map(|(word, count)| format!("{count} {word}"));
        counts.collect::<Vec<_>>().join(", ")
    };
    if number(answer, "open") > 0 {
        let (open, answered) = (number(answer, "open"), number(answer, "answered"));
        print_line(&format!(
            "  {answered} of {open} are answered, {} wait for you",
            number(answer, "yours")
        ))?;
    }
    for said in answer.get("unanswered").and_then(Value::as_array).into_iter().flatten() {
        print_line(&format!("  nobody is named: {}", said.as_str().unwrap_or_default()))?;
    }
    print_line(&format!("  outcomes: {}", counts("outcomes")))?;
    if !counts("effects").is_empty() {
        print_line(&format!("  effects: {}", counts("effects")))?;
    }
    if let Some(digest) = answer.get("digest").and_then(Value::as_str) {
        print_line(&format!("  to sign: {digest}"))?;
    }
    Ok(Exit::Ok)
}

async fn items(shared: &Shared, wanted: Items) -> Result<Exit, CommandError> {
    let Items { campaign, all, after, limit } = wanted;
    let of = if all { "all" } else { "mine" };
    let mut query = vec![("of", of.to_owned()), ("limit", limit.to_string())];
    query.extend(after.map(|after| ("after", after)));
    let mut answer = ask(shared, &campaign, Method::GET, "/items", &query, None).await?;
    let next = answer.get("next").and_then(Value::as_str).map(str::to_owned);
    if shared.output == Format::Table {
        let items = answer.get_mut("items").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            let waits = list(item, "waits_for");
            if let Some(members) = item.as_object_mut() {
                members.insert("waits_for".to_owned(), waits.into());
            }
        }
    }
    show(shared, &answer, "items", &CASES)?;
    if let (Format::Table, Some(next)) = (shared.output, next) {
        output::say(&format!("there are more: add `--after {next}`"));
    }
    Ok(Exit::Ok)
}

fn item(shared: &Shared, answer: &Value) -> Result<Exit, CommandError> {
    if shared.output != Format::Table {
        print(&output::document(shared.output, answer)?)?;
        return Ok(Exit::Ok);
    }
    let at = answer.get("at").and_then(Value::as_str);
    let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
    print_line(&format!(
        "case {}: `{}` may do {}",
        number(answer, "case"),
        text_of(answer, "holder"),
        text_of(answer, "words"),
    ))?;
    print_line(&format!(
        "  tier {}, by {} `{}`{at}",
        text_of(answer, "tier"),
        text_of(answer, "kind"),
        text_of(answer, "name"),
    ))?;
    let owner = text(answer, "/evidence/owner");
    let status = text(answer, "/evidence/holder_status");
    print_line(&format!(
        "  owner {owner}; the holder is {status}; risk {}",
        count(answer, "/evidence/risk")
    ))?;
    if answer.pointer("/evidence/held") == Some(&Value::Bool(false)) {
        print_line("  the holder does not have it any more")?;
    }
    print_line(&format!("  use since {}:", text(answer, "/evidence/since")))?;
    for used in members(answer, "/evidence/uses") {
        let intent = used.get("intent").and_then(Value::as_str).unwrap_or("no intent");
        print_line(&format!(
            "    {} under {intent} ({}): {} permitted, {} succeeded, {} failed, last {}",
            text_of(used, "action"),
            text_of(used, "task"),
            number(used, "permitted"),
            number(used, "succeeded"),
            number(used, "failed"),
            text_of(used, "last"),
        ))?;
    }
    for one in members(answer, "/evidence/latest") {
        let outcome = one.get("outcome").and_then(Value::as_str).unwrap_or("no outcome yet");
        let (at, decision) = (text_of(one, "at"), text_of(one, "decision"));
        print_line(&format!("    {at}: {outcome} ({decision})"))?;
    }
    print_line(&format!(
        "  {} denials; {} others hold it, {} of them use it",
        count(answer, "/evidence/denials"),
        count(answer, "/evidence/peers/holders"),
        count(answer, "/evidence/peers/using"),
    ))?;
    for finding in members(answer, "/evidence/findings") {
        let (kind, severity) = (text_of(finding, "kind"), text_of(finding, "severity"));
        print_line(&format!("  finding {}: {kind}, {severity}", text_of(finding, "id")))?;
    }
    let recommended = answer.pointer("/evidence/recommendation/response").and_then(Value::as_str);
    let reasons: Vec<&str> =
        members(answer, "/evidence/recommendation/reasons").filter_map(Value::as_str).collect();
    let recommended = recommended.unwrap_or("nothing is recommended");
    print_line(&format!("  advice: {recommended}: {}", reasons.join("; ")))?;
    for said in members(answer, "/answers") {
        let (by, response) = (text_of(said, "by"), text_of(said, "response"));
        print_line(&format!("  {by} said {response}: {}", text_of(said, "reason")))?;
    }
    Ok(Exit::Ok)
}

async fn decide(shared: &Shared, answers: Decide) -> Result<Exit, CommandError> {
    let Decide { campaign, cases, response, reason, acting_for } = answers;
    let decision = |case: &u32| {
        let mut one = json!({ "case": case, "response": response, "reason": reason });
        if let (Some(of), Some(members)) = (&acting_for, one.as_object_mut()) {
            members.insert("acting_for".to_owned(), of.as_str().into());
        }
        one
    };
    let body = json!({ "decisions": cases.iter().map(decision).collect::<Vec<_>>() });
    let answer = ask(shared, &campaign, Method::POST, "/decisions", &[], Some(&body)).await?;
    show(shared, &answer, "results", &["case", "status", "problem"])?;
    let refused = members(&answer, "/results").any(|one| text_of(one, "status") == "refused");
    match refused {
        true => Err(CommandError::Failed("not every answer was taken".to_owned())),
        false => Ok(Exit::Ok),
    }
}

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn count(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn list(value: &Value, name: &str) -> String {
    let texts = value.get(name).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
