//! The keys that sign access tokens: one file each, in the folder of keys, readable by its owner
//! alone. When each signs follows from when it was made, so the file says that too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safeconduct_model::Timestamp;
use safeconduct_service::{Algorithm, StoredKey, TokenKeys, TokenKeysError};
use zeroize::Zeroizing;

use crate::keys::{KeysError, create, random, read_secret};
use crate::segment;

/// How the files are called: `token-ES256-1790000000000.key`.
const PREFIX: &str = "token-";
const SUFFIX: &str = ".key";

/// Most keys that are read.
const KEYS_MAX: usize = 64;

/// The keys that sign access tokens, in that folder.
#[derive(Debug, Clone)]
pub struct TokenKeyFolder(PathBuf);

impl TokenKeyFolder {
    /// The folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn file(&self, algorithm: Algorithm, made_at: Timestamp) -> PathBuf {
        let name = format!("{PREFIX}{}-{}{SUFFIX}", algorithm.as_str(), made_at.as_millis());
        self.0.join(name)
    }
}

impl TokenKeys for TokenKeyFolder {
    fn all(&self) -> Result<Vec<StoredKey>, TokenKeysError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(broken(&self.0, &error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| broken(&self.0, &error))?.path();
            let Some((algorithm, made_at)) = named(&path) else { continue };
            if keys.len() >= KEYS_MAX {
                return Err(broken(&self.0, &"there are too many keys of tokens"));
            }
            let text = read_secret(&path).map_err(failed)?;
            let mut secret = Zeroizing::new([0; 32]);
            let read = text.map(|text| hex::decode_to_slice(text.trim(), &mut *secret));
            match read {
                Some(Ok(())) => keys.push(StoredKey { algorithm, made_at, secret }),
                Some(Err(_)) => return Err(broken(&path, &"it is no key (64 hexadecimal digits)")),
                // Removed since the folder was listed.
                None => {}
            }
        }
        Ok(keys)
    }

    fn make(&self, algorithm: Algorithm, at: Timestamp) -> Result<(), TokenKeysError> {
        let path = self.file(algorithm, at);
        if path.exists() {
            return Ok(());
        }
        let secret = random().map_err(failed)?;
        let mut text = Zeroizing::new(hex::encode(*secret));
        text.push('\n');
        create(&path, text.as_bytes(), 0o600).map_err(failed)
    }

    fn remove(&self, algorithm: Algorithm, made_at: Timestamp) -> Result<(), TokenKeysError> {
        let path = self.file(algorithm, made_at);
        match fs::remove_file(&path) {
            Ok(()) => segment::sync_folder(&self.0).map_err(|error| broken(&self.0, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(broken(&path, &error)),
        }
    }

    fn random(&self) -> Result<Zeroizing<[u8; 32]>, TokenKeysError> {
        random().map_err(failed)
    }
}

/// What the name of a file says of its key.
fn named(path: &Path) -> Option<(Algorithm, Timestamp)> {
    let name = path.file_name()?.to_str()?;
    let (algorithm, made_at) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let made_at = made_at.parse().ok().filter(|millis: &i64| *millis >= 0)?;
    Some((Algorithm::parse(algorithm)?, Timestamp::from_millis(made_at)))
}

fn broken(path: &Path, problem: &dyn std::fmt::Display) -> TokenKeysError {
    TokenKeysError(Arc::from(format!("`{}`: {problem}", path.display())))
}

#[expect(clippy::needless_pass_by_value, reason = "an error is handed over")]
fn failed(error: KeysError) -> TokenKeysError {
    TokenKeysError(error.to_string().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_kept_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let keys = TokenKeyFolder::new(folder.path().join("keys"));
        assert!(keys.all().unwrap().is_empty());
        let (first, second) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        keys.make(Algorithm::Es256, first).unwrap();
        keys.make(Algorithm::EdDsa, second).unwrap();
        let secret = |made_at| {
            let all = keys.all().unwrap();
            all.into_iter().find(|key| key.made_at == made_at).map(|key| *key.secret)
        };
        let kept = secret(first).unwrap();
        assert_ne!(Some(kept), secret(second));
        keys.make(Algorithm::Es256, first).unwrap();
        assert_eq!(secret(first), Some(kept), "a key is never made anew");
        keys.remove(Algorithm::Es256, first).unwrap();
        keys.remove(Algorithm::Es256, first).unwrap();
        assert_eq!((secret(first), keys.all().unwrap().len()), (None, 1));
        let file = keys.file(Algorithm::EdDsa, second);
        let exposed = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&file, exposed).unwrap();
        assert!(keys.all().unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "no key").unwrap();
        assert!(keys.all().unwrap_err().to_string().contains("it is no key"));
    }
}
