//! What can be typed about drafts of policies: their differences, their replay, what is learned.

use std::path::PathBuf;

use clap::Args;

use super::Source;

#[derive(Debug, Args)]
pub(crate) struct PolicyDiff {
    /// The folder of the policies as they are.
    pub(crate) old: PathBuf,
    /// The folder of the draft.
    pub(crate) new: PathBuf,
    /// Replay the decisions of this time under the draft: `30d`, or since an RFC 3339 time.
    #[arg(long, value_name = "SINCE")]
    pub(crate) replay: Option<String>,
    #[command(flatten)]
    pub(crate) proving: Proving,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// Whether a draft is proved to permit nothing new.
#[derive(Debug, Args)]
pub(crate) struct Proving {
    /// Prove that the draft permits nothing that the policies of before do not, with the solver
    /// cvc5 (the Debian package `cvc5`, or the program that CVC5 names). Ends with 1 where that is
    /// not proved.
    #[arg(long)]
    pub(crate) prove: bool,
    /// Seconds that the solver has for one question.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub(crate) prove_question_s: u64,
    /// Seconds that it has for all of them.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) prove_total_s: u64,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyLearn {
    /// Whose decisions: a session as IDENTITY/SCOPE, an identity, or an intent; with `session:`,
    /// `identity:` or `intent:` before it where several have that name.
    #[arg(long, value_name = "SESSION|IDENTITY|INTENT")]
    pub(crate) from: String,
    /// Not older than this: `15m`, `2h`, `3d`, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) since: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyReduce {
    #[command(flatten)]
    pub(crate) what: ReduceWhat,
    /// Look at no older records than this. What may be older than them is left alone.
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Write the files that change into this folder too, as they would be.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) proving: Proving,
    #[command(flatten)]
    pub(crate) source: Source,
}

/// What is right-sized.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ReduceWhat {
    /// These policies, by their ids.
    #[arg(long, value_name = "ID")]
    pub(crate) policy: Vec<String>,
    /// What an identity may do.
    #[arg(long, value_name = "ID")]
    pub(crate) identity: Option<String>,
    /// The envelope of an intent.
    #[arg(long, value_name = "NAME")]
    pub(crate) intent: Option<String>,
    /// Every policy.
    #[arg(long)]
    pub(crate) all: bool,
}
