//! The configuration in the model's terms: what the rest of the program is wired by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use safeconduct_model::{Identity, IdentityId, Mode, ServerName, TargetName, Tiers};
use serde::Deserialize;

use super::findings::FindingsForm;
use super::notify::NotifyConfig;
use super::risk::{ApprovalsForm, RiskForm};
use super::sign_in::SignIn;
use super::signals::SignalsConfig;
use super::targets::Target;
use super::token_service::TokenService;

use super::form::ApprovalsWord;
pub use super::form::RevisionWord as Revision;
use super::tls::ListenTls;
use super::trust::TrustForm;

/// A text that is never shown: `Debug` prints its length only.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// What one server serves, where it keeps it, and who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Address and port to listen on; `127.0.0.1:7411` where nothing is said.
    pub listen: SocketAddr,
    /// TLS on that address, where there is any.
    pub tls: Option<ListenTls>,
    /// The folder of the ledger; `./data` where nothing is said.
    pub data: PathBuf,
    /// The folder of the keys; `./keys` where nothing is said.
    pub keys: PathBuf,
    /// Where policies are and how they name things.
    pub policies: Policies,
    /// The folder of the catalogue; `./catalogue` where nothing is said.
    pub catalogue: PathBuf,
    /// The folder of the intents, where there is one.
    pub intents: Option<PathBuf>,
    /// The servers behind the gateway.
    pub upstreams: BTreeMap<ServerName, Upstream>,
    /// Where leases let a task act.
    pub targets: BTreeMap<TargetName, Target>,
    /// Identities that exist from the start, with ids of their own.
    pub identities: Vec<Identity>,
    /// Whose word counts for who somebody is. Crate `directory` makes its records of them.
    pub trust: BTreeMap<String, TrustForm>,
    /// The token service, where there is one.
    pub token_service: Option<TokenService>,
    /// How people sign in to the pages; without it, there are none.
    pub sign_in: Option<SignIn>,
    /// What others tell of risk, and what we tell them.
    pub signals: SignalsConfig,
    /// Who is told when somebody has to answer.
    pub notify: NotifyConfig,
    /// How signals become risk, and what finds them here.
    pub risk: RiskForm,
    /// What actions need by their tiers.
    pub tiers: Tiers,
    /// How people are asked.
    pub approvals: ApprovalsForm,
    /// From when on something is wrong with the estate.
    pub findings: FindingsForm,
    /// Networks of proxies that say from where a request came.
    pub proxies: BTreeSet<String>,
    /// Calls that one session has; 10,000 where nothing is said.
    pub session_calls: u64,
    /// Hosts that may stand in `Host`, beside the loopback names.
    pub hosts: BTreeSet<String>,
    /// Origins that may stand in `Origin`, beside the loopback ones.
    pub origins: BTreeSet<String>,
    /// Where traces are sent, if anywhere.
    pub otlp_endpoint: Option<String>,
    /// The identity whose token `dev` prints; one of `identities` where there are any.
    pub dev_identity: Option<IdentityId>,
    /// Largest message or request body, in bytes; 4 MiB where nothing is said.
    pub message_bytes: usize,
    /// How many records may wait for the disk; 65,536 where nothing is said.
    pub queue: usize,
}

/// Where policies are and how they name things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// The folder of the `.cedar` and `.rego` files; `./policies` where nothing is said.
    pub folder: PathBuf,
    /// Whether the shipped baseline pack is in force beside them; not where nothing is said.
    pub baseline: bool,
    /// How they change; by whoever can write the folder where nothing is said.
    pub changes: super::PolicyChanges,
    /// The Cedar namespace; `Safeconduct` where nothing is said.
    pub namespace: String,
    /// How the id of a tool's action is made; `{server}.{tool}` where nothing is said.
    pub action_id: String,
}

/// A server behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// How it is reached.
    pub transport: Transport,
    /// Whether a Deny is carried out.
    pub mode: Mode,
    /// The revision of MCP that it speaks.
    pub revision: Revision,
    /// How long one call may take, in seconds; 60 where nothing is said.
    pub timeout_s: u32,
    /// Largest result that is passed on, in bytes; 10 MiB where nothing is said.
    pub result_bytes_max: usize,
    /// When people are asked; on denial where nothing is said.
    pub approvals: ApprovalsWord,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A program that is started.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Environment variables that it gets.
        env: BTreeMap<String, Secret>,
        /// Names of our own environment variables that it gets too.
        pass_env: BTreeSet<String>,
        /// The folder that it starts in.
        cwd: PathBuf,
    },
    /// A server on the network.
    Http {
        /// Its MCP endpoint.
        url: String,
        /// Headers that each request gets.
        headers: BTreeMap<String, HeaderValue>,
    },
}

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// As it stands in the file.
    Given(Secret),
    /// The value of this environment variable.
    Environment(String),
}

impl Revision {
    /// The word for it in configuration and protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Mcp20250618 => "2025-06-18",
            Self::Mcp20251125 => "2025-11-25",
            Self::Mcp20260728 => "2026-07-28",
        }
    }
}
