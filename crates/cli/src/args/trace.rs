//! What can be typed about evidence: traces, exports, controls.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use super::Source;

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A task, a session as IDENTITY/SCOPE, or a decision or any other record by its id.
    #[arg(value_name = "TASK|SESSION|DECISION")]
    pub(crate) id: String,
    /// Fail where records cannot be proved at all. Each record is proved against the newest
    /// checkpoint wherever the data folder is at hand.
    #[arg(long, conflicts_with = "export")]
    pub(crate) proof: bool,
    /// The file with the verifier key, instead of the one in the keys folder.
    #[arg(long, value_name = "FILE", conflicts_with = "export")]
    pub(crate) key: Option<PathBuf>,
    /// What was known and permitted at that time, replayed from the data folder without asking a
    /// server: `15m`, `2h`, `3d` ago, or an RFC 3339 time.
    #[arg(long, value_name = "TIME", conflicts_with = "export")]
    pub(crate) as_of: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// The form of exported records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// The records themselves, byte by byte.
    Ndjson,
    /// OCSF 1.8: an event of the Open Cybersecurity Schema Framework a line.
    Ocsf,
    /// CloudEvents 1.0: the records, each in an envelope.
    Cloudevents,
}

/// Which records are exported.
#[derive(Debug, Args)]
pub(crate) struct ExportRange {
    /// The first sequence number.
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u64,
    /// Not older than this: `15m`, `2h`, `3d`, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Before this: `15m`, `2h`, `3d` ago, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// The source of CloudEvents, a URI reference that names this ledger.
    #[arg(long, default_value = "urn:safeconduct:ledger", value_name = "URI")]
    pub(crate) source: String,
}

#[derive(Debug, Args)]
pub(crate) struct Evidence {
    /// Of which framework.
    #[arg(long, value_parser = PossibleValuesParser::new(words()))]
    pub(crate) framework: String,
    /// Not older than this: `15m`, `2h`, `3d`, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Before this: `15m`, `2h`, `3d` ago, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
}

fn words() -> impl Iterator<Item = &'static str> {
    safeconduct_review::controls::FRAMEWORKS.into_iter().map(|framework| framework.word)
}
