//! Lease issuers: what makes a credential at a target for one task, and takes it away again.
//!
//! [`PostgresIssuer`] makes a role for each lease, with exactly the privileges that were asked
//! for, and proves after taking it back that it is gone. [`SecretsIssuer`] fetches static secrets
//! from an age file or from OpenBao or Vault; they go to the gateway, never to an agent.
//! [`AgeFile`] changes such a file, for people who have no age program.
//!
//! What this crate deliberately does not do: it records nothing and decides nothing. Its caller
//! makes a plan durable before it touches a target, and calls `revoke` until there is a proof or
//! it gives up. It mints no tokens (crate `credential`), and puts no secret into a call (the
//! gateway does, by the rules of `credential::inject`).
//!
//! ```
//! use std::collections::BTreeMap;
//! use safeconduct_broker::PostgresIssuer;
//! use safeconduct_model::{LeaseId, TargetName};
//! use safeconduct_service::{GrantSpec, Issuer};
//! use safeconduct_wire::config::{self, TargetKind};
//!
//! let text = "
//! version: 1
//! targets:
//!   crm:
//!     postgres:
//!       { host: 127.0.0.1, tls: off, database: crm, user: safeconduct, grants:
//!         { case_reader: [{ schema: crm, tables: [cases], privileges: [select] }] } }
//! ";
//! let config = config::parse("safeconduct.yaml", text, "/etc/safeconduct".as_ref()).unwrap();
//! let (name, target) = config.targets.first_key_value().unwrap();
//! let TargetKind::Postgres(postgres) = &target.kind else { panic!() };
//! let issuer = PostgresIssuer::new(name.clone(), postgres.clone(), target.timeout_s)?;
//!
//! let grant = |name: &str| GrantSpec { grants: [name.into()].into() };
//! let lease = LeaseId::new("lea_7").unwrap();
//! assert_eq!(&*issuer.name(&lease, &grant("case_reader")).unwrap(), "sc_lea_7");
//! assert!(issuer.name(&lease, &grant("case_writer")).is_err());
//! # Ok::<(), safeconduct_service::TargetFault>(())
//! ```

mod file;
mod postgres;
mod secrets;
mod tls;

pub use file::read_line as read_secret_line;
pub use postgres::{PostgresIssuer, ROLE_BYTES_MAX, ROLE_PREFIX};
pub use secrets::{
    AGE_FILE_BYTES_MAX, AGE_SECRETS_MAX, AgeFile, AgeFileError, AgeSet, SecretsIssuer,
    VAULT_ANSWER_BYTES_MAX,
};
