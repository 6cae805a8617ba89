//! The use-cases of Safeconduct, one file each, and the ports that they need.
//!
//! A use-case gathers facts, asks the pure core, appends what came of it, and answers once the
//! record is durable. Only this crate makes a [`Recorded`] value, so nothing further out can act
//! on a decision that is not on the disk.
//!
//! What this crate deliberately does not do: it names no runtime, no disk, no network and no
//! clock; those are the [`Ledger`], [`Vault`], [`Clock`] and [`Ids`] that it is given.

mod administer;
mod authenticate;
mod begin;
mod change;
mod check;
mod definition;
mod end;
mod erase;
mod issuer;
mod leases;
mod line;
#[cfg(feature = "memory")]
pub mod memory;
mod observe;
mod pending;
mod ports;
mod read;
mod recorded;
mod restore;
mod service;
mod sessions;
mod sightings;
mod tasks;
mod world;

pub use administer::*;
pub use authenticate::*;
pub use begin::*;
pub use change::*;
pub use check::{Check, Queued};
pub use definition::definition_digest;
pub use end::*;
pub use erase::*;
pub use issuer::*;
pub use leases::*;
pub use line::EnterError;
pub use observe::*;
pub use pending::PENDING_MAX;
pub use ports::*;
pub use read::*;
pub use recorded::*;
pub use restore::*;
pub use safeconduct_engine::{Outcome, Understood, Vocabulary};
pub use service::*;
pub use sessions::{SESSIONS_MAX, SessionView};
pub use sightings::{Conversation, DEFINITIONS_MAX, Extent};
pub use tasks::{ENDED_TASKS_MAX, TASKS_MAX, TaskView};
pub use world::*;
