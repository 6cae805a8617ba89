//! Signals and risk.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Signal {
    /// Report something that was seen of somebody.
    Put(Reported),
    /// List what counts now, the newest first.
    Ls {
        #[command(flatten)]
        about: Whom,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u16,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Reported {
    #[command(flatten)]
    pub(crate) about: SignalAbout,
    /// What was seen. `session_revoked`, `account_disabled` and `account_purged` stop it at once,
    /// as `kill` does.
    #[arg(long, default_value = "reported", value_name = "KIND")]
    pub(crate) kind: String,
    /// How bad it is: info, low, moderate, high, critical.
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) severity: String,
    /// How sure you are, in percent.
    #[arg(long, default_value_t = 100, value_name = "PERCENT")]
    pub(crate) confidence: u8,
    /// For people: what was seen. No secrets.
    #[arg(long, value_name = "TEXT")]
    pub(crate) detail: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// About whom a signal is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SignalAbout {
    /// Someone who acts.
    #[arg(long, value_name = "ID")]
    pub(crate) identity: Option<String>,
    /// Someone for whom others act.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// One task.
    #[arg(long, value_name = "ID")]
    pub(crate) task: Option<String>,
    /// One session: whose, and under which token or of which task.
    #[arg(long, value_name = "IDENTITY/SCOPE")]
    pub(crate) session: Option<String>,
}

/// Whom a question is about.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Whom {
    /// An identity.
    #[arg(value_name = "IDENTITY")]
    pub(crate) identity: Option<String>,
    /// One task.
    #[arg(long, value_name = "ID")]
    pub(crate) task: Option<String>,
    /// One session.
    #[arg(long, value_name = "IDENTITY/SCOPE")]
    pub(crate) session: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Risk {
    /// How risky an identity, a task or a session is now, and why.
    Show {
        #[command(flatten)]
        about: Whom,
        #[command(flatten)]
        remote: Remote,
    },
    /// What the detectors would have found in the past, with these thresholds or others.
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Show only what was found since then: RFC 3339. The past before is learned from all the
    /// same.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// A YAML file of thresholds, as under `risk: detectors: tuning:`; left out, those of the
    /// configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) tuning: Option<PathBuf>,
    /// Show only findings of these kinds.
    #[arg(long, value_name = "KIND")]
    pub(crate) only: Vec<String>,
    /// Read what `log export` has written instead of the data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
}
