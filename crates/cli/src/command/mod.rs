//! The commands, one file each. A command takes what was typed and says how it ended.

mod approval;
mod break_glass;
pub(crate) mod catalogue;
mod completion;
mod config;
mod delegation;
mod demo;
mod dev;
mod estate;
mod evidence;
mod explain;
mod healthcheck;
mod identity;
mod init;
mod intent;
mod inventory;
mod keys;
mod kill;
mod lease;
mod log;
mod mcp;
mod passkey;
pub(crate) mod policy;
mod records;
mod review;
mod risk;
pub(crate) mod secret;
mod server;
mod session;
mod signal;
mod stream;
mod task;
mod then;
mod trace;

use crate::args::{Arguments, Command};
use crate::exit::{CommandError, Exit};

/// Runs what was typed.
///
/// # Errors
/// [`CommandError`] says what went wrong; its exit code follows from it.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, CommandError> {
    let Arguments { shared, command } = arguments;
    match command {
        Command::Dev(args) => dev::run(&shared, args),
        Command::Init(args) => init::run(&shared, args),
        Command::Server(args) => server::run(&shared, args),
        Command::Mcp(args) => mcp::run(&shared, args),
        Command::Demo(args) => demo::run(&shared, args),
        Command::Policy(args) => policy::run(&shared, args),
        Command::Catalogue(args) => catalogue::run(&shared, args),
        Command::Intent(args) => intent::run(&shared, args),
        Command::Task(args) => task::run(&shared, args),
        Command::Delegation(args) => delegation::run(&shared, args),
        Command::Passkey(args) => passkey::run(&shared, args),
        Command::Lease(args) => lease::run(&shared, args),
        Command::Secret(args) => secret::run(&shared, args),
        Command::Approval(args) => approval::run(&shared, args),
        Command::BreakGlass(args) => break_glass::run(&shared, args),
        Command::Kill(args) => kill::run(&shared, args),
        Command::Signal(args) => signal::run(&shared, args),
        Command::Risk(args) => risk::run(&shared, args),
        Command::Estate(args) => estate::run(&shared, args),
        Command::Review(args) => review::run(&shared, args),
        Command::Identity(args) => identity::run(&shared, args),
        Command::Keys(args) => keys::run(&shared, args),
        Command::Log(args) => log::run(&shared, args),
        Command::Stream(args) => stream::run(&shared, args),
        Command::Session(args) => session::run(&shared, args),
        Command::Trace(args) => trace::run(&shared, args),
        Command::Evidence(args) => evidence::run(&shared, args),
        Command::Config(args) => config::run(&shared, args),
        Command::Healthcheck(args) => healthcheck::run(&shared, args),
        Command::Completion { shell } => completion::run(shell),
        Command::Explain { topic } => explain::run(topic),
    }
}
