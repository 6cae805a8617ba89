//! Damage done to real files, and that each is found.

use std::fs;
use std::path::Path;

use safeconduct_ledger::{CheckpointVerifier, ProofError};

use super::*;
use crate::frame::{HEADER_BYTES, Header, push_frame};
use crate::{
    OpenError, Problem, ProveError, Prover, ScanError, Verified, fsck, segment, tlog, verify,
};

fn verifier(folder: &Folder) -> CheckpointVerifier {
    let text = fs::read_to_string(folder.keys().join(crate::VERIFIER_KEY)).unwrap();
    CheckpointVerifier::parse(&text).unwrap()
}

fn check(folder: &Folder, against: Option<&[u8]>) -> Verified {
    verify(&folder.data(), &verifier(folder), against).unwrap()
}

fn first_bad(verified: &Verified) -> Option<u64> {
    verified.problems.iter().filter_map(Problem::first_bad).min()
}

/// One segment of so many records.
fn ledger(records: u64) -> Folder {
    let folder = Folder::new();
    let store = one_segment(&folder);
    append(&store, (0..records).map(entry).collect());
    store.close();
    assert!(check(&folder, None).is_whole());
    folder
}

fn one_segment(folder: &Folder) -> Store {
    Store::open(StoreOptions { segment_bytes: 1 << 20, ..folder.options() }).unwrap()
}

fn checkpoint(folder: &Folder) -> Vec<u8> {
    crate::published_checkpoint(&folder.data()).unwrap().unwrap()
}

/// The leaves of a segment.
fn leaves(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut leaves) = (segment::HEADER_BYTES as usize, Vec::new());
    while let Ok(header) = Header::parse(bytes[at..].first_chunk().unwrap()) {
        let leaf = at + HEADER_BYTES;
        leaves.push(bytes[leaf..leaf + header.leaf_bytes].to_vec());
        at += header.frame_bytes() as usize;
    }
    leaves
}

/// Writes a segment anew, as someone would who knows the format: numbers and checksums fit.
fn write_leaves(path: &Path, leaves: &[Vec<u8>]) {
    let before = fs::read(path).unwrap();
    let mut bytes = before[..segment::HEADER_BYTES as usize].to_vec();
    for (sequence, leaf) in (0..).zip(leaves) {
        let entry = Entry { leaf: leaf.clone(), attachment: None };
        push_frame(&mut bytes, sequence, sequence, &entry);
    }
    bytes.resize(before.len(), 0);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_ledger_verifies_at_every_size() {
    for records in [0, 1, 2, 255, 256, 257, 700] {
        let folder = Folder::new();
        let store = one_segment(&folder);
        if records > 0 {
            append(&store, (0..records).map(entry).collect());
        }
        // Beside the running server, too.
        block_on(store.publish());
        let verified = check(&folder, None);
        assert!(verified.is_whole(), "{:?}", verified.problems);
        assert_eq!((verified.records, verified.torn_tail), (records, false));
        store.close();
        let verified = check(&folder, Some(&checkpoint(&folder)));
        assert!(verified.is_whole(), "{:?}", verified.problems);
        assert_eq!(verified.checkpoint.unwrap().size, records);
    }
}

#[test]
fn one_flipped_bit_anywhere_is_found() {
    let folder = ledger(40);
    let path = segment::path(&folder.data(), 0);
    let good = fs::read(&path).unwrap();
    let end = good.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..=end).step_by(7).chain([end]) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, bad).unwrap();
        assert!(!check(&folder, None).is_whole(), "byte {at}");
    }
    fs::write(&path, good).unwrap();
    assert!(check(&folder, None).is_whole());
}

#[test]
fn one_flipped_bit_in_what_is_published_is_found() {
    let folder = ledger(300);
    let tlog = folder.data().join("tlog");
    for name in [
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
        "checkpoint",
    ] {
        let good = fs::read(tlog.join(name)).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 4;
        fs::write(tlog.join(name), bad).unwrap();
        let verified = check(&folder, None);
        assert!(!verified.is_whole(), "{name}");
        fs::remove_file(tlog.join(name)).unwrap();
        assert!(!check(&folder, None).is_whole(), "{name} removed");
        fs::write(tlog.join(name), good).unwrap();
    }
    assert!(check(&folder, None).is_whole());
}

#[test]
fn a_changed_record_is_named_even_where_its_checksum_was_made_to_fit() {
    for changed in [0, 3, 255, 256, 299] {
        let folder = ledger(300);
        let path = segment::path(&folder.data(), 0);
        let mut leaves = leaves(&path);
        let text = String::from_utf8(leaves[changed].clone()).unwrap();
        leaves[changed] = text.replacen("0.1.", "9.1.", 1).into_bytes();
        write_leaves(&path, &leaves);
        let verified = check(&folder, None);
        assert_eq!(first_bad(&verified), Some(changed as u64), "{:?}", verified.problems);
        let refused = Store::open(folder.options()).unwrap_err();
        assert!(matches!(refused, crate::OpenError::Changed { signed: 300, .. }), "{refused}");
    }
}

