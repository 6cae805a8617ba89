//! Loading 10,000 policies: how long beyond parsing, and how much memory each takes.

use std::process::Command;

use safeconduct_policy::{SourceFile, Sources, load};

use crate::report::say;
use crate::rounds::{median, thread_cpu_ns};
use crate::section::{Failure, Section, Target};
use crate::world::{self, Naming};

const POLICIES: usize = 10_000;
const ROUNDS: usize = 3;

/// Measures.
pub(crate) fn measure() -> Result<Section, Failure> {
    let files = world::policy_files(POLICIES, Naming::Folder);
    let sources = world::sources(files.clone())?;
    let (mut parsing, mut loading) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        parsing.push(seconds(|| parse(&files))?);
        loading.push(seconds(|| read(&sources))?);
    }
    let (parsing, loading) = (median(&parsing), median(&loading));
    let bytes = weigh()?;
    let mut section = Section::new("10,000 policies");
    section.targets();
    let beyond = loading - parsing;
    section.target("startup_10k_policies_s", beyond, Target::AtMost(1.0));
    section.target("memory_bytes_per_policy", bytes, Target::AtMost(20_480.0));
    section.number("startup_10k_policies_with_parsing_s", loading);
    section.number("parse_10k_policies_s", parsing);
    section.line("");
    section.line(format!(
        "Reading the set whole (parse, strict validation, index) takes {loading:.2} s of CPU on one \
         thread, of which \
         Cedar's parser alone takes {parsing:.2} s. Memory is what the process's resident set \
         grows by, texts included, in a process that does nothing else.",
    ));
    Ok(section)
}

fn parse(files: &[SourceFile]) -> Result<(), Failure> {
    for file in files {
        let set: cedar_policy::PolicySet = file.text.parse()?;
        drop(std::hint::black_box(set));
    }
    Ok(())
}

fn read(sources: &Sources) -> Result<(), Failure> {
    let loaded = load(sources)?;
    drop(std::hint::black_box(loaded));
    Ok(())
}

/// CPU time: one thread does all of it, and what else the machine does is left out.
fn seconds(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let began = thread_cpu_ns();
    work()?;
    Ok((thread_cpu_ns() - began) / 1e9)
}

fn weigh() -> Result<f64, Failure> {
    let output = Command::new(std::env::current_exe()?)
        .args(["child-memory", &POLICIES.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Prints the bytes that one policy of that many takes.
pub(crate) fn child(policies: usize) -> Result<(), Failure> {
    // What a set takes that has nothing but the schema is not its policies' fault.
    let empty = load(&world::sources(Vec::new())?)?;
    let before = resident_bytes()?;
    let sources = world::sources(world::policy_files(policies, Naming::Folder))?;
    let loaded = load(&sources)?;
    drop(sources);
    let grown = resident_bytes()?.saturating_sub(before);
    say(&format!("{}", grown / policies.max(1)));
    drop((empty, loaded));
    Ok(())
}

pub(crate) fn resident_bytes() -> Result<usize, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split(' ').nth(1).ok_or("no resident set")?.parse()?;
    Ok(pages * rustix::param::page_size())
}
