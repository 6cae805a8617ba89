//! Runs the parts and writes what they gave.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::section::{Failure, Section};
use crate::{
    approvals, decide, flow, http, leases, machine, mcp, replay, reviews, risk, startup, tasks,
    temporal, tokens, uses,
};

/// One part: how the command line calls it, and what it does.
struct Part {
    name: &'static str,
    measure: fn() -> Result<Section, Failure>,
}

const PARTS: &[Part] = &[
    Part { name: "decide", measure: decide::measure },
    Part { name: "flow", measure: flow::measure },
    Part { name: "temporal", measure: temporal::measure },
    Part { name: "startup", measure: startup::measure },
    Part { name: "tasks", measure: tasks::measure },
    Part { name: "risk", measure: risk::measure },
    Part { name: "tokens", measure: tokens::measure },
    Part { name: "leases", measure: leases::measure },
    Part { name: "approvals", measure: approvals::measure },
    Part { name: "uses", measure: uses::measure },
    Part { name: "reviews", measure: reviews::measure },
    Part { name: "replay", measure: replay::measure },
    Part { name: "http", measure: http::measure },
    Part { name: "mcp", measure: mcp::measure },
];

/// Runs the named parts, or all of them and writes the report.
pub(crate) fn run(names: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|part| part.name == **name)) {
        return Err(format!("there is no part `{unknown}`").into());
    }
    let (began, load_before) = (Instant::now(), machine::load_average());
    let mut sections = Vec::new();
    for part in PARTS {
        if names.is_empty() || names.contains(&part.name) {
            let section =
                (part.measure)().map_err(|failure| format!("part `{}`: {failure}", part.name))?;
            say(&format!("\n## {}\n\n{}", section.title, section.lines.join("\n")));
            sections.push(section);
        }
    }
    if names.is_empty() {
        write(&sections, began.elapsed().as_secs(), &load_before)?;
    }
    Ok(())
}

/// The folder of this crate.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn write(sections: &[Section], took_s: u64, load_before: &str) -> Result<(), Failure> {
    let machine = format!(
        "{}; load average {load_before} before and {} after",
        machine::describe(&folder()),
        machine::load_average(),
    );
    let mut text = format!(
        "# Results\n\nMade by `make bench` in {took_s} s. Compare the ratios, which were measured \
         side by side in one run, not the absolute numbers.\n\nMachine: {machine}. Anything that others did meanwhile lowers \
         the larger of two programs more than the smaller: run it on an idle machine.\n"
    );
    let mut numbers: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    for section in sections {
        text.push_str(&format!("\n## {}\n\n{}\n", section.title, section.lines.join("\n")));
        for (key, value) in &section.numbers {
            // Four digits are more than such a measurement is worth.
            let rounded: f64 = format!("{value:.3e}").parse()?;
            numbers.insert(key, rounded.into());
        }
    }
    numbers.insert("machine", machine.into());
    fs::write(folder().join("RESULTS.md"), text)?;
    let mut json = serde_json::to_string_pretty(&numbers)?;
    json.push('\n');
    fs::write(folder().join("results.json"), json)?;
    Ok(())
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    // A reader that has gone away is no reason to stop measuring.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