#[test]
fn a_dropped_record_is_named() {
    let folder = ledger(300);
    let path = segment::path(&folder.data(), 0);
    let mut leaves = leaves(&path);
    leaves.remove(17);
    write_leaves(&path, &leaves);
    let verified = check(&folder, None);
    assert_eq!(first_bad(&verified), Some(17), "{:?}", verified.problems);
}

#[test]
fn two_swapped_records_are_named() {
    let folder = ledger(300);
    let path = segment::path(&folder.data(), 0);
    let mut leaves = leaves(&path);
    leaves.swap(260, 280);
    write_leaves(&path, &leaves);
    let verified = check(&folder, None);
    assert_eq!(first_bad(&verified), Some(260), "{:?}", verified.problems);
}

#[test]
fn two_swapped_frames_are_named_by_their_numbers() {
    let folder = ledger(10);
    let path = segment::path(&folder.data(), 0);
    let mut bytes = fs::read(&path).unwrap();
    let size = crate::frame::frame_bytes(entry(2).leaf.len(), 0) as usize;
    let start = segment::HEADER_BYTES as usize + 2 * size;
    let (a, b) = bytes[start..start + 2 * size].split_at_mut(size);
    a.swap_with_slice(b);
    fs::write(&path, bytes).unwrap();
    let verified = check(&folder, None);
    assert_eq!(first_bad(&verified), Some(2), "{:?}", verified.problems);
}

#[test]
fn a_truncated_tail_is_found_without_any_other_checkpoint() {
    let folder = ledger(300);
    let path = segment::path(&folder.data(), 0);
    let mut leaves = leaves(&path);
    leaves.truncate(290);
    write_leaves(&path, &leaves);
    let verified = check(&folder, None);
    assert_eq!(first_bad(&verified), Some(290), "{:?}", verified.problems);
}

#[test]
fn a_garbled_checkpoint_is_refused_and_a_missing_one_is_made_again() {
    let folder = ledger(20);
    let path = folder.data().join("tlog/checkpoint");
    let good = fs::read(&path).unwrap();
    let half = good.get(..good.len() / 2).unwrap().to_vec();
    let long = vec![b'x'; safeconduct_ledger::CHECKPOINT_BYTES_MAX + 1];
    for garbled in [Vec::new(), b"no checkpoint\n".to_vec(), vec![0; good.len()], half] {
        fs::write(&path, &garbled).unwrap();
        let refused = Store::open(folder.options()).unwrap_err();
        assert!(matches!(refused, OpenError::Garbled { .. }), "{refused}");
        let told = refused.to_string();
        assert!(told.contains("tlog/checkpoint") && told.contains("log fsck"), "{told}");
        let condition = crate::fsck(&folder.data());
        assert!(matches!(condition.checkpoint, Some(Err(_))), "{condition}");
        assert_eq!(condition.records, 20);
        assert_eq!(fs::read(&path).unwrap(), garbled, "it is evidence");
    }
    fs::write(&path, long).unwrap();
    assert!(Store::open(folder.options()).is_err());
    fs::remove_file(&path).unwrap();
    assert!(crate::fsck(&folder.data()).checkpoint.is_none());
    folder.open().close();
    assert_eq!(crate::fsck(&folder.data()).checkpoint, Some(Ok(20)));
}

#[test]
fn a_replaced_checkpoint_is_found() {
    let folder = ledger(20);
    let other = ledger(20);
    fs::write(folder.data().join("tlog/checkpoint"), checkpoint(&other)).unwrap();
    let verified = check(&folder, None);
    assert!(matches!(verified.problems[..], [Problem::Checkpoint(_)]), "{:?}", verified.problems);
    let refused = Store::open(folder.options()).unwrap_err();
    assert!(matches!(refused, crate::OpenError::Checkpoint { .. }), "{refused}");
}

/// Two histories under one key: the folder, copied after `common` records and grown apart.
fn forked(common: u64, one: u64, other: u64) -> (Folder, Vec<u8>) {
    let folder = ledger(common);
    let path = segment::path(&folder.data(), 0);
    let tlog = folder.data().join("tlog");
    let (segment, note) = (fs::read(&path).unwrap(), checkpoint(&folder));
    let store = one_segment(&folder);
    append(&store, (common..common + one).map(entry).collect());
    store.close();
    let kept = checkpoint(&folder);
    // Back to the copy, with everything derived taken away but a checkpoint that fits it.
    fs::write(&path, segment).unwrap();
    fs::remove_dir_all(&tlog).unwrap();
    fs::create_dir_all(&tlog).unwrap();
    fs::write(tlog.join("checkpoint"), note).unwrap();
    let store = one_segment(&folder);
    if other > 0 {
        append(&store, (common..common + other).map(|n| entry(n + 1000)).collect());
    }
    store.close();
    (folder, kept)
}

