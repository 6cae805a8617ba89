//! Arguments of what is done under: intents, tasks, delegations, leases, keys, secrets, the kill
//! switch.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

#[derive(Debug, Subcommand)]
pub(crate) enum Intent {
    /// List the intents, each version of them.
    Ls,
    /// Show one: who may undertake it, and what may be done under it.
    Show {
        /// Its name.
        name: String,
        /// Its version; by default the highest.
        #[arg(long = "version", value_name = "NUMBER")]
        number: Option<u32>,
    },
    /// Check the intents against the catalogue and the schema.
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Begin a task; its handle is shown once.
    Begin(Box<TaskBegin>),
    /// List tasks: those that the token's identity has a part in, or all where it may see all.
    Ls {
        /// Only those in this state: active, completed, expired, revoked.
        #[arg(long)]
        state: Option<String>,
        /// Only those of this agent.
        #[arg(long)]
        agent: Option<String>,
        /// Only those of this intent.
        #[arg(long)]
        intent: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one: its budget, what of it was used, and what may be done in it.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// End one, with everything under it.
    End {
        /// Its id.
        id: String,
        /// It is taken back, instead of brought to its end.
        #[arg(long)]
        revoke: bool,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TaskBegin {
    /// The intent's name.
    #[arg(required_unless_present = "run_of")]
    pub(crate) intent: Option<String>,
    /// The schedule of the token's identity of which this is a run: everything else is its.
    #[arg(
        long,
        value_name = "SCHEDULE",
        conflicts_with_all = [
            "intent", "number", "parameters", "prompt", "prompt_file", "agent",
            "on_behalf_of_token_file", "delegated", "parent", "span", "depth", "tier_max", "grants",
        ]
    )]
    pub(crate) run_of: Option<String>,
    /// Its version; by default the highest.
    #[arg(long = "version", value_name = "NUMBER")]
    pub(crate) number: Option<u32>,
    /// What the intent wants to know.
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// What the agent is told; visible to others on this machine while the command runs.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    pub(crate) prompt: Option<String>,
    /// A file that holds what the agent is told, at most 64 KiB.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Who will act; by default the token's identity.
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<String>,
    /// A file that holds a token of the user for whom it is.
    #[arg(long, value_name = "FILE", conflicts_with = "delegated")]
    pub(crate) on_behalf_of_token_file: Option<PathBuf>,
    /// The user for whom it is, who has delegated the intent to the agent.
    #[arg(long, value_name = "USER")]
    pub(crate) delegated: Option<String>,
    /// A file that holds the handle of the task that it is delegated from.
    #[arg(long, value_name = "HANDLE-FILE")]
    pub(crate) parent: Option<PathBuf>,
    /// How long it lasts at most: `15m`, `2h`.
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) span: Option<String>,
    /// How many levels of delegation may follow at most.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) depth: Option<u8>,
    /// The highest tier that needs nobody's approval: low, moderate, high, critical.
    #[arg(long, value_name = "TIER")]
    pub(crate) tier_max: Option<String>,
    /// What it may get leases of, where that is not all that the intent names; once for each.
    #[arg(long = "grant", value_name = "TARGET=GRANT")]
    pub(crate) grants: Vec<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lease {
    /// Get one for the task that the token's identity acts in; its secret is shown once.
    Get(LeaseGet),
    /// List those that are not over: of the token's identity, or all where it may see all.
    Ls {
        #[command(flatten)]
        remote: Remote,
    },
    /// Make one last longer: never beyond its most, never past its task.
    Renew {
        /// Its id.
        id: String,
        /// A file that holds the task's handle; by default SAFECONDUCT_TASK is the handle.
        #[arg(long, value_name = "HANDLE-FILE")]
        task_file: Option<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LeaseGet {
    /// A target of the server's configuration.
    pub(crate) target: String,
    /// Only this grant of those that the task's intent names; can be said again.
    #[arg(long = "grant", value_name = "NAME")]
    pub(crate) grants: Vec<String>,
    /// A file that holds the task's handle; by default SAFECONDUCT_TASK is the handle.
    #[arg(long, value_name = "HANDLE-FILE")]
    pub(crate) task_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List them: the next one, the one that signs, and those whose tokens may be alive.
    Ls {
        #[command(flatten)]
        remote: Remote,
    },
    /// Make new ones. They sign ten minutes later; tokens of those before hold until they expire.
    Rotate {
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop using one that may be in other hands: at once, with every token that it signed.
    Drop {
        /// Its id, as `keys ls` shows it.
        #[arg(value_name = "KID")]
        key: String,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Set one, read from standard input; all others are kept.
    Set {
        /// Its name.
        name: String,
        #[command(flatten)]
        files: SecretFiles,
    },
    /// List their names.
    Ls {
        #[command(flatten)]
        files: SecretFiles,
    },
    /// Remove one; all others are kept.
    Rm {
        /// Its name.
        name: String,
        #[command(flatten)]
        files: SecretFiles,
    },
}

/// A file of secrets and what opens it, as `targets.NAME.age` of the configuration names them.
#[derive(Debug, Args)]
pub(crate) struct SecretFiles {
    /// The encrypted file.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file of the age identity that opens it; `set` makes both where neither is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Passkey {
    /// List your own; an administrator sees all.
    Ls {
        /// Only those of this identity.
        #[arg(long, value_name = "ID")]
        identity: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take one away: nothing is proved by it any more.
    #[command(alias = "remove")]
    Rm {
        /// Its id.
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delegation {
    /// Give the word of the user whose token it is.
    Add {
        /// Who may act for the user.
        #[arg(long, value_name = "ID")]
        agent: String,
        /// Under which intent.
        #[arg(long, value_name = "NAME")]
        intent: String,
        /// How long it stands: `90d`, `12h`.
        #[arg(long, default_value = "30d")]
        ttl: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List them.
    Ls {
        /// Only those of this user.
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Only those to this agent.
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take one back. Tasks that have begun by it go on.
    Rm {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Let it go on instead: a session, or everything. Tasks that were ended stay ended, and an
    /// identity goes on once `identity add` makes it active.
    #[arg(long)]
    pub(crate) lift: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// What the kill switch stops.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// Everything that this identity does; it is suspended.
    #[arg(long, value_name = "ID")]
    pub(crate) identity: Option<String>,
    /// This task, with everything under it.
    #[arg(long, value_name = "ID")]
    pub(crate) task: Option<String>,
    /// This session: whose, and under which token or of which task.
    #[arg(long, value_name = "IDENTITY/SCOPE")]
    pub(crate) session: Option<String>,
    /// Everything.
    #[arg(long)]
    pub(crate) all: bool,
}
