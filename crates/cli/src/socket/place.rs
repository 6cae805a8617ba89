//! Where the socket is: the same for every wrapper of a configuration, and nobody else's.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use safeconduct_wire::config::Config;

use crate::exit::{CommandError, failed};

/// Longest path of a socket, in bytes: 108 with a closing zero on Linux, 104 on macOS.
const PATH_BYTES_MAX: usize = 103;

/// The socket of a configuration: below the data folder, or, where that is too long, in the
/// folder that the system keeps for the user, or in one of the user's own among the temporary
/// files. Nothing of the environment counts: clients hand little of it to what they start, and
/// every wrapper must come to the same place.
///
/// # Errors
/// The configuration file is not there.
pub(crate) fn path(file: &Path, config: &Config) -> Result<PathBuf, CommandError> {
    let beside = config.data.join("run").join("mcp.sock");
    if beside.is_absolute() && beside.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(beside);
    }
    let file = absolute(file)?;
    let name = format!("{:016x}.sock", hash(file.as_os_str().as_encoded_bytes()));
    let user = rustix::process::getuid().as_raw();
    let kept = PathBuf::from(format!("/run/user/{user}"));
    let folder = match kept.is_dir() {
        true => kept.join("safeconduct"),
        false => PathBuf::from(format!("/tmp/safeconduct-{user}")),
    };
    Ok(folder.join(name))
}

/// The configuration file without symbolic links, so that two ways to it are one.
///
/// # Errors
/// It is not there.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf, CommandError> {
    fs::canonicalize(file).map_err(|error| failed(&file.display().to_string(), error))
}

/// FNV-1a: equal on every machine. A collision is found by the hello, which names the file.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Makes the socket's folder, its owner's alone.
///
/// # Errors
/// It is another user's, or no folder, or cannot be made.
pub(super) fn prepare(socket: &Path) -> Result<(), CommandError> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    let shown = folder.display().to_string();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed(&shown, error))?;
    let found = fs::symlink_metadata(folder).map_err(|error| failed(&shown, error))?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        return Err(CommandError::Failed(format!(
            "`{shown}` is another user's, so no socket can be in it; give the data folder a shorter path"
        )));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))
            .map_err(|error| failed(&shown, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("run");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        prepare(&inner.join("x.sock")).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_symbolic_link_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(prepare(&link.join("x.sock")).is_err());
    }
}
