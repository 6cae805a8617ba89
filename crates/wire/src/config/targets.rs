//! Targets of leases: where a task may act with a credential that ends with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use safeconduct_model::ServerName;

pub use super::targets_form::{PrivilegeWord as Privilege, TlsWord as Tls};

/// Where leases let a task act, and how long they last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How long a lease lasts unless it is renewed, in seconds; 300 where nothing is said.
    pub ttl_s: u32,
    /// How long it lasts at most, in seconds; 3600 where nothing is said.
    pub ttl_max_s: u32,
    /// How long the target may take to answer, in seconds; 5 where nothing is said.
    pub timeout_s: u32,
    /// What it is.
    pub kind: TargetKind,
}

/// What a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    /// A database, in which each lease is a role.
    Postgres(PostgresTarget),
    /// A store of secrets that the gateway puts into calls.
    Secrets(SecretsTarget),
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Its host, or the folder of its socket (an absolute path).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// Who makes the roles.
    pub user: String,
    /// The file of that user's password.
    pub password_file: Option<PathBuf>,
    /// Whether the way there is encrypted; `off` only for a server on this machine.
    pub tls: Tls,
    /// The certificates that sign the server's, where they are not the system's.
    pub ca_file: Option<PathBuf>,
    /// Which role what a lease's role owns goes to; where there is none, it is dropped.
    pub reassign_owned_to: Option<String>,
    /// How many connections a lease's role may have.
    pub connections: u32,
    /// What an intent may ask for.
    pub grants: BTreeMap<String, Vec<Privileges>>,
}

/// Privileges on tables, or on sequences, of one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// The schema.
    pub schema: String,
    /// What they are on.
    pub on: PrivilegesOn,
    /// What may be done.
    pub privileges: BTreeSet<Privilege>,
}

/// What privileges are on; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivilegesOn {
    /// These tables.
    Tables(BTreeSet<String>),
    /// These columns of these tables.
    Columns {
        /// The tables.
        tables: BTreeSet<String>,
        /// The columns; each table has all of them.
        columns: BTreeSet<String>,
    },
    /// These sequences.
    Sequences(BTreeSet<String>),
}

/// Secrets that the gateway puts into calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsTarget {
    /// Where they are.
    pub store: SecretStore,
    /// Where each goes.
    pub uses: BTreeMap<String, SecretUse>,
}

/// Where secrets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretStore {
    /// In a file, encrypted with age: a YAML map from names to texts.
    Age {
        /// The file.
        file: PathBuf,
        /// The file of the identity that opens it.
        identity_file: PathBuf,
    },
    /// In OpenBao or Vault: a KV secrets engine of version 2.
    Vault(VaultStore),
}

/// A KV secrets engine of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultStore {
    /// The server's address, without a slash at its end.
    pub url: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// The path of a secret; holds `{name}` once.
    pub path: String,
    /// Which field of the secret is used.
    pub field: String,
    /// The file of the token.
    pub token_file: PathBuf,
    /// The namespace.
    pub namespace: Option<String>,
    /// The certificates that sign the server's, where they are not the system's.
    pub ca_file: Option<PathBuf>,
}

/// Where a secret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// The one upstream that it goes to.
    pub upstream: ServerName,
    /// Where in a call.
    pub place: SecretPlace,
    /// What stands around it.
    pub template: String,
}

/// Where in a call a secret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A header.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// An environment variable.
    Env(String),
    /// A field of the body: a JSON Pointer.
    Json(String),
}

/// Whether a host, or the folder of a socket, is on this machine for certain.
pub fn is_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.starts_with('/')
        || host == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
