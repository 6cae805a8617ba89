//! The estate in six plain questions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Estate {
    /// Who there is: kind, owner, status, when they were seen, and how many tasks they act in;
    /// with a name, all that is known of that one.
    Who {
        /// Only this one, with all that hangs on them.
        #[arg(value_name = "IDENTITY", conflicts_with_all = ["after", "limit"])]
        identity: Option<String>,
        /// Those after this id.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u16,
        #[command(flatten)]
        remote: Remote,
    },
    /// For whom somebody answers; without a name, for whom nobody does.
    Owns {
        /// Who answers.
        #[arg(value_name = "PERSON")]
        owner: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// What somebody can do, and what gives it.
    Can {
        /// Who.
        #[arg(value_name = "IDENTITY")]
        identity: String,
        /// As it was at that time, replayed from the data folder without asking a server: `15m`,
        /// `2h`, `3d` ago, or an RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Why somebody can or cannot do something: statements with file and line, and, where a
    /// resource is named, what is decided now.
    Why {
        /// Who.
        #[arg(value_name = "IDENTITY")]
        identity: String,
        /// What they would do.
        #[arg(value_name = "ACTION")]
        action: String,
        /// What they would do it to, as policies write it: `Safeconduct::Path::"/cases"`.
        #[arg(value_name = "RESOURCE")]
        resource: Option<String>,
        /// As it was at that time, replayed from the data folder without asking a server: `15m`,
        /// `2h`, `3d` ago, or an RFC 3339 time.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// What somebody has done: the use of each right, with the last three uses.
    Did {
        /// Who.
        #[arg(value_name = "IDENTITY")]
        identity: String,
        /// On the day of that moment or later: RFC 3339.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// What the kill switch would stop of somebody; with `--yes`, stops it.
    Stop(EstateStop),
    /// Import identities that others keep: all of a file, or nothing where a row is wrong.
    Import(EstateImport),
}

#[derive(Debug, Args)]
pub(crate) struct EstateImport {
    /// The file, at most 64 MiB.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Its form: `csv`, `spire` (`spire-server entry show -output json`), `kubernetes`
    /// (manifests), `oauth` (client metadata). Directories push theirs to `/scim/v2`.
    #[arg(long = "as", value_name = "FORM",
        value_parser = clap::builder::PossibleValuesParser::new(["csv", "spire", "kubernetes", "oauth"]))]
    pub(crate) form: String,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Import the rows that are not wrong.
    #[arg(long)]
    pub(crate) partial: bool,
    /// What kind of things these are, where the file does not say.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Who is accountable for them, where the file does not say.
    #[arg(long, value_name = "PERSON")]
    pub(crate) owner: Option<String>,
    /// Who is where the owner is gone, where the file does not say.
    #[arg(long, value_name = "PERSON")]
    pub(crate) fallback_owner: Option<String>,
    /// Where they run, where the file does not say.
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// The issuer of OAuth clients: their ids are then `ISSUER|CLIENT`.
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct EstateStop {
    /// Who.
    #[arg(value_name = "IDENTITY")]
    pub(crate) identity: String,
    /// Stop it now, instead of showing what would be stopped.
    #[arg(long, requires = "reason")]
    pub(crate) yes: bool,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}
