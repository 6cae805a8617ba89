//! Who is it: a credential that somebody presents, and the identity that it proves.
//!
//! What counts is said in trust records ([`TrustRecord`], from the configuration): whose word is
//! believed, signed with which algorithms, meant for which audience, for how long, and which
//! claims make which identity. [`Directory::prove`] is the one entry: a JWT-SVID, an X.509-SVID of
//! a TLS client, a token of an OpenID issuer, of Kubernetes or of GitHub Actions, or an API key
//! goes in; a [`Proof`] or a [`Refused`] comes out. Keys are fetched, kept and renewed here, under
//! rules that let nobody steer what we connect to ([`mod@fetch`]).
//!
//! What this crate deliberately does not do: it knows no registered identities (a proof names
//! one; whether it exists and may act is the service's to say), remembers no token that it saw,
//! reads no environment, listens on nothing, and spawns nothing: [`Directory::watch`] is a future
//! for whoever has a runtime.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//! use safeconduct_directory::{Directory, NoApiKeys, Presented, Refused, TrustRecord, Held};
//! use safeconduct_model::Timestamp;
//! use safeconduct_wire::config;
//!
//! let config = config::parse("safeconduct.yaml", "
//! version: 1
//! trust:
//!   prod:
//!     kind: spiffe
//!     trust_domain: prod.example.org
//!     bundle: { file: ./prod.bundle.json }
//!     algorithms: [ES256]
//!     audiences: [https://safeconduct.example.org]
//!     assurance: high
//! ", Path::new("/etc/safeconduct")).unwrap();
//! let records = config.trust.iter()
//!     .map(|(name, form)| TrustRecord::new(name, form, Path::new("/etc/safeconduct")))
//!     .collect::<Result<Vec<_>, _>>()?;
//! let directory = Directory::new(records, Arc::new(NoApiKeys))?;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let presented = Presented::Jwt { token: "not.a.token", held: Held::default() };
//! let refused = directory.prove(presented, Timestamp::from_millis(0)).await.unwrap_err();
//! assert!(matches!(refused, Refused::Unreadable(_)));
//! # });
//! # Ok::<(), safeconduct_directory::TrustError>(())
//! ```

pub mod api_key;
mod cache;
mod directory;
pub mod fetch;
mod proof;
mod relying_party;
mod source;
pub mod spiffe;
mod transmitters;
mod trust;
mod vouching;

pub use api_key::{ApiKeyError, ApiKeys, NoApiKeys};
pub use directory::Directory;
pub use proof::*;
pub use relying_party::*;
pub use transmitters::{TransmitterError, Transmitters};
pub use trust::{TrustError, TrustRecord};
