//! Changing a file of secrets: whole, encrypted anew, and never half written.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::{Encryptor, IdentityFile, Recipient};
use safeconduct_service::SECRET_BYTES_MAX;
use safeconduct_wire::document::is_secret_name;
use tempfile::NamedTempFile;
use thiserror::Error;
use zeroize::Zeroizing;

use super::age_file::{self, AGE_FILE_BYTES_MAX};
use crate::file;

/// Most secrets of one file.
pub const AGE_SECRETS_MAX: usize = 1000;

/// A file of secrets, and the identity that opens it. Where neither is there yet, setting a
/// secret makes both, for their owner alone.
///
/// The file is encrypted to its identity alone: whoever else it was encrypted to cannot open what
/// is written here. Comments and the order of names are not kept.
pub struct AgeFile {
    file: PathBuf,
    identity_file: PathBuf,
}

/// What setting a secret did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeSet {
    /// There was none of that name.
    Added,
    /// There was one of that name.
    Replaced,
}

/// Why a file of secrets was not read or changed. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AgeFileError {
    /// The caller's fault.
    #[error(
        "`{0}` is no name of a secret: letters, digits, `.`, `_` and `-`, at most 128, and not \
         `.` or `..`"
    )]
    Name(String),
    /// The caller's fault.
    #[error("the secret has {0} bytes; it must have 1 to {SECRET_BYTES_MAX}")]
    Length(usize),
    /// The caller's fault.
    #[error("`{}` has no secret `{name}`", file.display())]
    NoSuchSecret {
        /// The file.
        file: PathBuf,
        /// What it does not have.
        name: String,
    },
    /// Too many, or too long together.
    #[error(
        "`{}` would be too large: at most {AGE_SECRETS_MAX} secrets and {AGE_FILE_BYTES_MAX} bytes",
        .0.display()
    )]
    TooLarge(PathBuf),
    /// The file is there and what opens it is not: a new identity would not open it.
    #[error(
        "`{}` is there, but not the identity `{}` that opens it",
        file.display(), identity_file.display()
    )]
    NoIdentity {
        /// The file.
        file: PathBuf,
        /// The identity that is missing.
        identity_file: PathBuf,
    },
    /// A file cannot be used or written; in words.
    #[error("{0}")]
    File(String),
}

impl AgeFile {
    /// That file, opened by that identity. Nothing is read yet.
    pub const fn new(file: PathBuf, identity_file: PathBuf) -> Self {
        Self { file, identity_file }
    }

    /// The names of the secrets, in order.
    ///
    /// # Errors
    /// [`AgeFileError::File`] where it cannot be read.
    pub fn names(&self) -> Result<Vec<String>, AgeFileError> {
        Ok(self.read()?.into_keys().collect())
    }

    /// Sets a secret and keeps all others.
    ///
    /// # Errors
    /// [`AgeFileError`] says whose fault it is; the file is then as it was.
    pub fn set(&self, name: &str, value: &str) -> Result<AgeSet, AgeFileError> {
        if !is_secret_name(name) {
            return Err(AgeFileError::Name(name.to_owned()));
        }
        if !(1..=SECRET_BYTES_MAX).contains(&value.len()) {
            return Err(AgeFileError::Length(value.len()));
        }
        let _lock = self.identity()?;
        let mut all = if self.file.exists() { self.read()? } else { BTreeMap::new() };
        let before = all.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
        self.write(&all)?;
        Ok(before.map_or(AgeSet::Added, |_| AgeSet::Replaced))
    }

    /// Removes a secret and keeps all others.
    ///
    /// # Errors
    /// [`AgeFileError`] says whose fault it is; the file is then as it was.
    pub fn remove(&self, name: &str) -> Result<(), AgeFileError> {
        let _lock = self.lock()?;
        let mut all = self.read()?;
        if all.remove(name).is_none() {
            let (file, name) = (self.file.clone(), name.to_owned());
            return Err(AgeFileError::NoSuchSecret { file, name });
        }
        self.write(&all)
    }

    fn read(&self) -> Result<BTreeMap<String, Zeroizing<String>>, AgeFileError> {
        age_file::all(&self.file, &self.identity_file).map_err(AgeFileError::File)
    }

