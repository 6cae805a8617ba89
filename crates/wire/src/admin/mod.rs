//! The administration API: what it takes, and what it shows. Names are snake_case, times are RFC
//! 3339 in UTC, digests carry their algorithm.
//!
//! What it takes is read by [`crate::document::read_json`], which names every field that does
//! not fit. What it shows says, where it comes from the read model, up to which record of the
//! ledger that had read.

mod access;
mod campaigns;
mod catalogue;
mod delegations;
mod estate;
mod findings;
mod identities;
mod imports;
mod intents;
mod keys;
mod kill;
mod leases;
mod passkeys;
mod policies;
mod records;
mod remediations;
mod risk;
mod sessions;
mod streams;
mod tasks;

pub use access::*;
pub use campaigns::*;
pub use catalogue::*;
pub use delegations::*;
pub use estate::*;
pub use findings::*;
pub use identities::*;
pub use imports::*;
pub use intents::*;
pub use keys::*;
pub use kill::*;
pub use leases::*;
pub use passkeys::*;
pub use policies::*;
pub use records::*;
pub use remediations::*;
pub use risk::*;
pub use sessions::*;
pub use streams::*;
pub use tasks::*;

#[cfg(test)]
mod tests;
