//! A change of the policy folder, file by file, that a crash does not leave half made.
//!
//! What is to be written stands in a journal beside the files before the first of them changes, and
//! goes once the last one has. Whoever finds a journal completes it: each file is as it was or as it
//! is to be, so that it does not matter how far the process came that wrote it. Where a file is
//! neither, somebody has edited it since: nothing is overwritten, and the journal is put aside.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use safeconduct_review::{ProposedTexts, is_policy_path};

/// The journal's name in the policy folder. Nothing that begins with a dot is a policy.
const JOURNAL: &str = ".safeconduct-change";

/// Where a journal is put that does not fit what lies there.
const ASIDE: &str = ".safeconduct-change.left";

/// Longest journal that is read, in bytes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What became of a journal that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was none.
    None,
    /// The change is whole now.
    Completed,
    /// These files are neither as they were nor as they were to be: all was left as it is.
    Edited(Vec<String>),
}

/// One thing that is done to the disk: after any of them the process may end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    /// The text beside the file that it is for.
    Write { beside: PathBuf, text: String },
    /// The text in its place.
    Rename { beside: PathBuf, path: PathBuf },
    /// A file goes.
    Remove { path: PathBuf },
}

/// Makes a change of a folder, whole or, after a crash, by [`complete`].
///
/// # Errors
/// The file that could not be written. The journal stays until another takes its place: that of the
/// change back, which is the caller's to make.
pub(crate) fn change(folder: &Path, texts: &ProposedTexts) -> io::Result<()> {
    deeds(folder, texts).iter().try_for_each(carry_out)
}

/// Completes what a process that ended in between left half made.
///
/// # Errors
/// The folder cannot be read or written.
pub(crate) fn complete(folder: &Path) -> io::Result<Found> {
    let journal = folder.join(JOURNAL);
    match fs::metadata(&journal) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::None),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > JOURNAL_BYTES_MAX => {
            return Err(io::Error::new(ErrorKind::InvalidData, "the journal is too long"));
        }
        Ok(_) => {}
    }
    let texts: ProposedTexts = serde_json::from_slice(&fs::read(&journal)?)?;
    let edited = edited(folder, &texts)?;
    if !edited.is_empty() {
        carry_out(&Deed::Rename { beside: journal, path: folder.join(ASIDE) })?;
        return Ok(Found::Edited(edited));
    }
    change(folder, &texts)?;
    Ok(Found::Completed)
}

/// The files that are neither as they were nor as they are to be; and what is no policy file.
fn edited(folder: &Path, texts: &ProposedTexts) -> io::Result<Vec<String>> {
    let mut edited = Vec::new();
    for (name, file) in &texts.files {
        let fits = is_policy_path(name) && {
            let is = match fs::read_to_string(folder.join(name)) {
                Ok(text) => Some(text),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(error),
            };
            is == file.before || is == file.after
        };
        if !fits {
            edited.push(name.clone());
        }
    }
    Ok(edited)
}

/// Everything that a change does to the disk, in order.
fn deeds(folder: &Path, texts: &ProposedTexts) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut put = |path: PathBuf, text: String| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = path.with_file_name(format!(".{name}.new"));
        deeds.push(Deed::Write { beside: beside.clone(), text });
        deeds.push(Deed::Rename { beside, path });
    };
    let journal = String::from_utf8_lossy(&texts.to_bytes()).into_owned();
    put(folder.join(JOURNAL), journal);
    for (name, file) in &texts.files {
        if let Some(text) = &file.after {
            put(folder.join(name), text.clone());
        }
    }
    let gone = texts.files.iter().filter(|(_, file)| file.after.is_none());
    deeds.extend(gone.map(|(name, _)| Deed::Remove { path: folder.join(name) }));
    deeds.push(Deed::Remove { path: folder.join(JOURNAL) });
    deeds
}

