//! Folders of evidence, as whoever verifies one gets it.

use safeconduct_evidence::{Files, Manifest, verify};

/// What stands between the files of a folder, and between a file's name and its bytes.
const SEPARATORS: (u8, u8) = (0x1e, 0x1f);

/// A folder of those bytes: whatever it is, verifying it ends; and where it holds, no byte of it can
/// be another.
pub fn folder(data: &[u8]) {
    let mut files = Files::new();
    for section in data.split(|byte| *byte == SEPARATORS.0) {
        let mut parts = section.splitn(2, |byte| *byte == SEPARATORS.1);
        let name = parts.next().unwrap_or_default();
        if let Some(bytes) = parts.next() {
            files.insert(String::from_utf8_lossy(name).into_owned(), bytes.to_vec());
        }
    }
    // What is said of the files may be wrong as well; then the rest is looked at all the same.
    let manifest = Manifest::of(&files).to_text().into_bytes();
    let mut renamed = files.clone();
    renamed.insert("MANIFEST".into(), manifest);
    for files in [files, renamed] {
        let verified = verify(&files, None);
        assert!(verified.holds() != (verified.review.is_none() || !verified.problems.is_empty()));
        if !verified.holds() {
            continue;
        }
        let Some((name, bytes)) = files.iter().nth(data.len() % files.len()) else { continue };
        let mut changed = bytes.clone();
        if let Some(byte) = changed.get_mut(data.len() % bytes.len().max(1)) {
            *byte ^= 1;
            let mut other = files.clone();
            other.insert(name.clone(), changed);
            assert!(!verify(&other, None).holds(), "{name}");
        }
    }
}
