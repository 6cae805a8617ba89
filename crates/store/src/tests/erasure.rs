use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::erase::Attached;
use crate::{AttachmentState, segment};

const SECRET: &[u8] = b"a value that must be gone when it is gone";

fn holds_secret(folder: &Folder) -> bool {
    let mut files = vec![folder.data()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|file| file.unwrap().path()));
        } else if fs::read(path).unwrap().windows(SECRET.len()).any(|bytes| bytes == SECRET) {
            return true;
        }
    }
    false
}

#[test]
fn an_erased_attachment_is_gone_and_its_leaf_is_not() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, vec![entry(0), attached(1, SECRET), attached(2, b"kept")]);
    append(&store, (3..200).map(entry).collect());
    append(&store, vec![attached(200, SECRET)]);
    assert!(holds_secret(&folder));
    assert_eq!(store.erase(&[0, 1, 200]).unwrap(), 2);
    assert_eq!(store.erase(&[1]).unwrap(), 0, "once is enough");
    assert!(!holds_secret(&folder));
    assert_eq!(store.attachment(1).unwrap(), None);
    assert_eq!(store.attachment(2).unwrap().unwrap(), b"kept");
    assert!(store.erase(&[1000]).is_err());
    append(&store, vec![entry(201)]);
    store.close();

    let store = folder.open();
    assert_holds(&store, 202);
    assert_eq!(store.record(1).unwrap().unwrap().attachment, AttachmentState::Erased);
}

#[test]
fn an_erasure_that_a_crash_cut_short_is_finished_at_the_next_start() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, vec![attached(0, SECRET)]);
    store.close();
    // Marked as erased, not yet overwritten.
    let path = segment::path(&folder.data(), 0);
    let good = fs::read(&path).unwrap();
    let store = folder.open();
    store.erase(&[0]).unwrap();
    store.close();
    let mut erased = fs::read(&path).unwrap();
    let at = good.windows(SECRET.len()).position(|bytes| bytes == SECRET).unwrap();
    erased[at..at + SECRET.len()].copy_from_slice(SECRET);
    fs::write(&path, erased).unwrap();
    assert!(holds_secret(&folder));
    assert_holds(&folder.open(), 1);
    assert!(!holds_secret(&folder));
}

#[test]
fn nothing_to_erase_touches_nothing() {
    let folder = Folder::new();
    let nothing: BTreeMap<u64, Vec<Attached>> = BTreeMap::new();
    crate::erase::erase(&folder.data(), &RealDisk, &nothing).unwrap();
}
