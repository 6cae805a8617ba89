//! The keys that outlive the process: one signs checkpoints, one wraps the keys of sessions. They
//! lie in a folder of their own, outside the data folder, readable by their owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use safeconduct_ledger::{CheckpointKey, KeyError, Origin};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::segment;

/// The file of the signing key, in the folder of keys.
pub const SIGNING_KEY: &str = "ledger.key";
/// The file of the verifier key, in the folder of keys.
pub const VERIFIER_KEY: &str = "ledger.pub";
/// The file of the key that wraps the keys of sessions, in the folder of keys.
pub const WRAPPING_KEY: &str = "kek";

/// Longest key file, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Why a key cannot be used. Never holds key material.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The operating system refused.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("`{}` can be read by others (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no such key.
    #[error("`{}`: {problem}", path.display())]
    Signing {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: KeyError,
    },
    /// The file is not 64 hexadecimal digits.
    #[error("`{}` is not a wrapping key (64 hexadecimal digits)", path.display())]
    Wrapping {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness for a new key.
    #[error("no randomness from the operating system for a new key")]
    NoRandomness,
}

/// The signing key of that folder; made, with its verifier key beside it, where it is missing.
pub(crate) fn signing_key(keys: &Path, origin: &Origin) -> Result<CheckpointKey, KeysError> {
    let path = keys.join(SIGNING_KEY);
    let key = match read_secret(&path)? {
        Some(text) => CheckpointKey::parse(&text),
        None => {
            let key = CheckpointKey::from_seed(origin, &*random()?);
            if let Ok(key) = &key {
                let text = Zeroizing::new(format!("{}\n", key.danger_text()));
                create(&path, text.as_bytes(), 0o600)?;
            }
            key
        }
    };
    let key = key.map_err(|problem| KeysError::Signing { path, problem })?;
    let public = keys.join(VERIFIER_KEY);
    if !public.exists() {
        create(&public, format!("{}\n", key.verifier_text()).as_bytes(), 0o644)?;
    }
    Ok(key)
}

/// The wrapping key of that folder; made where it is missing.
pub(crate) fn wrapping_key(keys: &Path) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let path = keys.join(WRAPPING_KEY);
    let mut key = Zeroizing::new([0; 32]);
    match read_secret(&path)? {
        Some(text) => hex::decode_to_slice(text.trim(), &mut *key)
            .map_err(|_| KeysError::Wrapping { path })?,
        None => {
            key = random()?;
            let mut text = hex::encode(*key);
            text.push('\n');
            let created = create(&path, text.as_bytes(), 0o600);
            text.zeroize();
            created?;
        }
    }
    Ok(key)
}

/// 32 random bytes.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| KeysError::NoRandomness)?;
    Ok(bytes)
}

/// Makes a folder that only its owner can read, with all above it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The text of a file that only its owner can read; `None` where there is no such file.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, KeysError> {
    let io = |source| KeysError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    Ok(Some(text))
}

/// Writes a new file, whole or not at all, and makes it durable: a key that was used must not be
/// lost in a crash.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeysError> {
    let written = || {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        make_folder(folder)?;
        let draft = path.with_extension("tmp");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        segment::sync_folder(folder)
    };
    written().map_err(|source| KeysError::Io { path: path.to_owned(), source })
}
