//! The sample world: an agent at work on a customer's case. The files of `examples/case-notes`,
//! carried in the binary so that `dev` and `demo` need nothing beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{CommandError, failed};

/// The agent: a real MCP client in Python.
pub(crate) const AGENT: &str = "agent.py";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../examples/case-notes/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "agent.py",
    "safeconduct.yaml",
    "policies/case-notes.cedar",
    "catalogue/files.yaml",
    "catalogue/files.tools.json",
    "cases/4711/notes.md",
    "cases/4711/customer.md",
    "cases/4712/notes.md",
];

/// Writes the sample world into a folder and returns its configuration file.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<PathBuf, CommandError> {
    for (name, text) in FILES {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(name, error))?;
        }
        fs::write(&file, text).map_err(|error| failed(name, error))?;
    }
    Ok(folder.join("safeconduct.yaml"))
}