/// Does one thing, durably.
fn carry_out(deed: &Deed) -> io::Result<()> {
    match deed {
        Deed::Write { beside, text } => {
            fs::create_dir_all(parent(beside))?;
            let mut file = File::create(beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }
        Deed::Rename { beside, path } => {
            fs::rename(beside, path)?;
            File::open(parent(path))?.sync_all()
        }
        Deed::Remove { path } => match fs::remove_file(path) {
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(parent(path))?.sync_all(),
        },
    }
}

/// Whether there is no such file: what would be its folder may be a file itself.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use super::*;

    /// What tells the process of [`dies`] where it works and after how many deeds it ends.
    const FOLDER: &str = "SAFECONDUCT_TEST_JOURNAL_FOLDER";
    const AFTER: &str = "SAFECONDUCT_TEST_JOURNAL_AFTER";

    fn folder(files: [(&str, Option<&str>); 4]) -> BTreeMap<String, String> {
        let there = files.into_iter().filter_map(|(name, text)| Some((name, text?)));
        there.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    fn before() -> BTreeMap<String, String> {
        let same = ("same.cedar", Some("// same"));
        folder([("a.cedar", Some("// one")), ("b/b.cedar", Some("// old")), ("c.rego", None), same])
    }

    fn after() -> BTreeMap<String, String> {
        let same = ("same.cedar", Some("// same"));
        folder([("a.cedar", Some("// two")), ("b/b.cedar", None), ("c.rego", Some("# new")), same])
    }

    fn put(at: &Path, files: &BTreeMap<String, String>) {
        for (name, text) in files {
            fs::create_dir_all(parent(&at.join(name))).unwrap();
            fs::write(at.join(name), text).unwrap();
        }
    }

    fn read(at: &Path) -> BTreeMap<String, String> {
        let names = ["a.cedar", "b/b.cedar", "c.rego", "same.cedar"];
        let there = names.map(|name| (name.to_owned(), fs::read_to_string(at.join(name)).ok()));
        there.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }

    fn texts() -> ProposedTexts {
        ProposedTexts::between(&before(), &after())
    }

    /// The process that is killed: run by the test below.
    #[test]
    #[ignore = "run by `a_process_that_is_killed_at_any_step_leaves_a_whole_folder`"]
    fn dies() {
        let Some((at, after)) = std::env::var_os(FOLDER).zip(std::env::var(AFTER).ok()) else {
            return;
        };
        let after: usize = after.parse().unwrap();
        deeds(Path::new(&at), &texts())
            .iter()
            .take(after)
            .for_each(|deed| carry_out(deed).unwrap());
        // No destructor runs, and nothing is said to anybody.
        std::process::abort();
    }

    #[test]
    fn a_process_that_is_killed_at_any_step_leaves_a_whole_folder() {
        let all = deeds(Path::new("/"), &texts()).len();
        assert_eq!(all, 8, "the journal, two files, one that goes, and the journal's end");
        for killed_after in 0..=all {
            let at = tempfile::tempdir().unwrap();
            put(at.path(), &before());
            let name = "wiring::journal::tests::dies";
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--ignored", "--nocapture"])
                .env(FOLDER, at.path())
                .env(AFTER, killed_after.to_string())
                .output()
                .unwrap()
                .status;
            assert!(!status.success(), "it was to be killed");
            let found = complete(at.path()).unwrap();
            // Before the journal stands in its place nothing has begun.
            let (wanted, what) = match killed_after {
                0 | 1 => (before(), Found::None),
                _ if killed_after == all => (after(), Found::None),
                _ => (after(), Found::Completed),
            };
            assert_eq!((read(at.path()), found), (wanted, what), "killed after {killed_after}");
            assert_eq!(complete(at.path()).unwrap(), Found::None, "it is done once");
        }
    }

    #[test]
    fn what_was_edited_since_is_not_overwritten() {
        let at = tempfile::tempdir().unwrap();
        put(at.path(), &before());
        deeds(at.path(), &texts()).iter().take(4).for_each(|deed| carry_out(deed).unwrap());
        fs::write(at.path().join("b/b.cedar"), "// by hand").unwrap();
        let mixed = read(at.path());
        assert_eq!(complete(at.path()).unwrap(), Found::Edited(vec!["b/b.cedar".into()]));
        assert_eq!(read(at.path()), mixed);
        assert!(at.path().join(ASIDE).exists());
        assert_eq!(complete(at.path()).unwrap(), Found::None);
    }

    #[test]
    fn a_journal_reaches_no_file_outside() {
        let at = tempfile::tempdir().unwrap();
        let inside = at.path().join("policies");
        fs::create_dir_all(&inside).unwrap();
        let odd = BTreeMap::from([("../x.cedar".to_owned(), "// out".to_owned())]);
        let texts = ProposedTexts::between(&BTreeMap::new(), &odd);
        fs::write(inside.join(JOURNAL), texts.to_bytes()).unwrap();
        assert_eq!(complete(&inside).unwrap(), Found::Edited(vec!["../x.cedar".into()]));
        assert!(!at.path().join("x.cedar").exists());
    }

    #[test]
    fn what_cannot_be_written_is_taken_back_whole() {
        let at = tempfile::tempdir().unwrap();
        put(at.path(), &before());
        fs::write(at.path().join("d"), "no folder").unwrap();
        let mut wanted = after();
        wanted.insert("d/x.cedar".to_owned(), "// new".to_owned());
        let texts = ProposedTexts::between(&before(), &wanted);
        assert!(change(at.path(), &texts).is_err());
        assert_ne!(read(at.path()), before(), "some of it is there");
        change(at.path(), &texts.reversed()).unwrap();
        assert_eq!(read(at.path()), before());
        assert_eq!(complete(at.path()).unwrap(), Found::None);
    }
}
