//! `safeconduct review export` and `review verify`: the evidence of a campaign as a folder, and
//! whether such a folder holds. Both read files alone: no server is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safeconduct_evidence::{
    Files, KeyFrom, Material, Proven, RECORDS_MAX, REPLAY_NAMED_MAX, Replayed, Selection, Verified,
};
use safeconduct_ledger::{CheckpointVerifier, decode};
use safeconduct_model::{Body, Record, ReviewedThing};
use safeconduct_policy::{Changes, Replay};
use safeconduct_review::WINDOW_DAYS;
use safeconduct_store::{Prover, VERIFIER_KEY};
use serde::Deserialize;
use serde_json::json;

use crate::args::Shared;
use crate::command::policy::draft::put::{self, Put};
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print, print_line};
use crate::story::plain;
use crate::wiring::project;

/// Most readings of the ledger until everything that belongs to a campaign is known.
const READINGS_MAX: usize = 16;

/// Most bytes that lie beside the records of one campaign.
const BESIDE_BYTES_MAX: usize = 1 << 30;

/// Most bytes of one file of a folder that is verified.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Most files and folders in a folder, and most bytes of all of them.
const FILES_MAX: usize = 10_000;
const FOLDER_BYTES_MAX: u64 = 2 << 30;

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
    let replays = replays(shared, campaign, &records)?;
    let material = Material {
        campaign: campaign.to_owned(),
        records,
        replays: Some(replays),
        beside,
        checkpoint: prover.note().to_vec(),
        key,
    };
    let files = safeconduct_evidence::pack(&material).map_err(|error| failed(campaign, error))?;
    write(out, &files)?;
    let (count, size) = (material.records.len(), prover.checkpoint().size);
    match shared.output {
        Format::Table => {
            material.replays.iter().flatten().try_for_each(|one| print_line(&in_words(one)))?;
            print_line(&format!(
                "{}: {} files, {count} records proved against the checkpoint over {size}; verify \
                 it with `safeconduct review verify {}`",
                out.display(),
                files.len(),
                out.display()
            ))?;
        }
        format => {
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            let value = json!({ "folder": out, "files": names, "records": count, "size": size });
            print(&output::document(format, &value)?)?;
        }
    }
    Ok(Exit::Ok)
}

/// What the decisions before each change of the policies would have been under it: computed now,
/// from the ledger. Where that cannot be, it is said why.
fn replays(
    shared: &Shared,
    campaign: &str,
    records: &[Proven],
) -> Result<Vec<Replayed>, CommandError> {
    let (mut put, mut window_days) = (BTreeMap::new(), WINDOW_DAYS);
    for proven in records {
        let record = decode(&proven.leaf).map_err(|error| failed(campaign, error))?;
        match &record.body {
            Body::PoliciesLoaded { digest, cause, .. } => {
                let by = cause.strip_prefix("proposal ").map(str::to_owned);
                by.map(|by| put.entry(by).or_insert_with(|| digest.to_string()));
            }
            Body::ReviewChanged(change)
                if change.what == ReviewedThing::Campaign && &*change.event == "created" =>
            {
                window_days = window_of(change.detail.as_str()).unwrap_or(window_days);
            }
            _ => {}
        }
    }
    if put.is_empty() {
        return Ok(Vec::new());
    }
    let mut computed = put::replays(shared, &put.keys().cloned().collect(), window_days);
    let all = put.into_iter().map(|(proposal, to)| {
        let empty = Replayed { proposal, to, ..Replayed::default() };
        match &mut computed {
            Ok(computed) => match computed.remove(&empty.proposal) {
                Some(put) => of_put(empty, put),
                None => Replayed { problem: Some("no record tells of it".into()), ..empty },
            },
            Err(error) => Replayed { problem: Some(error.to_string()), ..empty },
        }
    });
    Ok(all.collect())
}

/// The window of a campaign, in days.
fn window_of(created: &str) -> Option<u32> {
    let detail = safeconduct_wire::json::parse(created.as_bytes()).ok()?;
    let file = safeconduct_wire::campaign::of_value(detail.member("definition")?).ok()?;
    Some(file.plan.window_days)
}

