//! HTTP: AuthZEN, outcomes, administration, health and metrics.
//!
//! [`Api`] is a router over a [`Service`](safeconduct_service::Service) and a
//! [`ReadModel`](safeconduct_service::ReadModel); [`serve`] runs a router on a listener within
//! the limits below. What is answered under `/access/v1` follows the AuthZEN Authorization API
//! 1.0, where a Deny is a 200; under `/v1` errors are problem documents (RFC 9457), and every
//! operation is authorized by the policies of [`safeconduct_service::Administration`].
//!
//! What this crate deliberately does not do: it decides nothing, keeps no state beside counters,
//! reads no configuration, no file and no environment.
//!
//! ```
//! use safeconduct_api::Bearer;
//!
//! let bearer = Bearer::from_random([7; 32]);
//! assert!(bearer.reveal().starts_with("sc_"));
//! assert!(Bearer::is_well_formed(bearer.reveal()));
//! assert_eq!(format!("{bearer:?}"), "Bearer(..)");
//! ```

mod access_requests;
mod admit;
mod authzen;
mod authzen_requests;
mod bearer;
mod body;
mod break_glass;
mod campaigns;
mod catalogue;
mod config;
mod controls;
mod delegations;
mod estate;
mod findings;
mod handle;
mod health;
mod identities;
mod imports;
mod intents;
mod inventory;
mod keys;
mod kill;
mod leases;
mod metrics;
mod oauth;
mod openapi;
mod outcome;
mod page;
mod passkeys;
mod policies;
mod problem;
mod proposals;
mod proxies;
mod records;
mod refusals;
mod refused;
mod remediations;
mod router;
mod scim;
mod search;
mod serve;
mod sessions;
mod signals;
mod ssf;
mod streams;
mod tail;
mod tasks;
mod tls;
mod tokens;
mod trace;

pub use bearer::{Bearer, NoRandomness, new_token_id, new_token_text};
pub use body::{BODY_BYTES_MAX, BODY_READ_TIMEOUT};
pub use config::{ApiConfig, ApiError, Hosts};
pub use controls::{Controls, PolicyStatus, ReloadError, Reloading};
pub use estate::{read_entity, shown_rights, shown_why};
pub use metrics::{Asked, Metrics};
pub use openapi::document;
pub use proxies::{FORWARDED_MAX, behind_proxies};
pub use router::Api;
pub use safeconduct_wire::admin::{TransportWord, UpstreamState, UpstreamView};
pub use serve::{
    CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, HEADERS_MAX, PeerAddress, serve,
    serve_tls, serve_unix,
};
pub use streams::SignalEdges;
pub use tail::TAILS_MAX;
pub use tls::{CLIENT_CHAIN_MAX, ClientAuthentication, Tls, TlsError};
