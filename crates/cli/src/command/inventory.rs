//! `safeconduct estate import` and `safeconduct estate who IDENTITY`: who comes from elsewhere,
//! and all that hangs on one of them.

use std::fs;
use std::path::Path;

use reqwest::Method;
use safeconduct_wire::import::IMPORT_BYTES_MAX;
use serde_json::Value;

use crate::args::{EstateImport, Remote, Shared};
use crate::client::Client;
use crate::command::identity::segment;
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, counted, print, print_line};

/// Most wrong rows that are shown in words.
const WRONG_SHOWN_MAX: usize = 50;

/// Sends a file to be imported.
pub(crate) async fn import(shared: &Shared, args: EstateImport) -> Result<Exit, CommandError> {
    let file = args.file.display().to_string();
    let bytes = read(&args.file, &file)?;
    let name = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let flag = |set: bool| set.then(|| "true".to_owned());
    let query = [
        ("as", Some(args.form)),
        ("name", name),
        ("dry_run", flag(args.dry_run)),
        ("partial", flag(args.partial)),
        ("kind", args.kind),
        ("owner", args.owner),
        ("fallback_owner", args.fallback_owner),
        ("environment", args.environment),
        ("issuer", args.issuer),
    ];
    let query = query.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query: Vec<(&str, String)> = query.collect();
    let client = Client::new(shared, &args.remote)?;
    let report = client.upload("/v1/imports", &query, bytes).await?;
    let refused = text(&report, "state") == "refused";
    match shared.output {
        Format::Table => said(&file, &report)?,
        format => print(&output::document(format, &report)?)?,
    }
    Ok(if refused { Exit::Invalid } else { Exit::Ok })
}

fn read(path: &Path, name: &str) -> Result<Vec<u8>, CommandError> {
    let size = fs::metadata(path).map_err(|error| failed(name, error))?.len();
    if size > IMPORT_BYTES_MAX as u64 {
        return Err(not_valid(format!("{name}: is longer than {IMPORT_BYTES_MAX} bytes")));
    }
    fs::read(path).map_err(|error| failed(name, error))
}

fn said(file: &str, report: &Value) -> Result<(), CommandError> {
    let rows = report.get("wrong_rows").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    for row in rows.iter().take(WRONG_SHOWN_MAX) {
        let (field, problem) = (text(row, "field"), text(row, "problem"));
        print_line(&format!("{file}:{}: `{field}`: {problem}", number(row, "line")))?;
    }
    let wrong = number(report, "wrong");
    let more = wrong.saturating_sub(rows.len().min(WRONG_SHOWN_MAX));
    if more > 0 {
        print_line(&format!("and {more} more rows that are wrong"))?;
    }
    let counts = format!(
        "{} new, {} changed, {} as they were",
        number(report, "new"),
        number(report, "changed"),
        number(report, "same")
    );
    let rows = counted(number(report, "rows"), "identity", "identities");
    print_line(&match text(report, "state") {
        "refused" => format!(
            "nothing is imported: {} of {rows} {} wrong; `--partial` imports the others",
            wrong,
            if wrong == 1 { "is" } else { "are" }
        ),
        "checked" => format!("{rows}: would be {counts}"),
        _ => format!("{rows}: {counts} (import {})", text(report, "id")),
    })?;
    for (name, one, many) in [
        (
            "unowned",
            "has no owner or no fallback owner, and is",
            "have no owner or no fallback owner, and are",
        ),
        ("orphaned", "has nobody active who answers: see", "have nobody active who answers: see"),
    ] {
        let count = number(report, name);
        if count == 0 {
            continue;
        }
        let words = if count == 1 { one } else { many };
        let what = if name == "unowned" { "suspended until there is one" } else { "`estate owns`" };
        print_line(&format!("{count} {words} {what}"))?;
    }
    Ok(())
}

/// Shows one identity with all that hangs on it.
pub(crate) async fn who(
    shared: &Shared,
    identity: &str,
    remote: &Remote,
) -> Result<Exit, CommandError> {
    let path = format!("/v1/estate/who/{}", segment(identity));
    let one = Client::new(shared, remote)?.call(Method::GET, &path, &[], None).await?;
    if shared.output != Format::Table {
        print(&output::document(shared.output, &one)?)?;
        return Ok(Exit::Ok);
    }
    let mut lines = Vec::new();
    for name in [
        "id",
        "kind",
        "status",
        "owner",
        "fallback_owner",
        "sponsor",
        "environment",
        "orphaned",
        "first_seen",
        "last_seen",
    ] {
        if let Some(value) = one.get(name).and_then(Value::as_str) {
            lines.push((name.to_owned(), value.to_owned()));
        }
    }
    lines.extend(joined(&one, "groups").map(|groups| ("groups".to_owned(), groups)));
    lines.extend(joined(&one, "roles").map(|roles| ("roles".to_owned(), roles)));
    if let Some(imported) = one.get("imported").and_then(Value::as_object) {
        let parts = imported.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        lines.push(("imported".to_owned(), parts.collect::<Vec<_>>().join(", ")));
    }
    if let Some(intents) = one.get("intents").and_then(Value::as_object) {
        for (intent, tasks) in intents {
            let tasks =
                counted(usize::try_from(tasks.as_u64().unwrap_or(0)).unwrap_or(0), "task", "tasks");
            lines.push(("intent".to_owned(), format!("{intent}: {tasks}")));
        }
    }
    for task in items(&one, "live_tasks") {
        let (id, intent, agent) = (text(task, "id"), text(task, "intent"), text(task, "agent"));
        lines.push(("live task".to_owned(), format!("{id}: {intent} by {agent}")));
    }
    for token in items(&one, "tokens") {
        let used = token.get("last_used").and_then(Value::as_str).unwrap_or("never");
        let (id, until) = (text(token, "id"), text(token, "expires_at"));
        lines.push(("token".to_owned(), format!("{id} until {until}, last used {used}")));
    }
    for lease in items(&one, "leases") {
        let (id, target, task) = (text(lease, "id"), text(lease, "target"), text(lease, "task"));
        lines.push(("lease".to_owned(), format!("{id} at {target} for {task}")));
    }
    for name in ["grants", "passkeys", "sessions"] {
        lines.push((name.to_owned(), number(&one, name).to_string()));
    }
    lines.extend(joined(&one, "shared_by").map(|who| ("used by".to_owned(), who)));
    for (name, value) in lines {
        print_line(&format!("{name:<15} {value}"))?;
    }
    Ok(Exit::Ok)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> usize {
    value.get(name).and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or_default()
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn joined(value: &Value, name: &str) -> Option<String> {
    let words: Vec<_> = items(value, name).filter_map(Value::as_str).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
