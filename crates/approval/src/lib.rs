//! Access requests and approvals: the state machine of a Deny that a person may answer.
//!
//! A request is bound to who acts and for whom, the task, the action, the resources and the keyed
//! digest of the canonical arguments. People answer it by the terms of the policy that denied;
//! what they approve is spent by the bound action alone, as often as they said, before its end.
//!
//! ```text
//! Pending ──enough answers──▶ Approved ──last use──▶ Spent
//!    ├──one refusal──▶ Refused   ├──its time──▶ Expired
//!    ├──its time─────▶ Expired   └──taken back▶ Revoked
//!    └──taken back───▶ Revoked
//! ```
//!
//! Every step is computed from the state, and given back as a [`Change`]: plain data of which the
//! state is a fold. A change carries its place in the request's life, and a fold refuses one whose
//! place is taken, so that of two steps that race only one happens, whoever makes them.
//!
//! What this crate deliberately does not do: it records nothing, asks nobody, sends no notice and
//! checks no passkey; it does not know who owns what (owners, groups and deputies are facts that
//! the caller gathers when somebody answers); and an approval is no permit. It is new evidence:
//! whoever spends one decides the request again, with policy, task and risk as they then are.
//!
//! ```
//! use std::collections::BTreeSet;
//! use safeconduct_approval::*;
//! use safeconduct_model::*;
//!
//! let id = |text: &str| IdentityId::new(text);
//! let binding = Binding {
//!     principal: EntityRef::new("Safeconduct::Agent", "case-agent")?,
//!     actors: vec![id("case-agent")?],
//!     on_behalf_of: None,
//!     task: Some(TaskId::new("task_1")?),
//!     intent: None,
//!     action: ActionName::new("mail.send")?,
//!     resources: BTreeSet::from([EntityRef::new("Mailbox", "outside")?]),
//!     arguments: KeyedDigest::from_bytes([1; 32]),
//! };
//! let requestable =
//!     Requestable { approvers: "resource.owner".into(), quorum: 1, ttl_s: 900 };
//! let now = Timestamp::from_millis(1_790_000_000_000);
//! let opening = AccessRequest::open(Opened {
//!     id: RecordId::new("rec_1")?,
//!     at: now,
//!     binding: binding.clone(),
//!     asked_by: id("case-agent")?,
//!     interested: BTreeSet::new(),
//!     terms: Terms::read(&requestable)?,
//!     likeness: KeyedDigest::from_bytes([2; 32]),
//!     answer_by: now.plus_ms(3_600_000),
//!     ends_at: None,
//!     asked: BTreeSet::from([id("ada")?]),
//! })?;
//! let mut request = AccessRequest::begin(&opening)?;
//!
//! let ada = Answerer::in_person(Person::named(id("ada")?), Assurance::High);
//! let facts = Holders { resource_owners: BTreeSet::from([id("ada")?]), ..Holders::default() };
//! let input = Value::object([("to", Value::from("x@example.org"))]);
//! let digest = |_: &Value| KeyedDigest::from_bytes([1; 32]);
//! let attempt = Attempt { binding: &binding, input: &input, asserted: None, digest: &digest };
//! request.apply(&request.approve(&ada, &facts, Scope::Once, &attempt, now)?)?;
//! assert_eq!(request.state(), State::Approved);
//!
//! request.apply(&request.spend(&attempt, RecordId::new("dec_1")?, now)?)?;
//! assert_eq!(request.spend(&attempt, RecordId::new("dec_2")?, now), Err(SpendError::Spent));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod approvers;
mod binding;
mod change;
mod docket;
mod edit;
mod eligible;
mod end;
mod fold;
mod likeness;
mod open;
mod reach;
mod recorded;
mod scope;
mod shown;
mod spend;
mod terms;

pub use answer::*;
pub use approvers::*;
pub use binding::*;
pub use change::*;
pub use docket::*;
pub use edit::*;
pub use eligible::*;
pub use end::*;
pub use fold::*;
pub use likeness::*;
pub use open::*;
pub use reach::*;
pub use recorded::*;
pub use scope::*;
pub use shown::*;
pub use spend::*;
pub use terms::*;
