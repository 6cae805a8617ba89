//! The manifest: SHA-256 of each file, as `sha256sum -c` reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{Files, FormError};

/// The name of the manifest's own file.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// SHA-256 of each file of a folder, in hexadecimal, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(BTreeMap<String, String>);

impl Manifest {
    /// Of those files, the manifest itself aside.
    pub fn of(files: &Files) -> Self {
        let others = files.iter().filter(|(name, _)| *name != MANIFEST);
        Self(others.map(|(name, bytes)| (name.clone(), sha256(bytes))).collect())
    }

    /// As text: a line for each file.
    pub fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, digest)| {
            let _ = writeln!(text, "{digest}  {name}");
            text
        })
    }

    /// Of its text.
    ///
    /// # Errors
    /// [`FormError`]: a line is none, a name comes twice, or is none of this folder.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let no = |line, problem: &str| FormError::new(MANIFEST, line, problem);
        let text = std::str::from_utf8(bytes).map_err(|_| no(1, "this is not UTF-8"))?;
        let mut all = BTreeMap::new();
        for (line, number) in text.lines().zip(1..) {
            let parts = line.split_once("  ").filter(|(digest, name)| {
                let hex = digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                digest.len() == 64 && hex && is_name(name)
            });
            let Some((digest, name)) = parts else {
                return Err(no(number, "this is no digest and name of a file"));
            };
            if all.insert(name.to_owned(), digest.to_owned()).is_some() {
                return Err(no(number, "a file is named twice"));
            }
        }
        Ok(Self(all))
    }

    /// What of those files is not as it says: missing, changed, or not named.
    pub fn problems(&self, files: &Files) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, digest) in &self.0 {
            match files.get(name) {
                None => problems.push(format!("`{name}` is missing")),
                Some(bytes) if sha256(bytes) != *digest => {
                    problems.push(format!("`{name}` is not the file of the manifest"));
                }
                Some(_) => {}
            }
        }
        let unnamed = files.keys().filter(|name| *name != MANIFEST && !self.0.contains_key(*name));
        problems.extend(unnamed.map(|name| format!("`{name}` is not in the manifest")));
        problems
    }
}

/// Whether a file of a folder may have that name: nothing leads out of the folder.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        !part.is_empty() && part.bytes().all(fits) && !part.starts_with('.')
    };
    name.len() <= 128 && name.split('/').all(part) && name.split('/').count() <= 2
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_what_is_changed_missing_and_new() {
        let files = Files::from([
            ("MANIFEST".into(), Vec::new()),
            ("a".into(), b"1".to_vec()),
            ("beside/2".into(), b"2".to_vec()),
        ]);
        let manifest = Manifest::parse(Manifest::of(&files).to_text().as_bytes()).unwrap();
        assert!(manifest.problems(&files).is_empty());
        let mut other = files.clone();
        other.insert("a".into(), b"0".to_vec());
        other.remove("beside/2");
        other.insert("new".into(), Vec::new());
        let problems = manifest.problems(&other);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let digest = sha256(b"");
        for name in ["../a", "/a", "a/../b", ".hidden", "", "a/b/c", "a b", "a\\b"] {
            let line = format!("{digest}  {name}\n");
            assert!(Manifest::parse(line.as_bytes()).is_err(), "{name}");
        }
        let twice = format!("{digest}  a\n{digest}  a\n");
        assert!(Manifest::parse(twice.as_bytes()).is_err());
    }
}
