//! `safeconduct secret`: static secrets in a file that is encrypted with age, without an age
//! program.

use std::io::{IsTerminal as _, Read as _};

use safeconduct_broker::{AgeFile, AgeFileError, AgeSet};
use safeconduct_credential::inject::{SCRUBBED_BYTES_MAX, SCRUBBED_BYTES_MIN};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{self, SecretFiles, Shared};
use crate::exit::{CommandError, Exit, failed, not_valid};
use crate::output::{self, Format, print, say};

/// Runs the command.
pub(crate) fn run(shared: &Shared, command: args::Secret) -> Result<Exit, CommandError> {
    match command {
        args::Secret::Set { name, files } => {
            let value = typed()?;
            let word = match set(&age(&files), &name, &value)? {
                AgeSet::Added => "added",
                AgeSet::Replaced => "replaced",
            };
            done(shared, word, &name, &files)
        }
        args::Secret::Ls { files } => {
            let names = age(&files).names().map_err(said)?;
            match shared.output {
                Format::Table => {
                    let rows: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
                    print(&output::table(&["NAME"], &rows))?;
                }
                format => {
                    let secrets: Vec<_> =
                        names.into_iter().map(|name| json!({ "name": name })).collect();
                    print(&output::document(format, &json!({ "secrets": secrets }))?)?;
                }
            }
            Ok(Exit::Ok)
        }
        args::Secret::Rm { name, files } => {
            age(&files).remove(&name).map_err(said)?;
            done(shared, "removed", &name, &files)
        }
    }
}

/// Sets a secret that can be kept out of what comes back from an upstream.
///
/// # Errors
/// Name or length do not fit, or a file cannot be read or written.
pub(crate) fn set(file: &AgeFile, name: &str, value: &str) -> Result<AgeSet, CommandError> {
    if !(SCRUBBED_BYTES_MIN..=SCRUBBED_BYTES_MAX).contains(&value.len()) {
        let problem = format!(
            "the secret has {} bytes; it must have {SCRUBBED_BYTES_MIN} to {SCRUBBED_BYTES_MAX}, \
             or it could not be found in answers and taken out",
            value.len()
        );
        return Err(not_valid(problem));
    }
    file.set(name, value).map_err(said)
}

fn age(files: &SecretFiles) -> AgeFile {
    AgeFile::new(files.file.clone(), files.identity_file.clone())
}

fn said(error: AgeFileError) -> CommandError {
    match error {
        AgeFileError::Name(_) | AgeFileError::Length(_) => not_valid(error.to_string()),
        other => CommandError::Failed(other.to_string()),
    }
}

/// What standard input holds, without the end of its last line. An argument would be seen by
/// everybody on the machine, and a terminal would show what is typed.
fn typed() -> Result<Zeroizing<String>, CommandError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let problem = "the secret is read from standard input: `... | safeconduct secret set NAME`";
        return Err(CommandError::Failed(problem.into()));
    }
    let room = SCRUBBED_BYTES_MAX + 3;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let read = stdin.lock().take(room as u64).read_to_string(&mut text);
    read.map_err(|error| failed("the secret", error))?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    Ok(Zeroizing::new(value.to_owned()))
}

fn done(
    shared: &Shared,
    word: &str,
    name: &str,
    files: &SecretFiles,
) -> Result<Exit, CommandError> {
    match shared.output {
        Format::Table if shared.quiet => {}
        Format::Table => say(&format!("{word} `{name}` in {}", files.file.display())),
        format => print(&output::document(format, &json!({ "name": name, "done": word }))?)?,
    }
    Ok(Exit::Ok)
}
