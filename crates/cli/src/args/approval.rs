//! Arguments of what people answer: access requests, and rules set aside in an emergency.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Approval {
    /// List requests: those that the token's identity asked or may answer, or all where it may
    /// see all.
    Ls {
        /// Only those in this state: pending, approved, refused, expired, spent, revoked.
        #[arg(long)]
        state: Option<String>,
        /// Only those of this agent.
        #[arg(long)]
        agent: Option<String>,
        /// Only those in this task.
        #[arg(long)]
        task: Option<String>,
        /// Only those that wait for an answer which the token's identity may give now.
        #[arg(long)]
        answerable: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one in full: who asks for what, why it was denied, and what there is to judge it by.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Approve one, after showing it in full: once, and exactly what is asked, where nothing else
    /// is said.
    Approve(Box<Approve>),
    /// Refuse one, for good; or several that are listed together.
    Refuse {
        /// Its id.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why, for who asked and for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For whom the token's identity stands in.
        #[arg(long, value_name = "ID")]
        standing_in_for: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take a request back, or what it gave.
    Revoke {
        /// Its id.
        id: String,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Wait for the answer to one: exit code 0 once it is approved, 10 where nothing comes of it,
    /// 11 where it still waits.
    Wait {
        /// Its id.
        id: String,
        /// For how long at most: `30s`, `10m`, `2h`.
        #[arg(long = "for", value_name = "SPAN", default_value = "10m")]
        span: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Ask people for a call of the token's identity that is denied.
    Ask(Box<Ask>),
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// Its id; several that are listed together are approved once each.
    #[arg(required = true)]
    pub(crate) ids: Vec<String>,
    /// Lower a number: `/amount=100`; once for each. With --task-uses or --until it is the most
    /// that the number may be in any of the uses.
    #[arg(long, value_name = "POINTER=NUMBER")]
    pub(crate) at_most: Vec<String>,
    /// With --task-uses or --until: an argument may be this value too, JSON or a text; once for
    /// each value.
    #[arg(long, value_name = "POINTER=VALUE")]
    pub(crate) one_of: Vec<String>,
    /// With --task-uses or --until: an argument may be any path in this folder.
    #[arg(long, value_name = "POINTER=FOLDER")]
    pub(crate) under: Vec<String>,
    /// With --task-uses or --until: an argument may be any address or URL of this domain.
    #[arg(long, value_name = "POINTER=DOMAIN")]
    pub(crate) domain: Vec<String>,
    /// With --task-uses or --until: an argument may be any text of so many bytes.
    #[arg(long, value_name = "POINTER=BYTES")]
    pub(crate) longest: Vec<String>,
    /// With --task-uses or --until: any resource of the types that were asked for.
    #[arg(long)]
    pub(crate) any_of_type: bool,
    /// So often in its task, with the same arguments and resources.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["until", "uses"])]
    pub(crate) task_uses: Option<u32>,
    /// Until then, in whatever task of the same intent: `2h`, or an RFC 3339 time; with --uses.
    #[arg(long, value_name = "TIME", requires = "uses")]
    pub(crate) until: Option<String>,
    /// How often until then.
    #[arg(long, value_name = "NUMBER", requires = "until")]
    pub(crate) uses: Option<u32>,
    /// The digest of what you were shown before; by default of what is shown now.
    #[arg(long)]
    pub(crate) digest: Option<String>,
    /// For whom the token's identity stands in: somebody whose fallback owner it is.
    #[arg(long, value_name = "ID")]
    pub(crate) standing_in_for: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// What is to be done.
    pub(crate) action: String,
    /// Its arguments, exactly as the call has them: JSON, `@FILE`, or `-` for standard input.
    #[arg(long, default_value = "{}")]
    pub(crate) input: String,
    /// What it is done to, `TYPE::"ID"`; by default what the catalogue maps.
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// Why: people are shown it as your words.
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    /// A file that holds the task's handle; by default SAFECONDUCT_TASK is the handle.
    #[arg(long, value_name = "HANDLE-FILE")]
    pub(crate) task_file: Option<PathBuf>,
    /// Wait for the answer, for so long at most.
    #[arg(long, value_name = "SPAN")]
    pub(crate) wait: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BreakGlass {
    /// Set the rules that ask for an approval aside for an agent. It takes a passkey that was used
    /// just now, and a policy that gives you the right; it is reviewed afterwards.
    Begin {
        /// For whom.
        agent: String,
        /// In this task of theirs alone.
        #[arg(long, value_name = "ID")]
        task: Option<String>,
        /// For how long: at most `1h`.
        #[arg(long = "for", value_name = "SPAN", default_value = "15m")]
        span: String,
        /// Why, for the record and the review.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List what is set aside now.
    Ls {
        #[command(flatten)]
        remote: Remote,
    },
    /// List the reviews that are due of what was set aside.
    Reviews {
        #[command(flatten)]
        remote: Remote,
    },
    /// Do a review that is due: of what somebody else than you set aside.
    Review {
        /// The id of what `begin` recorded.
        id: String,
        /// What you found: `justified` or `unjustified`.
        #[arg(long, value_name = "VERDICT")]
        verdict: String,
        /// What there is to say of it, for the record.
        #[arg(long, value_name = "TEXT")]
        note: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Let the rules hold again.
    End {
        /// The id of what `begin` recorded.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}
