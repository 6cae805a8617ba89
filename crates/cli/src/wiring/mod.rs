//! From a configuration file to a running server.

mod ages;
pub(crate) mod bootstrap;
pub(crate) mod counted;
mod findings;
pub(crate) mod gate;
pub(crate) mod intents;
mod journal;
pub(crate) mod kept;
pub(crate) mod leases;
mod notices;
mod pages;
pub(crate) mod project;
pub(crate) mod prover;
mod reload;
mod reviews;
mod risk;
pub(crate) mod server;
mod signals;
pub(crate) mod solver;
pub(crate) mod telemetry;
mod tls;
mod token_service;
pub(crate) mod upstream;

use crate::exit::{CommandError, failed};

/// The runtime of commands that wait for something.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime cannot be started", error))
}
