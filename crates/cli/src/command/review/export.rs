//! `safeconduct review export` and `review verify`: the evidence of a campaign as a folder, and
//! whether such a folder holds. Both read files alone: no server is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safeconduct_evidence::{Files, KeyFrom, Material, Proven, RECORDS_MAX, Selection};
use safeconduct_ledger::{CheckpointVerifier, decode};
use safeconduct_model::{Body, Record};
use safeconduct_store::{Prover, VERIFIER_KEY};
use serde::Deserialize;
use serde_json::json;

use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print, print_line};
use crate::wiring::project;

/// Most readings of the ledger until everything that belongs to a campaign is known.
const READINGS_MAX: usize = 16;

/// Most bytes that lie beside the records of one campaign.
const BESIDE_BYTES_MAX: usize = 1 << 30;

/// Most bytes of one file of a folder that is verified.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// `review export`.
///
/// # Errors
/// The data folder cannot be read, its records do not make the campaign, or the folder is there
/// already.
pub(super) fn export(
    shared: &Shared,
    campaign: &str,
    out: &Path,
    key: Option<PathBuf>,
) -> Result<Exit, CommandError> {
    let config = project::read_config(&shared.config)?;
    let shown = config.data.display().to_string();
    let (key, verifier) = verifier(&key.unwrap_or_else(|| config.keys.join(VERIFIER_KEY)))?;
    let (prover, records, steps) = proven(&config.data, &verifier, campaign)?;
    let beside = safeconduct_store::attachments(&config.data, &steps);
    let beside = beside.map_err(|error| failed(&shown, error))?;
    if beside.values().map(Vec::len).sum::<usize>() > BESIDE_BYTES_MAX {
        return Err(failed(campaign, "more than 1 GiB lies beside its records"));
    }
    let material = Material {
        campaign: campaign.to_owned(),
        records,
        beside,
        checkpoint: prover.note().to_vec(),
        key,
    };
    let files = safeconduct_evidence::pack(&material).map_err(|error| failed(campaign, error))?;
    write(out, &files)?;
    let (count, size) = (material.records.len(), prover.checkpoint().size);
    match shared.output {
        Format::Table => print_line(&format!(
            "{}: {} files, {count} records proved against the checkpoint over {size}; verify it \
             with `safeconduct review verify {}`",
            out.display(),
            files.len(),
            out.display()
        ))?,
        format => {
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            let value = json!({ "folder": out, "files": names, "records": count, "size": size });
            print(&output::document(format, &value)?)?;
        }
    }
    Ok(Exit::Ok)
}

/// How often a checkpoint over the newest records is waited for, and how long each time: a server
/// that runs signs one within a second.
const CHECKPOINTS: u32 = 50;
const CHECKPOINT_WAIT: Duration = Duration::from_millis(200);

/// All records of a campaign with their proofs, and which of them have something beside them.
fn proven(
    data: &Path,
    verifier: &CheckpointVerifier,
    campaign: &str,
) -> Result<(Prover, Vec<Proven>, BTreeSet<u64>), CommandError> {
    let shown = data.display().to_string();
    for _ in 0..CHECKPOINTS {
        let prover = Prover::open(data, verifier).map_err(|error| failed(&shown, error))?;
        let selection = selection(data, campaign)?;
        let (mut records, mut steps, mut beyond) = (Vec::new(), BTreeSet::new(), false);
        each(data, &selection, |sequence, leaf, record| {
            if !selection.holds(record) {
                return Ok(());
            }
            if records.len() == RECORDS_MAX {
                return Err(io::Error::other(format!(
                    "more than {RECORDS_MAX} records tell of it"
                )));
            }
            beyond |= sequence >= prover.checkpoint().size;
            if beyond {
                return Ok(());
            }
            if matches!(record.body, Body::ReviewChanged(_)) {
                steps.insert(sequence);
            }
            let proof = prover.prove(sequence, leaf).map_err(|error| {
                io::Error::other(format!("record {sequence} cannot be proved: {error}"))
            })?;
            records.push(Proven { sequence, leaf: leaf.to_vec(), proof });
            Ok(())
        })?;
        if !beyond {
            return Ok((prover, records, steps));
        }
        std::thread::sleep(CHECKPOINT_WAIT);
    }
    Err(failed(&shown, "no checkpoint is signed over the newest records: does its server run?"))
}

