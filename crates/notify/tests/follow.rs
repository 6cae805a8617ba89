//! How far each is told is its own: what is stuck on the way to one is told again to it alone.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use safeconduct_ledger::encode;
use safeconduct_model::{Body, EntityId, EntityType, Record, RecordId, Timestamp};
use safeconduct_notify::{CursorFiles, Follower, Hears};
use safeconduct_service::{
    Grown, Page, ReadError, ReadModel, ReadRecord, RecordQuery, SeenAs, UseQuery, UsesPage,
};
use tokio_util::sync::CancellationToken;

/// How many records there are.
const RECORDS: u64 = 10;

struct Ledger;

impl ReadModel for Ledger {
    fn query(&self, _: &RecordQuery) -> Result<Page, ReadError> {
        Err(ReadError("nobody asks".into()))
    }

    fn record(&self, _: &RecordId) -> Result<Page, ReadError> {
        Err(ReadError("nobody asks".into()))
    }

    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        let record = |sequence: u64| {
            let record = Record {
                id: RecordId::new(format!("rec_{sequence}")).unwrap(),
                at: Timestamp::from_millis(1_790_000_000_000),
                trace: None,
                parent: None,
                body: Body::ServerStarted { version: "0".to_owned() },
            };
            let leaf = String::from_utf8(encode(&record).unwrap()).unwrap();
            ReadRecord { sequence, leaf: leaf.into() }
        };
        let records = (sequence..RECORDS).take(limit).map(record).collect();
        Ok(Page { records, read_up_to: RECORDS })
    }

    fn uses(&self, _: &UseQuery) -> Result<UsesPage, ReadError> {
        Ok(UsesPage::default())
    }

    fn entities(
        &self,
        _: SeenAs,
        _: &EntityType,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        Ok(Vec::new())
    }

    fn read_up_to(&self) -> u64 {
        RECORDS
    }

    fn grown_beyond(&self, _: u64) -> Grown<'_> {
        Grown(Box::pin(std::future::pending()))
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}

/// One who hears everything, and of whom something is on its way from there on.
#[derive(Default)]
struct Someone {
    heard: Mutex<Vec<u64>>,
    stuck_at: Option<u64>,
}

impl Hears for Someone {
    fn record(&self, sequence: u64, _: &Record) {
        self.heard.lock().unwrap().push(sequence);
    }

    fn needs(&self, next: u64) -> u64 {
        self.stuck_at.unwrap_or(next).min(next)
    }
}

fn files(folder: &Path) -> CursorFiles {
    CursorFiles { folder: folder.to_owned(), of_all: "all" }
}

/// What people and receivers hear in one life of a process.
async fn hear(folder: &Path, receivers_stuck_at: Option<u64>) -> (Vec<u64>, Vec<u64>) {
    let people = Arc::new(Someone::default());
    let receivers = Arc::new(Someone { stuck_at: receivers_stuck_at, ..Someone::default() });
    let hears: Vec<(&'static str, Option<Arc<dyn Hears>>)> = vec![
        ("people", Some(Arc::clone(&people) as _)),
        ("receivers", Some(Arc::clone(&receivers) as _)),
    ];
    let follower = Follower::new(Arc::new(Ledger), &files(folder), 2, hears).unwrap();
    // What is there is told before it ends.
    let stop = CancellationToken::new();
    stop.cancel();
    follower.follow(stop).await;
    let heard = |one: &Someone| one.heard.lock().unwrap().clone();
    (heard(&people), heard(&receivers))
}

#[tokio::test]
async fn one_that_is_stuck_has_nothing_told_again_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let (people, receivers) = hear(folder.path(), Some(4)).await;
    let all: Vec<u64> = (2..RECORDS).collect();
    assert_eq!((people, receivers), (all.clone(), all));
    // The next process tells it from there, and nobody else.
    let (people, receivers) = hear(folder.path(), None).await;
    assert_eq!((people, receivers), (Vec::new(), (4..RECORDS).collect()));
    assert_eq!(hear(folder.path(), None).await, (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn everybody_goes_on_where_the_one_file_was_and_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all"), "7\n").unwrap();
    let from_there = (7..RECORDS).collect::<Vec<_>>();
    assert_eq!(hear(folder.path(), None).await, (from_there.clone(), from_there));
    assert!(!folder.path().join("all").exists());
    // One that has its own is not put back, where a crash left the other file.
    std::fs::write(folder.path().join("all"), "7\n").unwrap();
    assert_eq!(hear(folder.path(), None).await, (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn who_did_not_hear_for_a_while_is_not_told_of_it_later() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("receivers"), "1\n").unwrap();
    let hears = vec![("people", None), ("receivers", None)];
    let follower = Follower::new(Arc::new(Ledger), &files(folder.path()), 5, hears).unwrap();
    assert!(follower.is_empty());
    let (_, receivers) = hear(folder.path(), None).await;
    assert_eq!(receivers, (2..RECORDS).collect::<Vec<_>>());
}
