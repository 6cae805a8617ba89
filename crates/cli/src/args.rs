//! What can be typed: each command, its flags, and their twins in the environment
//! (`SAFECONDUCT_<FLAG>`). Precedence: flag, environment, file, default.

mod approval;
mod authority;
mod campaign;
mod draft;
mod estate;
mod remediate;
mod review;
mod risk;
mod stream;
mod trace;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use approval::*;
pub(crate) use authority::*;
pub(crate) use campaign::*;
pub(crate) use draft::*;
pub(crate) use estate::*;
pub(crate) use remediate::*;
pub(crate) use review::*;
pub(crate) use risk::*;
pub(crate) use stream::*;
pub(crate) use trace::*;

use crate::output::{Color, Format};

/// Decides, at the moment it happens, whether an AI agent may do the one thing it is about to do.
#[derive(Debug, Parser)]
#[command(name = "safeconduct", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shared {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "SAFECONDUCT_CONFIG",
        default_value = "safeconduct.yaml",
        value_name = "FILE"
    )]
    pub(crate) config: PathBuf,
    /// The form of what is printed.
    #[arg(
        long,
        short,
        global = true,
        env = "SAFECONDUCT_OUTPUT",
        value_enum,
        default_value = "table"
    )]
    pub(crate) output: Format,
    /// When to colour.
    #[arg(long, global = true, env = "SAFECONDUCT_COLOR", value_enum, default_value = "auto")]
    pub(crate) color: Color,
    /// Print no talk, only data and errors.
    #[arg(long, short, global = true, env = "SAFECONDUCT_QUIET")]
    pub(crate) quiet: bool,
}

/// How to reach a running server, and as whom. The token never comes as an argument: set
/// `SAFECONDUCT_TOKEN`, or name a file that holds it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Remote {
    /// The server; by default the one that the configuration describes.
    #[arg(long, env = "SAFECONDUCT_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file that holds the token; by default the administrator's in the keys folder.
    #[arg(long, env = "SAFECONDUCT_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificate to show where the server asks for one in TLS: PEM, the client's first,
    /// then those above it.
    #[arg(
        long,
        env = "SAFECONDUCT_CLIENT_CERTIFICATE",
        value_name = "FILE",
        requires = "client_key"
    )]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The key of that certificate: PEM.
    #[arg(
        long,
        env = "SAFECONDUCT_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_certificate"
    )]
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try it: a server on loopback with temporary data. Not for production.
    Dev(Dev),
    /// Put an MCP server of yours behind Safeconduct: import, pin, a first policy.
    Init(Init),
    /// Serve upstreams, the decision API and the administration API.
    Server(Server),
    /// Stand between a client that speaks stdio and one MCP server.
    Mcp(Mcp),
    /// Watch an agent work on a case through the gateway.
    Demo(Demo),
    /// Check, format, test, ask and explain policies.
    #[command(subcommand)]
    Policy(Policy),
    /// What is known of each action.
    #[command(subcommand)]
    Catalogue(Catalogue),
    /// What may be undertaken, and the most that is allowed under it.
    #[command(subcommand)]
    Intent(Intent),
    /// Single undertakings of intents: begin, list, show and end them.
    #[command(subcommand)]
    Task(Task),
    /// Credentials at a target that end with the task they are for: get, list and renew them.
    #[command(subcommand)]
    Lease(Lease),
    /// Secrets that the gateway puts into calls, in a file that is encrypted with age.
    #[command(subcommand)]
    Secret(Secret),
    /// Standing words of users that agents may undertake intents for them.
    #[command(subcommand)]
    Delegation(Delegation),
    /// Passkeys, by which people prove that they are there: list them, and take them away.
    #[command(subcommand)]
    Passkey(Passkey),
    /// What people are asked: list, show, answer, wait for and take back access requests.
    #[command(subcommand)]
    Approval(Approval),
    /// Set the rules that ask for an approval aside, in an emergency and for a time.
    #[command(subcommand)]
    BreakGlass(BreakGlass),
    /// Stop an identity, a task, a session or everything, at once and on every path.
    Kill(Kill),
    /// What was seen of somebody that makes what they do riskier.
    #[command(subcommand)]
    Signal(Signal),
    /// How risky somebody is, and what the detectors would have found.
    #[command(subcommand)]
    Risk(Risk),
    /// The estate in six plain questions: who there is, who answers for them, what they can do,
    /// why, what they have done, and how they are stopped.
    #[command(subcommand)]
    Estate(Estate),
    /// Access reviews: what is wrong with the estate, and what became of it.
    #[command(subcommand)]
    Review(Review),
    /// Who may act, and their tokens.
    #[command(subcommand)]
    Identity(Identity),
    /// The keys that sign access tokens.
    #[command(subcommand)]
    Keys(Keys),
    /// The ledger: what was decided and what then happened.
    #[command(subcommand)]
    Log(Log),
    /// The streams of security events by which others tell of risk.
    #[command(subcommand)]
    Stream(Stream),
    /// What sessions have read, and what that flowed into.
    #[command(subcommand)]
    Session(Session),
    /// Tell the story of a task, a session or a decision from its records, as one tree.
    Trace(Trace),
    /// Which records are evidence toward which control of a framework.
    Evidence(Evidence),
    /// The configuration.
    #[command(subcommand)]
    Config(Config),
    /// Ask a running server whether it is ready: exit code 0 or 1.
    Healthcheck(Healthcheck),
    /// Print the completion script of a shell.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Explain a topic.
    Explain {
        /// Which topic.
        topic: Topic,
    },
}

