//! Rights that are taken away, and changes of the policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Remediate {
    /// List remediations, the oldest first.
    Ls(ListRemediations),
    /// Show one, with what its verification found.
    Show {
        /// Which.
        #[arg(value_name = "REMEDIATION")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Plan that a right is taken away; its holder's people have notice until then.
    Schedule(ScheduleRemediation),
    /// Set the right aside now: it counts for nothing until it is restored.
    Quarantine {
        /// Which.
        #[arg(value_name = "REMEDIATION")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Bring back what was set aside, or let a plan go.
    Restore {
        /// Which.
        #[arg(value_name = "REMEDIATION")]
        id: String,
        /// Why; it is recorded.
        #[arg(long, default_value = "restored by hand", value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take rights away for good. What policies give becomes a proposal that somebody else
    /// approves.
    Apply(ApplyRemediations),
    /// Ask what was taken away, and what is still used: the first has to be denied, the other
    /// permitted.
    Verify(VerifyRemediation),
    /// Give back what was taken away.
    RollBack {
        /// Which.
        #[arg(value_name = "REMEDIATION")]
        id: String,
        /// Why; it is recorded.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListRemediations {
    /// In that state: scheduled, quarantined, applied, verified, `still_permitted`, restored,
    /// `rolled_back`, failed, conflict.
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Of that holder.
    #[arg(long, value_name = "ID")]
    pub(crate) holder: Option<String>,
    /// Those after this one.
    #[arg(long, value_name = "REMEDIATION")]
    pub(crate) after: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleRemediation {
    /// Whose right.
    #[arg(value_name = "IDENTITY", required_unless_present = "campaign")]
    pub(crate) holder: Option<String>,
    /// All that this campaign decided, which was signed off.
    #[arg(long, value_name = "CAMPAIGN", conflicts_with_all = ["holder", "grant", "effect", "cause", "reason"])]
    pub(crate) campaign: Option<String>,
    /// Which, by its id (`estate can -o json`); left out, everything that they may do.
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Option<String>,
    /// What is to become of it: suspend, reduce, revoke.
    #[arg(long, value_name = "EFFECT", required_unless_present = "campaign")]
    pub(crate) effect: Option<String>,
    /// How long its people have notice: `14d`, `12h`; left out, none.
    #[arg(long, value_name = "TIME")]
    pub(crate) notice: Option<String>,
    /// What led to it: a campaign and case, a finding.
    #[arg(long, value_name = "TEXT")]
    pub(crate) cause: Option<String>,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT", required_unless_present = "campaign")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyRemediations {
    /// Which; several become one change of the policies.
    #[arg(value_name = "REMEDIATION", required = true)]
    pub(crate) ids: Vec<String>,
    /// For what shrinks: a file that changes, as PATH-IN-THE-FOLDER=FILE.
    #[arg(long, value_name = "PATH=FILE")]
    pub(crate) draft: Vec<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyRemediation {
    /// Which.
    #[arg(value_name = "REMEDIATION")]
    pub(crate) id: String,
    /// What has to be denied now: `ACTION on TYPE::"ID"`, with ` with JSON` where it takes
    /// arguments. At least one of what was taken away, where recorded decisions alone are not to
    /// prove it; of a delegation or a lease none.
    #[arg(long, value_name = "QUESTION")]
    pub(crate) denied: Vec<String>,
    /// What has to be permitted still.
    #[arg(long, value_name = "QUESTION")]
    pub(crate) permitted: Vec<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct CheckoutPolicies {
    /// The folder: empty, or with what the server has, or with what it had when it was written.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct ProposePolicies {
    /// The folder with all policy files, as they are to be.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Digest of what was edited; left out, what `policy checkout` has written down in the folder.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) from: Option<String>,
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}
