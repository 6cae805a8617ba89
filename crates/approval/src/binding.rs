//! What a request is about, and what is held against it when an approval is to be used.

use std::collections::BTreeSet;

use safeconduct_model::{EntityType, KeyedDigest, Value};

pub use safeconduct_model::Binding;

/// The arguments in hand: what somebody tries, or what an approver was shown.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// What is tried, by whom. Its digest is that of `input` and `asserted`.
    pub binding: &'a Binding,
    /// The arguments.
    pub input: &'a Value,
    /// What the enforcement point says beside them.
    pub asserted: Option<&'a Value>,
    /// The digest of arguments as [`Binding::arguments`] is made, under the same key, with
    /// `asserted` beside them where there is any.
    pub digest: &'a dyn Fn(&Value) -> KeyedDigest,
}

/// Where what is tried is not what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// Another principal.
    Principal,
    /// Another chain of actors.
    Actors,
    /// Another user, or none.
    OnBehalfOf,
    /// Another task, or none.
    Task,
    /// Another intent.
    Intent,
    /// Another action.
    Action,
    /// Other resources.
    Resources,
    /// Other arguments.
    Arguments,
}

impl Mismatch {
    /// What differs, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Actors => "actors",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Task => "task",
            Self::Intent => "intent",
            Self::Action => "action",
            Self::Resources => "resources",
            Self::Arguments => "arguments",
        }
    }
}

/// Whether the same parties want the same action under the same intent: what no approval leaves
/// open.
pub(crate) fn same_parties(a: &Binding, b: &Binding) -> Result<(), Mismatch> {
    let checks = [
        (a.principal == b.principal, Mismatch::Principal),
        (a.actors == b.actors, Mismatch::Actors),
        (a.on_behalf_of == b.on_behalf_of, Mismatch::OnBehalfOf),
        (a.intent == b.intent, Mismatch::Intent),
        (a.action == b.action, Mismatch::Action),
    ];
    checks.into_iter().find(|(same, _)| !same).map_or(Ok(()), |(_, mismatch)| Err(mismatch))
}

/// The types of what it touches.
pub(crate) fn resource_types(of: &Binding) -> BTreeSet<&EntityType> {
    of.resources.iter().map(|resource| &resource.ty).collect()
}
