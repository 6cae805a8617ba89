//! The arguments of `safeconduct stream`.

use clap::Subcommand;

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Stream {
    /// List them, and how they stand.
    Ls {
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask the transmitter of one how it stands there.
    Status {
        /// Its name in the configuration.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask the transmitter of one to send an event that shows that it lives.
    Verify {
        /// Its name in the configuration.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}
