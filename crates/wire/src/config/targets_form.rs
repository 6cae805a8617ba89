//! The form of `targets:`: where leases let a task act.

use std::collections::BTreeMap;

use safeconduct_model::ServerName;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Span, Written};

/// A target of leases: a PostgreSQL database, or a store of secrets (`age` or `vault`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetForm {
    /// How long a lease lasts unless it is renewed; at most a day.
    #[serde(default = "ttl")]
    pub ttl: Written<Span>,
    /// How long a lease lasts at most; never longer than its task.
    #[serde(default = "ttl_max")]
    pub ttl_max: Written<Span>,
    /// How long the target may take to answer.
    #[serde(default = "timeout")]
    pub timeout: Written<Span>,
    /// A PostgreSQL database, in which each lease is a role of its own.
    pub postgres: Option<PostgresForm>,
    /// A file of secrets, encrypted with age.
    pub age: Option<AgeForm>,
    /// OpenBao or HashiCorp Vault, a KV secrets engine of version 2.
    pub vault: Option<VaultForm>,
    /// The secrets of the store that may be used, by name, and where each goes. The agent never
    /// sees one: the gateway puts it into the call.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "secret-name"},
        "maxProperties" = 1000
    ))]
    pub secrets: BTreeMap<String, SecretUseForm>,
}

/// A PostgreSQL database, in which each lease is a role of its own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresForm {
    /// Its host, or the folder of its Unix socket.
    #[schemars(length(min = 1, max = 255))]
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// The database.
    #[schemars(length(min = 1, max = 63))]
    pub database: String,
    /// Who makes the roles: needs `CREATEROLE`, and what it hands out with the right to hand it
    /// out.
    #[schemars(length(min = 1, max = 63))]
    pub user: String,
    /// The file of its password, readable by its owner alone; without it, none is sent.
    #[schemars(length(min = 1))]
    pub password_file: Option<String>,
    /// `required`, or `off` for a server on this machine.
    #[serde(default)]
    pub tls: TlsWord,
    /// A file of the certificates (PEM) that sign the server's; the system's where nothing is
    /// said.
    #[schemars(length(min = 1))]
    pub ca_file: Option<String>,
    /// What becomes of what a role owns when it is taken back: dropped, unless this names a role
    /// that it goes to. What others depend on is never dropped: such a lease is reported.
    #[schemars(length(min = 1, max = 63))]
    pub reassign_owned_to: Option<String>,
    /// How many connections a role may have.
    #[serde(default = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub connections: u32,
    /// What an intent may ask for, by name: the privileges that each gives.
    #[schemars(extend(
        "propertyNames" = {"type": "string", "format": "secret-name"},
        "maxProperties" = 1000
    ))]
    pub grants: BTreeMap<String, Vec<PrivilegesForm>>,
}

/// Privileges on tables, or on sequences, of one schema.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivilegesForm {
    /// The schema.
    #[schemars(length(min = 1, max = 63))]
    pub schema: String,
    /// Its tables, exactly as they are named.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub tables: Vec<String>,
    /// Only these columns of the tables.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub columns: Vec<String>,
    /// Its sequences.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub sequences: Vec<String>,
    /// What may be done: `select`, `insert`, `update`, `delete` with tables, `usage` and
    /// `select` with sequences.
    #[schemars(length(min = 1, max = 5))]
    pub privileges: Vec<PrivilegeWord>,
}

/// Whether the way to a database is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsWord {
    /// Always.
    #[default]
    Required,
    /// Never: the server is on this machine.
    Off,
}

/// A privilege in a PostgreSQL database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrivilegeWord {
    /// To read.
    Select,
    /// To add rows.
    Insert,
    /// To change rows.
    Update,
    /// To remove rows.
    Delete,
    /// To draw numbers from a sequence.
    Usage,
}

/// A file of secrets, encrypted with age: a YAML map from names to texts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgeForm {
    /// The encrypted file.
    #[schemars(length(min = 1))]
    pub file: String,
    /// The file of the age identity that opens it, readable by its owner alone.
    #[schemars(length(min = 1))]
    pub identity_file: String,
}

/// OpenBao or HashiCorp Vault, a KV secrets engine of version 2.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultForm {
    /// Its address: `https`, or `http` for one on this machine.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// Where the secrets engine is mounted.
    #[serde(default = "mount")]
    #[schemars(extend("format" = "vault-path"))]
    pub mount: String,
    /// The path of a secret: `{name}` stands for its name.
    #[serde(default = "path")]
    #[schemars(extend("format" = "vault-template"))]
    pub path: String,
    /// Which field of the secret is used.
    #[serde(default = "field")]
    #[schemars(length(min = 1, max = 128))]
    pub field: String,
    /// The file of the token; it is read anew each time, so that an agent of OpenBao may renew it.
    #[schemars(length(min = 1))]
    pub token_file: String,
    /// The namespace, where there are namespaces.
    #[schemars(extend("format" = "vault-path"))]
    pub namespace: Option<String>,
    /// A file of the certificates (PEM) that sign the server's; the system's where nothing is
    /// said.
    #[schemars(length(min = 1))]
    pub ca_file: Option<String>,
}

/// Where a secret goes: into calls to one upstream, at one of the four places.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretUseForm {
    /// The upstream. It goes to no other.
    pub upstream: Written<ServerName>,
    /// A header of the HTTP request.
    #[schemars(extend("format" = "header-name"))]
    pub header: Option<String>,
    /// A parameter of the URL's query.
    #[schemars(length(min = 1, max = 128))]
    pub query: Option<String>,
    /// A variable in the environment of the program.
    #[schemars(extend("format" = "environment-name"))]
    pub env: Option<String>,
    /// A field of the JSON body: a JSON Pointer.
    #[schemars(extend("format" = "json-pointer"))]
    pub json: Option<String>,
    /// What stands around the secret: `Bearer {secret}`, `Basic {secret|base64}`.
    #[serde(default = "template")]
    #[schemars(length(min = 8, max = 1024))]
    pub template: String,
}

const fn ttl() -> Written<Span> {
    Written(Span { seconds: 300 })
}

const fn ttl_max() -> Written<Span> {
    Written(Span { seconds: 3600 })
}

const fn timeout() -> Written<Span> {
    Written(Span { seconds: 5 })
}

const fn port() -> u16 {
    5432
}

const fn connections() -> u32 {
    4
}

fn mount() -> String {
    "secret".into()
}

fn path() -> String {
    "safeconduct/{name}".into()
}

fn field() -> String {
    "value".into()
}

fn template() -> String {
    "{secret}".into()
}
