//! The ledger's files themselves: no server is needed, and one may run meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_ledger::CheckpointVerifier;
use safeconduct_store::{Store, StoreOptions, VERIFIER_KEY, Verified};
use serde_json::json;

use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print, print_line};
use crate::wiring::{project, runtime, server};

/// What a verification came to.
pub(crate) struct Report {
    /// Whether nothing is wrong.
    pub(crate) sound: bool,
    /// In one line.
    pub(crate) summary: String,
    /// Each problem.
    pub(crate) problems: Vec<String>,
    verified: Verified,
}

/// Verifies a data folder with the key in a folder of keys.
///
/// # Errors
/// The key or the folder cannot be read.
pub(crate) fn verified(data: &Path, keys: &Path) -> Result<Report, CommandError> {
    report(data, &keys.join(VERIFIER_KEY), None)
}

fn report(data: &Path, key: &Path, against: Option<&Path>) -> Result<Report, CommandError> {
    let shown = key.display().to_string();
    let text = fs::read_to_string(key).map_err(|error| failed(&shown, error))?;
    let verifier = CheckpointVerifier::parse(text.trim()).map_err(|error| failed(&shown, error))?;
    let kept = against
        .map(|file| fs::read(file).map_err(|error| failed(&file.display().to_string(), error)))
        .transpose()?;
    let verified = safeconduct_store::verify(data, &verifier, kept.as_deref())
        .map_err(|error| failed(&data.display().to_string(), error))?;
    let sound = verified.is_whole();
    let signed = verified.checkpoint.as_ref().map_or_else(
        || "no checkpoint yet".to_owned(),
        |checkpoint| {
            format!("checkpoint over {} records, root {}", checkpoint.size, checkpoint.root)
        },
    );
    let summary = if sound {
        format!("verified: {} records, {signed}", verified.records)
    } else {
        let count = verified.problems.len() as u64 + verified.more_problems;
        format!("NOT VERIFIED: {count} problems; {} records are whole, {signed}", verified.records)
    };
    let problems = verified.problems.iter().map(ToString::to_string).collect();
    Ok(Report { sound, summary, problems, verified })
}

/// `log verify`.
pub(super) fn verify(
    shared: &Shared,
    against: Option<PathBuf>,
    data: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Exit, CommandError> {
    let (data, key) = match (data, key) {
        (Some(data), Some(key)) => (data, key),
        (data, key) => {
            let config = project::read_config(&shared.config)?;
            let key = key.unwrap_or_else(|| config.keys.join(VERIFIER_KEY));
            (data.unwrap_or(config.data), key)
        }
    };
    let report = report(&data, &key, against.as_deref())?;
    match shared.output {
        Format::Table => {
            print_line(&report.summary)?;
            for problem in &report.problems {
                print_line(&format!("- {problem}"))?;
            }
            if report.verified.more_problems > 0 {
                print_line(&format!("- and {} more", report.verified.more_problems))?;
            }
        }
        format => {
            let value = json!({
                "verified": report.sound,
                "records": report.verified.records,
                "problems": report.problems,
                "first_bad": report.verified.problems.iter().filter_map(|p| p.first_bad()).min(),
                "more_problems": report.verified.more_problems,
                "torn_tail": report.verified.torn_tail,
            });
            print(&output::document(format, &value)?)?;
        }
    }
    Ok(if report.sound { Exit::Ok } else { Exit::Failure })
}

/// `log checkpoint`.
pub(super) fn checkpoint(shared: &Shared) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let shown = config.data.display().to_string();
    let note = safeconduct_store::published_checkpoint(&config.data)
        .map_err(|error| failed(&shown, error))?
        .ok_or_else(|| CommandError::Failed(format!("`{shown}` has no checkpoint yet")))?;
    print(&String::from_utf8_lossy(&note))?;
    Ok(Exit::Ok)
}

/// `log fsck`.
pub(super) fn fsck(shared: &Shared) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let condition = safeconduct_store::fsck(&config.data);
    let mut lines = vec![format!("data folder  {}", config.data.display())];
    if let Some(owner) = &condition.owner {
        lines.push(format!("in use       by process {owner}"));
    }
    for segment in &condition.segments {
        lines.push(format!(
            "segment      from record {}: {} records, {} bytes",
            segment.first, segment.records, segment.bytes
        ));
    }
    lines.push(format!("records      {}", condition.records));
    for (state, count) in &condition.attachments {
        lines.push(format!("attachments  {count} {state}"));
    }
    if let Some(torn) = &condition.torn {
        lines.push(format!("torn tail    {torn}"));
        lines.push("             the next start cuts it: nothing in it was ever answered".into());
    }
    match &condition.checkpoint {
        None => lines.push("checkpoint   none; the next start makes one".into()),
        Some(Ok(signed)) => lines.push(format!("checkpoint   claims {signed} records")),
        Some(Err(problem)) => lines.push(format!("checkpoint   DAMAGED: {problem}")),
    }
    let Some(problem) = &condition.problem else {
        lines.push(
            "the segments are one whole ledger; `log verify` checks it against what was signed"
                .into(),
        );
        print(&(lines.join("\n") + "\n"))?;
        let damaged = matches!(condition.checkpoint, Some(Err(_)));
        return Ok(if damaged { Exit::Failure } else { Exit::Ok });
    };
    lines.push(format!("PROBLEM      {problem}"));
    lines.push(
        "             a record that was once durable is damaged and is not repaired: keep this\n\
         \u{20}            folder as evidence, restore it from a copy, and compare with a checkpoint\n\
         \u{20}            kept elsewhere (`log verify --against FILE`)"
            .into(),
    );
    print(&(lines.join("\n") + "\n"))?;
    Ok(Exit::Failure)
}

/// `log rebuild`.
pub(super) fn rebuild(shared: &Shared) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let mut options =
        StoreOptions::new(config.data.clone(), config.keys.clone(), server::origin()?);
    options.queue_entries = config.queue;
    let rebuilt = runtime()?.block_on(Store::rebuild(options));
    let records = rebuilt.map_err(|error| failed("the ledger cannot be opened", error))?;
    print_line(&format!("rebuilt from {records} records"))?;
    Ok(Exit::Ok)
}