/// Topics of `safeconduct explain`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Topic {
    /// What each exit code means.
    ExitCodes,
    /// Which variables of the environment are read.
    Environment,
    /// How output is formatted.
    Formatting,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "SAFECONDUCT_LISTEN", default_value = "127.0.0.1:7411")]
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name that the server gets: lowercase letters, digits, `-` and `_`.
    #[arg(long)]
    pub(crate) server: String,
    /// The client whose configuration is printed.
    #[arg(long, value_enum, default_value = "mcp")]
    pub(crate) host: Host,
    /// The folder to set up.
    #[arg(long, default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Put the shipped baseline pack in force: what can do much harm waits for a person.
    #[arg(long)]
    pub(crate) baseline: bool,
    /// Overwrite files that are there already.
    #[arg(long)]
    pub(crate) force: bool,
    /// Variables of the environment that the server's process gets, by name.
    #[arg(long = "pass-env", value_name = "NAME", value_delimiter = ',')]
    pub(crate) pass_env: Vec<String>,
    /// The command that starts the MCP server.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Clients whose configuration `init` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// Claude Code.
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// Codex.
    Codex,
    /// Any other MCP client.
    Mcp,
}

#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Where to listen, instead of what the configuration says.
    #[arg(long, env = "SAFECONDUCT_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// End once no client has been connected to the socket for so many seconds.
    #[arg(long, hide = true)]
    pub(crate) idle_exit_s: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// The server's name in the catalogue; by default the command's.
    #[arg(long, env = "SAFECONDUCT_SERVER")]
    pub(crate) server: Option<String>,
    /// The identity that the client acts as.
    #[arg(long, env = "SAFECONDUCT_AGENT")]
    pub(crate) agent: Option<String>,
    /// Variables of the environment that the server's process gets, by name.
    #[arg(long = "pass-env", value_name = "NAME", value_delimiter = ',')]
    pub(crate) pass_env: Vec<String>,
    /// The command that starts the MCP server.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Leave the server running at the end, until it is interrupted.
    #[arg(long, env = "SAFECONDUCT_KEEP")]
    pub(crate) keep: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Load and validate the policies, the schema and the catalogue.
    Check,
    /// Format policy files.
    Fmt {
        /// Files; by default every one in the policy folder. `-` is standard input.
        files: Vec<PathBuf>,
        /// Only say which files would change; exit code 3 where one would.
        #[arg(long, conflicts_with_all = ["diff", "write"])]
        check: bool,
        /// Print what would change.
        #[arg(long, conflicts_with = "write")]
        diff: bool,
        /// Change the files.
        #[arg(long)]
        write: bool,
    },
    /// Run the policy tests (`*_test.yaml`).
    Test {
        /// Files or folders; by default the policy folder's `tests`.
        paths: Vec<PathBuf>,
        /// Run only the tests whose name holds this text.
        #[arg(long)]
        filter: Option<String>,
        /// Run again on every change.
        #[arg(long)]
        watch: bool,
        /// Say which policies no test made apply.
        #[arg(long)]
        coverage: bool,
    },
    /// Decide one request, without a server: exit code 0, 10 or 11.
    Eval(Question),
    /// Say of each policy in scope why it applies or not; or why a recorded decision was as it was.
    Explain {
        /// A decision that was recorded, by its id.
        #[arg(value_name = "DECISION", conflicts_with_all = ["principal", "action", "resource", "test"])]
        decision: Option<String>,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        question: Question,
    },
    /// Measure how long a decision takes with this policy set.
    Bench(Question),
    /// Write the policies of a running server into a folder, to edit them there.
    Checkout(CheckoutPolicies),
    /// Propose the policies of a folder in place of those of a running server; somebody else
    /// approves them.
    Propose(ProposePolicies),
    /// List the changes of the policies that were proposed.
    Proposals {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a proposed change as a diff.
    Proposal {
        /// Which.
        #[arg(value_name = "PROPOSAL")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Approve a change that somebody else proposed: it is put in force.
    Approve {
        /// Which.
        #[arg(value_name = "PROPOSAL")]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Reject a proposed change.
    Reject {
        /// Which.
        #[arg(value_name = "PROPOSAL")]
        id: String,
        /// Why; it is recorded.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Compare two folders of policies, and replay what was recorded under the second.
    Diff(PolicyDiff),
    /// Write a first policy that permits what was permitted, or observed.
    Learn(PolicyLearn),
    /// Propose the smallest change that still permits what was used, with its replay.
    Reduce(PolicyReduce),
}

#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Who wants to act: an identity of the configuration, or `TYPE::"ID"`.
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// What they want to do.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// What they want to do it to, `TYPE::"ID"`; by default what the catalogue maps.
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// The arguments: JSON, `@FILE`, or `-` for standard input.
    #[arg(long, default_value = "{}")]
    pub(crate) input: String,
    /// Attributes of the principal: JSON, `@FILE` or `-`.
    #[arg(long)]
    pub(crate) principal_attributes: Option<String>,
    /// Attributes of the resource: JSON, `@FILE` or `-`.
    #[arg(long)]
    pub(crate) resource_attributes: Option<String>,
    /// Ask what a step of this test file asks, after the steps before it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["principal", "action", "resource"])]
    pub(crate) test: Option<PathBuf>,
    /// The first test in that file whose name holds this text; by default the first.
    #[arg(long, value_name = "TEXT", requires = "test")]
    pub(crate) filter: Option<String>,
    /// Which of its steps, counted from 1; by default the last.
    #[arg(long, value_name = "NUMBER", requires = "test")]
    pub(crate) step: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Catalogue {
    /// Write a first draft from a live server's tools.
    Import {
        /// The upstream's name in the configuration.
        #[arg(long)]
        server: String,
        /// Overwrite files that are there already.
        #[arg(long)]
        force: bool,
    },
    /// Approve the live definitions of a server's tools, after showing what has changed.
    Pin {
        /// The upstream's name in the configuration.
        #[arg(long)]
        server: String,
        /// Only these tools.
        tools: Vec<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// List the actions.
    Ls,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Register an identity, or change one.
    Add(IdentityAdd),
    /// List identities.
    Ls {
        #[command(flatten)]
        remote: Remote,
    },
    /// Register the identities of a file, or change them: the whole file is checked first.
    Import {
        /// A YAML file with `identities:` as in the configuration, or a CSV file with the columns
        /// id, kind, status, owner, fallback_owner, environment, groups, roles, in any order; the
        /// last two hold names with spaces between them.
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Issue, list and revoke tokens.
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Args)]
pub(crate) struct IdentityAdd {
    /// Its id.
    pub(crate) id: String,
    /// Its kind: agent, workload, service_account, user.
    #[arg(long)]
    pub(crate) kind: String,
    /// The person accountable for it; required for what is not a user.
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// The one accountable where the owner is gone; required for what is not a user.
    #[arg(long)]
    pub(crate) fallback_owner: Option<String>,
    /// Where it runs.
    #[arg(long)]
    pub(crate) environment: Option<String>,
    /// Groups that it belongs to.
    #[arg(long = "group", value_delimiter = ',')]
    pub(crate) groups: Vec<String>,
    /// What it may do in the administration: administrator, operator, auditor; or that
    /// it begins tasks of agents: orchestrator.
    #[arg(long = "role", value_delimiter = ',')]
    pub(crate) roles: Vec<String>,
    /// Its status: active, suspended, quarantined, retired.
    #[arg(long, default_value = "active")]
    pub(crate) status: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token; it is shown once.
    Mint {
        /// Whose it will be.
        identity: String,
        /// How long it lasts: `90d`, `12h`, `30m`.
        #[arg(long, default_value = "90d")]
        ttl: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List tokens, without their text.
    Ls {
        /// Only those of this identity.
        #[arg(long)]
        identity: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take a token back.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Follow the records as they come.
    Tail {
        /// How many of the last records to begin with.
        #[arg(long, default_value_t = 20)]
        last: u32,
        /// End after what is there.
        #[arg(long)]
        no_follow: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Find decisions.
    Query {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a record with what it caused.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print every record as one line of JSON, from the data folder.
    Export {
        /// The form of each line.
        #[arg(long, value_enum, default_value = "ndjson")]
        format: ExportForm,
        #[command(flatten)]
        range: ExportRange,
    },
    /// Check the ledger: every record, the tree, the signed checkpoint.
    Verify {
        /// A checkpoint that was kept elsewhere (`log checkpoint` prints one).
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// The data folder, instead of the configuration's.
        #[arg(long, env = "SAFECONDUCT_DATA")]
        data: Option<PathBuf>,
        /// The file with the verifier key, instead of the one in the keys folder.
        #[arg(long)]
        key: Option<PathBuf>,
    },
    /// Print the latest signed checkpoint, to keep elsewhere.
    Checkpoint,
    /// Explain what is wrong with the ledger's files, and what can be done.
    Fsck,
    /// Build the read model and the tiles again from the ledger. The server must be stopped.
    Rebuild,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// List sessions, the newest first.
    Ls {
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        source: Source,
    },
    /// Show a session as a graph: decisions, what was read, and the arguments that it flowed into.
    /// `-o dot` and `-o mermaid` draw it.
    Show {
        /// IDENTITY/SCOPE, a task's id, or the id of a decision in it.
        id: String,
        #[command(flatten)]
        source: Source,
    },
}

/// Where records are read.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Read the data folder instead of asking a server.
    #[arg(long, conflicts_with = "export")]
    pub(crate) offline: bool,
    /// Read what `log export` has written instead, from its first record on.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only those of this identity.
    #[arg(long)]
    pub(crate) identity: Option<String>,
    /// Only those in this task.
    #[arg(long, conflicts_with = "identity")]
    pub(crate) task: Option<String>,
    /// Only those of this action.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only these decisions: permit or deny.
    #[arg(long)]
    pub(crate) decision: Option<String>,
    /// Only those that this rule determined.
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Not older than this: `15m`, `2h`, `3d`, or an RFC 3339 time.
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Not newer than this RFC 3339 time.
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check the configuration file.
    Check,
    /// Print a JSON Schema for editors.
    Schema {
        /// Of which file.
        #[arg(value_enum, default_value = "config")]
        of: SchemaOf,
    },
}

/// Files whose schema is published.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    /// `safeconduct.yaml`.
    Config,
    /// `catalogue/*.yaml`.
    Catalogue,
    /// `intents/*.yaml`.
    Intent,
    /// `reviews/*.yaml`.
    Campaign,
    /// `*_test.yaml`.
    Suite,
}

#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    #[command(flatten)]
    pub(crate) remote: Remote,
}
