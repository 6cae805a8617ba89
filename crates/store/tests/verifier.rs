//! An independent verifier, in another language, checks checkpoint and inclusion from the
//! published files alone.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safeconduct_ledger::{Origin, encode};
use safeconduct_model::{Body, Record, RecordId, Timestamp};
use safeconduct_service::{Entry, Ledger, Proposal};
use safeconduct_store::{Store, StoreOptions, VERIFIER_KEY};

fn entry(n: u64) -> Entry {
    let record = Record {
        id: RecordId::new(format!("rec_{n}")).unwrap(),
        at: Timestamp::from_millis(1_795_319_000_000 + n as i64),
        trace: None,
        parent: None,
        body: Body::ServerStarted { version: format!("0.1.{n}") },
    };
    Entry { leaf: encode(&record).unwrap(), attachment: None }
}

/// A Python that has the package that the verifier needs.
fn python() -> Option<&'static str> {
    let has = Command::new("python3").args(["-c", "import cryptography"]).output();
    has.is_ok_and(|output| output.status.success()).then_some("python3")
}

fn verify(python: &str, tlog: &Path, key: &Path, index: u64) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verifier/verify.py");
    Command::new(python).arg(script).arg(tlog).arg(key).arg(index.to_string()).output().unwrap()
}

fn ledger(folder: &Path, records: u64) -> (PathBuf, PathBuf) {
    let (data, keys) = (folder.join("data"), folder.join("keys"));
    let origin = Origin::new("example.com/ledger").unwrap();
    let options = StoreOptions {
        segment_bytes: 1 << 20,
        ..StoreOptions::new(data.clone(), keys.clone(), origin)
    };
    let store = Store::open(options).unwrap();
    let entries = (0..records).map(entry).collect();
    store.submit(Proposal { entries, reads: Vec::new(), writes: Vec::new() }).unwrap();
    store.close();
    (data.join("tlog"), keys.join(VERIFIER_KEY))
}

#[test]
fn an_independent_verifier_agrees() {
    let Some(python) = python() else {
        eprintln!("skipped: python3 with the package `cryptography` is not installed");
        return;
    };
    for records in [1, 2, 255, 256, 257, 1000] {
        let folder = tempfile::tempdir().unwrap();
        let (tlog, key) = ledger(folder.path(), records);
        for index in [0, records / 2, records - 1] {
            let output = verify(python, &tlog, &key, index);
            let said = String::from_utf8_lossy(&output.stdout);
            let wanted = String::from_utf8(entry(index).leaf).unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{index} of {records}: {errors}");
            assert!(said.contains(&wanted), "{said}");
        }
        assert!(!verify(python, &tlog, &key, records).status.success());
    }
}

#[test]
fn an_independent_verifier_refuses_what_was_changed() {
    let Some(python) = python() else {
        eprintln!("skipped: python3 with the package `cryptography` is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (tlog, key) = ledger(folder.path(), 300);
    for name in ["checkpoint", "tile/0/000", "tile/entries/000"] {
        let good = std::fs::read(tlog.join(name)).unwrap();
        let mut bad = good.clone();
        bad[20] ^= 1;
        std::fs::write(tlog.join(name), bad).unwrap();
        // Records 0 and 1 lie at the beginning of the bundle; their hashes begin the tile.
        let refused = (0..2).any(|index| !verify(python, &tlog, &key, index).status.success());
        assert!(refused, "{name}");
        std::fs::write(tlog.join(name), good).unwrap();
    }
    assert!(verify(python, &tlog, &key, 0).status.success());
}
