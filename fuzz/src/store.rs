//! A good ledger on disk, damaged and opened again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safeconduct_ledger::{Origin, encode};
use safeconduct_model::{Body, Record, RecordId, Timestamp};
use safeconduct_service::{Entry, Ledger, Proposal};
use safeconduct_store::{Store, StoreOptions};
use tempfile::TempDir;

/// Records of the good ledger.
const RECORDS: i64 = 12;

/// A ledger that was written and closed well.
struct Good {
    keys: PathBuf,
    /// The name of its one segment file, and its bytes.
    segment: (PathBuf, Vec<u8>),
    records: Vec<Record>,
    _folder: TempDir,
}

/// Damages a copy of the good segment as the input says, and opens it.
pub(crate) fn damage(edits: &[u8]) {
    static GOOD: OnceLock<Good> = OnceLock::new();
    let good = GOOD.get_or_init(Good::write);
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = good.segment.1.clone();
    for edit in edits.chunks_exact(3) {
        let &[high, low, value] = edit else { continue };
        let at = (usize::from(high) << 8 | usize::from(low)) * bytes.len() / 65_536;
        if high % 2 == 1 && value == 0xFF {
            bytes.truncate(at);
        } else if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
    }
    let segments = folder.path().join("segments");
    fs::create_dir(&segments).expect("a folder");
    fs::write(segments.join(&good.segment.0), &bytes).expect("a segment");
    let whole = bytes == good.segment.1;
    let Ok(store) = Store::open(options(folder.path(), &good.keys)) else {
        assert!(!whole, "a good ledger is refused");
        return;
    };
    let left: Vec<Record> =
        store.replay(0).map(|placed| placed.expect("what was opened is read").record).collect();
    assert!(left.len() <= good.records.len(), "damage makes no records");
    assert!(!whole || left.len() == good.records.len(), "a good ledger lost records");
    assert_eq!(left, good.records[..left.len()], "what is left is what was written");
}

impl Good {
    fn write() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
        let store = Store::open(options(&data, &keys)).expect("a new ledger");
        let records: Vec<Record> = (0..RECORDS).map(record).collect();
        for record in &records {
            let leaf = encode(record).expect("a leaf");
            let attachment = (record.at.as_millis() % 3 == 0).then(|| vec![0xA5; 40]);
            let entries = vec![Entry { leaf, attachment }];
            store.submit(Proposal { entries, reads: vec![], writes: vec![] }).expect("a place");
        }
        store.close();
        let segment = fs::read_dir(data.join("segments")).expect("segments").next();
        let path = segment.expect("a segment").expect("a segment").path();
        let name = path.file_name().expect("a name").into();
        let bytes = fs::read(&path).expect("a segment");
        Self { keys, segment: (name, bytes), records, _folder: folder }
    }
}

fn record(n: i64) -> Record {
    Record {
        id: RecordId::new(format!("rec_{n}")).expect("a name"),
        at: Timestamp::from_millis(n),
        trace: None,
        parent: None,
        body: Body::ServerStarted { version: "0.1.0".into() },
    }
}

fn options(data: &Path, keys: &Path) -> StoreOptions {
    let origin = Origin::new("fuzz.example/ledger").expect("a name");
    let usual = StoreOptions::new(data.to_owned(), keys.to_owned(), origin);
    StoreOptions { segment_bytes: 8192, ..usual }
}
