//! A ledger that somebody changed: `log verify` finds it, `log fsck` explains it.

use std::fs;
use std::path::{Path, PathBuf};

use safeconduct_tests::project::Project;
use safeconduct_tests::server::{Server, verify};
use safeconduct_tests::tools;
use serde_json::json;

use crate::world::{self, AGENT, may_put};

/// Bytes of a segment's own header, and of a frame's.
const SEGMENT_HEADER: usize = 64;
const FRAME_HEADER: usize = 40;

/// A ledger with some traffic in it, its server stopped.
fn ledger(questions: usize) -> Project {
    let project = world::project();
    ask(&project, questions);
    verify(&project);
    project
}

fn ask(project: &Project, questions: usize) {
    let server = Server::start(project);
    let (_, token) = server.mint(AGENT);
    for n in 0..questions {
        server.evaluate(&token, &may_put(AGENT, &n.to_string()));
    }
    assert_eq!(
        server.mcp("box", &token).call("put", &json!({ "id": "x" })).unwrap()["error"],
        json!(null)
    );
    server.stop();
}

fn segment(project: &Project) -> PathBuf {
    let folder = project.path("data/segments");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with('0'));
    files.sort();
    files.remove(0)
}

/// A copy with its data, to be tampered with.
fn with_data(project: &Project) -> Project {
    let copy = Project::copy_of(project.folder());
    for name in ["data", "keys"] {
        safeconduct_tests::project::copy(&project.path(name), &copy.path(name));
    }
    copy
}

fn verified(project: &Project, more: &[&str]) -> (i32, String) {
    let args: Vec<&str> = ["log", "verify"].iter().chain(more).copied().collect();
    let (code, out, err) = tools::run(&project.config(), &args);
    (code, out + err.as_str())
}

#[track_caller]
fn finds(what: &str, project: &Project, more: &[&str]) {
    let (code, told) = verified(project, more);
    assert_eq!(code, 1, "{what}: {told}");
    assert!(told.contains("NOT VERIFIED"), "{what}: {told}");
}

/// Where each frame begins and ends.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut found = Vec::new();
    let mut at = SEGMENT_HEADER;
    while bytes.len() > at + FRAME_HEADER && &bytes[at..at + 4] == b"SCF1" {
        let end = (at + FRAME_HEADER + number(at + 4) + number(at + 24)).next_multiple_of(8);
        found.push((at, end));
        at = end;
    }
    found
}

/// A frame as record number `sequence`, its checksums made to fit: what somebody does who knows
/// the format.
fn renumbered(frame: &[u8], sequence: u64) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..24].copy_from_slice(&sequence.to_le_bytes());
    let leaf = u32::from_le_bytes(frame[4..8].try_into().unwrap()) as usize;
    let checked = crc32c::crc32c(&frame[..28]);
    let checksum = crc32c::crc32c_append(checked, &frame[FRAME_HEADER..FRAME_HEADER + leaf]);
    frame[28..32].copy_from_slice(&checksum.to_le_bytes());
    frame
}

/// The same segment with other frames in it, numbered through.
fn rewritten(bytes: &[u8], frames: &[&[u8]]) -> Vec<u8> {
    let mut out = bytes[..SEGMENT_HEADER].to_vec();
    for (sequence, frame) in (0..).zip(frames) {
        out.extend(renumbered(frame, sequence));
    }
    out.resize(bytes.len(), 0);
    out
}