#[test]
fn a_truncated_tail_is_found_against_a_checkpoint_kept_elsewhere() {
    let (folder, kept) = forked(10, 5, 0);
    assert!(check(&folder, None).is_whole(), "by itself it cannot be seen");
    let verified = check(&folder, Some(&kept));
    assert_eq!(first_bad(&verified), Some(10), "{:?}", verified.problems);
}

#[test]
fn a_fork_is_found_against_a_checkpoint_kept_elsewhere() {
    let (folder, kept) = forked(10, 5, 30);
    assert!(check(&folder, None).is_whole(), "by itself it cannot be seen");
    let verified = check(&folder, Some(&kept));
    let told = verified.problems[0].to_string();
    assert!(told.contains("the checkpoint kept elsewhere signs other contents"), "{told}");
}

#[test]
fn growth_is_no_fork() {
    let folder = ledger(10);
    let kept = checkpoint(&folder);
    let store = one_segment(&folder);
    append(&store, (10..400).map(entry).collect());
    store.close();
    assert!(check(&folder, Some(&kept)).is_whole());
    assert!(!check(&folder, Some(b"nonsense")).is_whole());
}

#[test]
fn fsck_explains() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, vec![attached(0, b"x"), attached(1, b"y")]);
    append(&store, (2..200).map(entry).collect());
    store.erase(&[1]).unwrap();
    let running = fsck(&folder.data());
    assert_eq!(running.owner, Some(std::process::id().to_string()));
    store.close();
    let whole = fsck(&folder.data());
    assert!(whole.problem.is_none() && whole.torn.is_none() && whole.owner.is_none());
    assert_eq!(whole.records, 200);
    let text = whole.to_string();
    assert!(text.contains("attachments erased: 1"), "{text}");

    let path = segment::path(&folder.data(), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let broken = fsck(&folder.data());
    let Some(ScanError::Corrupt { sequence, .. }) = &broken.problem else { panic!("{broken}") };
    assert_eq!(*sequence, broken.records);
    assert!(broken.to_string().contains("restore the data folder"), "{broken}");
}

#[test]
fn an_export_holds_every_leaf_on_its_line() {
    let folder = ledger(5);
    let mut out = Vec::new();
    assert_eq!(crate::export(&folder.data(), 1, Some(4), &mut out).unwrap(), 3);
    let wanted: Vec<u8> = (1..4).flat_map(|n| [entry(n).leaf, b"\n".to_vec()].concat()).collect();
    assert_eq!(out, wanted);
}

#[test]
fn a_record_is_proved_where_it_is_and_nowhere_else() {
    let folder = ledger(300);
    let prover = Prover::open(&folder.data(), &verifier(&folder)).unwrap();
    let leaves = leaves(&segment::path(&folder.data(), 0));
    let size = prover.checkpoint().size;
    for place in [0, 255, 256, 299] {
        let leaf = &leaves[usize::try_from(place).unwrap()];
        assert!(!prover.prove(place, leaf).unwrap().is_empty());
        let wrong = prover.prove(place, &leaves[7]).unwrap_err();
        assert!(matches!(wrong, ProveError::Proof(ProofError::DoesNotHold)), "{wrong}");
    }
    let newer = prover.prove(size, &leaves[0]).unwrap_err();
    assert!(matches!(newer, ProveError::Proof(ProofError::OutOfRange { .. })), "{newer}");
}

#[test]
fn damaged_tiles_and_other_keys_prove_nothing() {
    let folder = ledger(20);
    let leaves = leaves(&segment::path(&folder.data(), 0));
    let prover = Prover::open(&folder.data(), &verifier(&folder)).unwrap();
    let tile = tlog::folder(&folder.data()).join("tile/0/000.p/20");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[3 * 32] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert!(prover.prove(3, &leaves[3]).is_err());
    assert!(prover.prove(2, &leaves[2]).is_err());

    let other = ledger(20);
    let foreign = Prover::open(&folder.data(), &verifier(&other)).unwrap_err();
    assert!(matches!(foreign, ProveError::Checkpoint(_)), "{foreign}");
    fs::remove_file(tlog::checkpoint_path(&folder.data())).unwrap();
    let none = Prover::open(&folder.data(), &verifier(&folder)).unwrap_err();
    assert!(matches!(none, ProveError::Unsigned), "{none}");
}