/// `review verify`.
///
/// # Errors
/// The folder or the key cannot be read.
pub(super) fn verify(
    shared: &Shared,
    folder: &Path,
    key: Option<&Path>,
) -> Result<Exit, CommandError> {
    let key = key.map(verifier).transpose()?.map(|(_, verifier)| verifier);
    let files = read(folder)?;
    let verified = safeconduct_evidence::verify(&files, key.as_ref());
    let review = verified.review.as_ref();
    match shared.output {
        Format::Table => {
            let word = if verified.holds() { "verified" } else { "NOT VERIFIED" };
            let signed = verified.checkpoint.as_ref().map_or_else(
                || "no checkpoint that holds".to_owned(),
                |checkpoint| {
                    format!("checkpoint over {} records, root {}", checkpoint.size, checkpoint.root)
                },
            );
            let records = verified.records;
            print_line(&format!("{word}: {} files, {records} records, {signed}", files.len()))?;
            for problem in &verified.problems {
                print_line(&format!("- {problem}"))?;
            }
            if let Some(review) = review {
                let signed = review.signed.as_ref().map_or_else(
                    || "not signed off".to_owned(),
                    |signed| format!("signed off by {} at {}", signed.by, signed.at),
                );
                let (name, cases, state) = (&review.name, review.cases.len(), review.state);
                print_line(&format!(
                    "campaign {} `{name}`: {cases} rights, {state}, {signed}, digest {}",
                    review.id, review.digest
                ))?;
            }
            if verified.key == KeyFrom::Folder {
                output::say(
                    "by the key in the folder itself: that shows that the folder is whole, not \
                     whose it is; name the ledger's own with --key",
                );
            }
        }
        format => {
            let value = json!({
                "verified": verified.holds(),
                "problems": verified.problems,
                "records": verified.records,
                "key": match verified.key {
                    KeyFrom::Given => "given",
                    KeyFrom::Folder => "folder",
                },
                "campaign": review.map(|review| json!({
                    "id": review.id,
                    "name": review.name,
                    "state": review.state,
                    "cases": review.cases.len(),
                    "population": review.population.to_string(),
                    "digest": review.digest.to_string(),
                    "signed_by": review.signed.as_ref().map(|signed| &signed.by),
                })),
            });
            print(&output::document(format, &value)?)?;
        }
    }
    Ok(if verified.holds() { Exit::Ok } else { Exit::Failure })
}

/// The text of a verifier key, and what checks by it.
fn verifier(file: &Path) -> Result<(String, CheckpointVerifier), CommandError> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| failed(&shown, error))?;
    let verifier = CheckpointVerifier::parse(text.trim()).map_err(|error| failed(&shown, error))?;
    Ok((text.trim().to_owned(), verifier))
}

/// What belongs to a campaign: the steps of reviews are read until nothing new is found.
fn selection(data: &Path, campaign: &str) -> Result<Selection, CommandError> {
    let mut selection = Selection::of(campaign);
    for _ in 0..READINGS_MAX {
        let before = selection.extent();
        let known = selection.clone();
        each(data, &known, |_, _, record| {
            selection.learn(record);
            Ok(())
        })?;
        if selection.extent() == before {
            return Ok(selection);
        }
    }
    Err(failed(campaign, "what came of it goes on for too long to be told"))
}

/// What is looked at of every record, before it is read in whole.
#[derive(Deserialize)]
struct Glimpse<'a> {
    #[serde(borrow)]
    id: &'a str,
    #[serde(borrow)]
    kind: &'a str,
}

/// Reads every record that a selection could hold or learn from.
fn each(
    data: &Path,
    selection: &Selection,
    mut each: impl FnMut(u64, &[u8], &Record) -> io::Result<()>,
) -> Result<(), CommandError> {
    let read = safeconduct_store::read(data, &mut |leaf| {
        let sequence = leaf.sequence;
        let unread =
            |error: &dyn std::fmt::Display| io::Error::other(format!("record {sequence}: {error}"));
        let glimpse: Glimpse<'_> =
            serde_json::from_slice(leaf.bytes).map_err(|error| unread(&error))?;
        if !selection.looks_at(glimpse.kind, glimpse.id) {
            return Ok(());
        }
        let record = decode(leaf.bytes).map_err(|error| unread(&error))?;
        each(sequence, leaf.bytes, &record)
    });
    read.map(drop).map_err(|error| failed(&data.display().to_string(), error))
}

/// Writes a folder that is not there yet: whole, or under another name that says that it is not.
fn write(out: &Path, files: &Files) -> Result<(), CommandError> {
    let shown = out.display().to_string();
    let no = |error: io::Error| failed(&shown, error);
    if out.exists() {
        return Err(failed(&shown, "there is something of that name already"));
    }
    let draft = out.with_extension("unfinished");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(no)?;
    }
    fs::create_dir_all(draft.join("beside")).map_err(no)?;
    for (name, bytes) in files {
        fs::write(draft.join(name), bytes).map_err(no)?;
    }
    fs::rename(&draft, out).map_err(no)
}

/// The files of a folder, and of those in it.
fn read(folder: &Path) -> Result<Files, CommandError> {
    let mut files = BTreeMap::new();
    walk(folder, "", &mut files)?;
    Ok(files)
}

fn walk(folder: &Path, within: &str, files: &mut Files) -> Result<(), CommandError> {
    let shown = folder.display().to_string();
    let no = |error: io::Error| failed(&shown, error);
    for entry in fs::read_dir(folder).map_err(no)? {
        let entry = entry.map_err(no)?;
        let name = format!("{within}{}", entry.file_name().to_string_lossy());
        // A link leads to what is not in the folder.
        let kind = entry.file_type().map_err(no)?;
        if kind.is_dir() && within.is_empty() {
            walk(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() && entry.metadata().map_err(no)?.len() <= FILE_BYTES_MAX {
            files.insert(name, fs::read(entry.path()).map_err(no)?);
        } else {
            return Err(failed(&name, "this is no file of at most 1 GiB"));
        }
    }
    Ok(())
}
