//! How fast appends become durable, beside a bare loop of fdatasync on the same disk.
//!
//! `cargo run --release -p safeconduct-store --example append_speed [FOLDER]`

use std::error::Error;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use safeconduct_ledger::Origin;
use safeconduct_service::{Entry, Ledger, Proposal};
use safeconduct_store::{Store, StoreOptions};

const BYTES: usize = 300;
const FOR: Duration = Duration::from_secs(3);

#[expect(clippy::print_stdout, reason = "a measurement prints what it measured")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("append-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let bare = bare(&folder.join("bare"))?;
    println!("bare fdatasync of {BYTES} bytes: {bare:.0}/s, {:.0} us each", 1e6 / bare);
    for writers in [1, 64] {
        let rate = appends(&folder.join(format!("store-{writers}")), writers)?;
        println!("{writers} writers: {rate:.0} records/s, {:.2} of bare", rate / bare);
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Writes and syncs into a preallocated, zeroed file.
fn bare(path: &Path) -> Result<f64, Box<dyn Error>> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    file.write_all_at(&vec![0; 16 << 20], 0)?;
    file.sync_all()?;
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < FOR {
        file.write_all_at(&[1; BYTES], (count * BYTES as u64) % (15 << 20))?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Appends from so many tasks, each waiting until its record is durable.
fn appends(folder: &Path, writers: usize) -> Result<f64, Box<dyn Error>> {
    let origin = Origin::new("example.com/speed")?;
    let store =
        Arc::new(Store::open(StoreOptions::new(folder.join("data"), folder.join("keys"), origin))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let start = Instant::now();
    let task = |store: Arc<Store>| async move {
        while start.elapsed() < FOR {
            let leaf = leaf();
            let entries = vec![Entry { leaf, attachment: None }];
            let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
            let Ok(ticket) = store.submit(proposal) else {
                return;
            };
            if store.durable(ticket).await.is_err() {
                return;
            }
        }
    };
    let tasks: Vec<_> = (0..writers).map(|_| runtime.spawn(task(Arc::clone(&store)))).collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.ok();
        }
    });
    Ok(store.records() as f64 / start.elapsed().as_secs_f64())
}

/// A record of about 300 bytes.
fn leaf() -> Vec<u8> {
    let version = "x".repeat(BYTES - 95);
    format!(
        "{{\"at\":\"2026-11-22T03:43:20.120Z\",\"body\":{{\"version\":\"{version}\"}},\
         \"id\":\"rec_1\",\"kind\":\"server_started\",\"v\":1}}"
    )
    .into_bytes()
}
