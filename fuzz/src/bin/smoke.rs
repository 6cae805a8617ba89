//! Runs each target over its seeds and a bounded number of mutations of them: no clock, no
//! randomness, so that a failure comes again.
//!
//! `smoke [--rounds N] [--target NAME] [INPUT…]`: with inputs, runs only those.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use safeconduct_fuzz::{TARGETS, Target};

/// Rounds of a target with a share of 100 where nothing is said.
const ROUNDS: u32 = 20_000;

/// Longest input that mutation makes, in bytes.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Pieces that parsers look at twice.
const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b":",
    b",",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"\xEF\xBB\xBF",
    b"\xFF",
    b"\xED\xA0\x80",
    b"\n",
    b"\n  ",
    b"\r\n",
    b"\t",
    b"- ",
    b": ",
    b"&a ",
    b"*a",
    b"!!str ",
    b"|\n",
    b">-\n",
    b"#",
    b"---\n",
    b"? ",
    b"<<: ",
    b"'",
    b"''",
    b"%YAML",
    b"~",
    b"@id(\"x\")",
    b"when {",
    b"unless",
    b"permit",
    b"principal",
    b"::",
    b"\xC3\xA9",
    b"\xE2\x80\xA8",
    b"\0",
    b"..",
    b"/*",
];

fn main() -> ExitCode {
    let mut rounds = ROUNDS;
    let mut only = None;
    let mut inputs: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => match arguments.next().and_then(|n| n.parse().ok()) {
                Some(n) => rounds = n,
                None => return usage(),
            },
            "--target" => only = arguments.next(),
            flag if flag.starts_with('-') => return usage(),
            input => inputs.push(input.into()),
        }
    }
    let chosen: Vec<_> =
        TARGETS.iter().filter(|t| only.as_ref().is_none_or(|name| name == t.name)).collect();
    if chosen.is_empty() {
        return usage();
    }
    let failed = chosen.into_iter().filter(|target| !smoke(target, rounds, &inputs)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("usage: smoke [--rounds N] [--target {}] [INPUT...]", names.join("|"));
    ExitCode::from(2)
}

fn smoke(target: &Target, rounds: u32, inputs: &[PathBuf]) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let mut seeds = match inputs {
        [] => read_folder(&folder),
        paths => paths.iter().filter_map(|path| fs::read(path).ok()).collect(),
    };
    if seeds.is_empty() {
        eprintln!("{}: no seeds in {}", target.name, folder.display());
        return false;
    }
    let only_inputs = !inputs.is_empty();
    seeds.push(Vec::new());
    for seed in &seeds {
        if !survives(target, seed) {
            return false;
        }
    }
    let rounds = if only_inputs { 0 } else { rounds / 100 * target.share };
    let mut dice = Dice(0x5AFE_C0DE);
    for _ in 0..rounds {
        if !survives(target, &mutated(&seeds, &mut dice)) {
            return false;
        }
    }
    println!("{}: {} seeds, {rounds} mutations", target.name, seeds.len() - 1);
    true
}

fn read_folder(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Runs one input; keeps one that panics.
fn survives(target: &Target, input: &[u8]) -> bool {
    let run = target.run;
    if panic::catch_unwind(AssertUnwindSafe(|| run(input))).is_ok() {
        return true;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    let path = folder.join(format!("{}-{:016x}", target.name, fingerprint(input)));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    match kept {
        Ok(()) => eprintln!(
            "{0}: failed on {1}; again with `smoke --target {0} {1}`",
            target.name,
            path.display()
        ),
        Err(error) => eprintln!("{}: failed on {input:?}, not kept: {error}", target.name),
    }
    false
}

/// FNV-1a, to name a file.
fn fingerprint(input: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    input.iter().fold(0xCBF2_9CE4_8422_2325, step)
}

/// Numbers that look random and are not (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % (n.max(1) as u64)) as usize
    }
}

/// A seed with a few changes.
fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(24)).min(input.len());
        match dice.below(7) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < end => drop(input.drain(at..end)),
            2 if at < end => {
                let again: Vec<u8> = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let to = (from + dice.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            4 if at < end => {
                let piece = PIECES[dice.below(PIECES.len())];
                input.splice(at..end, piece.iter().copied());
            }
            5 => input.truncate(at),
            _ => {
                let piece = PIECES[dice.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
