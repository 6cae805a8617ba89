//! Access reviews: how rights are used, what is reviewed, who answers, and what comes of it.
//!
//! A [`Grant`] is a right of one identity, with what gives it. [`Usage`] counts, day by day, what
//! the ledger says of the use of each right.
//!
//! A [`Campaign`] is about a frozen [`Population`] of rights. Stage by stage, reviewers answer for
//! each of them, and their answers become an outcome by midPoint's strategies ([`Strategy`]); what
//! nobody answers has a set effect. Everything that happens is a [`Step`], of which the campaign
//! is a fold, and its owner signs a digest over all of it.
//!
//! [`finding`] holds the rules by which something is wrong with the estate, and what became of each
//! finding.
//!
//! [`controls`] says which records are evidence toward which control of which framework.
//!
//! What this crate deliberately does not do: it reads no ledger and no policies, answers no
//! [`Expression`], knows nobody's owner, carries nothing out, and asks nobody; whoever calls it
//! gathers facts and records steps.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//! use safeconduct_model::{Digest, IdentityId, RecordId, Tier, Timestamp};
//! use safeconduct_review::*;
//!
//! let id = |text: &str| IdentityId::new(text).unwrap();
//! let stage = StageDefinition {
//!     name: "owners".into(),
//!     lasts_ms: 14 * 86_400_000,
//!     reviewers: vec![Reviewer::Owner],
//!     fallback: vec![Reviewer::FallbackOwner],
//!     strategy: Strategy::OneAcceptAccepts,
//!     if_no_reviewers: Response::NoResponse,
//!     stop: StopRule::default(),
//!     reminders_ms: vec![2 * 86_400_000],
//!     escalations: Vec::new(),
//! };
//! let definition = Arc::new(Definition {
//!     name: "agents of support".into(),
//!     owner: id("grace"),
//!     stages: vec![stage],
//!     strategy: Strategy::OneDenyDenies,
//!     stop: StopRule::default(),
//!     no_answer: NoAnswer::default(),
//!     remediation: RemediationStyle::Automatic,
//!     notice_ms: None,
//!     iterations: 0,
//! });
//! let grant = Digest::from_bytes([1; 32]);
//! let what = Arc::new(Right {
//!     kind: GrantKind::Statement,
//!     name: "agents-read".into(),
//!     at: Some("support.cedar:3:1".into()),
//!     words: "crm.read_case on anything".into(),
//!     actions: 1,
//!     put_by: Vec::new(),
//! });
//! let right = Case { grant, holder: id("agent"), tier: Tier::High, given_by: None, what };
//! let population = Population::freeze([Ok::<_, Infallible>(right)], Vec::new())?;
//! let mut campaign = Campaign::begin(RecordId::new("cmp_1")?, definition, population)?;
//!
//! let now = Timestamp::from_millis(0);
//! campaign.apply(campaign.open_stage(now, |_| vec![id("ada")], |_| Vec::new())?);
//! campaign.apply(campaign.decide(0, ReviewDecision {
//!     by: id("ada"),
//!     acting_for: None,
//!     response: Response::Reduce,
//!     reason: "reads cases only".into(),
//!     opened_at: now,
//!     at: now.plus_ms(40_000),
//!     evidence: Digest::from_bytes([2; 32]),
//!     batch: 1,
//! })?);
//! campaign.apply(campaign.close_stage(now.plus_ms(41_000))?);
//! let (case, item) = campaign.case(0).unwrap();
//! assert_eq!(campaign.effect(case, item), Effect::Reduce);
//! campaign.apply(campaign.sign_off(&id("grace"), campaign.digest())?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advance;
mod beside;
mod campaign;
pub mod controls;
mod definition;
mod expression;
pub mod finding;
mod grant;
mod import;
mod outcome;
mod plan;
mod population;
mod proposal;
mod recurrence;
mod remediation;
mod step;
mod usage;

pub use advance::*;
pub use beside::*;
pub use campaign::*;
pub use definition::*;
pub use expression::*;
pub use grant::*;
pub use import::*;
pub use outcome::*;
pub use plan::*;
pub use population::*;
pub use proposal::*;
pub use recurrence::*;
pub use remediation::*;
pub use step::*;
pub use usage::*;
