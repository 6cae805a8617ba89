//! The form of `safeconduct.yaml`. Its comments are what editors show.

use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{IdentityId, Mode, ServerName, TargetName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::FindingsForm;
use super::notify_form::NotifyForm;
use super::plain::Secret;
use super::risk::{ApprovalsForm, RiskForm, TiersForm};
use super::sign_in::SignInForm;
use super::signals_form::SignalsForm;
use super::targets_form::TargetForm;
use super::tls::TlsForm;
use super::token_service_form::TokenServiceForm;
use super::trust::TrustForm;
use crate::document::{Word, Written};
use crate::identity::IdentityForm;

/// What one Safeconduct server serves, where it keeps it, and who may ask. Paths are relative to
/// this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Safeconduct configuration")]
pub struct ConfigForm {
    /// The version of this form: 1.
    #[schemars(range(min = 1, max = 1))]
    #[expect(dead_code, reason = "the schema holds it; there is one version yet")]
    version: u32,
    /// Address and port to listen on.
    #[serde(default = "listen")]
    #[schemars(extend("format" = "socket-address"))]
    pub listen: String,
    /// TLS on that address.
    pub tls: Option<TlsForm>,
    /// The folder of the ledger and what is derived from it. One process owns it.
    #[serde(default = "data")]
    #[schemars(length(min = 1))]
    pub data: String,
    /// The folder of the keys that sign checkpoints and wrap session keys. Keep it apart from
    /// the data folder and its backups: erasing a key must erase what it locks.
    #[serde(default = "keys")]
    #[schemars(length(min = 1))]
    pub keys: String,
    /// Where policies are and how they name things.
    #[serde(default)]
    pub policies: PoliciesForm,
    /// Where the catalogue is.
    #[serde(default)]
    pub catalogue: CatalogueFolderForm,
    /// Where intents are; without it, no task can be begun.
    pub intents: Option<IntentsFolderForm>,
    /// MCP servers behind the gateway, by name: each is served at `/mcp/NAME`.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "server-name"},
        "maxProperties" = 1000
    ))]
    pub upstreams: BTreeMap<Written<ServerName>, UpstreamForm>,
    /// Where leases let a task act: databases, and stores of secrets.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "target-name"},
        "maxProperties" = 1000
    ))]
    pub targets: BTreeMap<Written<TargetName>, TargetForm>,
    /// Identities that exist from the start. Others are added while the server runs.
    #[serde(default)]
    #[schemars(length(max = 100_000))]
    pub identities: Vec<IdentityForm>,
    /// Whose word counts for who somebody is, by a name of yours.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "server-name"},
        "maxProperties" = 256
    ))]
    pub trust: BTreeMap<String, TrustForm>,
    /// An OAuth authorization server that issues short-lived tokens for tasks; without it, none.
    pub token_service: Option<TokenServiceForm>,
    /// Pages on which people sign in and answer access requests; without it, none.
    pub sign_in: Option<SignInForm>,
    /// What others tell of risk, and what we tell them.
    #[serde(default)]
    pub signals: SignalsForm,
    /// Who is told when an agent asks for an approval.
    #[serde(default)]
    pub notify: NotifyForm,
    /// How signals become risk, and what finds them here.
    #[serde(default)]
    pub risk: RiskForm,
    /// What actions need beside a policy that permits them, by their tiers.
    #[serde(default)]
    pub tiers: TiersForm,
    /// How people are asked for approvals.
    #[serde(default)]
    pub approvals: ApprovalsForm,
    /// From when on something is wrong with the estate.
    #[serde(default)]
    pub findings: FindingsForm,
    /// What a session may do.
    #[serde(default)]
    pub sessions: SessionsForm,
    /// Names under which browsers and clients may reach this server.
    #[serde(default)]
    pub allow: AllowForm,
    /// Networks of reverse proxies in front of this server, such as `10.0.0.0/8`: only of what
    /// comes through them does `X-Forwarded-For` say from where it came.
    #[serde(default)]
    #[schemars(length(max = 64), extend("items" = {"type": "string", "format": "network"}))]
    pub proxies: BTreeSet<String>,
    /// Traces and metrics; nothing is sent anywhere unless this says so.
    #[serde(default)]
    pub telemetry: TelemetryForm,
    /// What `safeconduct dev` does with this file.
    #[serde(default)]
    pub dev: DevForm,
    /// Limits of the server.
    #[serde(default)]
    pub limits: LimitsForm,
}

/// Where policies are and how they name things.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesForm {
    /// The folder of the `.cedar` and `.rego` files and of `schema.cedarschema`.
    #[schemars(length(min = 1))]
    pub folder: String,
    /// Whether the baseline pack that ships with the program is in force beside the folder's
    /// policies, as `baseline/*.cedar`.
    pub baseline: bool,
    /// How policies change: `files`, by whoever can write the folder; `proposals`, by changes that
    /// somebody else than their author approves, and the folder as it is when that begins to count
    /// is the first.
    pub changes: PolicyChanges,
    /// The Cedar namespace of generated types and actions.
    #[schemars(extend("format" = "cedar-namespace"))]
    pub namespace: String,
    /// How the id of a tool's action is made: `{server}` and `{tool}` stand for the names, so
    /// that `{server}___{tool}` fits policies written for AgentCore.
    #[schemars(extend("format" = "action-template"))]
    pub action_id: String,
}

/// How policies change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyChanges {
    /// Whoever can write the folder changes them.
    Files,
    /// Only what was proposed, and approved by somebody else than its author.
    Proposals,
}

impl Default for PoliciesForm {
    fn default() -> Self {
        Self {
            folder: "./policies".into(),
            baseline: false,
            changes: PolicyChanges::Files,
            namespace: "Safeconduct".into(),
            action_id: "{server}.{tool}".into(),
        }
    }
}