    /// The lock on the identity, which is made where nothing is there yet.
    fn identity(&self) -> Result<File, AgeFileError> {
        if !self.identity_file.exists() {
            if self.file.exists() {
                let (file, identity_file) = (self.file.clone(), self.identity_file.clone());
                return Err(AgeFileError::NoIdentity { file, identity_file });
            }
            let identity = age::x25519::Identity::generate();
            let (public, secret) = (identity.to_public(), identity.to_string());
            let secret = secret.expose_secret();
            let text = Zeroizing::new(format!("# public key: {public}\n{secret}\n"));
            let placed = closed(&self.identity_file, text.as_bytes())?;
            // Somebody else may have made one in between: that one is used.
            if let Err(error) = placed.persist_noclobber(&self.identity_file)
                && error.error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(problem(&self.identity_file)(error.error));
            }
            settle(&self.identity_file)?;
        }
        self.lock()
    }

    /// Those who change the file take turns.
    fn lock(&self) -> Result<File, AgeFileError> {
        let lock = File::open(&self.identity_file).map_err(problem(&self.identity_file))?;
        lock.lock().map_err(problem(&self.identity_file))?;
        Ok(lock)
    }

    fn write(&self, all: &BTreeMap<String, Zeroizing<String>>) -> Result<(), AgeFileError> {
        let sealed = self.sealed(&text(all))?;
        if all.len() > AGE_SECRETS_MAX || sealed.len() as u64 > AGE_FILE_BYTES_MAX {
            return Err(AgeFileError::TooLarge(self.file.clone()));
        }
        let written = closed(&self.file, &sealed)?;
        written.persist(&self.file).map_err(|error| problem(&self.file)(error.error))?;
        settle(&self.file)
    }

    fn sealed(&self, text: &str) -> Result<Vec<u8>, AgeFileError> {
        let unfit = || {
            AgeFileError::File(format!("`{}` holds no age identity", self.identity_file.display()))
        };
        let key = file::read_secret(&self.identity_file).map_err(AgeFileError::File)?;
        let identities = IdentityFile::from_buffer(key.as_slice()).map_err(|_| unfit())?;
        let recipients = identities.to_recipients().map_err(|_| unfit())?;
        let recipients = recipients.iter().map(|recipient| &**recipient as &dyn Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(|_| unfit())?;
        let mut sealed = Vec::new();
        let written = encryptor.wrap_output(&mut sealed).and_then(|mut stream| {
            stream.write_all(text.as_bytes())?;
            stream.finish().map(drop)
        });
        written.map_err(problem(&self.file))?;
        Ok(sealed)
    }
}

/// The secrets as YAML, each name and text in quotes.
fn text(all: &BTreeMap<String, Zeroizing<String>>) -> Zeroizing<String> {
    if all.is_empty() {
        return Zeroizing::new("{}\n".to_owned());
    }
    // Room for the longest escapes: growing would leave copies behind.
    let room = all.iter().map(|(name, value)| 10 * (name.len() + value.len()) + 8).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (name, value) in all {
        quote(name, &mut text);
        text.push_str(": ");
        quote(value, &mut text);
        text.push('\n');
    }
    text
}

fn quote(plain: &str, text: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    text.push('"');
    for c in plain.chars() {
        let code = u32::from(c);
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // What YAML takes for the end of a line, or does not let stand as it is.
            _ if c.is_control() || (0x2028..=0x2029).contains(&code) || code >= 0xFEFF => {
                text.push_str("\\U");
                for place in (0..8).rev() {
                    let digit = (code >> (4 * place)) as usize & 15;
                    text.push(HEX.get(digit).map_or('0', |digit| char::from(*digit)));
                }
            }
            _ => text.push(c),
        }
    }
    text.push('"');
}

