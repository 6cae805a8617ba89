//! How far the ledger was told on: one number in a file. What lies behind it was delivered, given
//! up, or is none of ours; what lies before it is read again after a restart.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why it cannot be kept: the disk's fault, or someone changed the file.
#[derive(Debug, Error)]
pub enum CursorError {
    /// The disk.
    #[error("`{path}`: {error}")]
    Io {
        /// Which file.
        path: String,
        /// What happened.
        error: std::io::Error,
    },
    /// It holds something else.
    #[error("`{0}` holds something else: move it away to begin anew")]
    Content(String),
}

/// Writes a file whole: as it was, or as it is to be, whatever happens. Nobody else reads it.
///
/// # Errors
/// [`CursorError::Io`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CursorError> {
    let fault = |error| CursorError::Io { path: path.display().to_string(), error };
    let folder = path.parent().unwrap_or(Path::new("."));
    // Its mode is 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    file.as_file().sync_all().map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    Ok(())
}

/// Reads a file; `None` where there is none.
///
/// # Errors
/// [`CursorError::Io`].
pub(crate) fn read_whole(path: &Path) -> Result<Option<Vec<u8>>, CursorError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CursorError::Io { path: path.display().to_string(), error }),
    }
}

/// A cursor in a file.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    kept: u64,
}

impl Cursor {
    /// The one of that file, or one that begins there.
    pub(crate) fn open(path: PathBuf, begin: u64) -> Result<Self, CursorError> {
        if let Some(kept) = Self::read(&path)? {
            return Ok(Self { path, kept });
        }
        let mut cursor = Self { path, kept: u64::MAX };
        cursor.keep(begin)?;
        Ok(cursor)
    }

    /// Where that of a file stands; `None` where there is no file.
    pub(crate) fn read(path: &Path) -> Result<Option<u64>, CursorError> {
        let Some(bytes) = read_whole(path)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).ok();
        let kept = text.and_then(|text| text.trim().parse().ok());
        let content = || CursorError::Content(path.display().to_string());
        kept.map(Some).ok_or_else(content)
    }

    /// Forgets the one of that file, where there is one.
    pub(crate) fn remove(path: &Path) -> Result<(), CursorError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CursorError::Io { path: path.display().to_string(), error })
            }
            _ => Ok(()),
        }
    }

    /// Where it stands.
    pub(crate) const fn at(&self) -> u64 {
        self.kept
    }

    /// Puts it further, on the disk.
    pub(crate) fn keep(&mut self, at: u64) -> Result<(), CursorError> {
        if at != self.kept {
            write_whole(&self.path, format!("{at}\n").as_bytes())?;
            self.kept = at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_where_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursor");
        let mut cursor = Cursor::open(path.clone(), 7).unwrap();
        assert_eq!(cursor.at(), 7);
        cursor.keep(9).unwrap();
        assert_eq!(Cursor::open(path.clone(), 0).unwrap().at(), 9);
        fs::write(&path, "x").unwrap();
        assert!(matches!(Cursor::open(path, 0), Err(CursorError::Content(_))));
    }
}