/// Where the catalogue is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueFolderForm {
    /// The folder of its `.yaml` and `.tools.json` files.
    #[schemars(length(min = 1))]
    pub folder: String,
}

impl Default for CatalogueFolderForm {
    fn default() -> Self {
        Self { folder: "./catalogue".into() }
    }
}

/// Where intents are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntentsFolderForm {
    /// The folder of its `.yaml` files, one version of one intent each.
    #[schemars(length(min = 1))]
    pub folder: String,
}

impl Default for IntentsFolderForm {
    fn default() -> Self {
        Self { folder: "./intents".into() }
    }
}

/// An MCP server behind the gateway: reached by `stdio` or by `http`, one of the two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamForm {
    /// A program that is started and spoken to over its standard input and output.
    pub stdio: Option<StdioForm>,
    /// A server that is reached over streamable HTTP.
    pub http: Option<HttpForm>,
    /// `enforce` stops what is denied. `observe` records the Deny and lets the call go ahead:
    /// only for learning a first policy.
    #[serde(default = "enforce")]
    pub mode: Word<Mode>,
    /// The revision of MCP that the server speaks; `auto` asks it.
    #[serde(default)]
    pub revision: RevisionWord,
    /// How long one call may take, in seconds; then its outcome is `unknown`.
    #[serde(default = "timeout_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_s: u32,
    /// Largest result that is passed on, in bytes.
    #[serde(default = "result_bytes_max")]
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub result_bytes_max: u64,
    /// When people are asked for a call that is denied for what they may set aside: at once, so
    /// that the denial names the request, or where the agent asks for it with the tool
    /// `safeconduct_request_approval`.
    #[serde(default)]
    pub approvals: ApprovalsWord,
}

/// When people are asked for a call that is denied for what they may set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalsWord {
    /// At once: the denial names the request.
    #[default]
    OnDenial,
    /// Where the agent asks for it with the tool `safeconduct_request_approval`.
    OnRequest,
}

/// A program that is started and spoken to over its standard input and output.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdioForm {
    /// The program.
    #[schemars(length(min = 1))]
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables that it gets. Of ours it gets none but those of `pass_env` and what
    /// a program needs to start (`PATH`).
    #[serde(default)]
    #[schemars(
        with = "BTreeMap<String, String>",
        extend("propertyNames" = {"type": "string", "format": "environment-name"})
    )]
    pub env: BTreeMap<String, Secret>,
    /// Names of our own environment variables that it gets too.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "environment-name"}))]
    pub pass_env: BTreeSet<String>,
    /// The folder that it starts in; the folder of this file where nothing is said.
    #[schemars(length(min = 1))]
    pub cwd: Option<String>,
}

/// A server that is reached over streamable HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpForm {
    /// Its MCP endpoint.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// Headers that each request gets.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"type": "string", "format": "header-name"}))]
    pub headers: BTreeMap<String, HeaderForm>,
}

/// The value of a header.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderForm {
    /// As it stands.
    Given(#[schemars(with = "String")] Secret),
    /// From an environment variable.
    Environment(EnvironmentForm),
}

/// A value that comes from an environment variable.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentForm {
    /// The variable's name.
    #[schemars(extend("format" = "environment-name"))]
    pub env: String,
}

/// A revision of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum RevisionWord {
    /// The server is asked.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// The revision of June 2025.
    #[serde(rename = "2025-06-18")]
    Mcp20250618,
    /// The revision of November 2025.
    #[serde(rename = "2025-11-25")]
    Mcp20251125,
    /// The revision of July 2026.
    #[serde(rename = "2026-07-28")]
    Mcp20260728,
}

/// What a session may do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsForm {
    /// How many calls one credential has outside of tasks; then every call is denied. Credentials
    /// of a trust record count as one for each identity, since they are renewed without end.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub calls: u64,
}

impl Default for SessionsForm {
    fn default() -> Self {
        Self { calls: 10_000 }
    }
}

/// Names under which browsers and clients may reach this server, beside the loopback ones. They
/// are held against `Host` and `Origin`, so that no web page can rebind a name to us.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowForm {
    /// Hosts, with a port where it is not the listening one: `safeconduct.example.org`.
    #[schemars(extend("items" = {"type": "string", "format": "host"}))]
    pub hosts: BTreeSet<String>,
    /// Origins of web pages: `https://console.example.org`.
    #[schemars(extend("items" = {"type": "string", "format": "origin"}))]
    pub origins: BTreeSet<String>,
}

/// Traces; nothing is sent anywhere unless this says so.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryForm {
    /// Where OpenTelemetry traces are sent, by OTLP over HTTP: a collector, such as
    /// `http://127.0.0.1:4318`, or the whole URL where its path is another than `/v1/traces`.
    #[schemars(extend("format" = "http-url"))]
    pub otlp_endpoint: Option<String>,
}

/// What `safeconduct dev` does with this file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DevForm {
    /// The identity whose token it prints.
    pub identity: Option<Written<IdentityId>>,
}

/// Limits of the server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsForm {
    /// Largest message or request body, in bytes.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub message_bytes: u64,
    /// How many records may wait for the disk; when they do, decisions are denied.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub queue: u64,
}

impl Default for LimitsForm {
    fn default() -> Self {
        Self { message_bytes: 4 * 1024 * 1024, queue: 65_536 }
    }
}

fn listen() -> String {
    "127.0.0.1:7411".into()
}

fn data() -> String {
    "./data".into()
}

fn keys() -> String {
    "./keys".into()
}

const fn enforce() -> Word<Mode> {
    Word(Mode::Enforce)
}

const fn timeout_s() -> u32 {
    60
}

const fn result_bytes_max() -> u64 {
    10 * 1024 * 1024
}
