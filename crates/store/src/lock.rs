//! One process for one data folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use thiserror::Error;

/// Why a data folder cannot be owned.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process owns it.
    #[error(
        "the data folder `{}` is in use by process {}; stop it, or choose another folder",
        data.display(), pid.as_deref().unwrap_or("(unknown)")
    )]
    Owned {
        /// The folder.
        data: PathBuf,
        /// The process id that it wrote down.
        pid: Option<String>,
    },
    /// The operating system refused.
    #[error("cannot lock `{}`: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The data folder is ours as long as this lives; the kernel gives it up with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock, or says who has it.
pub(crate) fn take(data: &Path) -> Result<Lock, LockError> {
    let path = data.join("lock");
    let io = |source| LockError::Io { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(LockError::Owned { data: data.to_owned(), pid: read_pid(&mut file) });
        }
        Err(error) => return Err(io(error.into())),
    }
    file.set_len(0).map_err(io)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(io)?;
    Ok(Lock { _file: file })
}

/// The process that owns the folder, where one does. Takes nothing.
pub(crate) fn owner(data: &Path) -> Option<String> {
    let mut file = File::open(data.join("lock")).ok()?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_) => Some(read_pid(&mut file).unwrap_or_else(|| "(unknown)".into())),
    }
}

fn read_pid(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    let pid = text.trim();
    (!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then(|| pid.to_owned())
}