fn of_put(empty: Replayed, put: Put) -> Replayed {
    let from = put.from.map(|from| from.to_string());
    let Replay { same, newly_denied, newly_permitted, not_replayable } = match put.replay {
        Ok(replay) => replay,
        Err(why) => return Replayed { from, problem: Some(why), ..empty },
    };
    let named = |changes: &Changes| {
        changes.listed.iter().take(REPLAY_NAMED_MAX).map(|one| one.id.to_string()).collect()
    };
    let changed = newly_denied.count + newly_permitted.count;
    Replayed {
        from,
        since: Some(put.since.to_string()),
        until: Some(put.until.to_string()),
        decisions: same + changed + not_replayable.count,
        same,
        newly_denied: newly_denied.count,
        newly_permitted: newly_permitted.count,
        not_replayable: not_replayable.count,
        denied: named(&newly_denied),
        permitted: named(&newly_permitted),
        ..empty
    }
}

/// A replay in a line.
fn in_words(one: &Replayed) -> String {
    let Replayed { proposal, decisions, same, newly_denied, newly_permitted, .. } = one;
    match &one.problem {
        Some(problem) => format!("{proposal}: not replayed: {problem}"),
        None => format!(
            "{proposal}: replayed {decisions} decisions: {same} the same, {newly_denied} newly \
             denied, {newly_permitted} newly permitted, {} not replayable",
            one.not_replayable
        ),
    }
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
            for line in told(&verified, files.len()) {
                print_line(&plain(&line))?;
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

/// What was found, in lines. Texts of the folder stand in them as they are: whoever prints them
/// takes out what a terminal would obey.
fn told(verified: &Verified, files: usize) -> Vec<String> {
    let word = if verified.holds() { "verified" } else { "NOT VERIFIED" };
    let signed = verified.checkpoint.as_ref().map_or_else(
        || "no checkpoint that holds".to_owned(),
        |checkpoint| {
            format!("checkpoint over {} records, root {}", checkpoint.size, checkpoint.root)
        },
    );
    let records = verified.records;
    let mut lines = vec![format!("{word}: {files} files, {records} records, {signed}")];
    lines.extend(verified.problems.iter().map(|problem| format!("- {problem}")));
    lines.extend(verified.review.as_ref().map(|review| {
        let signed = review.signed.as_ref().map_or_else(
            || "not signed off".to_owned(),
            |signed| format!("signed off by {} at {}", signed.by, signed.at),
        );
        let (name, cases, state) = (&review.name, review.cases.len(), review.state);
        let (id, digest) = (&review.id, review.digest);
        format!("campaign {id} `{name}`: {cases} rights, {state}, {signed}, digest {digest}")
    }));
    lines
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

/// Writes a folder that is not there yet: whole, or under a name of this process that says that it
/// is not.
fn write(out: &Path, files: &Files) -> Result<(), CommandError> {
    let shown = out.display().to_string();
    let no = |error: io::Error| failed(&shown, error);
    let mut space = Space::default();
    for bytes in files.values() {
        space.take(&shown, bytes.len() as u64)?;
    }
    if fs::symlink_metadata(out).is_ok() {
        return Err(failed(&shown, "there is something of that name already"));
    }
    let mut draft =
        out.file_name().ok_or_else(|| failed(&shown, "this names no folder"))?.to_owned();
    draft.push(format!(".{}.unfinished", std::process::id()));
    let draft = out.with_file_name(draft);
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).map_err(no)?;
    }
    // Whatever is there already is somebody else's: it is neither written to nor removed.
    fs::create_dir(&draft).map_err(|error| failed(&draft.display().to_string(), error))?;
    let written = filled(&draft, files).and_then(|()| fs::rename(&draft, out));
    if written.is_err() {
        // It was made above. Where it stays, its name says what it is.
        let _ = fs::remove_dir_all(&draft);
    }
    written.map_err(no)
}

fn filled(folder: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir(folder.join("beside"))?;
    files.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// How much of a folder was seen.
#[derive(Default)]
struct Space {
    entries: usize,
    bytes: u64,
}

impl Space {
    /// Counts a file or a folder.
    fn take(&mut self, name: &str, bytes: u64) -> Result<(), CommandError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        match self.entries > FILES_MAX || self.bytes > FOLDER_BYTES_MAX {
            true => Err(failed(name, "the folder has more than 10,000 files, or more than 2 GiB")),
            false => Ok(()),
        }
    }
}

/// The files of a folder, and of those in it.
fn read(folder: &Path) -> Result<Files, CommandError> {
    let mut files = BTreeMap::new();
    walk(folder, "", &mut files, &mut Space::default())?;
    Ok(files)
}

fn walk(
    folder: &Path,
    within: &str,
    files: &mut Files,
    space: &mut Space,
) -> Result<(), CommandError> {
    // Others chose the names in the folder.
    let shown = plain(&folder.display().to_string());
    let no = |error: io::Error| failed(&shown, error);
    for entry in fs::read_dir(folder).map_err(no)? {
        let entry = entry.map_err(no)?;
        let own = entry.file_name();
        let own = own.to_str().ok_or_else(|| failed(&shown, "a name in it is no UTF-8"))?;
        let name = format!("{within}{own}");
        let told = plain(&name);
        // A link leads to what is not in the folder.
        let kind = entry.file_type().map_err(no)?;
        let bytes = if kind.is_file() { entry.metadata().map_err(no)?.len() } else { 0 };
        space.take(&told, bytes)?;
        if kind.is_dir() && within.is_empty() {
            walk(&entry.path(), &format!("{name}/"), files, space)?;
        } else if kind.is_file() && bytes <= FILE_BYTES_MAX {
            files.insert(name, fs::read(entry.path()).map_err(no)?);
        } else {
            return Err(failed(&told, "this is no file of at most 1 GiB"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::from([("MANIFEST".to_owned(), b"m".to_vec()), ("beside/1".to_owned(), Vec::new())])
    }

    #[test]
    fn a_folder_is_written_whole_and_nothing_of_others_is_removed() {
        let all = tempfile::tempdir().unwrap();
        let out = all.path().join("new/review.2026");
        let foreign = all.path().join("new/review.unfinished");
        fs::create_dir_all(&foreign).unwrap();
        fs::write(foreign.join("kept"), "x").unwrap();
        write(&out, &files()).unwrap();
        assert_eq!(read(&out).unwrap(), files());
        assert!(foreign.join("kept").exists());
        assert!(write(&out, &files()).is_err(), "it is there");
        assert_eq!(fs::read_dir(all.path().join("new")).unwrap().count(), 2);

        let other = all.path().join("other");
        let draft = all.path().join(format!("other.{}.unfinished", std::process::id()));
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join("kept"), "x").unwrap();
        assert!(write(&other, &files()).is_err());
        assert!(draft.join("kept").exists() && !other.exists());
        assert!(write(Path::new("/"), &files()).is_err());
    }

    #[test]
    fn what_does_not_go_in_a_folder_leaves_no_draft() {
        let all = tempfile::tempdir().unwrap();
        let files = Files::from([("nowhere/1".to_owned(), Vec::new())]);
        assert!(write(&all.path().join("out"), &files).is_err());
        assert_eq!(fs::read_dir(all.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_of_others_has_its_bounds_and_steers_no_terminal() {
        let all = tempfile::tempdir().unwrap();
        let evil = "\u{1b}[2K\u{1b}[1Averified";
        fs::create_dir_all(all.path().join("a").join(evil)).unwrap();
        let error = read(all.path()).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.contains("u{1b}"), "{error}");

        let mut space = Space { entries: FILES_MAX - 1, bytes: 0 };
        space.take("a", FOLDER_BYTES_MAX).unwrap();
        assert!(space.take("a", 0).is_err());
        assert!(Space::default().take("a", FOLDER_BYTES_MAX + 1).is_err());

        let problems = vec![format!("`{evil}` is missing")];
        let (checkpoint, review, key) = (None, None, KeyFrom::Folder);
        let lines = told(&Verified { problems, records: 0, checkpoint, key, review }, 1);
        assert!(lines[0].starts_with("NOT VERIFIED") && lines[1].contains('\u{1b}'));
        assert!(lines.iter().all(|line| !plain(line).contains('\u{1b}')));
    }
}
