//! Signals about identities, sessions, tasks and users; the decaying score that is made of them;
//! and the detectors that find signals in the ledger.
//!
//! A [`Signal`] is one observation. [`Signals`] keeps a bounded number of them for each subject;
//! [`Signals::assess`] makes a [`Risk`] of those that concern a decision: 0 to 100, explained by
//! its parts, with integers alone, so that every machine and every replay finds the same. What
//! other systems say comes through [`intake`]; what the ledger itself shows is found by
//! [`detect::Detectors`], a fold of its records.
//!
//! What this crate deliberately does not do: it decides nothing, reads no clock, keeps no
//! argument values, and acts on nothing: what a revoking signal stops is said by
//! [`Signal::stops`], and stopping it is for crate `service`. A signal itself is a noun of crate
//! `model`, since the ledger holds it.
//!
//! ```
//! use safeconduct_model::{IdentityId, Timestamp};
//! use safeconduct_risk::{About, HalfLives, Kind, Level, Severity, Signal, Signals, Source};
//!
//! let agent = About::Identity(IdentityId::new("agent:support")?);
//! let seen = Timestamp::from_millis(0);
//! let mut signals = Signals::default();
//! let (about, source) = (agent.clone(), Source::Detector);
//! signals.put(Signal::new(about, Kind::Burst, Severity::High, source, "r1", seen), seen)?;
//!
//! let (curve, hour) = (HalfLives::default(), seen.plus_ms(3_600_000));
//! assert_eq!(signals.assess([&agent], seen, &curve).score, 65);
//! assert_eq!(signals.assess([&agent], seen, &curve).level, Level::High);
//! assert_eq!(signals.assess([&agent], hour, &curve).level, Level::Low);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fixed;
mod score;
mod store;

pub mod detect;
pub mod intake;

pub use safeconduct_model::signal::*;
pub use score::*;
pub use store::*;
