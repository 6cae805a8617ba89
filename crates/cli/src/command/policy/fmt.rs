//! `safeconduct policy fmt`: one layout for all policy files.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::TextDiff;

use crate::args::Shared;
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::output;
use crate::wiring::project;

/// What to do with what is not laid out so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Print the formatted text.
    Print,
    /// Say which files would change.
    Check,
    /// Print what would change.
    Diff,
    /// Change the files.
    Write,
}

impl Task {
    /// The task of those flags; no flag is printing.
    pub(super) const fn of(check: bool, diff: bool, write: bool) -> Self {
        match (check, diff, write) {
            (true, _, _) => Self::Check,
            (_, true, _) => Self::Diff,
            (_, _, true) => Self::Write,
            _ => Self::Print,
        }
    }
}

/// Formats files.
///
/// # Errors
/// [`CommandError::Invalid`] with what does not parse.
pub(super) fn run(shared: &Shared, files: &[PathBuf], task: Task) -> Result<Exit, CommandError> {
    let files = match files {
        [] => all(shared)?,
        some => some.to_vec(),
    };
    let mut problems = Vec::new();
    let mut changed = 0;
    for file in &files {
        let shown = file.display().to_string();
        let text = read(file)?;
        match safeconduct_policy::format(&Arc::from(shown.as_str()), &text) {
            Ok(formatted) => {
                changed += usize::from(formatted != text);
                apply(task, file, &text, &formatted)?;
            }
            Err(error) => problems.extend(error.diagnostics),
        }
    }
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    Ok(if task == Task::Check && changed > 0 { Exit::Invalid } else { Exit::Ok })
}

fn apply(task: Task, file: &Path, text: &str, formatted: &str) -> Result<(), CommandError> {
    let shown = file.display().to_string();
    match task {
        Task::Print => output::print(formatted),
        _ if text == formatted => Ok(()),
        Task::Check => output::print_line(&shown),
        Task::Diff => output::print(&diff(&shown, text, formatted)),
        Task::Write if shown == "-" => output::print(formatted),
        Task::Write => {
            fs::write(file, formatted).map_err(|error| failed(&shown, error))?;
            output::print_line(&shown)
        }
    }
}

/// What has to change in a file, as `diff -u` says it.
fn diff(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(name, &format!("{name} (formatted)"))
        .to_string()
}

/// Every policy file of the project.
fn all(shared: &Shared) -> Result<Vec<PathBuf>, CommandError> {
    let folder = project::read_config(&shared.config)?.policies.folder;
    let here = std::env::current_dir().unwrap_or_default();
    let short = folder.strip_prefix(&here).map(Path::to_owned).unwrap_or(folder);
    let mut found = Vec::new();
    walk(&short, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), CommandError> {
    let shown = folder.display().to_string();
    for entry in fs::read_dir(folder).map_err(|error| failed(&shown, error))? {
        let path = entry.map_err(|error| failed(&shown, error))?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "cedar") {
            found.push(path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, CommandError> {
    let shown = file.display().to_string();
    if shown != "-" {
        return fs::read_to_string(file).map_err(|error| failed(&shown, error));
    }
    let mut text = String::new();
    // One more than the limit, so that a text over it is refused rather than cut.
    let limit = safeconduct_policy::FILE_BYTES_MAX as u64 + 1;
    let read = std::io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|error| failed("standard input", error))?;
    Ok(text)
}
