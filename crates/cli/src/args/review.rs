//! Access reviews.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Campaign, Remediate, Remote};

#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// What is wrong with the estate: look for it, list and show it, and exempt it for a time.
    #[command(subcommand)]
    Findings(Findings),
    /// Propose the smallest change that still permits what was used, with its replay.
    Reduce(super::PolicyReduce),
    /// Reviews of many rights: begin one, answer its cases, sign it off.
    #[command(subcommand)]
    Campaign(Campaign),
    /// Rights that are taken away: with notice, set aside, gone, verified; and given back.
    #[command(subcommand)]
    Remediate(Remediate),
    /// Write all that a campaign rests on and came to into a folder that verifies without a server.
    Export(ExportReview),
    /// Say whether such a folder holds: every file, record, proof and answer of it.
    Verify(VerifyReview),
}

#[derive(Debug, Args)]
pub(crate) struct ExportReview {
    /// Which campaign.
    #[arg(value_name = "CAMPAIGN")]
    pub(crate) campaign: String,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The file with the verifier key, instead of the one in the keys folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyReview {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The file with the ledger's verifier key, from elsewhere than the folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Findings {
    /// Look at the estate now, and record what changed.
    Scan {
        #[command(flatten)]
        remote: Remote,
    },
    /// List findings, the worst first.
    Ls(ListFindings),
    /// Show one finding, with what it rests on.
    Show {
        /// Which.
        #[arg(value_name = "FINDING")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Say that a finding is as it should be, for a time.
    Exempt(Exempt),
    /// End the exemption of a finding before its time.
    Unexempt {
        /// Which.
        #[arg(value_name = "FINDING")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListFindings {
    /// In that state: open, exempt, closed; left out, those that are not closed.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Of that kind: `unused_grant`, `orphaned_identity` and so on.
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// About that identity.
    #[arg(long, value_name = "ID")]
    pub(crate) identity: Option<String>,
    /// At least that bad: low, moderate, high, critical.
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) severity: Option<String>,
    /// Those after this finding.
    #[arg(long, value_name = "FINDING")]
    pub(crate) after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Exempt {
    /// Which.
    #[arg(value_name = "FINDING")]
    pub(crate) id: String,
    /// What it is for: `break_glass`, `seasonal`, `other`.
    #[arg(long, default_value = "other", value_name = "KIND")]
    pub(crate) kind: String,
    /// Until when: `90d`, `12h` from now, or an RFC 3339 time. There is no exemption without an
    /// end, and none longer than 366 days.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}
