//! Campaigns of access reviews as people write them: `reviews/*.yaml`, or the same as JSON over
//! the API.
//!
//! ```
//! use safeconduct_wire::campaign;
//!
//! let plan = campaign::parse("reviews/agents.yaml", r#"
//! campaign: agents_quarterly
//! owner: grace@example.org
//! scope: { kinds: [agent], tiers: [high, critical] }
//! stages:
//!   - name: owners
//!     lasts: 14d
//!     reviewers: [owner]
//!     fallback: [fallback_owner]
//!     reminders: [3d]
//! no_answer: { high: suspend, critical: revoke }
//! schedule: { from: 2027-01-31, months: 3 }
//! "#).unwrap().plan;
//! assert_eq!(plan.definition.stages.len(), 1);
//!
//! let problems = campaign::parse("c.yaml", "campaign: a\nownr: b").unwrap_err();
//! assert!(problems.iter().any(|problem| {
//!     problem.to_string() == "c.yaml:2:1: unknown key `ownr` (did you mean `owner`?)"
//! }));
//! ```

mod form;
mod read;

pub use form::*;
pub use read::*;

#[cfg(test)]
mod tests;
