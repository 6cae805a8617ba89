//! The binary `safeconduct`: arguments, wiring, the only `main`.
//!
//! Nothing else reads the environment, chooses a runtime or prints. Each command is one file
//! under `command/`; data goes to standard output, talk to standard error.

mod args;
mod client;
mod command;
mod exit;
mod output;
mod problem;
mod sample;
mod socket;
mod story;
mod system;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

/// A decision makes and drops some hundred small values; with the system's allocator that is
/// half of its cost (bench/RESULTS.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let format = arguments.shared.output;
    match command::run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(format, &error);
            exit::Exit::of(&error).into()
        }
    }
}
