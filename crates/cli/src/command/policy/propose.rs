//! `safeconduct policy propose|proposals|proposal|approve|reject`: changes of the policies of a
//! running server, by two people.

use reqwest::Method;
use safeconduct_wire::config::Config;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::args::{ProposePolicies, Remote, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::exit::{CommandError, Exit};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::wiring::project::{policy_folder, read_config};
use crate::wiring::runtime;

/// Columns of a list of proposals.
const COLUMNS: [&str; 6] = ["id", "state", "author", "answered_by", "at", "reason"];

/// Proposes what a folder holds.
pub(super) fn propose(shared: &Shared, wanted: &ProposePolicies) -> Result<Exit, CommandError> {
    let config = read_config(&shared.config)?;
    let mut policies = config.policies.clone();
    policies.folder.clone_from(&wanted.folder);
    let files = policy_folder(&Config { policies, ..config })?;
    let body = json!({ "files": files, "reason": wanted.reason });
    call(shared, &wanted.remote, Method::POST, "/v1/policy-proposals", Some(&body))
}

/// Lists them.
pub(super) fn list(shared: &Shared, remote: &Remote) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        let client = Client::new(shared, remote)?;
        let answer = client.call(Method::GET, "/v1/policy-proposals", &[], None).await?;
        show(shared, &answer, "proposals", &COLUMNS)
    })
}

/// Shows one.
pub(super) fn one(shared: &Shared, remote: &Remote, id: &str) -> Result<Exit, CommandError> {
    let path = format!("/v1/policy-proposals/{}", segment(id));
    call(shared, remote, Method::GET, &path, None)
}

/// Approves one, or rejects it where a reason is given.
pub(super) fn answer(
    shared: &Shared,
    remote: &Remote,
    id: &str,
    reason: Option<&str>,
) -> Result<Exit, CommandError> {
    let path = format!("/v1/policy-proposals/{}/answer", segment(id));
    let body = match reason {
        None => json!({ "answer": "approve" }),
        Some(reason) => json!({ "answer": "reject", "reason": reason }),
    };
    call(shared, remote, Method::POST, &path, Some(&body))
}

fn call(
    shared: &Shared,
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        let client = Client::new(shared, remote)?;
        let answer = client.call(method, path, &[], body).await?;
        if shared.output != Format::Table {
            print(&output::document(shared.output, &answer)?)?;
            return Ok(Exit::Ok);
        }
        print_line(&format!("{} {}", text(&answer, "/id"), text(&answer, "/state")))?;
        let tests = answer.get("tests").and_then(Value::as_u64).unwrap_or_default();
        let (author, reason) = (text(&answer, "/author"), text(&answer, "/reason"));
        print_line(&format!("  by {author}, because {reason}"))?;
        let tests = usize::try_from(tests).unwrap_or(usize::MAX);
        print_line(&format!("  {}", output::counted(tests, "test passed", "tests passed")))?;
        for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            print_line(&format!("  warning: {}", warning.as_str().unwrap_or_default()))?;
        }
        if let Some(note) = answer.get("note").and_then(Value::as_str) {
            print_line(&format!("  note: {note}"))?;
        }
        let texts = answer.get("texts").and_then(Value::as_object);
        for (name, file) in texts.into_iter().flatten() {
            let part = |part: &str| file.get(part).and_then(Value::as_str).unwrap_or_default();
            let (before, after) = (part("before"), part("after"));
            let diff = TextDiff::from_lines(before, after);
            let (old, new) = (format!("a/{name}"), format!("b/{name}"));
            print(&diff.unified_diff().header(&old, &new).to_string())?;
        }
        Ok(Exit::Ok)
    })
}
