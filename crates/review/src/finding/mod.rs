//! Findings: what is wrong with the estate, found by rules over plain facts, and what became of
//! it.
//!
//! [`Thresholds`] judge facts and give [`Observed`]. A [`FindingBook`] compares what was observed
//! with what it knows and says what changed; what changed is recorded, and the book is a fold of
//! those records. A finding closes by itself once it is not observed any more, and opens again
//! when it comes back. An [`Exemption`] says that it is as it should be, for a time.
//!
//! A right that is younger than the window gives no finding, save one that was found before and
//! has come back. Where less is tracked than a rule needs, nothing is judged, and that is said.

mod book;
mod conduct;
mod detail;
mod exemption;
mod facts;
mod first_seen;
mod kind;
mod observed;
mod rules;
mod thresholds;

#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod rules_tests;

pub use book::*;
pub use conduct::*;
pub use detail::*;
pub use exemption::*;
pub use facts::*;
pub use first_seen::*;
pub use kind::*;
pub use observed::*;
pub use thresholds::*;
