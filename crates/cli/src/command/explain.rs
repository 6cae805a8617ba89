//! `safeconduct explain`: topics that belong to no one command.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::args::{Arguments, Topic};
use crate::exit::{self, CommandError, Exit};
use crate::output;

/// Prints the topic.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(topic: Topic) -> Result<Exit, CommandError> {
    match topic {
        Topic::ExitCodes => output::print(exit::TABLE)?,
        Topic::Environment => output::print(&environment())?,
        Topic::Formatting => output::print(FORMATTING)?,
    }
    Ok(Exit::Ok)
}

/// Every variable that stands for a flag, found in the flags themselves, and the few others.
fn environment() -> String {
    let mut found = BTreeMap::new();
    collect(&Arguments::command(), "safeconduct", &mut found);
    for (name, what) in OTHERS {
        found.insert((*name).to_owned(), (*what).to_owned());
    }
    let rows: Vec<Vec<String>> = found.into_iter().map(|(name, what)| vec![name, what]).collect();
    let mut text = output::table(&["VARIABLE", "STANDS FOR"], &rows);
    let _ = writeln!(text, "\nPrecedence: flag, environment, configuration file, default.");
    text
}

fn collect(command: &clap::Command, path: &str, found: &mut BTreeMap<String, String>) {
    for argument in command.get_arguments() {
        let (Some(variable), Some(flag)) = (argument.get_env(), argument.get_long()) else {
            continue;
        };
        let name = variable.to_string_lossy().into_owned();
        let what = found.entry(name).or_insert_with(|| format!("--{flag}"));
        if path != "safeconduct" && !argument.is_global_set() {
            let command = path.trim_start_matches("safeconduct ");
            let joined = if what.contains(" of ") { ", " } else { " of " };
            let _ = write!(what, "{joined}`{command}`");
        }
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        collect(below, &format!("{path} {}", below.get_name()), found);
    }
}

const OTHERS: &[(&str, &str)] = &[
    (
        "CVC5",
        "the solver of `policy diff` and `policy reduce` with --prove; by default `cvc5` on the path",
    ),
    ("NO_COLOR", "--color never, where --color is auto"),
    ("RUST_LOG", "which log lines are written, such as `safeconduct=debug`"),
    ("SAFECONDUCT_TASK", "the handle of the task that a client of `mcp`, or `lease`, acts in"),
    ("SAFECONDUCT_TOKEN", "the bearer token for a running server; there is no flag for it"),
];

const FORMATTING: &str = "\
Data goes to standard output, talk to standard error. The form is chosen by -o alone, never by
whether somebody is watching.

table   columns for people; the default
json    one JSON document, or one line of JSON for each item of a stream
yaml    the same as YAML
junit   JUnit XML, of `policy test`
sarif   SARIF 2.1.0, of `policy check`
github  workflow annotations, of `policy check` and `policy test`

Where a flag takes JSON, `-` reads standard input and `@FILE` reads a file.
Times are RFC 3339 in UTC; durations are 15m, 2h, 3d.
";
