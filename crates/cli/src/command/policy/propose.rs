//! `safeconduct policy checkout|propose|proposals|proposal|approve|reject`: changes of the policies of a
//! running server, by two people.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use reqwest::Method;
use safeconduct_review::{folder_digest, is_policy_path};
use safeconduct_wire::config::Config;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::args::{CheckoutPolicies, ProposePolicies, Remote, Shared};
use crate::client::Client;
use crate::command::identity::{segment, show};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, print, print_line};
use crate::story::text;
use crate::wiring::project::{policy_folder, read_config};
use crate::wiring::runtime;

/// Columns of a list of proposals.
const COLUMNS: [&str; 6] = ["id", "state", "author", "answered_by", "at", "reason"];

/// Where a folder says what it was edited from. Nothing that begins with a dot is a policy.
const BASE: &str = ".safeconduct-base";

/// Proposes what a folder holds.
pub(super) fn propose(shared: &Shared, wanted: &ProposePolicies) -> Result<Exit, CommandError> {
    let files = files_of(shared, &wanted.folder)?;
    let from = match &wanted.from {
        Some(from) => from.clone(),
        None => base_of(&wanted.folder)?.ok_or_else(|| {
            not_valid(format!(
                "`{}` does not say what it was edited from: write it by `safeconduct policy \
                 checkout`, or say --from DIGEST",
                wanted.folder.display()
            ))
        })?,
    };
    let body = json!({ "files": files, "from": from, "reason": wanted.reason });
    call(shared, &wanted.remote, Method::POST, "/v1/policy-proposals", Some(&body))
}

/// Writes the policies of a server into a folder. What somebody has edited there is not
/// overwritten.
pub(super) fn checkout(shared: &Shared, wanted: &CheckoutPolicies) -> Result<Exit, CommandError> {
    let folder = &wanted.folder;
    let answer = runtime()?.block_on(async {
        let client = Client::new(shared, &wanted.remote)?;
        client.call(Method::GET, "/v1/policy-folder", &[], None).await
    })?;
    let digest = text(&answer, "/digest").to_owned();
    let there: BTreeMap<String, String> = answer
        .get("files")
        .and_then(|files| serde_json::from_value(files.clone()).ok())
        .ok_or_else(|| CommandError::Failed("the server's answer has no files".into()))?;
    if let Some(odd) = there.keys().find(|name| !is_policy_path(name)) {
        return Err(CommandError::Failed(format!("`{odd}` is no path of a policy file")));
    }
    let here = if folder.exists() { files_of(shared, folder)? } else { BTreeMap::new() };
    let is = folder_digest(&here).to_string();
    let unedited = here.is_empty() || is == digest || base_of(folder)?.as_ref() == Some(&is);
    if !unedited {
        return Err(not_valid(format!(
            "`{}` has policies that were edited: propose them, or name another folder",
            folder.display()
        )));
    }
    let unwritten = |error: std::io::Error| failed(&folder.display().to_string(), error);
    for gone in here.keys().filter(|name| !there.contains_key(*name)) {
        fs::remove_file(folder.join(gone)).map_err(unwritten)?;
    }
    for (name, text) in &there {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(unwritten)?;
        fs::write(path, text).map_err(unwritten)?;
    }
    fs::create_dir_all(folder).map_err(unwritten)?;
    fs::write(folder.join(BASE), format!("{digest}\n")).map_err(unwritten)?;
    let files = output::counted(there.len(), "file", "files");
    print_line(&format!("{files} in {}, edited from {digest}", folder.display()))?;
    Ok(Exit::Ok)
}

/// The policy files of a folder.
fn files_of(shared: &Shared, folder: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let config = read_config(&shared.config)?;
    let mut policies = config.policies.clone();
    policies.folder = folder.to_owned();
    policy_folder(&Config { policies, ..config })
}

/// What a folder was edited from, where it says so.
fn base_of(folder: &Path) -> Result<Option<String>, CommandError> {
    match fs::read_to_string(folder.join(BASE)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(BASE, error)),
    }
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
        print_line(&format!("  from {} to {}", text(&answer, "/from"), text(&answer, "/to")))?;
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
