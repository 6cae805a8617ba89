//! Where the things lie that tests run: the binary, the test server, Python, Node, outside suites.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The root of the work tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of built programs that this test runs from.
fn target() -> PathBuf {
    let own = env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    // Tests lie in `deps`, programs beside it.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap() } else { folder };
    folder.to_owned()
}

/// The binary under test: `SAFECONDUCT_BIN`, or the newest that was built.
pub fn safeconduct() -> PathBuf {
    if let Some(named) = env::var_os("SAFECONDUCT_BIN") {
        return named.into();
    }
    let built = |profile: &str| root().join("target").join(profile).join("safeconduct");
    let age = |file: &PathBuf| fs::metadata(file).and_then(|m| m.modified()).ok();
    let found = [target().join("safeconduct"), built("release"), built("debug")]
        .into_iter()
        .filter_map(|file| Some((age(&file)?, file)))
        .max_by_key(|(age, _): &(SystemTime, PathBuf)| *age);
    found.expect("no binary `safeconduct`: run `make build` first").1
}

/// The MCP server of the tests.
pub fn test_upstream() -> PathBuf {
    target().join("safeconduct-test-upstream")
}

/// Python with the packages of `tests/requirements.txt`.
///
/// # Errors
/// Why there is none.
pub fn python() -> Result<PathBuf, String> {
    let file = root().join(".venv/bin/python");
    if file.exists() { Ok(file) } else { Err("no .venv: run `make tools`".into()) }
}

/// Node 22 or later.
///
/// # Errors
/// Why there is none.
pub fn node() -> Result<PathBuf, String> {
    let file = root().join("node_modules/.bin/node");
    if file.exists() { Ok(file) } else { Err("no node_modules: run `make tools`".into()) }
}

/// A folder of outside material beside the work tree.
///
/// # Errors
/// Why it is not there.
pub fn evals(name: &str) -> Result<PathBuf, String> {
    let folder = root().join("../shared/evals").join(name);
    let there = folder.is_dir();
    there.then_some(folder).ok_or(format!("no ../shared/evals/{name} beside the work tree"))
}

/// Says why a test, or a part of one, does not run here.
pub fn skip(what: &str, why: &str) {
    eprintln!("skipped: {what}: {why}");
}

/// A command of the binary under test, with nothing of our environment that would change it.
pub fn command() -> Command {
    let mut command = Command::new(safeconduct());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SAFECONDUCT_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// Runs a command of the binary to its end: exit code, standard output, standard error.
pub fn run(config: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command().arg("--config").arg(config).args(args).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