#[test]
fn a_flipped_bit_anywhere() {
    let project = ledger(20);
    let file = segment(&project);
    let whole = fs::read(&file).unwrap();
    let used = frames(&whole).last().unwrap().1;
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..24 {
        let (at, bit) = (random.usize(0..used), random.u8(0..8));
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&file, &bytes).unwrap();
        finds(&format!("bit {bit} of byte {at}"), &project, &[]);
    }
    // The server does not start on it, and says which record is bad; fsck explains.
    let talk = Server::try_start(&project, tools::command()).expect_err("a corrupt ledger");
    assert!(talk.contains("record") || talk.contains("segment"), "{talk}");
    let (code, out, err) = tools::run(&project.config(), &["log", "fsck"]);
    assert_ne!(code, 0, "{out}{err}");
    assert!(out.contains("PROBLEM"), "{out}{err}");
    fs::write(&file, &whole).unwrap();
    verify(&project);
    let (code, out, err) = tools::run(&project.config(), &["log", "fsck"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn records_dropped_and_swapped_by_someone_who_knows_the_format() {
    let project = ledger(20);
    let file = segment(&project);
    let whole = fs::read(&file).unwrap();
    let places = frames(&whole);
    let all: Vec<&[u8]> = places.iter().map(|(from, to)| &whole[*from..*to]).collect();
    assert!(all.len() > 25, "{} records", all.len());
    // Renumbering alone changes nothing that is signed.
    fs::write(&file, rewritten(&whole, &all)).unwrap();
    verify(&project);
    for at in [0, 1, all.len() / 2, all.len() - 1] {
        let mut dropped = all.clone();
        dropped.remove(at);
        fs::write(&file, rewritten(&whole, &dropped)).unwrap();
        finds(&format!("record {at} dropped"), &project, &[]);
        if at + 1 == all.len() {
            // What is added at the end is what no checkpoint speaks of yet.
            continue;
        }
        let mut doubled = all.clone();
        doubled.insert(at, all[at]);
        fs::write(&file, rewritten(&whole, &doubled)).unwrap();
        finds(&format!("record {at} doubled"), &project, &[]);
    }
    for (a, b) in [(10, 11), (5, 20), (all.len() - 2, all.len() - 1)] {
        let mut swapped = all.clone();
        swapped.swap(a, b);
        fs::write(&file, rewritten(&whole, &swapped)).unwrap();
        finds(&format!("records {a} and {b} swapped"), &project, &[]);
    }
    // The frames as they are, without a new number.
    let (from, to) = places[12];
    let mut cut = whole.clone();
    cut.drain(from..to);
    fs::write(&file, cut).unwrap();
    finds("a frame cut out", &project, &[]);
}

fn checkpoint_file(project: &Project) -> PathBuf {
    fn walk(folder: &Path) -> Option<PathBuf> {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = match path.is_dir() {
                true => walk(&path),
                false => (path.file_name().unwrap() == "checkpoint").then_some(path),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
    walk(&project.path("data")).expect("no checkpoint below the data folder")
}

#[test]
fn a_replaced_checkpoint() {
    let project = ledger(10);
    let file = checkpoint_file(&project);
    let whole = fs::read_to_string(&file).unwrap();
    let size = whole.lines().nth(1).unwrap();
    let larger = (size.parse::<u64>().unwrap() + 1).to_string();
    fs::write(&file, whole.replacen(&format!("\n{size}\n"), &format!("\n{larger}\n"), 1)).unwrap();
    finds("a checkpoint of another size", &project, &[]);
    let other = ledger(10);
    fs::copy(checkpoint_file(&other), &file).unwrap();
    finds("another ledger's checkpoint", &project, &[]);
    fs::remove_file(&file).unwrap();
    finds("no checkpoint", &project, &[]);
    fs::write(&file, "").unwrap();
    finds("an empty checkpoint", &project, &[]);
    // Nothing goes on beside one that was garbled: it is said which file, and what to do.
    let (code, _, err) = tools::run(&project.config(), &["log", "rebuild"]);
    assert_ne!(code, 0, "{err}");
    assert!(err.contains("tlog/checkpoint") && err.contains("log fsck"), "{err}");
    let (code, out, err) = tools::run(&project.config(), &["log", "fsck"]);
    assert_ne!(code, 0, "{out}{err}");
    assert!(out.contains("DAMAGED"), "{out}");
    fs::write(&file, &whole).unwrap();
    verify(&project);
    // One that is gone is made again, as all that is derived.
    fs::remove_file(&file).unwrap();
    let (code, out, err) = tools::run(&project.config(), &["log", "rebuild"]);
    assert_eq!(code, 0, "{out}{err}");
    verify(&project);
}

#[test]
fn a_truncated_tail_and_a_fork_against_a_kept_checkpoint() {
    let project = ledger(10);
    let earlier = with_data(&project);
    ask(&project, 10);
    let (code, kept, err) = tools::run(&project.config(), &["log", "checkpoint"]);
    assert_eq!(code, 0, "{err}");
    project.write("kept", &kept);
    let kept = project.path("kept").display().to_string();
    let against = ["--against", kept.as_str()];
    let (code, told) = verified(&project, &against);
    assert_eq!(code, 0, "{told}");
    // The ledger as it was before: whole in itself, and shorter than what was signed since.
    verify(&earlier);
    finds("a truncated tail", &earlier, &against);
    // And grown past it in another way, by somebody who has the keys.
    ask(&earlier, 40);
    verify(&earlier);
    finds("a fork", &earlier, &against);
    // The honest one may grow.
    ask(&project, 10);
    let (code, told) = verified(&project, &against);
    assert_eq!(code, 0, "{told}");
    let other = ledger(5);
    finds("another ledger", &other, &against);
    // Records that are gone from the end without their checkpoint.
    let file = segment(&project);
    let whole = fs::read(&file).unwrap();
    let (from, _) = *frames(&whole).last().unwrap();
    let mut short = whole[..from].to_vec();
    short.resize(whole.len(), 0);
    fs::write(&file, short).unwrap();
    finds("the last record zeroed", &project, &[]);
}
