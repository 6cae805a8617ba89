//! Where a permit is made: the trait [`Decide`] and the type [`Permit`].
//!
//! Code that performs an action takes a `Permit<T>` by value. A permit owns what was decided,
//! is made only from a durable record, is consumed once, expires, and is checked against
//! revocation again when it is performed.
//!
//! What this crate deliberately does not do: it decides nothing and performs nothing.

mod decide;
mod permit;

pub use decide::{Asks, Decide, InProcess, OnDenial, Refusal, Ways, request_for_agent};
pub use permit::{Lapsed, Permit, Redeemed};
