//! The use-cases of Safeconduct, one file each, and the ports that they need.
//!
//! A use-case gathers facts, asks the pure core, appends what came of it, and answers once the
//! record is durable. Only this crate makes a [`Recorded`] value, so nothing further out can act
//! on a decision that is not on the disk.
//!
//! What this crate deliberately does not do: it names no runtime, no disk, no network and no
//! clock; those are the [`Ledger`], [`Vault`], [`Clock`] and [`Ids`] that it is given.

mod access;
mod access_tokens;
mod administer;
mod ages;
mod answered;
mod authenticate;
mod begin;
mod bundle;
mod campaigns;
mod change;
mod check;
mod client_proof;
mod definition;
mod echoed;
mod end;
mod erase;
mod estate;
mod findings;
mod hear;
mod import;
mod introspect;
mod issuer;
mod late;
mod leases;
mod line;
#[cfg(feature = "memory")]
pub mod memory;
mod mint;
mod observe;
mod opaque;
mod passkeys;
mod past;
mod pending;
mod ports;
mod present;
mod prove;
mod read;
mod reading;
mod recall;
mod recorded;
mod refold;
mod rehearsal;
mod rehearsed_approvals;
mod rehearsed_risk;
mod remediation;
mod replay;
mod restore;
mod reviews;
mod risk;
mod rotate;
mod saying;
mod seen;
mod service;
mod sessions;
mod sightings;
mod streams;
mod surroundings;
mod tasks;
mod warm;
mod world;

pub use access::*;
pub use access_tokens::*;
pub use administer::*;
pub use ages::{AGED_SETS_MAX, ReadSet};
pub use authenticate::*;
pub use begin::*;
pub use campaigns::*;
pub use change::*;
pub use check::{Check, Queued};
pub use client_proof::{CLIENT_ALGORITHMS, ClientRequest, JWT_ASSERTION, SVID_ASSERTION};
pub use definition::definition_digest;
pub use end::*;
pub use erase::*;
pub use estate::*;
pub use findings::*;
pub use hear::{HEARD_BETWEEN_MAX, HEARD_MAX, HearError, Said};
pub use import::*;
pub use introspect::*;
pub use issuer::*;
pub use leases::*;
pub use line::EnterError;
pub use mint::Issued;
pub use observe::*;
pub use passkeys::*;
pub use past::IDENTITIES_REMEMBERED_MAX;
pub use pending::{PENDING_CALLS_BYTES_MAX, PENDING_MAX};
pub use ports::*;
pub use present::*;
pub use prove::*;
pub use read::*;
pub use recall::RECALLED_MAX;
pub use recorded::*;
pub use rehearsal::*;
pub use rehearsed_approvals::*;
pub use rehearsed_risk::*;
pub use remediation::*;
pub use replay::*;
pub use restore::*;
pub use reviews::*;
pub use risk::{
    Detecting, RECORDS_SHOWN_MAX, SIGNALS_AT_ONCE_MAX, SIGNALS_WAITING_MAX, SignalCounts,
    TakeSignalError, Taken,
};
pub use rotate::*;
pub use safeconduct_credential::jose::{Algorithm, KeySet, KeyUse, Thumbprint};
pub use safeconduct_credential::token::{
    FORM_BYTES_MAX, Fault, FaultCode, Form, KEPT_S as KEYS_KEPT_S, KeyPhase, KeyStanding,
    StoredKey, TASK_SCOPE,
};
pub use safeconduct_engine::{Outcome, Understood, Vocabulary};
pub use safeconduct_risk::Risk;
pub use seen::{APPEARED_MAX, AppearedAs, SeenAt, Unregistered};
pub use service::*;
pub use sessions::{ARCHIVED_SESSIONS_MAX, KEYS_HELD_MAX, SESSIONS_MAX, SessionView};
pub use sightings::{Conversation, DEFINITIONS_MAX, Extent};
pub use streams::*;
pub use surroundings::Surrounded;
pub use tasks::{
    ENDED_TASKS_MAX, MANDATE_BYTES_MAX, TASKS_LOOKED_AT_MAX, TASKS_MAX, TaskPage, TaskQuery,
    TaskView,
};
pub use world::*;
