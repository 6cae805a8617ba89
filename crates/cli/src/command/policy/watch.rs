//! `safeconduct policy test --watch`: again on every change, until it is interrupted.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};

use super::test;
use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed};
use crate::output;
use crate::wiring::project;

/// An editor writes a file in several steps: how long it must be quiet before tests run.
const QUIET: Duration = Duration::from_millis(150);

/// Runs the tests now and after each change.
///
/// # Errors
/// The folders cannot be watched.
pub(super) fn run(shared: &Shared, options: &test::Options) -> Result<Exit, CommandError> {
    let (send, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let changed = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
        if changed {
            // A reader that is gone has ended.
            let _ = send.send(());
        }
    })
    .map_err(|error| failed("watching", error))?;
    for folder in folders(shared, options)? {
        watcher
            .watch(&folder, RecursiveMode::Recursive)
            .map_err(|error| failed(&folder.display().to_string(), error))?;
    }
    loop {
        match test::run(shared, options) {
            Ok(_) => {}
            Err(error) => output::complain(shared.output, &error),
        }
        output::say("waiting for a change");
        if changes.recv().is_err() {
            return Ok(Exit::Ok);
        }
        while changes.recv_timeout(QUIET).is_ok() {}
    }
}

fn folders(shared: &Shared, options: &test::Options) -> Result<Vec<PathBuf>, CommandError> {
    let mut folders = test::roots(shared, options)?;
    // Tests that bring their own worlds need no configuration.
    if let Ok(config) = project::read_config(&shared.config) {
        folders.push(config.policies.folder);
        folders.push(config.catalogue);
    }
    folders.sort();
    folders.dedup();
    Ok(folders)
}
