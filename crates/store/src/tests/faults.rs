use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use safeconduct_service::{LedgerHealth, SubmitError};

use super::*;
use crate::segment::SegmentFile;

/// A disk that fails when it is told to.
#[derive(Default)]
struct FaultyDisk {
    /// Syncs that still succeed; negative means all.
    syncs_left: Arc<AtomicI64>,
    full: Arc<AtomicBool>,
    read_only: Arc<AtomicBool>,
}

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    syncs_left: Arc<AtomicI64>,
    full: Arc<AtomicBool>,
    read_only: Arc<AtomicBool>,
}

fn fault(full: &AtomicBool, read_only: &AtomicBool) -> io::Result<()> {
    if full.load(Ordering::SeqCst) {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    if read_only.load(Ordering::SeqCst) {
        return Err(rustix::io::Errno::ROFS.into());
    }
    Ok(())
}

impl Disk for FaultyDisk {
    fn prepare(&self, path: &Path, bytes: u64) -> io::Result<()> {
        fault(&self.full, &self.read_only)?;
        RealDisk.prepare(path, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FaultyFile {
            file: RealDisk.open(path)?,
            syncs_left: Arc::clone(&self.syncs_left),
            full: Arc::clone(&self.full),
            read_only: Arc::clone(&self.read_only),
        }))
    }
}

impl SegmentFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        fault(&self.full, &self.read_only)?;
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.syncs_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(rustix::io::Errno::IO.into());
        }
        self.file.sync()
    }
}

fn all_syncs() -> FaultyDisk {
    FaultyDisk { syncs_left: Arc::new(AtomicI64::new(-1)), ..FaultyDisk::default() }
}

/// The ledger has stopped: what waits fails, nothing more is taken, and the reason is told.
fn assert_stopped(store: &Store, reason: &str) {
    let LedgerHealth::Failed(told) = store.health() else { panic!("still ready") };
    assert!(told.contains(reason), "{told}");
    let refused = store.submit(proposal(vec![entry(0)])).unwrap_err();
    assert!(matches!(&refused, SubmitError::Failed(told) if told.contains(reason)), "{refused}");
}

#[test]
fn a_failed_fdatasync_stops_the_ledger_for_good() {
    let folder = Folder::new();
    let disk = Arc::new(all_syncs());
    let store = folder.open_on(disk.clone());
    append(&store, vec![entry(0)]);
    append(&store, vec![entry(1)]);
    disk.syncs_left.store(0, Ordering::SeqCst);
    let ticket = store.submit(proposal(vec![entry(2)])).unwrap();
    let error = block_on(store.durable(ticket)).unwrap_err();
    assert!(error.to_string().contains("could not be written"), "{error}");
    // The next fdatasync would succeed; it is not asked.
    assert_stopped(&store, "Input/output error");
    assert_eq!(store.records(), 2);
    store.close();
    // The record may be there, since it was written: it was never answered, so both are right.
    let records = folder.open().records();
    assert!((2..=3).contains(&records), "{records}");
}

#[test]
fn a_full_disk_fails_what_waits_and_loses_nothing() {
    let folder = Folder::new();
    let disk = Arc::new(all_syncs());
    let store = folder.open_on(disk.clone());
    append(&store, (0..10).map(entry).collect());
    disk.full.store(true, Ordering::SeqCst);
    let ticket = store.submit(proposal(vec![entry(10)])).unwrap();
    block_on(store.durable(ticket)).unwrap_err();
    assert_stopped(&store, "No space left");
    store.close();
    assert_holds(&folder.open(), 10);
}

#[test]
fn no_room_for_another_segment_stops_the_ledger() {
    let folder = Folder::new();
    let disk = Arc::new(all_syncs());
    let store = folder.open_on(disk.clone());
    append(&store, vec![entry(0)]);
    disk.full.store(true, Ordering::SeqCst);
    let large = attached(1, &[0; 64 * 1024]);
    let ticket = store.submit(proposal(vec![large])).unwrap();
    block_on(store.durable(ticket)).unwrap_err();
    assert_stopped(&store, "No space left");
    store.close();
    assert_holds(&folder.open(), 1);
}

#[test]
fn a_read_only_disk_says_so() {
    let folder = Folder::new();
    let disk = Arc::new(all_syncs());
    let store = folder.open_on(disk.clone());
    append(&store, vec![entry(0)]);
    disk.read_only.store(true, Ordering::SeqCst);
    let ticket = store.submit(proposal(vec![entry(1)])).unwrap();
    block_on(store.durable(ticket)).unwrap_err();
    assert_stopped(&store, "Read-only file system");
}

/// A disk whose syncs wait until they are let go, and say that they wait.
struct SlowDisk {
    waiting: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

struct SlowFile {
    file: Box<dyn SegmentFile>,
    waiting: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let (waiting, go) = (self.waiting.clone(), Arc::clone(&self.go));
        Ok(Box::new(SlowFile { file: RealDisk.open(path)?, waiting, go }))
    }
}

impl SegmentFile for SlowFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.waiting.send(()).ok();
        self.go.lock().unwrap().recv().ok();
        self.file.sync()
    }
}

fn slow_store(folder: &Folder, entries: usize, bytes: usize) -> (Store, Receiver<()>, Sender<()>) {
    let (waiting, waits) = channel();
    let (go, goes) = channel();
    // The first segment exists, so that the next sync is that of a batch.
    let store = folder.open();
    append(&store, vec![entry(0)]);
    store.close();
    let disk = SlowDisk { waiting, go: Arc::new(Mutex::new(goes)) };
    let options = StoreOptions { queue_entries: entries, queue_bytes: bytes, ..folder.options() };
    (Store::open_on(options, Arc::new(disk)).unwrap(), waits, go)
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let folder = Folder::new();
    let (store, waits, go) = slow_store(&folder, 4, 1 << 20);
    let first = store.submit(proposal(vec![entry(1)])).unwrap();
    waits.recv().unwrap();
    // The disk is busy with the first; four may wait.
    let last = store.submit(proposal((2..6).map(entry).collect())).unwrap();
    let refused = store.submit(proposal(vec![entry(6)]));
    assert_eq!(refused, Err(SubmitError::QueueFull { limit: 4 }));
    assert_eq!(store.health(), LedgerHealth::Ready);
    go.send(()).unwrap();
    block_on(store.durable(first)).unwrap();
    waits.recv().unwrap();
    // They are on their way: there is room again.
    store.submit(proposal(vec![entry(6)])).unwrap();
    drop(go);
    block_on(store.durable(last)).unwrap();
    store.close();
    assert_holds(&folder.open(), 7);
}

#[test]
fn a_queue_is_bounded_by_bytes_too() {
    let folder = Folder::new();
    let (store, waits, go) = slow_store(&folder, 100, 4096);
    store.submit(proposal(vec![entry(1)])).unwrap();
    waits.recv().unwrap();
    store.submit(proposal(vec![attached(2, &[1; 4000])])).unwrap();
    let refused = store.submit(proposal(vec![attached(3, &[1; 4000])]));
    assert_eq!(refused, Err(SubmitError::QueueFull { limit: 4096 }));
    drop(go);
    store.close();
    assert_holds(&folder.open(), 3);
}