/// A file beside the one that it will replace, whole on the disk, for its owner alone.
fn closed(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, AgeFileError> {
    let folder = folder(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(problem(folder))?;
    let mut file = NamedTempFile::new_in(folder).map_err(problem(folder))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(problem(path))?;
    Ok(file)
}

/// Makes sure that a name outlives a loss of power.
fn settle(path: &Path) -> Result<(), AgeFileError> {
    let folder = folder(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(problem(folder))
}

fn folder(path: &Path) -> &Path {
    let named = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    named.unwrap_or(Path::new("."))
}

fn problem(path: &Path) -> impl Fn(std::io::Error) -> AgeFileError {
    move |error| AgeFileError::File(format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made() -> (tempfile::TempDir, AgeFile) {
        let folder = tempfile::tempdir().unwrap();
        let (file, key) = (folder.path().join("in/secrets.age"), folder.path().join("key.txt"));
        (folder, AgeFile::new(file, key))
    }

    fn value(age: &AgeFile, name: &str) -> String {
        age.read().unwrap()[name].to_string()
    }

    #[test]
    fn secrets_are_set_kept_replaced_and_removed() {
        let (_folder, age) = made();
        assert_eq!(age.set("a.b", "hunter22"), Ok(AgeSet::Added));
        assert_eq!(age.set("other", "hunter33"), Ok(AgeSet::Added));
        assert_eq!(age.set("a.b", "hunter44"), Ok(AgeSet::Replaced));
        assert_eq!(age.names().unwrap(), ["a.b", "other"]);
        assert_eq!(
            (value(&age, "a.b"), value(&age, "other")),
            ("hunter44".into(), "hunter33".into())
        );
        for path in [&age.file, &age.identity_file] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = std::fs::read(path).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"hunter"));
        }
        let beside = std::fs::read_dir(age.file.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "something was left behind");
        age.remove("other").unwrap();
        assert!(matches!(age.remove("other"), Err(AgeFileError::NoSuchSecret { .. })));
        age.remove("a.b").unwrap();
        assert_eq!(age.names().unwrap(), [""; 0]);
        assert_eq!(age.set("7", "hunter55"), Ok(AgeSet::Added));
        assert_eq!(value(&age, "7"), "hunter55");
    }

    #[test]
    fn any_text_comes_back_as_it_was() {
        let (_folder, age) = made();
        let all = (0..0x400)
            .chain(0x2000..0x2030)
            .chain([0xFEFF, 0xFFFD, 0x1F600])
            .filter_map(char::from_u32);
        let all: String = all.collect();
        for text in
            [all.as_str(), "null", "7", "- a", "a: b", "\"\\", " x ", "{secret}", "#\n", "'"]
        {
            age.set("x", text).unwrap();
            assert_eq!(value(&age, "x"), text);
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (_folder, age) = made();
        for name in ["", ".", "..", "a b", "a\n", "\u{e4}", &"x".repeat(129)] {
            assert_eq!(age.set(name, "hunter22"), Err(AgeFileError::Name(name.to_owned())));
        }
        assert_eq!(age.set("a", ""), Err(AgeFileError::Length(0)));
        assert!(!age.identity_file.exists());
        let long = "x".repeat(SECRET_BYTES_MAX);
        assert_eq!(age.set("a", &format!("{long}x")), Err(AgeFileError::Length(long.len() + 1)));
        age.set("a", &long).unwrap();
        let before = std::fs::read(&age.file).unwrap();
        let large = (0..AGE_FILE_BYTES_MAX as usize / long.len())
            .map(|n| (n.to_string(), Zeroizing::new(long.clone())));
        assert_eq!(age.write(&large.collect()), Err(AgeFileError::TooLarge(age.file.clone())));
        assert_eq!(std::fs::read(&age.file).unwrap(), before);
        std::fs::remove_file(&age.identity_file).unwrap();
        assert!(matches!(age.set("b", "hunter22"), Err(AgeFileError::NoIdentity { .. })));
        assert_eq!(std::fs::read(&age.file).unwrap(), before);
        assert!(!age.identity_file.exists());
    }

    #[test]
    fn a_file_that_would_lose_something_is_left_alone() {
        let (_folder, age) = made();
        age.set("a", "hunter22").unwrap();
        for text in ["a: hunter22\nb: 7\n", "- hunter22\n"] {
            std::fs::write(&age.file, age.sealed(text).unwrap()).unwrap();
            let before = std::fs::read(&age.file).unwrap();
            let error = age.set("c", "hunter33").unwrap_err().to_string();
            assert!(!error.contains("hunter"), "{error}");
            assert_eq!(std::fs::read(&age.file).unwrap(), before);
        }
    }

    #[test]
    fn those_who_set_at_once_lose_nothing() {
        let (_folder, age) = made();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let age = &age;
                scope.spawn(move || age.set(&format!("s{number}"), "hunter22").unwrap());
            }
        });
        assert_eq!(age.names().unwrap().len(), 8);
    }
}
