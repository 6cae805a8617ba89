//! Files that hold secrets: bounded, and closed to others.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// Longest file of a password, token or age identity, in bytes.
pub(crate) const SECRET_FILE_BYTES_MAX: u64 = 16 * 1024;

/// The bytes of a file of at most so many; otherwise what is wrong with it, in words.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let problem = |error: io::Error| format!("`{}`: {error}", path.display());
    let file = File::open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    if !metadata.is_file() {
        return Err(format!("`{}` is no file", path.display()));
    }
    // Room for all of it at once: growing would leave copies behind.
    let room = usize::try_from(metadata.len().min(bytes_max)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("`{}` has more than {bytes_max} bytes", path.display()));
    }
    Ok(bytes)
}

/// The bytes of a file that everybody on the machine could not read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let problem = |error: io::Error| format!("`{}`: {error}", path.display());
    let mode = path.metadata().map_err(problem)?.permissions().mode();
    if mode & 0o007 != 0 {
        let mode = mode & 0o777;
        return Err(format!(
            "`{}` can be used by everybody (mode {mode:03o}); run `chmod 600` on it",
            path.display()
        ));
    }
    read(path, SECRET_FILE_BYTES_MAX)
}

/// The one line of such a file: a password or a token.
///
/// # Errors
/// What is wrong with the file, in words; never what is in it.
pub fn read_line(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_secret(path)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| format!("`{}` is not UTF-8", path.display()))?
        .trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("`{}` is not one line of text", path.display()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_closed_bounded_and_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |text: &[u8], mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        write(b"hunter2\n", 0o600);
        assert_eq!(*read_line(&path).unwrap(), "hunter2");
        write(b"hunter2\n", 0o604);
        assert!(read_line(&path).unwrap_err().contains("mode 604"));
        for unfit in [&b""[..], b"\n", b"a\nb", b"\xff"] {
            write(unfit, 0o600);
            assert!(read_line(&path).is_err());
        }
        write(&vec![b'a'; 20_000], 0o600);
        assert!(read_line(&path).unwrap_err().contains("more than 16384 bytes"));
        assert!(read_line(folder.path()).is_err());
        assert!(read_line(&folder.path().join("absent")).is_err());
    }
}
